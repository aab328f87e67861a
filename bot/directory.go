package bot

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// directoryAge is how long the register's people and rooms are believed without asking again.
const directoryAge = time.Minute

// directory is what the register says of people and rooms, kept for a short while.
type directory struct {
	api *register.API
	now func() time.Time
	// met is told whom the register vouches for and which rooms are bound, each time it was asked.
	met func(context.Context, []register.Identity, []register.RoomBinding) error

	mutex      sync.Mutex
	readAt     time.Time
	identities []register.Identity
	rooms      []register.RoomBinding
}

// read returns the register's people and rooms, asked anew if they are old or an event said that they changed.
func (d *directory) read(ctx context.Context) ([]register.Identity, []register.RoomBinding, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if !d.readAt.IsZero() && d.now().Sub(d.readAt) < directoryAge {
		return d.identities, d.rooms, nil
	}
	identities, err := d.api.Identities(ctx, register.By{})
	if err != nil {
		return nil, nil, fmt.Errorf("asking who is in the fleet: %w", err)
	}
	rooms, err := d.api.Rooms(ctx, register.By{})
	if err != nil {
		return nil, nil, fmt.Errorf("asking which rooms are bound: %w", err)
	}
	if err := d.met(ctx, identities.Identities, rooms.Rooms); err != nil {
		return nil, nil, err
	}
	d.identities, d.rooms, d.readAt = identities.Identities, rooms.Rooms, d.now()
	return d.identities, d.rooms, nil
}

// outdate makes the next read ask.
func (d *directory) outdate() {
	d.mutex.Lock()
	d.readAt = time.Time{}
	d.mutex.Unlock()
}

// bound says whether a room is bound for a purpose, as far as is known without asking.
func (d *directory) bound(room id.RoomID) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return slices.ContainsFunc(d.rooms, func(b register.RoomBinding) bool { return b.Room == room.String() && len(b.Purposes) > 0 })
}

// boundFor lists the rooms bound for a purpose.
func boundFor(rooms []register.RoomBinding, purpose register.RoomPurpose) []id.RoomID {
	var out []id.RoomID
	for _, room := range rooms {
		if slices.Contains(room.Purposes, purpose) {
			out = append(out, id.RoomID(room.Room))
		}
	}
	return out
}

// withRole lists the Matrix IDs of those who have a role.
func withRole(identities []register.Identity, role register.FleetRole) []id.UserID {
	var out []id.UserID
	for _, identity := range identities {
		if identity.MatrixID != "" && slices.Contains(identity.Roles, role) {
			out = append(out, id.UserID(identity.MatrixID))
		}
	}
	return out
}
