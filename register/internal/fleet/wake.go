package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Wake judges all waiting work anew, in line order and by the same gate as a newcomer, and moves windows whose step changed with
// time. It answers the dispatches it moved or promised another start. Any gateway may call it at any time.
func (s *Store) Wake(ctx context.Context) ([]DispatchID, error) {
	var replanned []DispatchID
	err := s.within(ctx, func(t *transaction) error {
		b, err := t.openBook(ctx)
		if err != nil {
			return err
		}
		replanned, err = t.replanLine(ctx, b)
		if err != nil {
			return err
		}
		return t.closeBook(ctx, b)
	})
	return replanned, err
}

func (t *transaction) replanLine(ctx context.Context, b *book) ([]DispatchID, error) {
	rows, err := t.LockWaiting(ctx, t.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the waiting line: %w", err)
	}
	slices.SortFunc(rows, inLine)
	if err := t.learnUndone(ctx, b, rows...); err != nil {
		return nil, err
	}
	replanned := []DispatchID{}
	for i := range rows {
		before := rows[i]
		if _, gone := b.cancelled[before.ID]; gone {
			continue
		}
		decision, reason, err := t.judge(ctx, b, &rows[i])
		if err != nil {
			return nil, err
		}
		if before.ReturnedAt != nil && decision.Outcome != budget.Refuse && decision.Missing == "" && b.pause == nil {
			continue // somebody lives who could run it: it waits until such a worker comes forth
		}
		if _, err := t.place(ctx, b, &rows[i], &decision, reason); err != nil {
			return nil, err
		}
		if !samePlace(&before, &rows[i]) {
			replanned = append(replanned, DispatchID(rows[i].ID))
		}
	}
	return replanned, nil
}

// inLine orders waiting work as the rules serve it.
func inLine(a, b query.Dispatch) int {
	first, second := placeOf(&a), placeOf(&b)
	return first.Compare(&second)
}

// NextWake is when Wake should run next without anything happening first; zero means not until something does.
func (s *Store) NextWake(ctx context.Context) (time.Time, error) {
	var next time.Time
	earlier := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	err := s.read(ctx, func(t *transaction) error {
		promise, err := t.NextPromise(ctx, t.Tenant)
		if err != nil && !none(err) {
			return fmt.Errorf("reading the next promised start: %w", err)
		}
		if promise != nil {
			earlier(promise.UTC())
		}
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		for _, id := range b.order {
			if at := b.easing(id); !at.IsZero() {
				earlier(at)
			}
			if window, _ := b.window(id); !window.Closed() && !b.rows[id].Lapsed {
				earlier(window.Reset)
			}
		}
		return nil
	})
	return next, err
}

// easing is when a window above normal may come down by time alone.
func (b *book) easing(id int64) time.Time {
	window, _ := b.window(id)
	row := b.rows[id]
	step := budget.ParseStep(row.Step)
	if step == budget.StepNormal || window.Lapsed(b.now) {
		return time.Time{}
	}
	called := window.StandsOn(row.Lowered, b.now)
	if called < step {
		return row.StepHeldAt.UTC().Add(window.Dwell())
	}
	if called == budget.StepDowngrade && !row.Lowered {
		return window.EasesAt(b.now)
	}
	return time.Time{}
}

// lockDispatch locks a dispatch; the windows must be locked before it.
func (t *transaction) lockDispatch(ctx context.Context, id DispatchID) (query.Dispatch, error) {
	row, err := t.LockDispatch(ctx, query.LockDispatchParams{TenantID: t.Tenant, ID: int64(id)})
	if none(err) {
		return row, noDispatch(id)
	}
	if err != nil {
		return row, fmt.Errorf("locking %s: %w", id, err)
	}
	return row, nil
}
