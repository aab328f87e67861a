package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const (
	// boardTick is how often the bot looks whether a proposal is due.
	boardTick = 500 * time.Millisecond
	// recountEvery is how often the votes on an open proposal are recounted although nothing seems to be missing.
	recountEvery = 5 * time.Minute
	// keysFor is how long the end of a proposal waits for the key of something that was said before it, which may be a vote.
	keysFor = time.Minute
)

// ballot is an open proposal as the bot follows it.
type ballot struct {
	proposal               string
	opened, closes, ending time.Time
}

// followBallot notes where a proposal stands, in the event's transaction.
func (b *Bot) followBallot(ctx context.Context, p register.Proposal) error {
	ends := p.ClosesAt
	if !p.SettlesAt.IsZero() && p.SettlesAt.Before(ends) {
		ends = p.SettlesAt
	}
	_, err := b.database.Exec(ctx, `INSERT INTO ballot (proposal, opened_at, closes_at, ends_at, open) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (proposal) DO UPDATE SET closes_at = excluded.closes_at, ends_at = excluded.ends_at, open = excluded.open`,
		p.ID, p.OpenedAt.UTC(), p.ClosesAt.UTC(), ends.UTC(), p.State == register.ProposalStateOpen)
	if err != nil {
		return fmt.Errorf("noting where %s stands: %w", p.ID, err)
	}
	if p.State != register.ProposalStateOpen {
		_, err = b.database.Exec(ctx, `DELETE FROM condition WHERE proposal = $1`, p.ID)
	}
	return err
}

// boardKeeper follows every open proposal: it recounts after a start and now and then, reminds those who have not voted, and says when
// a room was read past the end of voting.
func (b *Bot) boardKeeper(ctx context.Context) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, 10*time.Second) {
		err := b.takeUpBallots(ctx)
		if err == nil {
			break
		}
		zerolog.Ctx(ctx).Warn().Err(err).Msg("The open proposals cannot be taken up, trying again")
		pause(ctx, wait)
	}
	recounted := map[string]time.Time{}
	reported := map[string]time.Time{}
	for ctx.Err() == nil {
		if err := b.keepBoard(ctx, recounted, reported); err != nil && ctx.Err() == nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Following the open proposals failed, trying again")
			pause(ctx, time.Second)
		}
		pause(ctx, boardTick)
	}
}

// takeUpBallots follows what was open before the bot started, also where its database does not know that.
func (b *Bot) takeUpBallots(ctx context.Context) error {
	for cursor := ""; ; {
		page, err := b.api.Proposals(ctx, register.By{}, register.ProposalStateOpen, cursor, 200)
		if err != nil {
			return fmt.Errorf("asking for the open proposals: %w", err)
		}
		for _, p := range page.Proposals {
			rooms, err := b.votedIn(ctx, p.ID)
			if err != nil {
				return err
			}
			for _, room := range rooms {
				if err := b.reportRead(ctx, p.ID, room, p.OpenedAt); err != nil {
					return err
				}
			}
			if len(rooms) == 0 {
				continue // it is shown when its event comes
			}
			if err := b.followBallot(ctx, p); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		cursor = page.Next
	}
}

func (b *Bot) keepBoard(ctx context.Context, recounted, reported map[string]time.Time) error {
	rows, err := b.database.Query(ctx, `SELECT proposal, opened_at, closes_at, ends_at FROM ballot WHERE open ORDER BY ends_at`)
	ballots, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (one ballot, err error) {
		return one, row.Scan(&one.proposal, &one.opened, &one.closes, &one.ending)
	}, err).AsList()
	if err != nil {
		return fmt.Errorf("reading the open proposals: %w", err)
	}
	var failures error
	for _, one := range ballots {
		now := b.now()
		if now.Sub(recounted[one.proposal]) > recountEvery {
			if err := b.recount(ctx, one.proposal); err != nil {
				failures = errors.Join(failures, err)
				continue
			}
			recounted[one.proposal] = now
		}
		if err := b.remind(ctx, one); err != nil {
			failures = errors.Join(failures, err)
		}
		if now.After(one.ending) && !reported[one.proposal].Equal(one.ending) {
			done, err := b.readToTheEnd(ctx, one)
			if done {
				reported[one.proposal] = one.ending
			}
			failures = errors.Join(failures, err)
		}
	}
	return failures
}

// shown are the messages of a proposal that are in their rooms.
func (b *Bot) shown(ctx context.Context, proposal string) (map[id.RoomID]id.EventID, error) {
	rows, err := b.database.Query(ctx, `SELECT m.room_id, o.event_id FROM proposal_message m JOIN outbox o ON o.id = m.outbox
		WHERE m.proposal = $1 AND NOT m.replaced AND o.event_id IS NOT NULL`, proposal)
	type at struct {
		room  id.RoomID
		event id.EventID
	}
	all, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (one at, err error) {
		return one, row.Scan(&one.room, &one.event)
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading where %s is shown: %w", proposal, err)
	}
	out := make(map[id.RoomID]id.EventID, len(all))
	for _, one := range all {
		out[one.room] = one.event
	}
	return out, nil
}

// recount hears the reactions to a proposal that the homeserver has and the bot has not. That one is not among them proves
// nothing, so nothing is taken back here: only the redaction of who cast a vote does that.
func (b *Bot) recount(ctx context.Context, proposal string) error {
	shown, err := b.shown(ctx, proposal)
	if err != nil {
		return err
	}
	for room, message := range shown {
		reactions, err := b.reactionsTo(ctx, room, message)
		if err != nil {
			return fmt.Errorf("asking for the reactions to %s: %w", proposal, err)
		}
		heard, err := b.hearMissed(ctx, room, reactions)
		if err != nil {
			return err
		}
		if heard > 0 {
			zerolog.Ctx(ctx).Info().Str("proposal", proposal).Int("reactions", heard).Msg("Reactions were missed and are heard now")
			b.hearing.wake(room)
		}
	}
	return nil
}

// reactionsTo pages through what the homeserver relates to a message.
func (b *Bot) reactionsTo(ctx context.Context, room id.RoomID, message id.EventID) ([]*event.Event, error) {
	var all []*event.Event
	for from := ""; ; {
		page, err := b.client.GetRelations(ctx, room, message, &mautrix.ReqGetRelations{
			RelationType: event.RelAnnotation, EventType: event.EventReaction, From: from, Limit: 100,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Chunk...)
		if page.NextBatch == "" || page.NextBatch == from || len(page.Chunk) == 0 {
			slices.Reverse(all)
			return all, nil
		}
		from = page.NextBatch
	}
}

// hearMissed journals events of others that were not heard.
func (b *Bot) hearMissed(ctx context.Context, room id.RoomID, events []*event.Event) (int, error) {
	count := 0
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		for _, evt := range events {
			if b.ours(evt.Sender) || !journalled(evt.Type) {
				continue
			}
			added, err := b.journal.add(ctx, room, evt)
			if err != nil {
				return err
			}
			if added {
				count++
			}
		}
		return nil
	})
	return count, err
}

// readToTheEnd recounts after the end of voting and reports each room as read once everything said before the end is dealt with. The
// homeserver's clock says when that is: votes are counted by it.
func (b *Bot) readToTheEnd(ctx context.Context, one ballot) (bool, error) {
	server, err := b.homeserverTime(ctx)
	if err != nil || !server.After(one.ending) {
		return false, err
	}
	shown, err := b.shown(ctx, one.proposal)
	if err != nil {
		return false, err
	}
	for room := range shown {
		caught, err := b.caughtUp(ctx, room)
		if err != nil || !caught {
			return false, err
		}
	}
	if err := b.recount(ctx, one.proposal); err != nil {
		return false, err
	}
	for room := range shown {
		if open, err := b.unheard(ctx, room, one.ending); err != nil || open {
			return false, err
		}
	}
	if lacks, err := b.lacksVote(ctx, one.proposal); err != nil || lacks {
		return false, err
	}
	rooms, err := b.votedIn(ctx, one.proposal)
	if err != nil {
		return false, err
	}
	for _, room := range rooms {
		if err := b.reportRead(ctx, one.proposal, room, server); err != nil {
			return false, err
		}
	}
	return true, nil
}

// caughtUp says whether the sync has taken everything the homeserver has in a room.
func (b *Bot) caughtUp(ctx context.Context, room id.RoomID) (bool, error) {
	news, err := b.syncer.look(ctx, room)
	if err != nil {
		return false, err
	}
	for _, evt := range news {
		if b.ours(evt.Sender) || !journalled(evt.Type) {
			continue
		}
		if known, err := b.journal.find(ctx, evt.ID); err != nil || known == nil {
			return false, err
		}
	}
	return true, nil
}

// unheard says whether something that may be a vote is not dealt with. A key that does not come is not waited for without end.
func (b *Bot) unheard(ctx context.Context, room id.RoomID, ending time.Time) (bool, error) {
	var open bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM journal WHERE room_id = $1
		AND (state IN ('new', 'prepared') OR state = 'waiting' AND $2))`, room, b.now().Before(ending.Add(keysFor))).Scan(&open)
	if err != nil {
		return false, fmt.Errorf("reading whether a room is heard to the end: %w", err)
	}
	return open, nil
}

// homeserverTime is the homeserver's clock, which answers to the second.
func (b *Bot) homeserverTime(ctx context.Context) (time.Time, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.client.HomeserverURL.JoinPath("_matrix/client/versions").String(), http.NoBody)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking what time it is at the homeserver: %w", err)
	}
	response, err := b.client.Client.Do(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking what time it is at the homeserver: %w", err)
	}
	response.Body.Close()
	at, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return b.now(), nil // a proxy may leave it out
	}
	return at, nil
}

// votedIn lists the rooms a proposal is, or was until they were replaced, voted on in.
func (b *Bot) votedIn(ctx context.Context, proposal string) ([]id.RoomID, error) {
	rows, err := b.database.Query(ctx, `SELECT room_id FROM proposal_message WHERE proposal = $1`, proposal)
	rooms, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.RoomID], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading where %s is voted on: %w", proposal, err)
	}
	return rooms, nil
}

// reportRead tells the register how far a room was read. That the proposal has closed meanwhile is no failure.
func (b *Bot) reportRead(ctx context.Context, proposal string, room id.RoomID, through time.Time) error {
	by := register.By{Key: txnID("read", proposal, room.String(), through.UTC().Format(time.RFC3339Nano))}
	err := b.api.Send(ctx, by, register.ReadRoom(proposal, register.RoomReading{Room: room.String(), Through: through.UTC()}), nil)
	if code := register.CodeOf(err); code == register.ProblemCodeNotOpen || code == register.ProblemCodeNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reporting that %s was read for %s: %w", room, proposal, err)
	}
	return nil
}

// The reminders: what each is called, and when it is due. The later one makes the earlier one needless.
func (o *ballot) reminder(now time.Time) string {
	open := o.closes.Sub(o.opened)
	switch {
	case open > 2*time.Hour && now.After(o.closes.Add(-time.Hour)):
		return "hour"
	case now.After(o.opened.Add(open / 2)):
		return "half"
	}
	return ""
}

// remind rings those who have not voted, at half-time and an hour before the end, once each.
func (b *Bot) remind(ctx context.Context, one ballot) error {
	name := one.reminder(b.now())
	if name == "" || b.now().After(one.closes) || one.ending.Before(one.closes) {
		return nil
	}
	what := "reminder:" + one.proposal + ":" + name
	first, err := b.toldBefore(ctx, what)
	if err != nil || first {
		return err
	}
	p, err := b.api.Proposal(ctx, register.By{}, one.proposal)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", one.proposal, err)
	}
	identities, _, err := b.directory.read(ctx)
	if err != nil {
		return err
	}
	messages, err := b.proposalMessages(ctx, one.proposal)
	if err != nil {
		return err
	}
	ring := missing(p, identities)
	return transaction(ctx, b.database, func(ctx context.Context) error {
		if _, err := b.firstTime(ctx, b.client.UserID, what); err != nil {
			return err
		}
		if len(ring) == 0 || p.State != register.ProposalStateOpen {
			return nil
		}
		content := words(b.clip(commands.ReminderMessage(p, b.options.Zone)), ring)
		for _, message := range messages {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("reminder", one.proposal, name, message.room.String()), Room: message.room, Rank: wakeUp, Type: event.EventMessage.Type,
				Content: inThread(content, "", ""), About: message.outbox,
			})
			if err != nil {
				return err
			}
			b.speaking.wake(message.room)
		}
		return nil
	})
}

func (b *Bot) toldBefore(ctx context.Context, what string) (bool, error) {
	var told bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM told WHERE user_id = $1 AND what = $2)`, b.client.UserID, what).Scan(&told)
	if err != nil {
		return false, fmt.Errorf("reading what was told: %w", err)
	}
	return told, nil
}

// missing lists the people whose seats have no vote: the holders, and the deputies who could vote for them.
func missing(p register.Proposal, identities []register.Identity) []id.UserID {
	var asked register.Proposal
	for _, seat := range p.Roster {
		if slices.Contains(p.Tally.Missing, seat.Seat) {
			asked.Roster = append(asked.Roster, seat)
		}
	}
	return seated(asked, identities)
}
