package bot

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// keySignAfter is how long an event may be unreadable before its sender is shown.
const keySignAfter = 10 * time.Second

func keyRef(event id.EventID) string { return "key:" + event.String() }

// showUnreadable puts 🔑 on what no key has come for, and says when more will be due. Strangers are shown nothing: what
// they said may be no command, and an answer to one would be an acknowledgement. After a restore only what was said since
// the bot last spoke is shown, since the rest was read before.
func (b *Bot) showUnreadable(ctx context.Context, room id.RoomID) (time.Duration, error) {
	rows, err := b.database.Query(ctx, selectHeard+`WHERE room_id = $1 AND state = 'waiting' AND NOT key_shown ORDER BY seq LIMIT $2`, room, page)
	waiting, err := dbutil.NewRowIterWithError(rows, scanHeard, err).AsList()
	if err != nil {
		return 0, fmt.Errorf("reading what cannot be read: %w", err)
	}
	for _, h := range waiting {
		if wait := h.ArrivedAt.Add(keySignAfter).Sub(b.now()); wait > 0 {
			return wait, nil
		}
		if err := b.showKeyMissing(ctx, h); err != nil {
			return 0, err
		}
	}
	if len(waiting) > 0 {
		b.speaking.wake(room)
	}
	return 0, nil
}

func (b *Bot) showKeyMissing(ctx context.Context, h *heard) error {
	b.askForKey(ctx, h) // again: the first answer may have come over a session that was mended since
	evt, err := decode(h)
	readBefore := err == nil && h.Doubted && time.UnixMilli(evt.Timestamp).Before(b.account.CreatedAt)
	return transaction(ctx, b.database, func(ctx context.Context) error {
		if !readBefore && b.knownBefore(ctx, h.Sender) {
			_, err := b.outbox.add(ctx, outgoing{
				Txn: txnID("key", h.ID.String()), Room: h.Room, Rank: reply, Type: event.EventReaction.Type, Content: reaction(h.ID, signKey), Ref: keyRef(h.ID),
			})
			if err != nil {
				return err
			}
		}
		_, err := b.database.Exec(ctx, `UPDATE journal SET key_shown = true WHERE seq = $1`, h.Seq)
		if err != nil {
			return fmt.Errorf("noting that a missing key is shown: %w", err)
		}
		return nil
	})
}

// hideKeyMissing takes 🔑 from what has been read after all.
func (b *Bot) hideKeyMissing(ctx context.Context, h *heard) error {
	if !h.Waited {
		return nil
	}
	shown, err := b.outbox.latest(ctx, h.Room, keyRef(h.ID))
	if err != nil {
		return fmt.Errorf("reading whether a missing key is shown: %w", err)
	}
	if shown == nil {
		return nil
	}
	b.speaking.wake(h.Room)
	return b.outbox.withdraw(ctx, shown)
}
