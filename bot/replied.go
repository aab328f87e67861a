package bot

import (
	"context"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"maunium.net/go/mautrix/id"
)

// switches are the commands whose reply says all that the event they cause has to say.
var switches = map[register.EventType]string{
	register.EventTypeFleetPaused:  "pause",
	register.EventTypeFleetResumed: "resume",
}

// repliedTo says whether a room is told of an event by the reply to the command that caused it.
func (b *Bot) repliedTo(ctx context.Context, e register.Event, room id.RoomID, identities []register.Identity) (bool, error) {
	command, switched := switches[e.Type]
	at := slices.IndexFunc(identities, func(i register.Identity) bool { return i.Name == e.Actor })
	if !switched || at < 0 || identities[at].MatrixID == "" {
		return false, nil
	}
	var replied bool
	err := b.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM journal WHERE room_id = $1 AND sender = $2 AND state IN ('prepared', 'done')
		AND call::jsonb ->> 'command' = $3 AND arrived_at BETWEEN $4::timestamptz - interval '15 min' AND $4::timestamptz + $5 * interval '1 ms')`,
		room, identities[at].MatrixID, command, e.At.UTC(), clockSkew.Milliseconds()).Scan(&replied)
	if err != nil {
		return false, fmt.Errorf("looking for the command that an event comes from: %w", err)
	}
	return replied, nil
}
