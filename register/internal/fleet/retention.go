package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// DefaultRetention is how long events are replayed to readers, unless it is set.
const DefaultRetention = 30 * 24 * time.Hour

// Gone says that a reader asks for events that are no longer replayed. They stay in the audit.
type Gone struct {
	Asked int64 // the reader's position
	Floor int64 // the position from which everything after is still told
}

func (g *Gone) Error() string {
	return fmt.Sprintf("Events %d to %d are no longer told; the log is told from after %d.", g.Asked+1, g.Floor, g.Floor)
}

// ReadOn is the position from which a reader that last heard an event reads on. One that heard nothing begins with the first event
// that is still told; one that was away for longer than events are retained is Gone.
func (s *Store) ReadOn(ctx context.Context, heard int64) (int64, error) {
	floor, err := query.New(s.pool).Floor(ctx, s.options.Tenant)
	if err != nil && !none(err) {
		return 0, fmt.Errorf("reading from where the log is told: %w", err)
	}
	if heard > 0 && heard < floor {
		return 0, &Gone{Asked: heard, Floor: floor}
	}
	return max(heard, floor), nil
}

// Retain raises the floor of the log to the last event before those of the retention. It deletes nothing.
func (s *Store) Retain(ctx context.Context) error {
	return s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		floor, err := t.Floor(ctx, t.Tenant)
		if err != nil && !none(err) {
			return fmt.Errorf("reading from where the log is told: %w", err)
		}
		last, err := t.LastEvent(ctx, t.Tenant)
		if err != nil {
			return fmt.Errorf("reading the event log's position: %w", err)
		}
		since := query.FirstEventSinceParams{TenantID: t.Tenant, Floor: floor, Since: t.now.Add(-t.Retention)}
		first, err := t.FirstEventSince(ctx, since)
		if none(err) {
			first, err = last+1, nil
		}
		if err != nil {
			return fmt.Errorf("looking for the first event to be told: %w", err)
		}
		if err := t.RaiseFloor(ctx, query.RaiseFloorParams{TenantID: t.Tenant, Host: t.Host, FloorSeq: first - 1, At: t.now}); err != nil {
			return fmt.Errorf("raising the floor of the log: %w", err)
		}
		return nil
	})
}
