package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// BudgetReset corrects a window's reset. Empty names mean the provider's own subscription and DefaultWindow.
type BudgetReset struct {
	Provider     string
	Subscription string
	Window       string
	ResetAt      time.Time // only with Zero may it be left out, for a window that recurs
	Zero         bool      // start a new epoch now with nothing spent
}

// ResetBudget corrects a window's reset time and keeps its use, or begins a new epoch with Zero.
func (s *Store) ResetBudget(ctx context.Context, m Mutation, reset BudgetReset) (BudgetChange, error) {
	set := BudgetSet{Provider: reset.Provider, Subscription: reset.Subscription, Window: reset.Window}
	set.named()
	reset.Subscription, reset.Window = set.Subscription, set.Window
	reset.ResetAt = reset.ResetAt.UTC().Truncate(time.Microsecond)
	return once(ctx, s, m, func(t *transaction) (BudgetChange, error) { return t.resetBudget(ctx, reset) })
}

func (t *transaction) resetBudget(ctx context.Context, reset BudgetReset) (BudgetChange, error) {
	if err := t.lockWindowSet(ctx); err != nil {
		return BudgetChange{}, err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return BudgetChange{}, err
	}
	current := b.find(reset.Provider, reset.Subscription, reset.Window)
	if current == nil {
		return BudgetChange{}, noWindow(reset.Subscription, reset.Window)
	}
	version, err := t.reviseWindow(ctx, b, windowKey(reset.Provider, reset.Subscription, reset.Window), current)
	if err != nil {
		return BudgetChange{}, err
	}
	p, err := b.planReset(reset, current)
	if err != nil {
		return BudgetChange{}, err
	}
	change := BudgetChange{Now: b.now, Before: new(b.show(current.ID)), BeganNow: reset.Zero && p.row.Since != nil}
	id, err := t.recordWindow(ctx, b, &p, current)
	if err != nil {
		return BudgetChange{}, err
	}
	return t.concludeChange(ctx, id, version, change, "budget.reset")
}

// planReset is the same window with another reset, or anew from now on.
func (b *book) planReset(reset BudgetReset, current *budget.Window) (plan, error) {
	p := plan{definition: *b.definitions[current.ID], row: *b.rows[current.ID], fresh: reset.Zero}
	p.row.CheckedAt = b.now
	switch {
	case reset.Zero:
		p.begin(b.now)
		if !current.Closed() {
			p.ends = latest(current.Since, earliest(current.Reset, b.now))
		}
		return p, p.date(BudgetSet{Since: b.beginsAt(reset, current), ResetAt: reset.ResetAt}, current, b.now)
	case current.Lapsed(b.now):
		return p, &Error{
			Code: CodeWindowLapsed, Field: "zero", Example: "true",
			Detail:   fmt.Sprintf("The window %s lapsed at %s; what was used since is unknown.", current.Name, current.Reset.Format(time.RFC3339)),
			NextStep: "Set it again, or reset it with --zero.",
		}
	case reset.ResetAt.IsZero():
		return p, missingReset(b.now)
	}
	return p, p.date(BudgetSet{ResetAt: reset.ResetAt}, current, b.now)
}

// beginsAt is when a window that is started anew begins: now, but a rolling one with its next admission unless its reset is given.
func (b *book) beginsAt(reset BudgetReset, current *budget.Window) time.Time {
	if current.Recurrence.Kind == budget.Rolling && reset.ResetAt.IsZero() && current.Reserved == 0 {
		return time.Time{}
	}
	return b.now
}
