package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Room is a room binding.
type Room struct {
	Room      string   `json:"room"`
	Alias     string   `json:"alias,omitempty"`
	Purposes  []string `json:"purposes"`
	Verbosity string   `json:"verbosity"`
	Encrypted string   `json:"encrypted"`
	Version   int64    `json:"version,omitempty"`
}

func roomOf(row query.Room, version int64) Room {
	return Room{Room: row.Room, Alias: row.Alias, Purposes: row.Purposes, Verbosity: row.Verbosity, Encrypted: row.Encrypted, Version: version}
}

// RoomPage is a page of room bindings, by room.
type RoomPage struct {
	Rooms []Room `json:"rooms"`
	Next  string `json:"next,omitempty"`
}

// Rooms reads a page of room bindings by room: those after one room.
func (s *Store) Rooms(ctx context.Context, after string, page int) (RoomPage, error) {
	out := RoomPage{Rooms: []Room{}}
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.ListRooms(ctx, query.ListRoomsParams{TenantID: t.Tenant, After: after, Page: int32(page) + 1})
		if err != nil {
			return fmt.Errorf("listing the rooms: %w", err)
		}
		changed, err := versions(ctx, t.Queries, t.Tenant, settingRoom)
		if err != nil {
			return err
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = rows[page-1].Room
		}
		for _, row := range rows {
			out.Rooms = append(out.Rooms, roomOf(row, changed[row.Room]))
		}
		return nil
	})
	return out, err
}

// Room reads one room binding.
func (s *Store) Room(ctx context.Context, room string) (Room, error) {
	var out Room
	err := s.read(ctx, func(t *transaction) error {
		row, err := t.GetRoom(ctx, query.GetRoomParams{TenantID: t.Tenant, Room: room})
		if none(err) {
			return notFound("binding of the room "+room, "List the rooms to see those that are bound.")
		}
		if err != nil {
			return fmt.Errorf("reading the room binding: %w", err)
		}
		changed, err := version(ctx, t.Queries, t.Tenant, settingRoom, room)
		out = roomOf(row, changed)
		return err
	})
	return out, err
}

// The verbosities of a room: refusals only, steps and warnings too, and every lowered or queued admission too.
const (
	VerbosityLow    = "low"
	VerbosityMedium = "medium"
	VerbosityHigh   = "high"
)

// SetRoomVerbosity says how much a bound room is told of the budget.
func (s *Store) SetRoomVerbosity(ctx context.Context, m Mutation, room, verbosity string) (Room, error) {
	return once(ctx, s, m, func(t *transaction) (Room, error) {
		if err := t.readClock(ctx); err != nil {
			return Room{}, err
		}
		version, err := t.revise(ctx, settingRoom, room, t.standingRoom(ctx, room))
		if err != nil {
			return Room{}, err
		}
		row, err := t.GetRoom(ctx, query.GetRoomParams{TenantID: t.Tenant, Room: room})
		if none(err) {
			return Room{}, notFound("binding of the room "+room, "Bind the room first.")
		}
		if err != nil {
			return Room{}, fmt.Errorf("reading the room binding: %w", err)
		}
		row.Verbosity = verbosity
		return t.tellRoom(ctx, roomOf(row, version))
	})
}

// tellRoom writes how much a room is told, and tells of the binding as it is now.
func (t *transaction) tellRoom(ctx context.Context, room Room) (Room, error) {
	err := t.Queries.SetRoomVerbosity(ctx, query.SetRoomVerbosityParams{TenantID: t.Tenant, Room: room.Room, Verbosity: room.Verbosity, Host: t.Host})
	if err != nil {
		return Room{}, fmt.Errorf("writing the room's verbosity: %w", err)
	}
	return room, t.tell(ctx, Event{Type: "room.bound", Room: &room})
}

func (t *transaction) standingRoom(ctx context.Context, room string) func(int64) (standing, error) {
	return func(version int64) (standing, error) {
		now := standing{what: "The binding of the room " + room, version: version}
		row, err := t.GetRoom(ctx, query.GetRoomParams{TenantID: t.Tenant, Room: room})
		if none(err) {
			return now, nil
		}
		now.exists, now.current, now.as = true, roomOf(row, version), "for "+strings.Join(row.Purposes, ", ")
		return now, err
	}
}

// BindRoom binds a room to its purposes, replacing those it had. Without a verbosity it keeps the one it had.
func (s *Store) BindRoom(ctx context.Context, m Mutation, room Room) (Room, error) {
	return once(ctx, s, m, func(t *transaction) (Room, error) {
		if err := t.readClock(ctx); err != nil {
			return Room{}, err
		}
		purposes := slices.Clone(room.Purposes)
		slices.Sort(purposes)
		room.Purposes = append([]string{}, slices.Compact(purposes)...)
		var err error
		if room.Version, err = t.revise(ctx, settingRoom, room.Room, t.standingRoom(ctx, room.Room)); err != nil {
			return Room{}, err
		}
		if room.Verbosity, err = t.verbosityOf(ctx, room); err != nil {
			return Room{}, err
		}
		room.Alias, err = t.PutRoom(ctx, query.PutRoomParams{
			TenantID: t.Tenant, Room: room.Room, Host: t.Host, Alias: room.Alias, Purposes: room.Purposes, BoundAt: t.now,
		})
		if err != nil {
			return Room{}, fmt.Errorf("writing the room binding: %w", err)
		}
		if room.Encrypted, err = t.encryptionOf(ctx, room.Room); err != nil {
			return Room{}, err
		}
		return t.tellRoom(ctx, room)
	})
}

// verbosityOf is the verbosity a binding asks for, or that of the binding it replaces.
func (t *transaction) verbosityOf(ctx context.Context, wanted Room) (string, error) {
	if wanted.Verbosity != "" {
		return wanted.Verbosity, nil
	}
	row, err := t.GetRoom(ctx, query.GetRoomParams{TenantID: t.Tenant, Room: wanted.Room})
	if err != nil && !none(err) {
		return "", fmt.Errorf("reading the room binding: %w", err)
	}
	return cmp.Or(row.Verbosity, VerbosityMedium), nil
}
