package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// EncryptionRequired is that nothing is heard or said in clear in a room; EncryptionOptional allows it.
const (
	EncryptionRequired = "required"
	EncryptionOptional = "optional"
)

// SetRoomEncryption says whether a room may be spoken in in clear; it need not be bound for anything.
func (s *Store) SetRoomEncryption(ctx context.Context, m Mutation, room, encrypted string) (Room, error) {
	return once(ctx, s, m, func(t *transaction) (Room, error) {
		if err := t.readClock(ctx); err != nil {
			return Room{}, err
		}
		version, err := t.revise(ctx, settingRoom, room, t.standingRoom(ctx, room))
		if err != nil {
			return Room{}, err
		}
		row, err := t.Queries.SetRoomEncryption(ctx, query.SetRoomEncryptionParams{
			TenantID: t.Tenant, Room: room, Host: t.Host, Now: t.now, Encrypted: encrypted,
		})
		if err != nil {
			return Room{}, fmt.Errorf("writing whether a room is encrypted: %w", err)
		}
		bound := roomOf(row, version)
		return bound, t.tell(ctx, Event{Type: "room.bound", Room: &bound})
	})
}

// encryptionOf is the encryption that stands; a room without a row takes the default.
func (t *transaction) encryptionOf(ctx context.Context, room string) (string, error) {
	encrypted, err := t.RoomEncryption(ctx, query.RoomEncryptionParams{TenantID: t.Tenant, Room: room})
	if none(err) {
		return EncryptionRequired, nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whether a room is encrypted: %w", err)
	}
	return encrypted, nil
}
