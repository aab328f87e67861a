package conformance

import (
	"context"
	"net/url"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func runs() []promise {
	return []promise{
		{"runs", "a running one is extended past the pace, never past the cap, on all windows or on none", extendToTheCap},
		{"runs", "one run holds, meters and spends several units", spendSeveral},
		{"runs", "what tokens take of a window of percent is shown once three pairs of readings tell", learnShare},
		{"runs", "a session that does not fit its context is 422 context_cap", rejectContext},
	}
}

const whole = int64(1_000_000)

// borrow meters the highest tier's provider by a subscription of this run with two windows, 100 tokens and 100 percent, none of which
// the pace allows yet. Without a live window of its own nobody's work is metered there, so nobody's is disturbed.
func (t *trial) borrow(ctx context.Context) (giveBack func(), err error) {
	_, tiers, err := t.ladder(ctx)
	if err != nil {
		return nil, err
	}
	var status register.BudgetStatus
	if err := t.read(ctx, viewer, "/api/fleet/budgets?provider="+url.QueryEscape(tiers[0].Provider), &status); err != nil {
		return nil, err
	}
	for _, w := range status.Windows {
		if w.Subscription != provider {
			return nil, notTried("it would draw on the windows of " + tiers[0].Provider + ", which are in use; it takes a register without any")
		}
	}
	giveBack = func() {
		_ = t.borrowUntil(context.WithoutCancel(ctx), tiers[0].Provider, time.Now().Add(3*time.Second))
	}
	return giveBack, t.borrowUntil(ctx, tiers[0].Provider, time.Now().Add(10*time.Hour))
}

func (t *trial) borrowUntil(ctx context.Context, from string, reset time.Time) error {
	for name, unit := range map[string]register.Unit{"tokens": register.UnitTokens, "share": register.UnitPercent} {
		_, err := t.setWindow(ctx, register.BudgetSetRequest{
			Provider: from, Subscription: provider, Window: name, Unit: unit, LimitMicros: 100 * whole,
			Since: time.Now().Add(-time.Second), UsedMicros: new(int64(0)), ResetAt: reset,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drop frees what a run still holds if its promise was broken before its end.
func (t *trial) drop(ctx context.Context, id string) {
	_ = t.change(context.WithoutCancel(ctx), operator, register.CancelDispatch(id, "its promise has been tried"), nil)
}

func amountsOf(tokens, percent int64) []register.Amount {
	return []register.Amount{{Unit: register.UnitTokens, Micros: tokens * whole}, {Unit: register.UnitPercent, Micros: percent * whole}}
}

// several asks for work that spends both units.
func (t *trial) several(role string, tokens, percent int64) register.DispatchRequest {
	asked := t.work(role)
	asked.Exact, asked.Estimate = true, nil
	for _, amount := range amountsOf(tokens, percent) {
		asked.Estimate = append(asked.Estimate, register.EstimateAmount(amount))
	}
	return asked
}

// holding says what is wrong unless a run holds these amounts, each once.
func holding(what string, holds []register.Hold, tokens, percent int64) error {
	held := map[register.Unit]int64{}
	for _, hold := range holds {
		held[hold.Unit] += hold.Micros
	}
	for _, want := range amountsOf(tokens, percent) {
		if micros, known := held[want.Unit]; !known || micros != want.Micros || len(holds) != 2 {
			return seen("%s it holds %+v, not %d tokens and %d percent", what, holds, tokens, percent)
		}
	}
	return nil
}

func extendToTheCap(ctx context.Context, t *trial) error {
	giveBack, err := t.borrow(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	claim, err := t.running(ctx, "cap", 60)
	if err != nil {
		return err
	}
	paced := t.several(claim.Dispatch.Role, 60, 0)
	paced.DryRun = true
	if now, err := t.dispatch(ctx, paced); err != nil || now.State == register.DispatchStateReady {
		if err == nil {
			err = notTried("the pace admits 60 of 100 tokens at once, so that it cannot be told from the cap")
		}
		return err
	}
	id := claim.Dispatch.ID
	defer t.drop(ctx, id)
	extend := func(reserve []register.Amount) register.Mutation {
		return register.ExtendDispatch(id, register.ExtendRequest{Claim: claim.ID, Reserve: reserve})
	}
	var extension register.Extension
	if err := t.report(ctx, extend(amountsOf(60, 0)), &extension); err != nil {
		return err
	}
	if err := holding("extended", extension.Holds, 60, 0); err != nil {
		return err
	}
	if want := amountsOf(60, 0)[0]; !slices.Contains(extension.Reserved, want) {
		return seen("extended it has reserved %+v, without %+v", extension.Reserved, want)
	}
	if err := t.reportRefused(ctx, register.ProblemCodeCapReached, extend(amountsOf(101, 50))); err != nil {
		return err
	}
	shown, err := t.show(ctx, id)
	if err != nil {
		return err
	}
	if err := holding("after more was refused", shown.Holds, 60, 0); err != nil {
		return err
	}
	return t.report(ctx, t.unmetered(claim), nil)
}

func spendSeveral(ctx context.Context, t *trial) error {
	giveBack, err := t.borrow(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	role := t.role("units")
	made, err := t.dispatch(ctx, t.several(role, 2, 1))
	if err != nil {
		return err
	}
	defer t.drop(ctx, made.ID)
	if made.State != register.DispatchStateReady {
		return seen("asked for 2 of 100 tokens and 1 of 100 percent it is %s (“%s”)", made.State, made.Reason)
	}
	if err := holding("admitted", made.Holds, 2, 1); err != nil {
		return err
	}
	claim, err := t.claim(ctx, role, role+"-1", 60)
	if err != nil || claim == nil {
		return seen("%s is ready, and a claim for its role found nothing (%v)", made.ID, err)
	}
	spent := amountsOf(3, 1)
	for _, amount := range spent {
		beat := register.HeartbeatRequest{Claim: claim.ID, Metered: []register.Amount{amount}}
		if err := t.report(ctx, register.HeartbeatDispatch(made.ID, beat), nil); err != nil {
			return err
		}
	}
	shown, err := t.show(ctx, made.ID)
	if err != nil {
		return err
	}
	if len(shown.Metered) != 2 {
		return seen("heartbeats metered %+v one by one, and it shows %+v", spent, shown.Metered)
	}
	spent = amountsOf(4, 1) // more than it metered: what it ends with counts
	end := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: spent}
	if err := t.report(ctx, register.CompleteDispatch(made.ID, end), nil); err != nil {
		return err
	}
	var status register.BudgetStatus
	if err := t.read(ctx, viewer, "/api/fleet/budgets?provider="+url.QueryEscape(claim.Dispatch.Provider), &status); err != nil {
		return err
	}
	for _, w := range status.Windows {
		for _, want := range spent {
			if w.Unit == want.Unit && (w.CommittedMicros != want.Micros || w.ReservedMicros != 0) {
				return seen("%+v were spent, and the window %s has %d committed and %d reserved", spent, w.Window, w.CommittedMicros, w.ReservedMicros)
			}
		}
	}
	return nil
}

// learnShare reads the window of percent before and after each of three runs of a token.
func learnShare(ctx context.Context, t *trial) error {
	giveBack, err := t.borrow(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	_, tiers, err := t.ladder(ctx)
	if err != nil {
		return err
	}
	role, fresh := t.role("ratio"), false
	for i, micros := range []int64{0, 1_600_000, 3_300_000, 5_000_000} { // within what the pace leaves of 100 percent at once
		reading := register.ReadingRequest{Provider: tiers[0].Provider, Subscription: provider, Window: "share", UsedMicros: micros}
		if err := t.change(ctx, operator, register.RecordReading(reading), nil); err != nil {
			return err
		}
		window, err := t.borrowed(ctx, tiers[0].Provider, "share")
		if err != nil {
			return err
		}
		switch ratio := window.Ratio; {
		case i == 0:
			fresh = ratio == register.TokenRatio{} // an earlier run has taught the same
		case i < 3 && fresh && ratio != register.TokenRatio{}:
			return seen("after %d pairs of readings and %d micros of percent the ratio is %+v already", i, micros, ratio)
		case i == 3 && (ratio.Readings < 3 || ratio.PointsMicros*3 != ratio.TokensMicros*5):
			return seen("after 3 tokens between readings that differ by 5 percent the ratio is %+v", ratio)
		}
		if i < 3 {
			if err := t.spend(ctx, role, amountsOf(1, 0)[:1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// spend has a run of a token end with what it spent.
func (t *trial) spend(ctx context.Context, role string, spent []register.Amount) error {
	made, err := t.dispatch(ctx, t.several(role, 1, 0))
	if err != nil {
		return err
	}
	defer t.drop(ctx, made.ID)
	if made.State != register.DispatchStateReady {
		return notTried("the pace leaves no room for one more of 100 tokens while 5 percent are read as used: " + made.Reason)
	}
	claim, err := t.claim(ctx, role, role+"-1", 60)
	if err != nil || claim == nil {
		return seen("%s is ready, and a claim for its role found nothing (%v)", made.ID, err)
	}
	end := register.CompleteRequest{Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: spent}
	return t.report(ctx, register.CompleteDispatch(made.ID, end), nil)
}

// borrowed is a window that this run has borrowed, as it is listed.
func (t *trial) borrowed(ctx context.Context, from, name string) (register.Window, error) {
	var status register.BudgetStatus
	if err := t.read(ctx, viewer, "/api/fleet/budgets?provider="+url.QueryEscape(from), &status); err != nil {
		return register.Window{}, err
	}
	for _, w := range status.Windows {
		if w.Subscription == provider && w.Window == name {
			return w, nil
		}
	}
	return register.Window{}, seen("provider=%s lists %+v, without the window %s", from, status.Windows, name)
}

func rejectContext(ctx context.Context, t *trial) error {
	asked := t.work(t.role("context"))
	asked.ContextTokens = 1_000_000_000
	if err := t.man(ctx, asked.Role); err != nil {
		return err
	}
	if err := t.refused(ctx, register.ProblemCodeContextCap, operator, register.CreateDispatch(asked)); err != nil {
		return err
	}
	listed, err := t.inRole(ctx, asked.Role, "")
	if err == nil && len(listed) > 0 {
		err = seen("%v was recorded", ids(listed))
	}
	return err
}
