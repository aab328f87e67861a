package bot

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// keepBindings remembers which rooms are bound, since what is wrong with the gateway has to be told when it cannot be asked where.
func (b *Bot) keepBindings(ctx context.Context, rooms []register.RoomBinding) error {
	var bound, purposes []string
	for _, room := range rooms {
		if len(room.Purposes) > 0 && storable(room.Room) {
			words := make([]string, len(room.Purposes))
			for i, purpose := range room.Purposes {
				words[i] = string(purpose)
			}
			bound, purposes = append(bound, room.Room), append(purposes, strings.Join(words, " "))
		}
	}
	_, err := b.database.Exec(ctx, `
		WITH bound AS (SELECT * FROM unnest($1::text[], $2::text[]) AS _ (room_id, purposes)),
		gone AS (DELETE FROM binding WHERE room_id NOT IN (SELECT room_id FROM bound))
		INSERT INTO binding SELECT DISTINCT ON (room_id) * FROM bound
		ON CONFLICT (room_id) DO UPDATE SET purposes = excluded.purposes WHERE binding.purposes <> excluded.purposes`, bound, purposes)
	if err != nil {
		return fmt.Errorf("remembering which rooms are bound: %w", err)
	}
	return nil
}

// keptBindings are the rooms that were bound when the gateway was last asked.
func keptBindings(ctx context.Context, database *dbutil.Database) ([]register.RoomBinding, error) {
	rows, err := database.Query(ctx, `SELECT room_id, purposes FROM binding ORDER BY room_id`)
	kept, err := dbutil.NewRowIterWithError(rows, func(row dbutil.Scannable) (binding register.RoomBinding, err error) {
		var purposes string
		err = row.Scan(&binding.Room, &purposes)
		for _, purpose := range strings.Fields(purposes) {
			binding.Purposes = append(binding.Purposes, register.RoomPurpose(purpose))
		}
		return binding, err
	}, err).AsList()
	if err != nil {
		return nil, fmt.Errorf("reading which rooms were bound: %w", err)
	}
	return kept, nil
}

// forAdmins are the rooms in which those who run the fleet are told what is wrong: those bound for admins, or else for the fleet.
func forAdmins(rooms []register.RoomBinding) []id.RoomID {
	if admin := boundFor(rooms, register.RoomPurposeAdmin); len(admin) > 0 {
		return admin
	}
	return boundFor(rooms, register.RoomPurposeFleet)
}
