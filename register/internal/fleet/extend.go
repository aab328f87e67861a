package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Extension is what a running dispatch may spend after its holds were raised.
type Extension struct {
	// Reserved is, unit by unit, the least that any live window holds of it, or what was asked for where none counts it.
	Reserved []Amount `json:"reserved"`
	Holds    []Hold   `json:"holds"`
}

// ExtendDispatch raises what a running dispatch holds to new totals, on every live window of its subscription that counts their
// units or on none. The cap may refuse that, pace may not: the work is under way, and what it spends is spent.
func (s *Store) ExtendDispatch(ctx context.Context, m Mutation, id DispatchID, claim string, totals []Amount) (Extension, error) {
	return once(ctx, s, m, func(t *transaction) (Extension, error) {
		b, err := t.openBook(ctx)
		if err != nil {
			return Extension{}, err
		}
		row, err := t.lockDispatch(ctx, id)
		if err != nil {
			return Extension{}, err
		}
		if row.State != StateRunning || row.Claim != claim {
			return Extension{}, claimLost(&row)
		}
		return t.extend(ctx, b, &row, totals)
	})
}

// raise is a window that has to hold more for a run.
type raise struct {
	window *budget.Window
	by, to int64 // micro-units
	held   int64 // the reservation's ID, 0 if the window holds nothing for it yet
}

func (t *transaction) extend(ctx context.Context, b *book, row *query.Dispatch, totals []Amount) (Extension, error) {
	reservations, err := t.ActiveReservations(ctx, query.ActiveReservationsParams{TenantID: t.Tenant, Dispatches: []int64{row.ID}})
	if err != nil {
		return Extension{}, fmt.Errorf("reading the holds of %s: %w", DispatchID(row.ID), err)
	}
	raises, err := b.raises(row, reservations, totals)
	if err != nil {
		return Extension{}, err
	}
	for _, r := range raises {
		b.opened(r.window)
		b.fleet.Extend([]budget.Hold{{Window: r.window.ID, Micros: r.by, Held: b.now}})
		if err := t.raise(ctx, row, r); err != nil {
			return Extension{}, err
		}
	}
	dispatches, err := t.dispatches(ctx, []query.Dispatch{*row})
	if err != nil {
		return Extension{}, err
	}
	extension := Extension{Reserved: b.reservedOf(row, dispatches[0].Holds, totals), Holds: dispatches[0].Holds}
	if len(raises) == 0 {
		return extension, nil
	}
	t.change.Replan = true
	err = t.tell(ctx, Event{Type: "dispatch.extended", Cause: fmt.Sprintf("%s asked for more, and the cap allows it.", row.Worker), Dispatch: &dispatches[0]})
	if err != nil {
		return Extension{}, err
	}
	return extension, t.closeBook(ctx, b)
}

// raises is what the new totals take from each window; it refuses all of it if one window's cap does.
func (b *book) raises(row *query.Dispatch, reservations []query.ActiveReservationsRow, totals []Amount) ([]raise, error) {
	var out []raise
	for _, total := range totals {
		for _, window := range b.counting(row, total.Unit) {
			r := raise{window: window, by: total.Micros, to: total.Micros}
			for _, held := range reservations {
				if held.WindowID == window.ID {
					r.by, r.held = total.Micros-held.Micros, held.ID
				}
			}
			left := window.Capacity() - window.Used()
			switch {
			case r.by <= 0:
				continue
			case r.by > left:
				return nil, b.capReached(window, r.by, left)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (b *book) capReached(window *budget.Window, by, left int64) error {
	_, subscription := b.window(window.ID)
	return &Error{
		Code: CodeCapReached, Field: "reserve",
		Detail: fmt.Sprintf("The window %s of %s has %s left, and the extension takes %s more; nothing lifts the cap.",
			window.Name, subscription.Name, budget.Format(max(0, left), window.Unit), budget.Format(by, window.Unit)),
		NextStep: "Finish within what is reserved, or stop the run and dispatch the rest after the reset.",
	}
}

func (t *transaction) raise(ctx context.Context, row *query.Dispatch, r raise) error {
	var err error
	if r.held != 0 {
		err = t.RaiseReservation(ctx, query.RaiseReservationParams{TenantID: t.Tenant, ID: r.held, Micros: r.to, Host: t.Host})
	} else {
		err = t.InsertReservation(ctx, query.InsertReservationParams{
			TenantID: t.Tenant, Host: t.Host, DispatchID: row.ID, WindowID: r.window.ID, Micros: r.to, HeldAt: t.now,
		})
	}
	if err != nil {
		return fmt.Errorf("raising a hold of %s: %w", DispatchID(row.ID), err)
	}
	return nil
}

// reservedOf is what a run may spend of each unit it holds or has asked for.
func (b *book) reservedOf(row *query.Dispatch, holds []Hold, totals []Amount) []Amount {
	reserved := make(map[string]int64)
	for _, hold := range holds {
		if least, known := reserved[hold.Unit]; !known || hold.Micros < least {
			reserved[hold.Unit] = hold.Micros
		}
	}
	for _, total := range totals {
		if len(b.counting(row, total.Unit)) == 0 {
			reserved[total.Unit] = max(reserved[total.Unit], total.Micros)
		}
	}
	out := make([]Amount, 0, len(reserved))
	for unit, micros := range reserved {
		out = append(out, Amount{unit, micros})
	}
	slices.SortFunc(out, func(a, b Amount) int { return cmp.Compare(a.Unit, b.Unit) })
	return out
}
