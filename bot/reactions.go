package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// signStop is the reaction that asks for a dispatch to be cancelled.
const signStop = "🛑"

// hearSign sorts a reaction: to a question of the bot, to stop a dispatch, to acknowledge a ring, or a vote. A homeserver can forge a reaction and
// redirect its target, so all it can do is make things safer, or have the bot ask back.
func (b *Bot) hearSign(ctx context.Context, h *heard, said *said) error {
	content, ok := said.Content.Parsed.(*event.ReactionEventContent)
	if !ok {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if h.Call != nil && h.Call.Command == "cancel" {
		return b.carryOut(ctx, h, b.rootOf(ctx, h, content.RelatesTo.EventID))
	}
	asked, err := b.findQuestion(ctx, `JOIN outbox o ON o.id = q.outbox WHERE o.event_id = $1`, content.RelatesTo.EventID)
	if err != nil {
		return err
	}
	if asked != nil {
		return b.hearAnswer(ctx, h, asked, content.RelatesTo.Key)
	}
	if keyIs(content.RelatesTo.Key, signStop) {
		about, err := b.dispatchesAt(ctx, content.RelatesTo.EventID)
		if err != nil {
			return err
		}
		if len(about) > 0 {
			return b.hearStop(ctx, h, content.RelatesTo.EventID, about)
		}
	}
	if keyIs(content.RelatesTo.Key, signSeen) {
		ring, err := b.ringAt(ctx, content.RelatesTo.EventID)
		if err != nil {
			return err
		}
		if ring != "" {
			return b.hearAck(ctx, h, ring, content.RelatesTo.EventID)
		}
	}
	return b.hearReaction(ctx, h, said)
}

// hearStop cancels the dispatch that a message is about. Running work is asked about first.
func (b *Bot) hearStop(ctx context.Context, h *heard, target id.EventID, about []string) error {
	root := b.rootOf(ctx, h, target)
	if ended, err := b.tooFast(ctx, h, root); err != nil || ended {
		return err
	}
	who, known, err := b.authorise(ctx, h.Sender)
	if err != nil {
		return err
	}
	if !known {
		return b.refuseStranger(ctx, h, root)
	}
	if redacted, err := b.journal.redacted(ctx, h.ID, h.Sender); err != nil {
		return err
	} else if redacted {
		return b.journal.end(ctx, h, stateDropped, "taken back before it counted")
	}
	if len(about) > 1 {
		line := fmt.Sprintf("Several dispatches are spoken of there. Say which one to stop, as in `%s cancel %s`.", b.options.Prefix, about[0])
		return b.sayOnce(ctx, h, "stop:"+target.String(), line, root)
	}
	prepared, err := b.prepare(ctx, h, who, commands.Asked{Text: "cancel " + about[0]}, root)
	if err != nil || !prepared {
		return err
	}
	return b.carryOut(ctx, h, root)
}

// rootOf is the thread in which the answer to a reaction belongs.
func (b *Bot) rootOf(ctx context.Context, h *heard, target id.EventID) id.EventID {
	if asked, err := b.findQuestion(ctx, `WHERE q.answered_by = $1`, h.ID); err == nil && asked != nil {
		return asked.Root
	}
	var content string
	if err := b.database.QueryRow(ctx, `SELECT content FROM outbox WHERE event_id = $1`, target).Scan(&content); err == nil {
		if root := rootIn(content); root != "" {
			return root
		}
	}
	return target
}

// spokenOf notes that a message of the bot, or an event it heard, is about a dispatch, in the caller's transaction.
func (b *Bot) spokenOf(ctx context.Context, dispatch string, row int64, events ...id.EventID) error {
	if row != 0 {
		_, err := b.database.Exec(ctx, `INSERT INTO dispatch_message (dispatch, outbox, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, dispatch, row, b.now().UTC())
		if err != nil {
			return fmt.Errorf("noting which dispatch a message is about: %w", err)
		}
	}
	for _, event := range events {
		if event == "" {
			continue
		}
		_, err := b.database.Exec(ctx, `INSERT INTO dispatch_message (dispatch, event_id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, dispatch, event, b.now().UTC())
		if err != nil {
			return fmt.Errorf("noting which dispatch an event is about: %w", err)
		}
	}
	return nil
}

// dispatchesAt are the dispatches that an event is about: a command that asked for one, a thread's root, or a message of the bot.
func (b *Bot) dispatchesAt(ctx context.Context, event id.EventID) ([]string, error) {
	rows, err := b.database.Query(ctx, `
		SELECT dispatch FROM dispatch_message WHERE event_id = $1
		UNION SELECT m.dispatch FROM dispatch_message m JOIN outbox o ON o.id = m.outbox WHERE o.event_id = $1 ORDER BY dispatch`, event)
	about, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading which dispatch a message is about: %w", err)
	}
	return about, nil
}

// noteDispatch keeps what a command's answer is about.
func (b *Bot) noteDispatch(ctx context.Context, h *heard, root id.EventID, row int64, answer commands.Reply) error {
	d, ok := answer.Data.(register.Dispatch)
	if !ok || d.ID == "" {
		return nil
	}
	asked := h.ID
	if h.Type == event.EventReaction.Type {
		asked = ""
	}
	return errors.Join(b.spokenOf(ctx, d.ID, row, asked, root))
}

// rootIn is the thread that a message of the outbox is in, or empty.
func rootIn(content string) id.EventID {
	var message struct {
		Relation struct {
			Type event.RelationType `json:"rel_type"`
			ID   id.EventID         `json:"event_id"`
		} `json:"m.relates_to"`
	}
	if json.Unmarshal([]byte(content), &message) != nil || message.Relation.Type != event.RelThread {
		return ""
	}
	return message.Relation.ID
}

// signedOn is the event whose sign tells how h ended: a command is its own; a reaction that confirmed one tells on that one.
func (b *Bot) signedOn(ctx context.Context, h *heard) (id.EventID, error) {
	if h.Type != event.EventReaction.Type {
		return h.ID, nil
	}
	asked, err := b.findQuestion(ctx, `WHERE q.answered_by = $1`, h.ID)
	if err != nil || asked == nil {
		return "", err
	}
	return asked.Event, nil
}

// askedInThread is what a message in the thread of a dispatch asks for there, with the dispatch named. Where a thread speaks of several,
// it has to be named by whoever asks.
func (b *Bot) askedInThread(ctx context.Context, evt *event.Event, text string, prefixed bool) (string, bool, error) {
	root := threadOf(evt)
	if root == evt.ID {
		return text, prefixed, nil
	}
	about, err := b.dispatchesAt(ctx, root)
	if err != nil || len(about) != 1 {
		return text, prefixed, err
	}
	named, ok := commands.InThread(text, about[0], prefixed)
	return named, ok || prefixed, nil
}
