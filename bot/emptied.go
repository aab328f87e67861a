package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The journal's own types for what happens to a room.
const (
	tombstoneType = "tombstone"
	emptiedType   = "emptied"
)

// receiveRoomEnds journals that a room was replaced, and that someone went, in the sync's transaction.
func (b *Bot) receiveRoomEnds(ctx context.Context, room id.RoomID, events []*event.Event, done *commitment) error {
	for _, evt := range events {
		kind, name := "", evt.ID.String()
		switch {
		case evt.StateKey == nil || !storable(name) || !storable(evt.Sender.String()):
		case evt.Type.Type == event.StateTombstone.Type && *evt.StateKey == "":
			kind = tombstoneType
		case evt.Type.Type == event.StateMember.Type && *evt.StateKey != b.client.UserID.String():
			if membership, _ := evt.Content.Raw["membership"].(string); membership == "leave" || membership == "ban" {
				kind, name = emptiedType, "emptied:"+name
			}
		}
		if kind == "" {
			continue
		}
		raw, err := evt.MarshalJSON()
		if err != nil {
			return fmt.Errorf("encoding what happened to a room: %w", err)
		}
		_, err = b.database.Exec(ctx, `INSERT INTO journal (room_id, event_id, sender, type, raw, arrived_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (event_id) DO NOTHING`, room, name, evt.Sender, kind, string(raw), b.now().UTC())
		if err != nil {
			return fmt.Errorf("journalling what happened to a room: %w", err)
		}
		done.hear = append(done.hear, room)
	}
	return nil
}

// hearEmptied leaves a room in which the bot is alone, unless the register has it bound: its people are invited again.
func (b *Bot) hearEmptied(ctx context.Context, h *heard) error {
	b.keys.RLock()
	members, err := b.keys.members(ctx, h.Room)
	b.keys.RUnlock()
	if errors.Is(err, mautrix.MForbidden) {
		return b.journal.end(ctx, h, stateDropped, "")
	}
	if err != nil {
		return err
	}
	for _, member := range members {
		if !b.ours(member) {
			return b.journal.end(ctx, h, stateDropped, "")
		}
	}
	if _, _, err := b.directory.read(ctx); err != nil {
		return err
	}
	if b.directory.bound(h.Room) {
		return b.journal.end(ctx, h, stateDropped, "alone, but the room is bound")
	}
	if _, err := b.client.LeaveRoom(ctx, h.Room); err != nil && !errors.Is(err, mautrix.MForbidden) && !errors.Is(err, mautrix.MNotFound) {
		return fmt.Errorf("leaving a room where nobody else is: %w", err)
	}
	zerolog.Ctx(ctx).Info().Msg("Left a room where nobody else is")
	return transaction(ctx, b.database, func(ctx context.Context) error {
		_, err := b.database.Exec(ctx, `UPDATE outbox SET state = 'dropped', reason = 'nobody was left to hear it' WHERE room_id = $1 AND state = 'queued'`, h.Room)
		if err != nil {
			return fmt.Errorf("dropping what nobody is left to hear: %w", err)
		}
		return b.journal.end(ctx, h, stateDone, "left, since nobody else was there")
	})
}
