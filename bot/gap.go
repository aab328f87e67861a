package bot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The most events that are paged back over a gap, and how many at a time.
const (
	gapLimit = 5000
	gapPage  = 100
)

// fetchGaps pages back over the timelines the homeserver cut short, to the last event heard in each room or to the bot's
// own join. It returns what was left out, oldest first.
func (b *Bot) fetchGaps(ctx context.Context, response *mautrix.RespSync, since string) (map[id.RoomID][]*event.Event, error) {
	gaps := map[id.RoomID][]*event.Event{}
	if since == "" {
		return gaps, nil
	}
	for room, joined := range response.Rooms.Join {
		if !joined.Timeline.Limited || joined.Timeline.PrevBatch == "" || b.ownJoin(joined.Timeline.Events) >= 0 {
			continue
		}
		gap, err := b.fetchGap(ctx, room, joined.Timeline)
		if err != nil {
			return nil, fmt.Errorf("paging back over a gap in %s: %w", room, err)
		}
		gaps[room] = gap
	}
	return gaps, nil
}

func (b *Bot) fetchGap(ctx context.Context, room id.RoomID, timeline mautrix.SyncTimeline) ([]*event.Event, error) {
	var last id.EventID
	err := b.database.QueryRow(ctx, `SELECT last_event_id FROM room WHERE room_id = $1`, room).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	var backwards []*event.Event
	for from := timeline.PrevBatch; from != "" && len(backwards) < gapLimit; {
		page, err := b.client.Messages(ctx, room, from, "", mautrix.DirectionBackward, nil, gapPage)
		if err != nil {
			return nil, err
		}
		for _, evt := range page.Chunk {
			if evt.ID == last || b.ownJoin([]*event.Event{evt}) == 0 {
				slices.Reverse(backwards)
				return backwards, nil
			}
			backwards = append(backwards, evt)
		}
		if len(page.Chunk) == 0 || page.End == from {
			break
		}
		from = page.End
	}
	if last == "" {
		return nil, nil // neither heard before nor joined while the bot runs: history
	}
	zerolog.Ctx(ctx).Warn().Stringer("room_id", room).Int("events", len(backwards)).Msg("The last event heard was not found behind a gap")
	slices.Reverse(backwards)
	return backwards, nil
}
