package bot

import (
	"context"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// firstSync is what the state store keeps of all rooms of a first sync, column by column, so that a thousand rooms take three
// statements. The columns are those that mautrix's own store writes, one event at a time.
type firstSync struct {
	rooms, last                              []string
	encryption, create, levels, visibility   []*string
	memberRooms, users, memberships, display []string
	avatars                                  []string
}

// storeFirst stores the joined rooms of a first sync: their state counts, their words are history.
func (b *Bot) storeFirst(ctx context.Context, joined map[id.RoomID]*mautrix.SyncJoinedRoom) error {
	var all firstSync
	for room, part := range joined {
		all.add(room, part)
	}
	for what, statement := range map[string]struct {
		query  string
		values []any
	}{
		"room state": {
			`INSERT INTO mx_room_state (room_id, encryption, create_event, power_levels, history_visibility)
			SELECT r, e::jsonb, c::jsonb, p::jsonb, h::jsonb FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS _ (r, e, c, p, h)
			ON CONFLICT (room_id) DO UPDATE SET encryption = excluded.encryption, create_event = excluded.create_event,
			power_levels = excluded.power_levels, history_visibility = excluded.history_visibility`,
			[]any{all.rooms, all.encryption, all.create, all.levels, all.visibility},
		},
		"members": {
			`INSERT INTO mx_user_profile (room_id, user_id, membership, displayname, avatar_url)
			SELECT DISTINCT ON (r, u) r, u, m::membership, d, a FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
			WITH ORDINALITY AS _ (r, u, m, d, a, n) ORDER BY r, u, n DESC
			ON CONFLICT (room_id, user_id) DO UPDATE SET membership = excluded.membership, displayname = excluded.displayname, avatar_url = excluded.avatar_url`,
			[]any{all.memberRooms, all.users, all.memberships, all.display, all.avatars},
		},
		"last events": {
			`INSERT INTO room (room_id, last_event_id) SELECT * FROM unnest($1::text[], $2::text[])
			ON CONFLICT (room_id) DO UPDATE SET last_event_id = excluded.last_event_id`,
			[]any{all.rooms, all.last},
		},
	} {
		if _, err := b.database.Exec(ctx, statement.query, statement.values...); err != nil {
			return fmt.Errorf("storing the %s of a first sync: %w", what, err)
		}
	}
	return nil
}

func (f *firstSync) add(room id.RoomID, part *mautrix.SyncJoinedRoom) {
	var encryption, create, levels, visibility *string
	last := ""
	for _, original := range append(part.State.Events, part.Timeline.Events...) {
		evt := *original
		evt.RoomID, evt.Type.Class = room, event.StateEventType
		if evt.StateKey == nil || evt.Content.ParseRaw(evt.Type) != nil {
			continue
		}
		if evt.Type != event.StateMember && *evt.StateKey != "" {
			continue
		}
		switch content := evt.Content.Parsed.(type) {
		case *event.EncryptionEventContent:
			encryption = column(content)
		case *event.CreateEventContent:
			create = column(&evt)
		case *event.PowerLevelsEventContent:
			levels = column(content)
		case *event.HistoryVisibilityEventContent:
			visibility = column(content)
		case *event.MemberEventContent:
			f.memberRooms, f.users = append(f.memberRooms, room.String()), append(f.users, *evt.StateKey)
			f.memberships, f.display = append(f.memberships, string(content.Membership)), append(f.display, content.Displayname)
			f.avatars = append(f.avatars, string(content.AvatarURL))
		}
	}
	if events := part.Timeline.Events; len(events) > 0 {
		last = events[len(events)-1].ID.String()
	}
	f.rooms, f.last = append(f.rooms, room.String()), append(f.last, last)
	f.encryption, f.create = append(f.encryption, encryption), append(f.create, create)
	f.levels, f.visibility = append(f.levels, levels), append(f.visibility, visibility)
}

func column(content any) *string {
	raw, err := json.Marshal(content)
	if err != nil {
		return nil
	}
	return new(string(raw))
}
