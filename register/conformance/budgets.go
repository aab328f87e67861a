package conformance

import (
	"context"
	"encoding/json"
	"math/big"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgets() []promise {
	return []promise{
		{"budgets", "a window is set as asked and listed under its provider", setWindow},
		{"budgets", "the allowance is (limit - floor) x (now - since) / (reset - since)", allowance},
		{"budgets", "setting it again amends it and keeps its use", amendWindow},
		{"budgets", "a reset keeps the use, and zero begins anew", resetWindow},
		{"budgets", "a recurring window takes its epoch from its calendar, a rolling one waits for its first work", recurWindow},
		{"budgets", "what no window can be is refused by its own code", refuseWindow},
		{"budgets", "a window past its reset is lapsed, and zero revives it", lapseWindow},
	}
}

// window is the one window a run sets. No model belongs to its provider, so no work is ever held against it.
func window(reset time.Time) register.BudgetSetRequest {
	return register.BudgetSetRequest{Provider: provider, Unit: register.UnitMessages, LimitMicros: 100_000_000, ResetAt: reset.UTC().Truncate(time.Second)}
}

func (t *trial) setWindow(ctx context.Context, asked register.BudgetSetRequest) (register.BudgetChange, error) {
	var change register.BudgetChange
	err := t.change(ctx, operator, register.SetBudget(asked), &change)
	return change, err
}

// fresh sets the window as it begins every promise: 100 messages over three hours of which one is over, 10 kept back, 7 used.
func (t *trial) fresh(ctx context.Context) (register.BudgetSetRequest, register.BudgetChange, error) {
	asked := window(time.Now().Add(2 * time.Hour))
	asked.Since = time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	asked.FloorMicros, asked.UsedMicros = new(int64(10_000_000)), new(int64(7_000_000))
	got, err := t.send(ctx, operator, key(), register.SetBudget(asked))
	if err != nil {
		return asked, register.BudgetChange{}, err
	}
	var problem register.Problem
	if json.Unmarshal(got.body, &problem) == nil && problem.Code == register.ProblemCodeInvalid && problem.Field == "since" {
		// An epoch cannot begin before the end of one that an earlier promise has ended.
		if asked.Since, err = time.Parse(time.RFC3339, problem.Example); err != nil {
			return asked, register.BudgetChange{}, seen("since is refused with the example %q: %w", problem.Example, err)
		}
		select {
		case <-ctx.Done():
			return asked, register.BudgetChange{}, ctx.Err()
		case <-time.After(time.Until(asked.Since)):
		}
	} else if got.status/100 == 2 {
		var change register.BudgetChange
		return asked, change, got.into("POST /api/fleet/budgets", &change)
	}
	change, err := t.setWindow(ctx, asked)
	return asked, change, err
}

func (t *trial) windows(ctx context.Context) (register.Window, time.Time, error) {
	var status register.BudgetStatus
	if err := t.read(ctx, viewer, "/api/fleet/budgets?provider="+provider, &status); err != nil {
		return register.Window{}, time.Time{}, err
	}
	if len(status.Windows) != 1 || status.Windows[0].Provider != provider {
		return register.Window{}, time.Time{}, seen("provider=%s lists %+v, not its one window", provider, status.Windows)
	}
	return status.Windows[0], status.Now, nil
}

func setWindow(ctx context.Context, t *trial) error {
	asked, change, err := t.fresh(ctx)
	if err != nil {
		return err
	}
	listed, _, err := t.windows(ctx)
	if err != nil {
		return err
	}
	for what, w := range map[string]register.Window{"answered": change.After, "listed": listed} {
		if w.Subscription != provider || w.Window != "main" || w.Unit != asked.Unit || w.LimitMicros != asked.LimitMicros ||
			w.FloorMicros != 10_000_000 || w.CommittedMicros != 7_000_000 || w.UsedMicros != w.CommittedMicros+w.ReservedMicros ||
			!w.Since.Equal(asked.Since) || !w.ResetAt.Equal(asked.ResetAt) || w.Lapsed {
			return seen("it is %s as %+v", what, w)
		}
	}
	return nil
}

func allowance(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	w, now, err := t.windows(ctx)
	if err != nil {
		return err
	}
	capacity, span := w.LimitMicros-w.FloorMicros, w.ResetAt.Sub(w.Since)
	exact := new(big.Int).Mul(big.NewInt(capacity), big.NewInt(int64(now.Sub(w.Since))))
	want := exact.Div(exact, big.NewInt(int64(span))).Int64()
	// now and the allowance may be read a moment apart
	slack := capacity/int64(span/time.Millisecond)*10 + 10
	if w.AllowanceMicros < want-slack || w.AllowanceMicros > want+slack {
		return seen("at %s it is %d, not %d", now.Format(time.RFC3339Nano), w.AllowanceMicros, want)
	}
	return nil
}

func amendWindow(ctx context.Context, t *trial) error {
	asked, _, err := t.fresh(ctx)
	if err != nil {
		return err
	}
	amended := window(asked.ResetAt.Add(time.Hour))
	amended.LimitMicros = 200_000_000
	change, err := t.setWindow(ctx, amended)
	if err != nil {
		return err
	}
	switch {
	case change.Before.LimitMicros != asked.LimitMicros || change.Before.CommittedMicros != 7_000_000:
		return seen("before it was answered as %+v", change.Before)
	case change.After.LimitMicros != 200_000_000 || change.After.CommittedMicros != 7_000_000 || !change.After.ResetAt.Equal(amended.ResetAt):
		return seen("after it was answered as %+v", change.After)
	}
	return nil
}

func (t *trial) resetWindow(ctx context.Context, reset time.Time, zero bool) (register.BudgetChange, error) {
	var change register.BudgetChange
	err := t.change(ctx, operator, register.ResetBudget(register.BudgetResetRequest{Provider: provider, ResetAt: reset, Zero: zero}), &change)
	return change, err
}

func resetWindow(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	reset := time.Now().Add(90 * time.Minute).UTC().Truncate(time.Second)
	kept, err := t.resetWindow(ctx, reset, false)
	if err != nil {
		return err
	}
	if kept.After.CommittedMicros != 7_000_000 || !kept.After.ResetAt.Equal(reset) {
		return seen("after a reset it is %+v", kept.After)
	}
	zeroed, err := t.resetWindow(ctx, reset, true)
	if err != nil {
		return err
	}
	if zeroed.Before.CommittedMicros != 7_000_000 || zeroed.After.CommittedMicros != 0 || zeroed.After.Since.Before(kept.Now) {
		return seen("after a reset with zero it is %+v", zeroed.After)
	}
	return nil
}

func refuseWindow(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	nothing, otherUnit, past := window(time.Now().Add(time.Hour)), window(time.Now().Add(time.Hour)), window(time.Now().Add(-time.Hour))
	nothing.LimitMicros, otherUnit.Unit = 0, register.UnitTokens
	for _, wrong := range []struct {
		code register.ProblemCode
		m    register.Mutation
	}{
		{register.ProblemCodeLimitNotPositive, register.SetBudget(nothing)},
		{register.ProblemCodeUnitMismatch, register.SetBudget(otherUnit)},
		{register.ProblemCodeResetInPast, register.SetBudget(past)},
		{register.ProblemCodeResetInPast, register.ResetBudget(register.BudgetResetRequest{Provider: provider, ResetAt: past.ResetAt})},
		{register.ProblemCodeNotFound, register.ResetBudget(register.BudgetResetRequest{Provider: provider, Window: "none", ResetAt: nothing.ResetAt})},
	} {
		if err := t.refused(ctx, wrong.code, operator, wrong.m); err != nil {
			return err
		}
	}
	w, _, err := t.windows(ctx)
	if err == nil && (w.LimitMicros != 100_000_000 || w.Unit != register.UnitMessages || w.CommittedMicros != 7_000_000) {
		err = seen("after the refusals it is %+v", w)
	}
	return err
}

func lapseWindow(ctx context.Context, t *trial) error {
	if _, err := t.setWindow(ctx, window(time.Now().Add(2*time.Second))); err != nil {
		return err
	}
	err := soon(ctx, 15*time.Second, func() error {
		w, _, err := t.windows(ctx)
		if err == nil && !w.Lapsed {
			err = seen("it is not lapsed, with the reset %s", w.ResetAt)
		}
		return err
	})
	if err != nil {
		return err
	}
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	m := register.ResetBudget(register.BudgetResetRequest{Provider: provider, ResetAt: later})
	if err := t.refused(ctx, register.ProblemCodeWindowLapsed, operator, m); err != nil {
		return err
	}
	change, err := t.resetWindow(ctx, later, true)
	if err == nil && (change.After.Lapsed || change.After.UsedMicros != 0) {
		err = seen("after a reset with zero it is %+v", change.After)
	}
	return err
}

// recurWindow sets windows under a provider of their own: no promise but this one sees them.
func recurWindow(ctx context.Context, t *trial) error {
	asked := register.BudgetSetRequest{
		Provider: provider + "-recurring", Subscription: "one", Window: "daily", Unit: register.UnitMessages, LimitMicros: 100_000_000,
		Recurrence: "every day at 09:00 in Europe/Berlin", Scope: "role:nobody", Model: "none", Hours: "mon-fri 09:00-18:00 in Europe/Berlin",
	}
	change, err := t.setWindow(ctx, asked)
	if err != nil {
		return err
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return err
	}
	w := change.After
	reset, day := w.ResetAt.In(berlin), w.ResetAt.Sub(w.Since)
	if !w.ResetAt.After(change.Now) || w.Since.After(change.Now) || reset.Hour() != 9 || reset.Minute() != 0 || day < 23*time.Hour || day > 25*time.Hour {
		return seen("at %s every day at 09:00 in Europe/Berlin is from %s until %s", change.Now, w.Since, w.ResetAt)
	}
	if w.Recurrence != asked.Recurrence || w.Zone != "Europe/Berlin" || w.Scope != asked.Scope || w.Model != asked.Model || w.Hours != asked.Hours || w.Subscription != asked.Subscription {
		return seen("it is answered as %+v", w)
	}
	asked.Window, asked.Recurrence = "rolling", "rolling 5h"
	if change, err = t.setWindow(ctx, asked); err != nil {
		return err
	}
	if w = change.After; !w.Closed || !w.ResetAt.IsZero() || w.Lapsed {
		return seen("a rolling window that nothing used yet is %+v", w)
	}
	asked.Window, asked.Recurrence = "other", "every fortnight"
	return t.refused(ctx, register.ProblemCodeInvalid, operator, register.SetBudget(asked))
}
