package bot

import (
	"context"
	"errors"
	"slices"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// optional says whether the register allows a room to be spoken in in clear, as far as is known; every room is encrypted unless it does.
func (b *Bot) optional(ctx context.Context, room id.RoomID) bool {
	if _, _, err := b.directory.read(ctx); err != nil {
		zerolog.Ctx(ctx).Debug().Err(err).Msg("Whether a room must be encrypted is taken from memory")
	}
	b.directory.mutex.Lock()
	defer b.directory.mutex.Unlock()
	return slices.ContainsFunc(b.directory.rooms, func(bound register.RoomBinding) bool {
		return bound.Room == room.String() && bound.Encrypted == register.RoomEncryptionOptional
	})
}

// mayBeClear says whether a message was said in clear where that is allowed. In a room that is encrypted it never is.
func (b *Bot) mayBeClear(ctx context.Context, said *said) (bool, error) {
	if said.Mautrix.WasEncrypted || !b.optional(ctx, said.RoomID) {
		return false, nil
	}
	err := b.mustBeEncrypted(ctx, said.RoomID)
	if errors.Is(err, errNotEncrypted) {
		return true, nil
	}
	return false, err
}
