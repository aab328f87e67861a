package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// longPoll is how long the homeserver may hold a sync that has nothing to say.
const longPoll = 30 * time.Second

// poisonAfter is how often one response may fail to be stored before it is stored piece by piece, without what fails.
const poisonAfter = 3

// syncFilter asks for no presence, typing or receipts, only for the state the bot keeps, and for members only as far as they
// speak: a bot in a thousand rooms must not read a million members to start. Of a first sync the words are history.
var syncFilter, firstSyncFilter = filter(50), filter(1)

func filter(limit int) string {
	none := map[string]any{"not_types": []string{"*"}}
	raw, err := json.Marshal(map[string]any{
		"presence":     none,
		"account_data": map[string]any{"types": []string{event.AccountDataDirectChats.Type}},
		"room": map[string]any{
			"ephemeral": none, "account_data": none, "timeline": map[string]any{"limit": limit, "lazy_load_members": true},
			"state": map[string]any{"lazy_load_members": true, "types": []string{
				event.StateMember.Type, event.StateEncryption.Type, event.StateCreate.Type, event.StatePowerLevels.Type,
				event.StateJoinRules.Type, event.StateHistoryVisibility.Type, event.StateTombstone.Type,
			}},
		},
	})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// syncer hears: it asks the homeserver for what is new and commits each answer whole, or not at all.
type syncer struct {
	bot   *Bot
	token string

	mutex   sync.Mutex
	healthy error // why the last request failed

	failures int
	// first is an answer that came before the syncer ran; it is taken before another is asked for.
	first *answer

	// taking is held while an application service takes what was pushed or what it asked for: one thing at a time, in order.
	taking sync.Mutex
	due    chan struct{}
}

func newSyncer(bot *Bot, token string) *syncer {
	return &syncer{bot: bot, token: token, healthy: errors.New("not synced yet"), due: make(chan struct{}, 1)}
}

// run syncs until ctx ends; neither a failing homeserver nor database nor a panic ends it.
func (s *syncer) run(ctx context.Context) {
	if s.bot.options.Registration != nil {
		s.runPushed(ctx)
		return
	}
	log := zerolog.Ctx(ctx)
	wait := time.Duration(0)
	for ctx.Err() == nil {
		err := s.once(ctx)
		s.note(err)
		if err == nil {
			wait = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		wait = min(max(2*wait, 250*time.Millisecond), 10*time.Second)
		log.Warn().Err(err).Dur("wait", wait).Msg("Sync failed, trying again")
		pause(ctx, wait)
	}
}

func (s *syncer) note(err error) {
	s.mutex.Lock()
	s.healthy = err
	s.mutex.Unlock()
}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *syncer) once(ctx context.Context) error {
	a, err := s.next(ctx)
	if err != nil {
		return err
	}
	return s.commit(ctx, a)
}

// commit stores an answer, even while the bot shuts down, and has done what it leaves to do.
func (s *syncer) commit(ctx context.Context, a *answer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	done, err := s.bot.receive(ctx, a, s.failures >= poisonAfter)
	if err != nil {
		s.failures++
		return err
	}
	s.failures = 0
	if a.transaction == "" {
		s.mutex.Lock()
		s.token = a.response.NextBatch
		s.mutex.Unlock()
	}
	s.bot.hearing.wake(done.hear...)
	s.bot.speaking.wake(done.speak...)
	s.bot.upkeep.add(done)
	return nil
}

func (s *syncer) next(ctx context.Context) (*answer, error) {
	if a := s.first; a != nil {
		s.first = nil
		return a, nil
	}
	since, timeout := s.position(), longPoll
	if since == "" || s.state() != nil || s.bot.options.Registration != nil {
		timeout = 0 // so that it is known at once that all is well again
	}
	return s.bot.ask(ctx, since, timeout)
}

// answer is what the homeserver had to say since a token, its gaps filled.
type answer struct {
	response *mautrix.RespSync
	since    string
	gaps     map[id.RoomID][]*event.Event

	// transaction names what the homeserver pushed unasked, as it does to an application service; empty otherwise. It moves no
	// sync token: the sync passes over the same events, which are known by then.
	transaction string
	digest      []byte
	uncounted   bool // it does not say how many one-time keys are left
}

func (b *Bot) ask(ctx context.Context, since string, timeout time.Duration) (*answer, error) {
	filter := syncFilter
	if since == "" {
		filter = firstSyncFilter
	}
	response, err := b.client.FullSyncRequest(ctx, mautrix.ReqSync{Timeout: int(timeout.Milliseconds()), Since: since, FilterID: filter})
	if err != nil {
		return nil, fmt.Errorf("asking the homeserver what is new: %w", err)
	}
	gaps, err := b.fetchGaps(ctx, response, since)
	if err != nil {
		return nil, err
	}
	return &answer{response: response, since: since, gaps: gaps}, nil
}

func (s *syncer) position() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.token
}

// look asks what is new in a room without taking it: what the homeserver has by now, the waiting sync left to wait. It is
// how the bot finds its own event when the answer to its sending was lost.
func (s *syncer) look(ctx context.Context, room id.RoomID) ([]*event.Event, error) {
	if s.bot.options.Registration != nil { // its token may be a minute old, and what was pushed since is more than one answer shows
		if err := s.catchUp(ctx); err != nil {
			return nil, err
		}
	}
	response, err := s.bot.client.FullSyncRequest(ctx, mautrix.ReqSync{Since: s.position(), FilterID: syncFilter})
	if err != nil {
		return nil, fmt.Errorf("looking for an own event: %w", err)
	}
	joined := response.Rooms.Join[room]
	if joined == nil {
		return nil, nil
	}
	return joined.Timeline.Events, nil
}

func (s *syncer) state() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.healthy
}

// commitment is what a committed response leaves to do.
type commitment struct {
	hear     []id.RoomID
	speak    []id.RoomID
	requests []*event.Event // of others for keys or secrets, which need the network
	oneTime  int
	counted  bool // oneTime is what the homeserver says
}

// receive commits a sync response in one transaction: the Olm messages and the room keys they bring, the users whose
// devices changed, room state, the journal and the token. What needs the network comes before (gaps) or after (the commitment).
// With careful set, a piece that cannot be stored is left out and logged, so that one event cannot stop the sync.
func (b *Bot) receive(ctx context.Context, a *answer, careful bool) (commitment, error) {
	done := commitment{oneTime: a.response.DeviceOTKCount.SignedCurve25519, counted: !a.uncounted}
	b.keys.Lock()
	b.keys.received = func(room id.RoomID, _ id.SessionID) { done.hear = append(done.hear, room) }
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		if err := b.store(ctx, a, careful, &done); err != nil {
			return err
		}
		fault("sync.decrypted")
		return nil
	})
	b.keys.received = func(id.RoomID, id.SessionID) {}
	if err != nil || careful {
		if rebuilt := b.keys.rebuild(ctx); rebuilt != nil {
			err = errors.Join(err, rebuilt)
		}
	}
	b.keys.Unlock()
	if err != nil {
		return commitment{}, fmt.Errorf("committing what was heard: %w", err)
	}
	fault("sync.journalled")
	return done, nil
}

func (b *Bot) store(ctx context.Context, a *answer, careful bool, done *commitment) error {
	guard, response := guarded(b, careful), a.response
	if err := b.keys.machine.CryptoStore.MarkTrackedUsersOutdated(ctx, response.DeviceLists.Changed); err != nil {
		return fmt.Errorf("marking changed devices: %w", err)
	}
	for _, evt := range response.ToDevice.Events {
		if err := guard(ctx, "to-device message", func() error { b.receiveToDevice(ctx, evt, done); return nil }); err != nil {
			return err
		}
	}
	if a.transaction == "" {
		b.keys.machine.MarkOlmHashSavePoint(ctx)
	}
	for _, evt := range response.AccountData.Events {
		if err := guard(ctx, "account data", func() error { return b.receiveAccountData(ctx, evt) }); err != nil {
			return err
		}
	}
	joined := response.Rooms.Join
	if a.since == "" && !careful {
		if err := b.storeFirst(ctx, joined); err != nil {
			return err
		}
		joined = nil
	}
	for room, joined := range joined {
		if err := b.receiveRoom(ctx, room, joined, a, guard, done); err != nil {
			return err
		}
	}
	for room, invited := range response.Rooms.Invite {
		if err := guard(ctx, "invite", func() error { return b.receiveInvite(ctx, room, invited, done) }); err != nil {
			return err
		}
	}
	for room, left := range response.Rooms.Leave {
		if err := b.receiveState(ctx, room, append(left.State.Events, left.Timeline.Events...), guard); err != nil {
			return err
		}
	}
	if err := b.markTaken(ctx, a); err != nil {
		return err
	}
	if b.found != nil {
		return b.markStale(ctx)
	}
	return nil
}

// markTaken notes that an answer is stored, so that it is not taken again.
func (b *Bot) markTaken(ctx context.Context, a *answer) error {
	if a.transaction == "" {
		if _, err := b.database.Exec(ctx, `UPDATE account SET sync_token = $1`, a.response.NextBatch); err != nil {
			return fmt.Errorf("storing the sync token: %w", err)
		}
		return nil
	}
	_, err := b.database.Exec(ctx, `INSERT INTO homeserver_transaction (txn_id, events, taken_at) VALUES ($1, $2, $3)`, a.transaction, a.digest, b.now().UTC())
	if err != nil {
		return fmt.Errorf("storing the ID of what was pushed: %w", err)
	}
	return nil
}

// guarded runs each piece as it is, or, when careful, under a savepoint that undoes a piece that could not be stored.
func guarded(b *Bot, careful bool) func(ctx context.Context, what string, piece func() error) error {
	if !careful {
		return func(_ context.Context, _ string, piece func() error) error { return piece() }
	}
	return func(ctx context.Context, what string, piece func() error) error {
		if _, err := b.database.Exec(ctx, `SAVEPOINT piece`); err != nil {
			return err
		}
		err := piece()
		if err == nil {
			// mautrix swallows store errors; the database does not: after one, this fails.
			_, err = b.database.Exec(ctx, `RELEASE SAVEPOINT piece`)
		}
		if err == nil {
			return nil
		}
		zerolog.Ctx(ctx).Error().Err(err).Str("what", what).Msg("Left out of the sync, since it cannot be stored")
		b.metrics.poisoned.Inc()
		_, err = b.database.Exec(ctx, `ROLLBACK TO SAVEPOINT piece`)
		return err
	}
}

func (b *Bot) receiveToDevice(ctx context.Context, evt *event.Event, done *commitment) {
	evt.Type.Class = event.ToDeviceEventType
	if err := evt.Content.ParseRaw(evt.Type); err != nil {
		zerolog.Ctx(ctx).Debug().Err(err).Str("event_type", evt.Type.Type).Msg("Ignoring an unreadable to-device message")
		return
	}
	switch evt.Content.Parsed.(type) {
	case *event.RoomKeyRequestEventContent, *event.SecretRequestEventContent:
		done.requests = append(done.requests, evt)
	case *event.EncryptedEventContent:
		if !b.readBefore(ctx, evt) {
			b.keys.machine.HandleToDeviceEvent(ctx, evt)
		}
	default:
		b.keys.machine.HandleToDeviceEvent(ctx, evt)
	}
}

func (b *Bot) receiveAccountData(ctx context.Context, evt *event.Event) error {
	evt.Type.Class = event.AccountDataEventType
	if evt.Type != event.AccountDataDirectChats || evt.Content.ParseRaw(evt.Type) != nil {
		return nil
	}
	chats, ok := evt.Content.Parsed.(*event.DirectChatsEventContent)
	if !ok {
		return nil
	}
	for _, rooms := range *chats {
		for _, room := range rooms {
			if err := b.markDirect(ctx, room); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bot) markDirect(ctx context.Context, room id.RoomID) error {
	_, err := b.database.Exec(ctx, `INSERT INTO room (room_id, direct) VALUES ($1, true) ON CONFLICT (room_id) DO UPDATE SET direct = true`, room)
	if err != nil {
		return fmt.Errorf("noting a direct chat: %w", err)
	}
	return nil
}

type guard func(ctx context.Context, what string, piece func() error) error

// receiveRoom stores one joined room's state and journals what can ask something of the bot. The first sync of all, and
// what was said before the bot joined, is history: its state counts, its words do not.
func (b *Bot) receiveRoom(ctx context.Context, room id.RoomID, joined *mautrix.SyncJoinedRoom, a *answer, guard guard, done *commitment) error {
	timeline, since, gap := joined.Timeline.Events, a.since, a.gaps[room]
	pushed := a.transaction != ""
	if since != "" && joined.Timeline.Limited || pushed && slices.ContainsFunc(timeline, isMember) {
		if err := b.keys.forgetMembers(ctx, room); err != nil {
			return err
		}
	}
	if !pushed { // what was pushed may be long past: who needs to know how the room is now asks
		if err := b.receiveState(ctx, room, slices.Concat(gap, joined.State.Events, timeline), guard); err != nil {
			return err
		}
	}
	if since != "" {
		if err := b.receiveRoomEnds(ctx, room, slices.Concat(gap, joined.State.Events, timeline), done); err != nil {
			return err
		}
	}
	said := append(gap, timeline...)
	if since == "" {
		said = nil
	} else if joinedAt := b.ownJoin(said); joinedAt >= 0 {
		said = said[joinedAt+1:]
	}
	heard := false
	for _, evt := range said {
		err := guard(ctx, "event", func() error {
			if b.ours(evt.Sender) {
				return b.recognise(ctx, room, evt, done)
			}
			if !journalled(evt.Type) || evt.StateKey != nil {
				return nil
			}
			added, err := b.journal.add(ctx, room, evt)
			heard = heard || added
			return err
		})
		if err != nil {
			return err
		}
	}
	if heard {
		done.hear = append(done.hear, room)
	}
	if len(timeline) == 0 || pushed { // a gap ends where the sync was
		return nil
	}
	return b.markHeard(ctx, room, timeline[len(timeline)-1].ID)
}

func isMember(evt *event.Event) bool { return evt.Type.Type == event.StateMember.Type }

func (b *Bot) markHeard(ctx context.Context, room id.RoomID, last id.EventID) error {
	_, err := b.database.Exec(ctx, `INSERT INTO room (room_id, last_event_id) VALUES ($1, $2)
		ON CONFLICT (room_id) DO UPDATE SET last_event_id = excluded.last_event_id`, room, last)
	if err != nil {
		return fmt.Errorf("noting the last event of a room: %w", err)
	}
	return nil
}

// ownJoin is the place of the bot's latest own join in events, or -1.
func (b *Bot) ownJoin(events []*event.Event) int {
	for i := len(events) - 1; i >= 0; i-- {
		evt := events[i]
		if evt.Type.Type != event.StateMember.Type || evt.GetStateKey() != b.client.UserID.String() || evt.Content.Raw["membership"] != "join" {
			continue
		}
		before := ""
		if evt.Unsigned.PrevContent != nil {
			before, _ = evt.Unsigned.PrevContent.Raw["membership"].(string)
		}
		if before != "join" { // else it changed its name
			return i
		}
	}
	return -1
}

// receiveState keeps what encryption needs to know of a room, and renews its outbound session when members come or go.
func (b *Bot) receiveState(ctx context.Context, room id.RoomID, events []*event.Event, guard guard) error {
	for _, evt := range events {
		if evt.StateKey == nil {
			continue
		}
		err := guard(ctx, "room state", func() error {
			b.updateState(ctx, room, evt)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bot) updateState(ctx context.Context, room id.RoomID, original *event.Event) {
	evt := *original // parsing must not change what the journal keeps
	evt.RoomID = room
	evt.Type.Class = event.StateEventType
	if evt.Content.ParseRaw(evt.Type) != nil {
		return
	}
	if evt.Type == event.StateMember {
		b.keys.machine.HandleMemberEvent(ctx, &evt)
	}
	mautrix.UpdateStateStore(ctx, b.keys.rooms, &evt)
}
