package bot

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// roomOver says whether a room was replaced before something was said in it. Nobody who moved on sees that, so it is no vote.
func (b *Bot) roomOver(ctx context.Context, room id.RoomID, said time.Time) (bool, error) {
	var over bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM room_upgrade WHERE old = $1 AND at < $2)`, room, said).Scan(&over)
	if err != nil {
		return false, fmt.Errorf("reading whether a room was replaced: %w", err)
	}
	return over, nil
}

// planAgain puts what is open in a room that was replaced to the people of the new one: with its votes as they stand, its seeds, and for
// a signed proposal a poll of its own.
func (b *Bot) planAgain(ctx context.Context, moved *upgrade) ([]step, error) {
	open, err := b.openIn(ctx, moved.Old)
	if err != nil {
		return nil, err
	}
	var all []step
	for _, proposal := range open {
		now, err := b.api.Proposal(ctx, register.By{}, proposal)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", proposal, err)
		}
		e := register.Event{Type: register.EventTypeProposalOpened, At: moved.At, Proposal: now}
		steps, err := b.putTo(ctx, e, moved.New)
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
		waiting, err := b.askedForCondition(ctx, moved.Old, proposal)
		if err != nil {
			return nil, err
		}
		if len(waiting) > 0 {
			all = append(all, b.askAgain(e, moved.New, waiting))
		}
	}
	return all, nil
}

// moveBallots ends the voting by reaction in a room that was replaced, in the caller's transaction. What was not said there yet of a
// proposal is said in the new room only.
func (b *Bot) moveBallots(ctx context.Context, moved *upgrade) error {
	for _, change := range []string{
		`UPDATE outbox SET state = 'dropped', reason = 'its room was replaced' WHERE state IN ('queued', 'failed') AND event_id IS NULL
			AND id IN (SELECT outbox FROM proposal_message WHERE room_id = $1)`,
		`DELETE FROM condition c USING proposal_message m JOIN outbox o ON o.id = m.outbox WHERE m.room_id = $1 AND o.event_id = c.message`,
		`UPDATE proposal_message SET replaced = true WHERE room_id = $1`,
	} {
		if _, err := b.database.Exec(ctx, change, moved.Old); err != nil {
			return fmt.Errorf("ending the voting in a room that was replaced: %w", err)
		}
	}
	return nil
}

// askedForCondition lists who was asked in a room for the condition of a vote and has not said it.
func (b *Bot) askedForCondition(ctx context.Context, room id.RoomID, proposal string) ([]id.UserID, error) {
	rows, err := b.database.Query(ctx, `SELECT DISTINCT c.sender FROM condition c JOIN outbox o ON o.event_id = c.message
		WHERE o.room_id = $1 AND c.proposal = $2 ORDER BY 1`, room, proposal)
	asked, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.UserID], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading who was asked for a condition: %w", err)
	}
	return asked, nil
}

// askAgain tells those who were asked for a condition in the old room to react anew, in the thread of the new message.
func (b *Bot) askAgain(e register.Event, room id.RoomID, waiting []id.UserID) step {
	return func(ctx context.Context) (id.RoomID, error) {
		messages, err := b.proposalMessages(ctx, e.Proposal.ID)
		if err != nil {
			return room, err
		}
		for _, message := range messages {
			if message.room != room {
				continue
			}
			line := fmt.Sprintf("**Your vote on %s does not count yet**: the room was replaced before you said your condition. React here again, and I ask for it anew.", e.Proposal.ID)
			_, err := b.outbox.add(ctx, outgoing{
				Txn: causedBy(e, room, "condition"), Room: room, Rank: reply, Type: event.EventMessage.Type,
				Content: inThread(words(line, waiting), "", ""), About: message.outbox,
			})
			return room, err
		}
		return room, nil
	}
}
