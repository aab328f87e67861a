package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Event is one entry of the log. What it speaks of is kept as it was at that event.
type Event struct {
	Seq      int64     `json:"seq"`
	Type     string    `json:"type"`
	At       time.Time `json:"at"`
	TenantID string    `json:"tenant_id"`
	Host     string    `json:"host"`
	Actor    string    `json:"actor"`
	Cause    string    `json:"cause,omitempty"`

	Dispatch *Dispatch      `json:"dispatch,omitempty"`
	Step     *StepChange    `json:"step,omitempty"`
	Ring     *Ring          `json:"ring,omitempty"`
	Burn     *Burn          `json:"burn,omitempty"`
	Window   *Window        `json:"window,omitempty"`
	Proposal *Proposal      `json:"proposal,omitempty"`
	Seat     *Seat          `json:"seat,omitempty"`
	Room     *Room          `json:"room,omitempty"`
	Identity *Identity      `json:"identity,omitempty"`
	Token    *Token         `json:"token,omitempty"`
	Pause    *Pause         `json:"pause,omitempty"`
	Ladder   *Ladder        `json:"ladder,omitempty"`
	Agent    *Agent         `json:"agent,omitempty"`
	Override *Override      `json:"override,omitempty"`
	Policy   *Policy        `json:"policy,omitempty"`
	Audit    *AuditHead     `json:"audit,omitempty"`
	Board    *Board         `json:"board,omitempty"`
	Reading  *WindowReading `json:"reading,omitempty"`
	Usage    []Booking      `json:"usage,omitempty"`
}

// tell writes an event in the deciding transaction. It gets its number after the commit.
func (t *transaction) tell(ctx context.Context, event Event) error {
	if event.Actor == "" { // else it was kept until now
		event.TenantID, event.Host, event.Actor, event.At = t.Tenant, t.Host, t.actor, t.now
	}
	if t.untold != nil {
		*t.untold = append(*t.untold, event)
		return nil
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	t.spoke = true
	t.noteIncident(&event)
	t.change.Schedule = t.change.Schedule || event.Type == "dispatch.queued" || event.Step != nil || event.Window != nil
	err = t.InsertEvent(ctx, query.InsertEventParams{
		TenantID: event.TenantID, Host: event.Host, Type: event.Type, At: event.At, Actor: event.Actor, Cause: event.Cause, Payload: payload,
	})
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}

// numberedAtOnce bounds one round of NumberEvents.
const numberedAtOnce = 1000

// NumberEvents numbers what was committed since and answers the position of the last event. Any gateway may call it; they
// take turns, so that readers see one order without gaps although transactions commit out of order.
func (s *Store) NumberEvents(ctx context.Context) (int64, error) {
	pending, err := query.New(s.pool).EventsUnnumbered(ctx, s.options.Tenant)
	if err != nil {
		return 0, fmt.Errorf("looking for new events: %w", err)
	}
	for pending {
		numbered, err := s.numberSome(ctx)
		if err != nil {
			return 0, err
		}
		pending = numbered == numberedAtOnce
	}
	return s.LastEvent(ctx)
}

func (s *Store) numberSome(ctx context.Context) (int64, error) {
	var numbered int64
	err := s.within(ctx, func(t *transaction) error {
		last, err := t.LockCounter(ctx, query.LockCounterParams{TenantID: t.Tenant, Name: "event"})
		if err != nil {
			return fmt.Errorf("locking the event counter: %w", err)
		}
		numbered, err = t.Queries.NumberEvents(ctx, query.NumberEventsParams{TenantID: t.Tenant, Last: last, Batch: numberedAtOnce})
		if err != nil {
			return fmt.Errorf("numbering events: %w", err)
		}
		if _, err := t.AdvanceEventCounter(ctx, query.AdvanceEventCounterParams{TenantID: t.Tenant, Numbered: numbered}); err != nil {
			return fmt.Errorf("advancing the event counter: %w", err)
		}
		return nil
	})
	return numbered, err
}

// LastEvent is the position of the last numbered event.
func (s *Store) LastEvent(ctx context.Context) (int64, error) {
	last, err := query.New(s.pool).LastEvent(ctx, s.options.Tenant)
	if err != nil {
		return 0, fmt.Errorf("reading the event log's position: %w", err)
	}
	return last, nil
}

// EventsAfter reads the log on from a position, at most page events.
func (s *Store) EventsAfter(ctx context.Context, after int64, page int) ([]Event, error) {
	rows, err := query.New(s.pool).EventsAfter(ctx, query.EventsAfterParams{TenantID: s.options.Tenant, After: after, Page: int32(page)})
	if err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	events := make([]Event, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Payload, &events[i]); err != nil {
			return nil, fmt.Errorf("reading event %d: %w", *row.Seq, err)
		}
		events[i].Seq = *row.Seq
	}
	return events, nil
}
