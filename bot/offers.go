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

// offerAge is how long an offer can be taken.
const offerAge = 24 * time.Hour

// tooLate says how long ago a command that changes something was asked for, if that is too long to begin it unasked. What was
// attempted once is attempted until its outcome is known, and what only reads answers with current data.
func (b *Bot) tooLate(h *heard, sent int64) time.Duration {
	if h.Attempts > 0 || h.Call.Mutation == nil {
		return 0
	}
	asked := h.ArrivedAt
	if at := time.UnixMilli(sent); sent > 0 && at.Before(asked) {
		asked = at
	}
	if late := b.now().Sub(asked); late > b.options.StaleAfter {
		return late
	}
	return 0
}

// offer ends a command with the offer to run it after all.
func (b *Bot) offer(ctx context.Context, h *heard, root id.EventID, late time.Duration) error {
	call, err := json.Marshal(h.Call)
	if err != nil {
		return fmt.Errorf("encoding the call of %s: %w", h.ID, err)
	}
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		var number int64
		err := b.database.QueryRow(ctx, `INSERT INTO offer (event_id, asker, call, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (event_id) DO UPDATE SET at = excluded.at RETURNING number`, h.ID, h.Sender, string(call), b.now().UTC()).Scan(&number)
		if err != nil {
			return fmt.Errorf("keeping an offer: %w", err)
		}
		on, err := b.signedOn(ctx, h)
		if err != nil {
			return err
		}
		if on != "" {
			if err := b.sign(ctx, h.Room, on, signTooLate, "answer"); err != nil {
				return err
			}
		}
		text := fmt.Sprintf("**Not run.** You asked for this %s ago, and what changes something I begin within %s or not at all. "+
			"If you still want it, send `%s run K%d`.", spoken(late), spoken(b.options.StaleAfter), b.options.Prefix, number)
		_, err = b.outbox.add(ctx, outgoing{
			Txn: txnID("reply", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventMessage.Type, Content: inThread(words(text, nil), root, h.ID),
		})
		if err != nil {
			return err
		}
		return b.journal.end(ctx, h, stateDone, "came too late; offered")
	})
	if err != nil {
		return err
	}
	b.speaking.wake(h.Room)
	return nil
}

// spoken is a length of time as one says it.
func spoken(length time.Duration) string {
	switch {
	case length < time.Minute:
		return fmt.Sprintf("%d s", int(length.Seconds()))
	case length < 100*time.Minute:
		return fmt.Sprintf("%d min", int(length.Minutes()))
	case length < 48*time.Hour:
		return fmt.Sprintf("%d h", int(length.Hours()))
	}
	return fmt.Sprintf("%d days", int(length.Hours()/24))
}

// takeOffer makes the offered call that of the event that takes it, once. A refusal is answered.
func (b *Bot) takeOffer(ctx context.Context, h *heard, root id.EventID, number int64) (taken bool, err error) {
	refusal := ""
	err = transaction(ctx, b.database, func(ctx context.Context) error {
		var asker id.UserID
		var encoded string
		var at time.Time
		var usedBy sql.NullString
		err := b.database.QueryRow(ctx, `SELECT asker, call, at, used_by FROM offer WHERE number = $1 FOR UPDATE`, number).Scan(&asker, &encoded, &at, &usedBy)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && asker != h.Sender:
			refusal = fmt.Sprintf("**Not done.** I have no K%d to offer you. Ask for what you want anew; what you may ask: `%s help`", number, b.options.Prefix)
			return nil
		case err != nil:
			return fmt.Errorf("reading an offer: %w", err)
		case usedBy.Valid:
			refusal = fmt.Sprintf("**Not done.** K%d was taken already; look for its answer, or ask anew.", number)
			return nil
		case b.now().Sub(at) > offerAge:
			refusal = fmt.Sprintf("**Not done.** K%d is older than %s; ask anew.", number, spoken(offerAge))
			return nil
		}
		var call commands.Call
		if err := json.Unmarshal([]byte(encoded), &call); err != nil {
			return fmt.Errorf("reading the call of K%d: %w", number, err)
		}
		if _, err := b.database.Exec(ctx, `UPDATE offer SET used_by = $2 WHERE number = $1`, number, h.ID); err != nil {
			return fmt.Errorf("taking an offer: %w", err)
		}
		return b.journal.prepare(ctx, h, call)
	})
	if err != nil || refusal == "" {
		return err == nil, err
	}
	return false, b.answer(ctx, h, root, commands.Reply{Markdown: refusal, Mood: commands.MoodRefused})
}
