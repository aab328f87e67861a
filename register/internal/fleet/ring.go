package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Ring is a window at refuse that wakes the operators until one of them acknowledges it or it eases.
type Ring struct {
	ID           RingID    `json:"id"`
	Provider     string    `json:"provider"`
	Subscription string    `json:"subscription"`
	Window       string    `json:"window"`
	FirstAt      time.Time `json:"first_at"`
	Rung         int       `json:"rung"`
	NextAt       time.Time `json:"next_at,omitzero"`
	AckedBy      string    `json:"acked_by,omitempty"`
	AckedAt      time.Time `json:"acked_at,omitzero"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
}

// RingList is the rings that have not eased, or those an acknowledgement was about.
type RingList struct {
	Rings []Ring `json:"rings"`
}

func ringOf(row query.Ring) Ring {
	ring := Ring{
		ID: RingID(row.ID), Provider: row.Provider, Subscription: row.Subscription, Window: row.WindowName,
		FirstAt: row.FirstAt.UTC(), Rung: int(row.Rung), NextAt: instant(row.NextAt), AckedAt: instant(row.AckedAt), EndedAt: instant(row.EndedAt),
	}
	if row.AckedBy != nil {
		ring.AckedBy = *row.AckedBy
	}
	return ring
}

func ringsOf(rows []query.Ring) RingList {
	list := RingList{Rings: make([]Ring, len(rows))}
	for i, row := range rows {
		list.Rings[i] = ringOf(row)
	}
	return list
}

// Rings reads the rings that have not eased, acknowledged or not.
func (s *Store) Rings(ctx context.Context) (RingList, error) {
	var list RingList
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.ListOpenRings(ctx, t.Tenant)
		if err != nil {
			return fmt.Errorf("reading what rings: %w", err)
		}
		list = ringsOf(rows)
		return nil
	})
	return list, err
}

// ring begins to wake the operators for a window.
func (t *transaction) ring(ctx context.Context, window int64, shown Window) (*RingID, error) {
	const rung = 1
	id, err := t.InsertRing(ctx, query.InsertRingParams{
		TenantID: t.Tenant, Host: t.Host, WindowID: window, Provider: shown.Provider, Subscription: shown.Subscription, WindowName: shown.Window,
		FirstAt: t.now, Rung: rung, NextAt: nextRing(t.now, rung),
	})
	if err != nil {
		return nil, fmt.Errorf("ringing for a window: %w", err)
	}
	return new(RingID(id)), nil
}

func nextRing(first time.Time, rung int) *time.Time {
	at, again := budget.NextRing(first, rung)
	if !again {
		return nil
	}
	return &at
}

// AckRings acknowledges rings, all that have not eased if none is named: they ring no more. What was acknowledged before stays with
// whoever did.
func (s *Store) AckRings(ctx context.Context, m Mutation, ids []RingID) (RingList, error) {
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		numbers[i] = int64(id)
	}
	return once(ctx, s, m, func(t *transaction) (RingList, error) {
		if err := t.readClock(ctx); err != nil {
			return RingList{}, err
		}
		rows, err := t.LockRings(ctx, query.LockRingsParams{TenantID: t.Tenant, Ids: numbers})
		if err != nil {
			return RingList{}, fmt.Errorf("locking what rings: %w", err)
		}
		if err := missing(ids, rows); err != nil {
			return RingList{}, err
		}
		for i := range rows {
			if err := t.ack(ctx, &rows[i]); err != nil {
				return RingList{}, err
			}
		}
		return ringsOf(rows), nil
	})
}

func missing(ids []RingID, rows []query.Ring) error {
	found := make(map[RingID]bool, len(rows))
	for _, row := range rows {
		found[RingID(row.ID)] = true
	}
	for _, id := range ids {
		if !found[id] {
			return notFound("ring "+id.String(), "The message that rang names it; naming none acknowledges all that ring.")
		}
	}
	return nil
}

func (t *transaction) ack(ctx context.Context, row *query.Ring) error {
	if row.AckedBy != nil {
		return nil
	}
	row.AckedBy, row.AckedAt, row.NextAt = &t.actor, &t.now, nil
	if err := t.putRing(ctx, row); err != nil {
		return err
	}
	return t.tell(ctx, Event{Type: "ring.acked", Ring: new(ringOf(*row))})
}

func (t *transaction) putRing(ctx context.Context, row *query.Ring) error {
	err := t.PutRing(ctx, query.PutRingParams{
		TenantID: t.Tenant, ID: row.ID, Host: t.Host, Rung: row.Rung, NextAt: row.NextAt, AckedBy: row.AckedBy, AckedAt: row.AckedAt, EndedAt: row.EndedAt,
	})
	if err != nil {
		return fmt.Errorf("writing a ring: %w", err)
	}
	return nil
}

// ringAgain rings for what nobody acknowledged and still refuses. A ring that came due more than once while no gateway ran rings once.
func (s *Store) ringAgain(ctx context.Context) error {
	due, err := s.due(ctx, "rings", func(t *transaction) (int64, error) {
		return t.CountRingsDue(ctx, query.CountRingsDueParams{TenantID: t.Tenant, Now: t.now})
	})
	if err != nil || !due {
		return err
	}
	return s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		rows, err := t.LockRingsDue(ctx, query.LockRingsDueParams{TenantID: t.Tenant, Now: t.now})
		if err != nil {
			return fmt.Errorf("locking the rings that are due: %w", err)
		}
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := t.ringOnce(ctx, b, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *transaction) ringOnce(ctx context.Context, b *book, row *query.Ring) error {
	if !b.refuses(row.WindowID) {
		row.NextAt, row.EndedAt = nil, &t.now
		return t.putRing(ctx, row)
	}
	for row.NextAt != nil && !row.NextAt.After(t.now) {
		row.Rung++
		row.NextAt = nextRing(row.FirstAt, int(row.Rung))
	}
	if err := t.putRing(ctx, row); err != nil {
		return err
	}
	return t.tell(ctx, Event{Type: "ring.again", Ring: new(ringOf(*row)), Window: new(b.show(row.WindowID))})
}

// refuses says whether a window is current and stands at refuse.
func (b *book) refuses(id int64) bool {
	window, _ := b.window(id)
	return window != nil && !window.Lapsed(b.now) && b.rows[id].Step == budget.StepRefuse.String()
}
