package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Room is a room binding.
type Room struct {
	Room     string   `json:"room"`
	Alias    string   `json:"alias,omitempty"`
	Purposes []string `json:"purposes"`
	Version  int64    `json:"version,omitempty"`
}

func roomOf(row query.Room, version int64) Room {
	return Room{Room: row.Room, Alias: row.Alias, Purposes: row.Purposes, Version: version}
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

// BindRoom binds a room to its purposes, replacing those it had.
func (s *Store) BindRoom(ctx context.Context, m Mutation, room Room) (Room, error) {
	return once(ctx, s, m, func(t *transaction) (Room, error) {
		if err := t.readClock(ctx); err != nil {
			return Room{}, err
		}
		purposes := slices.Clone(room.Purposes)
		slices.Sort(purposes)
		room.Purposes = append([]string{}, slices.Compact(purposes)...)
		var err error
		room.Version, err = t.revise(ctx, settingRoom, room.Room, func(version int64) (standing, error) {
			now := standing{what: "The binding of the room " + room.Room, version: version}
			row, err := t.GetRoom(ctx, query.GetRoomParams{TenantID: t.Tenant, Room: room.Room})
			if none(err) {
				return now, nil
			}
			now.exists, now.current, now.as = true, roomOf(row, version), "for "+strings.Join(row.Purposes, ", ")
			return now, err
		})
		if err != nil {
			return Room{}, err
		}
		err = t.PutRoom(ctx, query.PutRoomParams{
			TenantID: t.Tenant, Room: room.Room, Host: t.Host, Alias: room.Alias, Purposes: room.Purposes, BoundAt: t.now,
		})
		if err != nil {
			return Room{}, fmt.Errorf("writing the room binding: %w", err)
		}
		return room, t.tell(ctx, Event{Type: "room.bound", Room: &room})
	})
}
