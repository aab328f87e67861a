package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// burnPoll is how often windows are looked at for the speed they are spent at.
const burnPoll = time.Minute

// Burn is a warning ahead of a step: a window is spent so fast that its step will change before the reset.
type Burn struct {
	Window      Window    `json:"window"`
	Fast        bool      `json:"fast"`
	Rate        float64   `json:"rate"`
	DowngradeAt time.Time `json:"downgrade_at"`
	RunsDryAt   time.Time `json:"runs_dry_at,omitzero"`
	Text        string    `json:"text"`
}

func levelOf(burn budget.Burn) string {
	if burn.Fast {
		return "burn-fast"
	}
	return "burn-slow"
}

// Warn looks at every window for the speed it is spent at and warns ahead of a step, once per level and epoch. Any gateway may call it
// at any time.
func (s *Store) Warn(ctx context.Context) error {
	burning := make(map[int64]budget.Burn)
	err := s.read(ctx, func(t *transaction) error {
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		for _, id := range b.order {
			if window, _ := b.window(id); b.rows[id].Step != budget.StepNormal.String() || window.Closed() {
				continue
			}
			uses, err := t.uses(ctx, b, id)
			if err != nil {
				return err
			}
			window, _ := b.window(id)
			if burn, burns := budget.Burns(window, uses, burnPoll, b.now); burns {
				burning[id] = burn
			}
		}
		return nil
	})
	if err != nil || len(burning) == 0 {
		return err
	}
	return s.within(ctx, func(t *transaction) error { return t.warn(ctx, burning) })
}

func (t *transaction) warn(ctx context.Context, burning map[int64]budget.Burn) error {
	if err := t.readClock(ctx); err != nil {
		return err
	}
	b, err := t.readBook(ctx)
	if err != nil {
		return err
	}
	for _, id := range b.order {
		burn, burns := burning[id]
		if !burns {
			continue
		}
		first, err := t.InsertPostedOnce(ctx, query.InsertPostedOnceParams{TenantID: t.Tenant, WindowID: id, Level: levelOf(burn), Host: t.Host, At: t.now})
		if err != nil {
			return fmt.Errorf("noting a warning: %w", err)
		}
		if first == 0 {
			continue
		}
		told := Burn{Window: b.show(id), Fast: burn.Fast, Rate: burn.Rate, DowngradeAt: burn.Downgrade, RunsDryAt: burn.RunsDry, Text: burn.Says()}
		if err := t.tell(ctx, Event{Type: "budget.burn", Cause: told.Text, Burn: &told}); err != nil {
			return err
		}
	}
	return nil
}

// uses is what a window had used at each instant since it began. What was entered by hand counts from its beginning: it says what is
// used, not how fast.
func (t *transaction) uses(ctx context.Context, b *book, id int64) (budget.Uses, error) {
	window, _ := b.window(id)
	return t.usesOf(ctx, id, window.Since, window.Reset)
}

// finest is how many samples a window has at most.
const finest = 8640

func (t *transaction) usesOf(ctx context.Context, id int64, since, reset time.Time) (budget.Uses, error) {
	moves, err := t.WindowMoves(ctx, query.WindowMovesParams{
		TenantID: t.Tenant, WindowID: id, Since: since, Seconds: max(1, reset.Sub(since).Seconds()/finest),
	})
	if err != nil {
		return nil, fmt.Errorf("reading a window's ledger: %w", err)
	}
	uses := budget.Uses{{At: since}}
	for _, move := range moves {
		if move.Entered {
			uses[0].Used += move.Micros
		}
	}
	used := uses[0].Used
	for _, move := range moves {
		if move.Entered {
			continue
		}
		used += move.Micros
		if !move.At.After(since) {
			uses[0].Used = used
			continue
		}
		uses = append(uses, budget.Sample{At: move.At.UTC(), Used: used})
	}
	return uses, nil
}
