package bot

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// tombstone is the end of a room that another replaces.
type tombstone struct {
	At      int64     `json:"origin_server_ts"`
	Sender  id.UserID `json:"sender"`
	Content struct {
		Replacement id.RoomID `json:"replacement_room"`
	} `json:"content"`
}

// hearTombstone follows a room to the one that replaces it, if whoever ended it had the power to. Where the bot may not go yet, it
// waits to be invited.
func (b *Bot) hearTombstone(ctx context.Context, h *heard) error {
	var end tombstone
	if err := json.Unmarshal(h.Raw, &end); err != nil {
		return &unreadableError{err}
	}
	if end.Content.Replacement == "" || end.Content.Replacement == h.Room || !storable(end.Content.Replacement.String()) {
		return b.journal.end(ctx, h, stateDropped, "a room ended, and none replaces it")
	}
	may, err := b.hasPower(ctx, h.Room, end.Sender, func(levels *event.PowerLevelsEventContent) int { return levels.GetEventLevel(event.StateTombstone) })
	if err != nil {
		return err
	}
	if !may {
		return b.journal.end(ctx, h, stateDropped, "whoever ended the room lacks the power to")
	}
	_, err = b.database.Exec(ctx, `INSERT INTO room_upgrade (old, new, sender, at) VALUES ($1, $2, $3, $4) ON CONFLICT (old) DO NOTHING`,
		h.Room, end.Content.Replacement, end.Sender, time.UnixMilli(end.At).UTC())
	if err != nil {
		return fmt.Errorf("noting that a room is replaced: %w", err)
	}
	_, err = b.client.JoinRoom(ctx, end.Content.Replacement.String(), &mautrix.ReqJoinRoom{Via: []string{end.Sender.Homeserver()}})
	if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
		text := fmt.Sprintf("**The room %s was replaced by %s**, which I may not enter. Invite me there, and I go on there.",
			plain(h.Room.String()), plain(end.Content.Replacement.String()))
		return errors.Join(b.alert(ctx, "upgrade:"+h.Room.String(), text), b.journal.end(ctx, h, stateDone, "waits to be invited to the room that replaces it"))
	}
	if err != nil {
		return fmt.Errorf("joining the room that replaces one: %w", err)
	}
	return b.enter(ctx, h, end.Content.Replacement)
}

// upgrade is a room that another replaces.
type upgrade struct {
	Old, New id.RoomID
	Sender   id.UserID
	At       time.Time
	Entered  bool
}

// upgradeTo is the room that a room replaces, or nil.
func (b *Bot) upgradeTo(ctx context.Context, room id.RoomID) (*upgrade, error) {
	var found upgrade
	err := b.database.QueryRow(ctx, `SELECT old, new, sender, at, entered_at IS NOT NULL FROM room_upgrade WHERE new = $1 ORDER BY at LIMIT 1`, room).
		Scan(&found.Old, &found.New, &found.Sender, &found.At, &found.Entered)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what a room replaces: %w", err)
	}
	return &found, nil
}

// enter settles in a room that replaces another, once the bot is in it: the register's binding, and what was still to be said, move
// over. A room that does not name the other as its predecessor, or in which whoever ended the other may not invite, is left again.
func (b *Bot) enter(ctx context.Context, h *heard, room id.RoomID) error {
	moved, err := b.upgradeTo(ctx, room)
	if err != nil {
		return err
	}
	if moved == nil || moved.Entered {
		return b.journal.end(ctx, h, stateDone, "")
	}
	genuine, err := b.replaces(ctx, moved)
	if err != nil {
		return err
	}
	if !genuine {
		if _, err := b.client.LeaveRoom(ctx, room); err != nil && !errors.Is(err, mautrix.MForbidden) {
			return fmt.Errorf("leaving a room that only claims to replace another: %w", err)
		}
		if _, err := b.database.Exec(ctx, `DELETE FROM room_upgrade WHERE old = $1`, moved.Old); err != nil {
			return fmt.Errorf("forgetting a room that only claims to replace another: %w", err)
		}
		return b.journal.end(ctx, h, stateDropped, "the room only claims to replace another")
	}
	if err := b.carryBinding(ctx, moved); err != nil {
		return err
	}
	again, err := b.planAgain(ctx, moved)
	if err != nil {
		return err
	}
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		if err := b.moveBallots(ctx, moved); err != nil {
			return err
		}
		if err := b.moveIn(ctx, moved); err != nil {
			return err
		}
		for _, step := range again {
			if _, err := step(ctx); err != nil {
				return err
			}
		}
		return b.journal.end(ctx, h, stateDone, "")
	})
	if err != nil {
		return err
	}
	zerolog.Ctx(ctx).Info().Stringer("old", moved.Old).Stringer("new", moved.New).Msg("Followed a room to the one that replaces it")
	b.directory.outdate()
	b.speaking.wake(moved.New)
	if _, err := b.client.LeaveRoom(ctx, moved.Old); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("old", moved.Old).Msg("The room that was replaced cannot be left")
	}
	return nil
}

// replaces says whether a room names the other as its predecessor, and whoever ended that one may invite here.
func (b *Bot) replaces(ctx context.Context, moved *upgrade) (bool, error) {
	state, err := b.keys.state(ctx, moved.New)
	if err != nil {
		return false, fmt.Errorf("reading the room that replaces one: %w", err)
	}
	created := state[event.StateCreate][""]
	if created == nil {
		return false, nil
	}
	content, ok := created.Content.Parsed.(*event.CreateEventContent)
	if !ok || content.GetPredecessor().RoomID != moved.Old {
		return false, nil
	}
	return b.hasPower(ctx, moved.New, moved.Sender, func(levels *event.PowerLevelsEventContent) int { return max(levels.Invite(), 1) })
}

// hasPower says whether a user has at least some level in a room. A room without power levels gives its creator all.
func (b *Bot) hasPower(ctx context.Context, room id.RoomID, user id.UserID, needed func(*event.PowerLevelsEventContent) int) (bool, error) {
	levels, err := b.keys.rooms.GetPowerLevels(ctx, room)
	if err != nil {
		return false, fmt.Errorf("reading the power levels of %s: %w", room, err)
	}
	if levels == nil {
		if _, err := b.keys.state(ctx, room); err != nil {
			return false, fmt.Errorf("asking for the power levels of %s: %w", room, err)
		}
		if levels, err = b.keys.rooms.GetPowerLevels(ctx, room); err != nil || levels == nil {
			return false, err
		}
	}
	return levels.GetUserLevel(user) >= needed(levels), nil
}

// carryBinding binds the new room for what the old one was bound for, and the old one for nothing.
func (b *Bot) carryBinding(ctx context.Context, moved *upgrade) error {
	b.directory.outdate()
	_, rooms, err := b.directory.read(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rooms, func(bound register.RoomBinding) bool { return bound.Room == moved.Old.String() })
	if at < 0 || len(rooms[at].Purposes) == 0 {
		return nil
	}
	binding := rooms[at]
	binding.Room, binding.Version = moved.New.String(), 0
	if err := b.api.Send(ctx, register.By{Key: txnID("carry", moved.Old.String(), moved.New.String())}, register.BindRoom(binding), nil); err != nil {
		return fmt.Errorf("binding the room that replaces another: %w", err)
	}
	if binding.Encrypted == register.RoomEncryptionOptional {
		err := b.api.Send(ctx, register.By{Key: txnID("encryption", moved.Old.String(), moved.New.String())}, register.SetRoomEncryption(binding.Room, binding.Encrypted), nil)
		if err != nil {
			return fmt.Errorf("allowing the new room what the old one was allowed: %w", err)
		}
	}
	binding.Room, binding.Purposes = moved.Old.String(), []register.RoomPurpose{}
	if err := b.api.Send(ctx, register.By{Key: txnID("release", moved.Old.String(), moved.New.String())}, register.BindRoom(binding), nil); err != nil {
		return fmt.Errorf("releasing the room that was replaced: %w", err)
	}
	return nil
}

// moveIn has what was to be said in the old room said in the new, in the caller's transaction.
func (b *Bot) moveIn(ctx context.Context, moved *upgrade) error {
	if _, err := b.database.Exec(ctx, `UPDATE room_upgrade SET entered_at = $2 WHERE old = $1`, moved.Old, b.now().UTC()); err != nil {
		return fmt.Errorf("noting that the new room is entered: %w", err)
	}
	_, err := b.database.Exec(ctx, `INSERT INTO room (room_id, direct) SELECT $2, direct FROM room WHERE room_id = $1
		ON CONFLICT (room_id) DO UPDATE SET direct = excluded.direct`, moved.Old, moved.New)
	if err != nil {
		return fmt.Errorf("noting what kind of room the new one is: %w", err)
	}
	// What was refused between the room's end and our hearing of it was certainly not sent.
	rows, err := b.database.Query(ctx, selectOutgoing+`WHERE o.room_id = $1
		AND (o.state = 'queued' OR o.state = 'failed' AND o.attempted_at > $2) ORDER BY o.id`, moved.Old, moved.At.Add(-time.Minute).UTC())
	waiting, err := dbutil.NewRowIterWithError(rows, scanOutgoing, err).AsList()
	if err != nil {
		return fmt.Errorf("reading what was to be said in the old room: %w", err)
	}
	for _, message := range waiting {
		state := "queued"
		if !forward(message, moved.New) {
			state = "dropped"
		}
		content, err := json.Marshal(message.Content)
		if err != nil {
			return fmt.Errorf("encoding a message: %w", err)
		}
		_, err = b.database.Exec(ctx, `UPDATE outbox SET room_id = $2, content = $3, about = NULL, thread = '', ciphertext = NULL, attempts = 0, state = $4,
			attempted_at = NULL, not_before = $5, reason = CASE WHEN $4 = 'dropped' THEN 'its room was replaced' END WHERE id = $1`,
			message.ID, message.Room, string(content), state, b.now().UTC())
		if err != nil {
			return fmt.Errorf("moving a message to the new room: %w", err)
		}
	}
	_, err = b.outbox.add(ctx, outgoing{
		Txn: txnID("moved", moved.Old.String(), moved.New.String()), Room: moved.New, Rank: notice, Type: event.EventMessage.Type,
		Content: words("**I have moved here with you.** What was asked in the old room is told here from now on, outside its threads.", nil),
	})
	return err
}

// forward readdresses a message to the room that replaces its own, out of the threads it had there. It says no to what means
// something only beside an event of the old room: reactions, edits and redactions.
func forward(message *outgoing, room id.RoomID) bool {
	message.Room = room
	relation, _ := message.Content["m.relates_to"].(map[string]any)
	if message.Type != event.EventMessage.Type || relation["rel_type"] == string(event.RelReplace) {
		return false
	}
	delete(message.Content, "m.relates_to")
	message.About = 0
	return true
}

// movedTo is the room in which a room goes on, or the room itself.
func (o *outbox) movedTo(ctx context.Context, room id.RoomID) (id.RoomID, error) {
	for range 20 { // a ring of rooms is none of ours
		var next id.RoomID
		err := o.database.QueryRow(ctx, `SELECT new FROM room_upgrade WHERE old = $1 AND entered_at IS NOT NULL`, room).Scan(&next)
		if errors.Is(err, sql.ErrNoRows) {
			return room, nil
		}
		if err != nil {
			return "", fmt.Errorf("reading where a room goes on: %w", err)
		}
		room = next
	}
	return room, nil
}
