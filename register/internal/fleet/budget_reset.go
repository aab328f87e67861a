package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// BudgetReset corrects a window's reset. Empty names mean the provider's own subscription and DefaultWindow.
type BudgetReset struct {
	Provider     string
	Subscription string
	Window       string
	ResetAt      time.Time
	Zero         bool // start a new epoch now with nothing spent
}

// ResetBudget corrects a window's reset time and keeps its use, or begins a new epoch with Zero.
func (s *Store) ResetBudget(ctx context.Context, m Mutation, reset BudgetReset) (BudgetChange, error) {
	if reset.Subscription == "" {
		reset.Subscription = reset.Provider
	}
	if reset.Window == "" {
		reset.Window = DefaultWindow
	}
	reset.ResetAt = reset.ResetAt.UTC().Truncate(time.Microsecond)
	return once(ctx, s, m, func(t *transaction) (BudgetChange, error) { return t.resetBudget(ctx, reset) })
}

func (t *transaction) resetBudget(ctx context.Context, reset BudgetReset) (BudgetChange, error) {
	if err := t.lockWindowSet(ctx); err != nil {
		return BudgetChange{}, err
	}
	subscription, err := t.GetSubscription(ctx, query.GetSubscriptionParams{TenantID: t.Tenant, Provider: reset.Provider, Name: reset.Subscription})
	if none(err) {
		return BudgetChange{}, noWindow(reset.Subscription, reset.Window)
	}
	if err != nil {
		return BudgetChange{}, fmt.Errorf("reading the subscription: %w", err)
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return BudgetChange{}, err
	}
	current := b.find(subscription.ID, reset.Window)
	if current == nil {
		return BudgetChange{}, noWindow(reset.Subscription, reset.Window)
	}
	version, err := t.reviseWindow(ctx, b, windowKey(reset.Provider, reset.Subscription, reset.Window), current)
	if err != nil {
		return BudgetChange{}, err
	}
	if err := checkReset(reset.ResetAt, b.now); err != nil {
		return BudgetChange{}, err
	}
	change := BudgetChange{Now: b.now, Before: new(b.show(current.ID)), BeganNow: reset.Zero}
	id := current.ID
	switch {
	case reset.Zero:
		id, err = t.beginEpoch(ctx, b, subscription.ID, current, t.emptied(b.rows[id], reset.ResetAt))
	case current.Lapsed(b.now):
		return BudgetChange{}, &Error{
			Code: CodeWindowLapsed, Field: "zero", Example: "true",
			Detail:   fmt.Sprintf("The window %s lapsed at %s; what was used since is unknown.", current.Name, current.Reset.Format(time.RFC3339)),
			NextStep: "Set it again, or reset it with --zero.",
		}
	default:
		row := b.rows[id]
		row.ResetAt, row.CheckedAt = reset.ResetAt, t.now
		err = t.putWindow(ctx, row)
	}
	if err != nil {
		return BudgetChange{}, err
	}
	return t.concludeChange(ctx, id, version, change, "budget.reset")
}

// emptied is the same window from now on with nothing spent.
func (t *transaction) emptied(row *query.Window, reset time.Time) query.InsertWindowParams {
	return query.InsertWindowParams{
		TenantID: t.Tenant, Host: t.Host, Name: row.Name, Unit: row.Unit, LimitMicros: row.LimitMicros, FloorMicros: row.FloorMicros,
		BurstPpm: row.BurstPpm, Since: t.now, ResetAt: reset, Source: row.Source, CheckedAt: t.now,
		Step: budget.StepNormal.String(), StepHeldAt: t.now,
	}
}
