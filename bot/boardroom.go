package bot

import (
	"context"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// outsideBoard answers a command that belongs into the board's room and was said in another one.
func (b *Bot) outsideBoard(ctx context.Context, h *heard, root id.EventID, call commands.Call) (bool, error) {
	if !commands.ForBoard(call) {
		return false, nil
	}
	_, rooms, err := b.directory.read(ctx)
	if err != nil || slices.Contains(boundFor(rooms, register.RoomPurposeBoard), h.Room) {
		return false, err
	}
	return true, b.answer(ctx, h, root, commands.OutsideBoard())
}

// saidAt is when the homeserver took an event; zero if that cannot be read.
func (b *Bot) saidAt(h *heard) time.Time {
	evt, err := decode(h)
	if err != nil || evt.Timestamp <= 0 {
		return time.Time{}
	}
	return saidAt(evt)
}
