package bot

import (
	"context"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
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

// cancelledIn are the threads of a room in which the reply to a command tells already that a dispatch was cancelled.
func (b *Bot) cancelledIn(ctx context.Context, e register.Event, room id.RoomID, identities []register.Identity) ([]id.EventID, error) {
	at := slices.IndexFunc(identities, func(i register.Identity) bool { return i.Name == e.Actor })
	if e.Type != register.EventTypeDispatchCancelled || at < 0 || identities[at].MatrixID == "" {
		return nil, nil
	}
	rows, err := b.database.Query(ctx, `SELECT event_id FROM journal WHERE room_id = $1 AND sender = $2 AND state IN ('prepared', 'done')
		AND call::jsonb ->> 'command' = 'cancel' AND call::jsonb ->> 'arguments' = $3 AND attempts > 0
		AND arrived_at BETWEEN $4::timestamptz - interval '15 min' AND $4::timestamptz + $5 * interval '1 ms'`,
		room, identities[at].MatrixID, e.Dispatch.ID, e.At.UTC(), clockSkew.Milliseconds())
	asked, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[id.EventID], err).AsList()
	if err != nil {
		return nil, fmt.Errorf("looking for the command that cancelled %s: %w", e.Dispatch.ID, err)
	}
	var threads []id.EventID
	for _, command := range asked {
		h, err := b.journal.find(ctx, command)
		if err != nil {
			return nil, fmt.Errorf("reading the command that cancelled %s: %w", e.Dispatch.ID, err)
		}
		if evt, err := decode(h); err == nil {
			threads = append(threads, b.answeredIn(ctx, h, evt))
		}
	}
	return threads, nil
}

// answeredIn is the thread in which an event is answered, which stands in clear beside what is encrypted.
func (b *Bot) answeredIn(ctx context.Context, h *heard, evt *event.Event) id.EventID {
	switch content := evt.Content.Parsed.(type) {
	case *event.ReactionEventContent:
		return b.rootOf(ctx, h, content.RelatesTo.EventID)
	case *event.EncryptedEventContent:
		if root := content.RelatesTo.GetThreadParent(); root != "" {
			return root
		}
	}
	return threadOf(evt)
}
