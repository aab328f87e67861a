package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// signSeen is the reaction that acknowledges a ring.
const signSeen = "👀"

// ringAt is the ring whose message an event is, or empty.
func (b *Bot) ringAt(ctx context.Context, target id.EventID) (string, error) {
	return b.ringOf(ctx, `SELECT m.ring FROM ring_message m JOIN outbox o ON o.id = m.outbox WHERE o.event_id = $1`, target)
}

func (b *Bot) ringOf(ctx context.Context, query string, argument any) (string, error) {
	var ring string
	err := b.database.QueryRow(ctx, query, argument).Scan(&ring)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading which ring a message is: %w", err)
	}
	return ring, nil
}

// ringMessage is the newest message of a ring in a room; 0 if there is none.
func (b *Bot) ringMessage(ctx context.Context, ring string, room id.RoomID) (int64, error) {
	var newest sql.NullInt64
	err := b.database.QueryRow(ctx, `SELECT max(outbox) FROM ring_message WHERE ring = $1 AND room_id = $2`, ring, room).Scan(&newest)
	if err != nil {
		return 0, fmt.Errorf("reading the message of a ring: %w", err)
	}
	return newest.Int64, nil
}

// ackOf is the command that a bare "ack" stands for: in the thread of a ring or as an answer to it, that one; elsewhere in a room that
// rang, all that rings. Empty is no command.
func (b *Bot) ackOf(ctx context.Context, evt *event.Event, content *event.MessageEventContent, text string) string {
	if !isAck(text) {
		return ""
	}
	for _, target := range []id.EventID{content.RelatesTo.GetThreadParent(), content.RelatesTo.GetReplyTo()} {
		if target == "" {
			continue
		}
		if ring, err := b.ringAt(ctx, target); err == nil && ring != "" {
			return "ack " + ring
		}
	}
	if content.RelatesTo.GetThreadParent() != "" {
		return ""
	}
	if rung, err := b.ringOf(ctx, `SELECT ring FROM ring_message WHERE room_id = $1 LIMIT 1`, evt.RoomID); err != nil || rung == "" {
		return ""
	}
	return "ack"
}

func isAck(text string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(text), ".!"), "ack")
}

// hearAck acknowledges a ring for who reacted to its message. Who did is told when the fleet's event of it comes.
func (b *Bot) hearAck(ctx context.Context, h *heard, ring string, message id.EventID) error {
	if redacted, err := b.journal.redacted(ctx, h.ID, h.Sender); err != nil {
		return err
	} else if redacted && h.Attempts == 0 {
		return b.journal.end(ctx, h, stateDropped, "taken back before it counted")
	}
	if h.Call == nil {
		_, known, err := b.authorise(ctx, h.Sender)
		if err != nil {
			return err
		}
		if !known {
			return b.refuseStranger(ctx, h, message)
		}
		mutation := register.AckRings(ring)
		if err := b.journal.prepare(ctx, h, commands.Call{Command: "ack", Mutation: &mutation}); err != nil {
			return err
		}
	}
	return b.sendAck(ctx, h, message)
}

func (b *Bot) sendAck(ctx context.Context, h *heard, message id.EventID) error {
	fault("command.prepared")
	if err := b.journal.attempt(ctx, h); err != nil {
		return fmt.Errorf("noting an attempt: %w", err)
	}
	attempt, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	err := b.api.Send(attempt, register.By{Actor: h.Sender.String(), Key: h.ID.String()}, *h.Call.Mutation, nil)
	var refusal *register.Error
	switch {
	case err == nil:
		fault("gateway.answered")
		return b.journal.end(ctx, h, stateDone, "")
	case register.Retryable(err) || !errors.As(err, &refusal):
		return fmt.Errorf("acknowledging a ring: %w", err)
	}
	return b.sayOnce(ctx, h, "no ack:"+message.String(), "**Not acknowledged.** "+plain(refusal.Error()), message)
}
