package bot

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// hearTakenBack ends an event whose content was removed before the bot read it. If somebody else removed a reaction, nobody can
// tell what it was; where it may have been a vote, its sender is told to cast it again.
func (b *Bot) hearTakenBack(ctx context.Context, h *heard) error {
	const reason = "taken back before it was read"
	because := id.UserID("")
	if evt, _ := decode(h); evt != nil && evt.Unsigned.RedactedBecause != nil { // its content is gone and may not decode
		because = evt.Unsigned.RedactedBecause.Sender
	}
	if h.Type != event.EventReaction.Type || because == "" || because == h.Sender {
		return b.journal.end(ctx, h, stateDropped, reason)
	}
	open, err := b.openIn(ctx, h.Room)
	if err != nil {
		return err
	}
	if len(open) == 0 || !b.knownBefore(ctx, h.Sender) {
		return b.journal.end(ctx, h, stateDropped, reason)
	}
	line := fmt.Sprintf("%s removed a reaction of %s before I could read it. If it was a vote on %s, it has to be cast again.", plain(because.String()), plain(h.Sender.String()), strings.Join(open, " or "))
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		_, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("removed", h.ID.String()), Room: h.Room, Rank: wakeUp, Type: event.EventMessage.Type, Content: words(line, []id.UserID{h.Sender}),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, reason)
	})
	b.speaking.wake(h.Room)
	return err
}

// openIn lists the open proposals that are voted on in a room.
func (b *Bot) openIn(ctx context.Context, room id.RoomID) ([]string, error) {
	rows, err := b.database.Query(ctx, `SELECT m.proposal FROM proposal_message m JOIN ballot b ON b.proposal = m.proposal WHERE m.room_id = $1 AND NOT m.replaced AND b.open ORDER BY 1`, room)
	open, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading what is voted on in a room: %w", err)
	}
	return open, nil
}
