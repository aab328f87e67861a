package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// rollOver brings every window that is past its reset into its next epoch, within the transaction that judges: no timer has to be
// on time for it, and whoever holds the definitions' locks first is the only one to do it. A window that nobody but a person or its
// provider can renew is said to have lapsed, once.
func (t *transaction) rollOver(ctx context.Context, b *book) error {
	actor := t.actor
	t.actor = Time
	defer func() { t.actor = actor }()
	for at, id := range b.order {
		window, _ := b.window(id)
		row, ended := b.rows[id], budget.Epoch{Since: window.Since, Reset: window.Reset}
		switch {
		case window.RollOver(b.now):
			if err := t.nextEpoch(ctx, b, at, ended); err != nil {
				return err
			}
		case window.Lapsed(b.now) && !row.Lapsed:
			row.Lapsed = true
			if err := t.putWindow(ctx, row); err != nil {
				return err
			}
			shown := b.show(id)
			text := fmt.Sprintf("Its reset is past, and what was used since is unknown until it is set again; %s", lapsedMeans)
			if err := t.tell(ctx, Event{Type: "budget.lapsed", Cause: text, Window: &shown}); err != nil {
				return err
			}
		}
	}
	return nil
}

const lapsedMeans = "until then its work is admitted without this meter."

// nextEpoch records that the window at a place of the order went from an epoch that ended into the one it is in now.
func (t *transaction) nextEpoch(ctx context.Context, b *book, at int, ended budget.Epoch) error {
	id := b.order[at]
	window, _ := b.window(id)
	row := b.rows[id]
	next := *row
	row.ReservedMicros, row.MarginMicros, row.EndedAt = 0, 0, pointer(ended.Reset)
	if err := t.putWindow(ctx, row); err != nil {
		return err
	}
	idle := idleEpochs(window, ended.Reset)
	if err := t.keepIdle(ctx, id, idle); err != nil {
		return err
	}
	next.Epoch += int32(len(idle)) + 1
	next.CommittedMicros, next.ReservedMicros, next.Since, next.ResetAt = 0, window.Reserved, pointer(window.Since), pointer(window.Reset)
	next.Lowered, next.Lapsed, next.StepHeldAt = false, false, longHeld(b.now)
	keepLately(&next, window)
	if err := t.insertEpoch(ctx, &next, id); err != nil {
		return err
	}
	b.replace(at, &next)
	t.change.Replan = true
	shown := b.show(next.ID)
	text := fmt.Sprintf("%s had been used at the reset.", budget.Format(row.CommittedMicros, row.Unit))
	return t.tell(ctx, Event{Type: "budget.rolled", Cause: text, Window: &shown})
}

// longHeld lets a window come down from its step at once, as a reset does.
func longHeld(now time.Time) time.Time { return now.AddDate(-2, 0, 0) }

// idleEpochs are those that began and ended while nobody judged: a calendar window's epochs have no gaps.
func idleEpochs(window *budget.Window, from time.Time) []budget.Epoch {
	var idle []budget.Epoch
	for from.Before(window.Since) {
		epoch, calendar := window.Recurrence.EpochAt(from)
		if !calendar {
			return idle
		}
		idle = append(idle, budget.Epoch{Since: from, Reset: epoch.Reset})
		from = epoch.Reset
	}
	return idle
}

func (t *transaction) keepIdle(ctx context.Context, window int64, idle []budget.Epoch) error {
	if len(idle) == 0 {
		return nil
	}
	params := query.InsertIdleEpochsParams{TenantID: t.Tenant, Host: t.Host, ID: window}
	for _, epoch := range idle {
		params.Begun, params.Resets = append(params.Begun, epoch.Since), append(params.Resets, epoch.Reset)
	}
	if err := t.InsertIdleEpochs(ctx, params); err != nil {
		return fmt.Errorf("recording the epochs in which nothing happened: %w", err)
	}
	return nil
}

// insertEpoch records the epoch that follows another one; what is held for live work, and what waits, moves along.
func (t *transaction) insertEpoch(ctx context.Context, row *query.Window, was int64) error {
	row.EndedAt = nil
	id, err := t.InsertWindow(ctx, query.InsertWindowParams{
		TenantID: t.Tenant, Host: t.Host, DefinitionID: row.DefinitionID, Epoch: row.Epoch, Unit: row.Unit, LimitMicros: row.LimitMicros,
		FloorMicros: row.FloorMicros, CommittedMicros: row.CommittedMicros, ReservedMicros: row.ReservedMicros, MarginMicros: row.MarginMicros, BurstPpm: row.BurstPpm,
		Since: row.Since, ResetAt: row.ResetAt, Source: row.Source, Confidence: row.Confidence, CheckedAt: row.CheckedAt,
		Step: row.Step, StepHeldAt: row.StepHeldAt, Lowered: row.Lowered,
	})
	if err != nil {
		return fmt.Errorf("writing the new epoch: %w", err)
	}
	row.ID = id
	if was == 0 {
		return nil
	}
	if err := t.MoveReservations(ctx, query.MoveReservationsParams{TenantID: t.Tenant, FromWindow: was, IntoWindow: id}); err != nil {
		return fmt.Errorf("moving the holds into the new epoch: %w", err)
	}
	if err := t.MoveLine(ctx, query.MoveLineParams{TenantID: t.Tenant, FromWindow: was, IntoWindow: id}); err != nil {
		return fmt.Errorf("moving the line into the new epoch: %w", err)
	}
	if err := t.MoveRings(ctx, query.MoveRingsParams{TenantID: t.Tenant, FromWindow: was, IntoWindow: id}); err != nil {
		return fmt.Errorf("moving the rings into the new epoch: %w", err)
	}
	return nil
}

// replace makes an epoch the current one of the window at a place of the order.
func (b *book) replace(at int, row *query.Window) {
	was := b.order[at]
	window, _ := b.window(was)
	window.ID, b.order[at] = row.ID, row.ID
	b.rows[row.ID], b.definitions[row.ID] = row, b.definitions[was]
	delete(b.rows, was)
	delete(b.definitions, was)
}

// foresee shows windows as the next judgement will find them, without recording anything.
func (b *book) foresee() {
	for _, id := range b.order {
		if window, _ := b.window(id); window.RollOver(b.now) {
			row := b.rows[id]
			row.Epoch += int32(len(idleEpochs(window, row.ResetAt.UTC()))) + 1
			row.CommittedMicros, row.Since, row.ResetAt = 0, pointer(window.Since), pointer(window.Reset)
			row.Step, row.Lowered, row.Lapsed = budget.StepNormal.String(), false, false
		}
	}
}

// opened opens a rolling window that was closed: something is booked in it or held on it.
func (b *book) opened(window *budget.Window) *budget.Window {
	if window.Closed() {
		window.Enter(budget.Epoch{Since: b.now, Reset: b.now.Add(window.Recurrence.Length)})
	}
	return window
}
