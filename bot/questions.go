package bot

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

// questionAge is how long a question can be answered.
const questionAge = 5 * time.Minute

// question is what someone was asked back before their command is carried out. Its row is the truth; the message only shows it.
type question struct {
	Number  int64
	Event   id.EventID // the command it is about
	Root    id.EventID
	Asker   id.UserID
	Call    commands.Call
	Safer   bool
	Expires time.Time
	Answer  string // yes, no, or empty: not answered
}

const selectQuestion = `SELECT q.number, q.event_id, q.root, q.asker, q.call, q.safer, q.expires_at, coalesce(q.answer, '') FROM question q `

func (b *Bot) findQuestion(ctx context.Context, where string, argument any) (*question, error) {
	var q question
	var call string
	err := b.database.QueryRow(ctx, selectQuestion+where, argument).Scan(&q.Number, &q.Event, &q.Root, &q.Asker, &call, &q.Safer, &q.Expires, &q.Answer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a question: %w", err)
	}
	if err := json.Unmarshal([]byte(call), &q.Call); err != nil {
		return nil, fmt.Errorf("reading the call of C%d: %w", q.Number, err)
	}
	return &q, nil
}

// askBack ends a command with the question whether to carry it out, which wakes whoever asked.
func (b *Bot) askBack(ctx context.Context, h *heard, root id.EventID, call commands.Call, asked commands.Question) error {
	encoded, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("encoding the call of %s: %w", h.ID, err)
	}
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		// The number stands in the message, and the message in the row: the number is drawn first.
		var number int64
		if err := b.database.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence('question', 'number'))`).Scan(&number); err != nil {
			return fmt.Errorf("numbering a question: %w", err)
		}
		row, err := b.outbox.add(ctx, outgoing{
			Txn: txnID("reply", h.ID.String()), Room: h.Room, Rank: wakeUp, Type: event.EventMessage.Type,
			Content: inThread(words(b.clip(asked.Markdown+"\n\n"+b.howToAnswer(number, asked.Safer)), []id.UserID{h.Sender}), root, h.ID),
		})
		if err != nil {
			return err
		}
		_, err = b.database.Exec(ctx, `INSERT INTO question (number, event_id, room_id, root, asker, call, safer, expires_at, outbox)
			OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (event_id) DO NOTHING`,
			number, h.ID, h.Room, root, h.Sender, string(encoded), asked.Safer, b.now().Add(questionAge).UTC(), row)
		if err != nil {
			return fmt.Errorf("keeping a question: %w", err)
		}
		if err := b.removeHourglass(ctx, h); err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "asked back")
	})
	if err != nil {
		return err
	}
	b.speaking.wake(h.Room)
	return nil
}

func (b *Bot) howToAnswer(number int64, safer bool) string {
	text := fmt.Sprintf("Send `%s confirm C%d` within %s", b.options.Prefix, number, spoken(questionAge))
	if safer {
		text += ", or react ✅"
	}
	return text + ". ❌ or silence leaves all as it is."
}

// takeQuestion makes the call that was asked back that of the event that confirms it, once. A refusal is answered.
func (b *Bot) takeQuestion(ctx context.Context, h *heard, root id.EventID, number int64) (taken bool, err error) {
	refusal := ""
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		q, err := b.findQuestion(ctx, `WHERE q.number = $1 FOR UPDATE`, number)
		if err != nil {
			return err
		}
		if refusal = b.unanswerable(h, q, number); refusal != "" {
			return nil
		}
		return b.answerQuestion(ctx, h, q, "yes")
	})
	if err != nil || refusal == "" {
		return err == nil, err
	}
	return false, b.answer(ctx, h, root, commands.Reply{Markdown: refusal, Mood: commands.MoodRefused})
}

// unanswerable is why an event cannot confirm a question, or empty.
func (b *Bot) unanswerable(h *heard, q *question, number int64) string {
	switch {
	case q == nil || q.Asker != h.Sender:
		return fmt.Sprintf("**Not done.** I have asked you nothing as C%d. Ask for what you want anew; what you may ask: `%s help`", number, b.options.Prefix)
	case q.Answer == "yes":
		return fmt.Sprintf("**Not done.** C%d was confirmed already; look for its answer, or ask anew.", number)
	case q.Answer == "no":
		return fmt.Sprintf("**Not done.** You said no to C%d; ask anew.", number)
	case h.ArrivedAt.After(q.Expires):
		return fmt.Sprintf("**Not done.** C%d was asked more than %s ago; ask anew.", number, spoken(questionAge))
	}
	return ""
}

// answerQuestion notes the answer, and hands the call to the event that said yes.
func (b *Bot) answerQuestion(ctx context.Context, h *heard, q *question, answer string) error {
	_, err := b.database.Exec(ctx, `UPDATE question SET answered_by = $2, answer = $3 WHERE number = $1`, q.Number, h.ID, answer)
	if err != nil {
		return fmt.Errorf("answering a question: %w", err)
	}
	if answer == "yes" {
		return b.journal.prepare(ctx, h, q.Call)
	}
	if err := b.sign(ctx, h.Room, q.Event, signRefused, "declined"); err != nil {
		return err
	}
	return b.journal.end(ctx, h, stateDone, "declined")
}

// hearAnswer takes a reaction of whoever was asked. Nobody has signed a reaction, so it can say no, and yes to what makes things
// safer; for anything else it is told, once, what to send.
func (b *Bot) hearAnswer(ctx context.Context, h *heard, q *question, key string) error {
	yes := keyIs(key, "✅", "👍")
	if no := keyIs(key, "❌", "👎", signStop); !yes && !no || q.Asker != h.Sender || b.unanswerable(h, q, q.Number) != "" {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if yes && !q.Safer {
		line := fmt.Sprintf("A reaction cannot confirm this, since nobody signs it. Send `%s confirm C%d`.", b.options.Prefix, q.Number)
		return b.sayOnce(ctx, h, fmt.Sprintf("confirm:%d", q.Number), line, q.Root)
	}
	err := transaction(ctx, b.database, func(ctx context.Context) error {
		again, err := b.findQuestion(ctx, `WHERE q.number = $1 FOR UPDATE`, q.Number)
		if err != nil || b.unanswerable(h, again, q.Number) != "" {
			return errors.Join(err, b.journal.end(ctx, h, stateDropped, ""))
		}
		if yes {
			return b.answerQuestion(ctx, h, again, "yes")
		}
		return b.answerQuestion(ctx, h, again, "no")
	})
	if err != nil || h.Call == nil {
		b.speaking.wake(h.Room)
		return err
	}
	return b.carryOut(ctx, h, q.Root)
}

// keyIs says whether a reaction is one of some signs, whatever the client's taste in variation selectors and skin tones.
func keyIs(key string, signs ...string) bool {
	key = taste.Replace(key)
	for _, sign := range signs {
		if key == taste.Replace(sign) {
			return true
		}
	}
	return false
}
