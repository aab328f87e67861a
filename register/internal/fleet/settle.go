package fleet

import (
	"context"
	"encoding/json"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// The kinds of ledger entries.
const (
	kindActual       = "actual"       // reported at the end of a run
	kindMetered      = "metered"      // reported by heartbeats of a run that did not end by itself
	kindEstimate     = "estimate"     // held, and committed because nothing could be metered
	kindEntered      = "entered"      // entered by hand
	kindUnattributed = "unattributed" // used outside of any dispatch
	kindCorrection   = "correction"   // what a run turned out to have used after it had ended
)

// settle ends the holds of a dispatch and commits its spend. A unit that was held but not spent in is released, or, when unmetered, committed
// at the mean it was held for. A window of percent of a run that metered tokens alone is committed what its learned ratio says. Spend may exceed the hold: it is debt that the window shows. Every live window of the subscription
// that counts a unit is charged for it, also one that held nothing.
func (t *transaction) settle(ctx context.Context, b *book, row *query.Dispatch, spent []Amount, kind string, unmetered bool) error {
	reservations, err := t.ActiveReservations(ctx, query.ActiveReservationsParams{TenantID: t.Tenant, Dispatches: []int64{row.ID}})
	if err != nil {
		return fmt.Errorf("reading the holds of %s: %w", DispatchID(row.ID), err)
	}
	booked := make(map[int64]bool)
	for _, r := range reservations {
		window, _ := b.window(r.WindowID)
		hold := budget.Hold{Window: r.WindowID, Micros: r.Micros, Margin: r.MarginMicros, Held: r.HeldAt.UTC()}
		micros, metered := amountIn(spent, window.Unit)
		learned, gauged := int64(0), false
		if window.Unit == unitPercent {
			learned, gauged = pointsOf(window, spent)
		}
		entry, state := kind, "committed"
		switch {
		case metered:
			window.Settle(hold, micros)
		case gauged:
			micros, entry = learned, kindEstimate
			window.Settle(hold, micros)
		case unmetered:
			micros, entry = hold.Micros-hold.Margin, kindEstimate
			window.Expire(hold, 0, false)
		default:
			state = "released"
			window.Release(hold)
		}
		err := t.SettleReservation(ctx, query.SettleReservationParams{TenantID: t.Tenant, ID: r.ID, State: state, Now: t.now})
		if err != nil {
			return fmt.Errorf("settling a hold of %s: %w", DispatchID(row.ID), err)
		}
		booked[window.ID] = true
		if state == "released" {
			continue
		}
		if err := t.book(ctx, row, window, Amount{window.Unit, micros}, entry); err != nil {
			return err
		}
	}
	return t.commitUnheld(ctx, b, row, spent, kind, booked)
}

// commitUnheld books spend in the windows that held nothing for it: one that was set meanwhile, or the unit of which was not
// foreseen. What no window counts stands in the ledger alone.
func (t *transaction) commitUnheld(ctx context.Context, b *book, row *query.Dispatch, spent []Amount, kind string, booked map[int64]bool) error {
	for _, amount := range spent {
		if amount.Micros == 0 {
			continue
		}
		counted := false
		for id := range booked {
			window, _ := b.window(id)
			counted = counted || window.Unit == amount.Unit
		}
		for _, window := range b.counting(row, amount.Unit) {
			counted = true
			if booked[window.ID] {
				continue
			}
			if err := t.commit(ctx, b, row, window, amount, kind); err != nil {
				return err
			}
		}
		if counted {
			continue
		}
		if err := t.commit(ctx, b, row, nil, amount, kind); err != nil {
			return err
		}
	}
	return t.commitPoints(ctx, b, row, spent, booked)
}

// commit books spend that nothing was held for in the ledger and, if it has one, in its window.
func (t *transaction) commit(ctx context.Context, b *book, row *query.Dispatch, window *budget.Window, amount Amount, kind string) error {
	if window != nil {
		b.opened(window).Settle(budget.Hold{}, amount.Micros)
	}
	return t.book(ctx, row, window, amount, kind)
}

// book writes an entry of the ledger; without a window it stands alone.
func (t *transaction) book(ctx context.Context, row *query.Dispatch, window *budget.Window, amount Amount, kind string) error {
	params := query.InsertLedgerParams{
		TenantID: t.Tenant, Host: t.Host, DispatchID: &row.ID, Attempt: &row.Attempt,
		Unit: amount.Unit, Micros: amount.Micros, Kind: kind, Actor: t.actor, At: t.now,
	}
	if window != nil {
		params.WindowID = &window.ID
	}
	if err := t.InsertLedger(ctx, params); err != nil {
		return fmt.Errorf("booking the spend of %s: %w", DispatchID(row.ID), err)
	}
	return nil
}

// meteredOf is the spend a run has reported so far.
func meteredOf(row *query.Dispatch) ([]Amount, error) {
	var metered []Amount
	if err := json.Unmarshal(row.Metered, &metered); err != nil {
		return nil, fmt.Errorf("reading the metered spend of %s: %w", DispatchID(row.ID), err)
	}
	return metered, nil
}

func amountIn(amounts []Amount, unit string) (int64, bool) {
	for _, amount := range amounts {
		if amount.Unit == unit {
			return amount.Micros, true
		}
	}
	return 0, false
}
