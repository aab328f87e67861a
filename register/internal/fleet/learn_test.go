package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func unknown(a *Ask) { a.Estimate = nil }

// runs has the fleet do work that costs so many credits each, on opus, one after the other.
func (b *bundle) runs(t *testing.T, credits ...int64) {
	t.Helper()
	for _, cost := range credits {
		b.dispatch(t, ask(1, exact))
		claim := b.claimed(t)
		b.finish(t, claim, Completion{Outcome: StateDone, Actuals: []Amount{{coins, cost * budget.Micro}}})
		b.clock.pass(time.Second)
	}
}

func (b *bundle) finish(t *testing.T, claim Claim, completion Completion) Dispatch {
	t.Helper()
	completion.Claim = claim.ID
	done, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, completion)
	require.NoError(t, err)
	return done
}

// spread is 20 runs of 1 to 7 credits, 4 on the mean.
var spread = []int64{1, 7, 4, 2, 6, 4, 3, 5, 4, 4, 1, 7, 4, 2, 6, 4, 3, 5, 4, 4}

// held is what the window's holds and means are, in micro-units.
func (b *bundle) held(t *testing.T) (upper, margin int64) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(),
		`SELECT coalesce(sum(micros), 0)::bigint, coalesce(sum(margin_micros), 0)::bigint FROM fleet.reservations WHERE state = 'active'`).Scan(&upper, &margin))
	return upper, margin
}

func TestWorkWithoutAnEstimateHoldsTheBoundOfEarlierRunsAndIsPacedOnTheirMean(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 10_000)
	b.runs(t, spread...)
	created := b.dispatch(t, ask(0, unknown, exact))
	require.Equal(t, StateReady, created.State, created.Reason)
	require.NotEmpty(t, created.Learned)
	opus := created.Learned[0]
	require.Equal(t, "opus", opus.Model)
	require.Equal(t, fromRole, opus.From)
	require.Equal(t, 20, opus.Runs)
	require.Greater(t, opus.UpperMicros, opus.MeanMicros)
	upper, margin := b.held(t)
	require.Equal(t, opus.UpperMicros, upper, "the bound is held")
	require.Equal(t, opus.UpperMicros-opus.MeanMicros, margin)
	require.Equal(t, upper, b.window(t).ReservedMicros)
	require.Equal(t, created, b.show(t, created.ID), "what was answered is what is kept")
	b.audit(t)

	given := b.dispatch(t, ask(40, exact))
	require.Equal(t, int64(40*budget.Micro), given.Holds[0].Micros, "who gives an estimate is taken at their word")
	require.NotEmpty(t, given.Learned, "and is shown what earlier runs took")
	b.finish(t, b.claimed(t), Completion{Outcome: StateDone, Unmetered: "no meter"})
	require.Equal(t, opus.MeanMicros+80*budget.Micro, b.window(t).CommittedMicros, "what could not be metered counts as its mean")
	b.audit(t)
}

func TestManyWideEstimatesDoNotStarveTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.clock.pass(50 * time.Minute)
	b.runs(t, spread...) // 80 credits of 500, half of which even spread allows by now
	b.clock.pass(5 * time.Minute)
	admitted := int64(0)
	for {
		asked := b.dispatch(t, ask(0, unknown, exact))
		admitted++
		if asked.State == StateReady {
			continue
		}
		if asked.Attempts[0].Verdict != string(budget.OverBurst) {
			admitted--
			break
		}
		b.clock.pass(5 * time.Minute)
		_, err := b.Wake(t.Context())
		require.NoError(t, err)
		require.Equal(t, StateReady, b.show(t, asked.ID).State)
	}
	upper, margin := b.held(t)
	window := b.window(t)
	pace := window.AllowanceMicros + window.BurstMicros - window.CommittedMicros
	require.LessOrEqual(t, upper-margin, pace, "the means keep to the pace")
	require.Greater(t, upper, pace, "where bounds would have stopped it long before")
	require.Greater(t, admitted, pace/(7*budget.Micro))
	b.audit(t)

	_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{
		Provider: "claude", Unit: coins, LimitMicros: window.CommittedMicros + upper + budget.Micro, ResetAt: b.clock.now().Add(time.Minute),
	})
	require.NoError(t, err)
	b.clock.pass(59 * time.Second)
	waits := b.dispatch(t, ask(0, unknown, exact))
	require.Equal(t, StateQueued, waits.State, "the cap counts bounds")
}

func TestWhatARunCostIsLearnedOnceAndOnlyFromWorkThatSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 10_000)
	estimates := func() []Estimate {
		page, err := b.Estimates(t.Context(), "coder", "", 10)
		require.NoError(t, err)
		return page.Estimates
	}
	b.dispatch(t, ask(1, exact))
	b.finish(t, b.claimed(t), Completion{Outcome: StateFailed, Actuals: []Amount{{coins, budget.Micro}}})
	b.dispatch(t, ask(1, exact))
	b.finish(t, b.claimed(t), Completion{Outcome: StateDone, Unmetered: "no meter"})
	require.Empty(t, estimates())

	b.dispatch(t, ask(1, exact))
	claim, m := b.claimed(t), b.by("coder-1")
	for range 2 { // the answer was lost and it is sent again
		_, err := b.CompleteDispatch(t.Context(), m, claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{coins, 9 * budget.Micro}}})
		require.NoError(t, err)
	}
	require.Len(t, estimates(), 1)
	require.Equal(t, 1, estimates()[0].Runs)
	require.Equal(t, "low", estimates()[0].Confidence)
	require.InDelta(t, 100, float64(estimates()[0].UpperMicros)/budget.Micro, 20, "one run moves little of the 1 % that is held without any")

	b.dispatch(t, ask(1, exact))
	b.finish(t, b.claimed(t), Completion{Outcome: StateFailed, Failure: FailureBudget, Actuals: []Amount{{coins, 9 * budget.Micro}}})
	require.Equal(t, 2, estimates()[0].Runs, "a run that was stopped at its reservation would have cost more")

	var keys int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM fleet.estimates WHERE runs = 2`).Scan(&keys))
	require.Equal(t, 3, keys, "its role, its class in any role, and its model")
	page, err := b.Estimates(t.Context(), "", "", 2)
	require.NoError(t, err)
	require.Len(t, page.Estimates, 2)
	rest, err := b.Estimates(t.Context(), "", page.Next, 2)
	require.NoError(t, err)
	require.Len(t, rest.Estimates, 1)
	require.Empty(t, rest.Next)
}

func TestAnotherGatewayJudgesByRunsItDidNotSeeEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 10_000)
	other := b.open(t, "beta")
	expected := func() int64 {
		dry := ask(0, unknown, exact)
		dry.DryRun = true
		dispatch, err := other.CreateDispatch(t.Context(), b.by("olga"), dry)
		require.NoError(t, err)
		return dispatch.Learned[0].MeanMicros
	}
	b.runs(t, 2, 2, 2)
	first := expected()
	b.runs(t, 50, 50, 50, 50, 50, 50)
	require.Greater(t, expected(), 2*first)
	tester := b.dispatch(t, ask(0, unknown, exact, func(a *Ask) { a.Role = "tester" }))
	require.Equal(t, fromKind, tester.Learned[0].From, "a role without runs of its own takes those of the others")
}

func TestATierWithoutRunsScalesThoseOfTheTierAbove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 10_000)
	b.runs(t, spread...)
	opus := b.dispatch(t, ask(0, unknown, exact))
	haiku := b.dispatch(t, ask(0, unknown, exact, func(a *Ask) { a.Model = "haiku" }))
	require.InDelta(t, float64(opus.Holds[0].Micros)/5, float64(haiku.Holds[0].Micros), 2, "opus to haiku is 5 : 1")
}
