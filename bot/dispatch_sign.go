package bot

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// followSign keeps the sign of a command true of its dispatch: one that waits again shows ⏸️, one that failed ❌, and one that was
// cancelled shows none. Signs say nothing that words do not.
func (b *Bot) followSign(ctx context.Context, e register.Event, at place) error {
	if at.asked == "" {
		return nil
	}
	shown, err := b.outbox.latest(ctx, at.room, signRef(at.asked))
	if err != nil {
		return fmt.Errorf("reading the sign of a command: %w", err)
	}
	if shown == nil {
		return nil
	}
	switch {
	case e.Type == register.EventTypeDispatchQueued && e.Dispatch.State == register.DispatchStateQueued && keyOf(shown) == signDone:
		return b.sign(ctx, at.room, at.asked, signWaiting, causedBy(e, at.room, "sign"))
	case e.Type == register.EventTypeDispatchFailed:
		return b.sign(ctx, at.room, at.asked, signRefused, causedBy(e, at.room, "sign"))
	case e.Type == register.EventTypeDispatchDone:
		return b.sign(ctx, at.room, at.asked, signDone, causedBy(e, at.room, "sign"))
	case e.Type == register.EventTypeDispatchCancelled:
		return b.outbox.withdraw(ctx, shown)
	}
	return nil
}
