package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

const (
	tokenUnit = "tokens"
	points    = "percent"
	coins     = "credits"
)

// subscribed sets four windows on one subscription: credits and tokens over 100 minutes, tokens and percent over a week.
func (b *bundle) subscribed(t *testing.T) {
	t.Helper()
	week := b.clock.now().Add(7 * 24 * time.Hour)
	b.budget(t)
	b.budget(t, func(s *BudgetSet) { s.Window, s.Unit, s.LimitMicros = "five", tokenUnit, 1000*budget.Micro })
	b.budget(t, func(s *BudgetSet) {
		s.Window, s.Unit, s.LimitMicros, s.ResetAt = "week", tokenUnit, 2000*budget.Micro, week
	})
	b.budget(t, func(s *BudgetSet) {
		s.Window, s.Unit, s.LimitMicros, s.ResetAt = "share", points, 100*budget.Micro, week
	})
}

// several is an estimate of credits, tokens and percent.
func several(a *Ask) {
	a.Exact = true
	a.Estimate = []Amount{{coins, 5 * budget.Micro}, {tokenUnit, 20 * budget.Micro}, {points, budget.Micro}}
}

// standing is what each window has committed and reserved, in whole units.
func (b *bundle) standing(t *testing.T) map[string][2]int64 {
	t.Helper()
	status, err := b.Budgets(t.Context(), "")
	require.NoError(t, err)
	out := make(map[string][2]int64)
	for _, w := range status.Windows {
		out[w.Window] = [2]int64{w.CommittedMicros / budget.Micro, w.ReservedMicros / budget.Micro}
	}
	return out
}

func TestARunHoldsEveryUnitOnEveryWindowThatCountsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	created := b.dispatch(t, ask(0, several))
	require.Equal(t, StateReady, created.State, created.Reason)
	require.Len(t, created.Holds, 4)
	require.Equal(t, map[string][2]int64{"main": {0, 5}, "five": {0, 20}, "week": {0, 20}, "share": {0, 1}}, b.standing(t))
	b.audit(t)
}

func TestOneUnitWithoutRoomHoldsNothingAnywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	waiting := b.dispatch(t, ask(0, several, func(a *Ask) { a.Estimate[2].Micros = 50 * budget.Micro }))
	require.Equal(t, StateQueued, waiting.State)
	require.Contains(t, waiting.Reason, "Needs 50%")
	require.Equal(t, map[string][2]int64{"main": {0, 0}, "five": {0, 0}, "week": {0, 0}, "share": {0, 0}}, b.standing(t))
	b.audit(t)
}

func TestActualsOfSeveralUnitsAreChargedToEachWindowOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several))
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{points, 2 * budget.Micro}, {coins, 4 * budget.Micro}, {tokenUnit, 15 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {4, 0}, "five": {15, 0}, "week": {15, 0}, "share": {2, 0}}, b.standing(t))
	b.audit(t)
}

func TestMeteredSpendGrowsUnitByUnit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several, func(a *Ask) { a.MaxAttempts = 1 }))
	claim := b.claimed(t)
	for _, metered := range [][]Amount{
		{{tokenUnit, 7 * budget.Micro}, {coins, 3 * budget.Micro}}, {{points, budget.Micro}}, {{tokenUnit, 2 * budget.Micro}, {coins, 4 * budget.Micro}}, nil,
	} {
		_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Beat{Claim: claim.ID, Metered: metered, TTL: time.Minute})
		require.NoError(t, err)
	}
	want := []Amount{{tokenUnit, 7 * budget.Micro}, {coins, 4 * budget.Micro}, {points, budget.Micro}}
	require.Equal(t, want, b.show(t, claim.Dispatch.ID).Metered)

	b.clock.pass(time.Minute)
	b.sweep(t)
	lost := b.show(t, claim.Dispatch.ID)
	require.Equal(t, StateFailed, lost.State)
	require.Equal(t, "coder-1 was lost on attempt 1 of 1.", lost.Reason)
	require.Equal(t, want, lost.Actuals, "what was metered is what it spent")
	require.Equal(t, map[string][2]int64{"main": {4, 0}, "five": {7, 0}, "week": {7, 0}, "share": {1, 0}}, b.standing(t))
	b.audit(t)
}

func TestALostRunCountsInTheUnitsItDidNotMeterAsItWasExpected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several))
	claim := b.claimed(t)
	_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Beat{Claim: claim.ID, Metered: []Amount{{tokenUnit, 9 * budget.Micro}}, TTL: time.Minute})
	require.NoError(t, err)
	b.clock.pass(time.Minute)
	b.sweep(t)
	require.Equal(t, StateReady, b.show(t, claim.Dispatch.ID).State)
	require.Equal(t, map[string][2]int64{"main": {5, 5}, "five": {9, 20}, "week": {9, 20}, "share": {1, 1}}, b.standing(t), "and the next attempt holds all of them again")
	b.audit(t)
}

func TestALateCompletionBooksTheRestOfEveryUnitOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	b.dispatch(t, ask(0, several))
	claim := b.claimed(t)
	_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Beat{Claim: claim.ID, Metered: []Amount{{tokenUnit, 6 * budget.Micro}}, TTL: time.Minute})
	require.NoError(t, err)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), claim.Dispatch.ID, "")
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {0, 0}, "five": {6, 0}, "week": {6, 0}, "share": {0, 0}}, b.standing(t))
	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateFailed, Actuals: []Amount{{tokenUnit, 10 * budget.Micro}, {points, 3 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {0, 0}, "five": {10, 0}, "week": {10, 0}, "share": {3, 0}}, b.standing(t), "both windows of tokens are charged")
	b.audit(t)
}

func TestSpendIsChargedToAWindowThatWasSetDuringTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	claim := b.claimed(t)
	b.budget(t, func(s *BudgetSet) { s.Window = "week" })
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{coins, 4 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, map[string][2]int64{"main": {4, 0}, "week": {4, 0}}, b.standing(t))
	b.audit(t)
}

func TestAnEstimateWithoutAUnitIsAskedBackWhereSeveralCouldBeMeant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	bare := func(a *Ask) { a.Estimate = []Amount{{Micros: 5 * budget.Micro}} }
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(0, exact, bare))
	refused := requireCode(t, CodeUnitMismatch, err)
	require.Equal(t, "estimate", refused.Field)
	require.Equal(t, "The estimate 5 has no unit, and the work of opus is metered in credits, tokens and percent.", refused.Detail)
	require.Equal(t, "Say which, such as 5credits.", refused.NextStep)
	require.Equal(t, `[{"unit": "credits", "micros": 5000000}]`, refused.Example)
	require.Equal(t, map[string][2]int64{"main": {0, 0}, "five": {0, 0}, "week": {0, 0}, "share": {0, 0}}, b.standing(t))

	rest := b.dispatch(t, ask(0, exact, func(a *Ask) {
		a.Estimate = []Amount{{coins, 5 * budget.Micro}, {tokenUnit, 20 * budget.Micro}, {"", budget.Micro}}
	}))
	require.Equal(t, Amount{points, budget.Micro}, rest.Estimate[2], "percent is all that is left to mean")
	b.audit(t)
}

func TestAnEstimateWithoutAUnitIsNotTakenForAPercentageThatAProviderReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.read(t, 10, func(r *ReadingReport) {
		r.Window, r.Unit, r.ResetAt, r.Every = "5h", points, b.clock.now().Add(time.Hour), 5*time.Hour
	})
	created := b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{Micros: 4 * budget.Micro}} }))
	require.Equal(t, StateReady, created.State, created.Reason)
	require.Equal(t, []Amount{{coins, 4 * budget.Micro}}, created.Estimate)
	held := make(map[string]int64)
	for _, hold := range created.Holds {
		held[hold.Window] = hold.Micros
	}
	require.Equal(t, map[string]int64{"main": 4 * budget.Micro, "5h": budget.Micro}, held, "4 credits are not 4 percent")
	b.audit(t)
}

// abroad sets claude's window of messages and codex' window of percent.
func (b *bundle) abroad(t *testing.T) {
	t.Helper()
	b.budget(t, func(s *BudgetSet) { s.Unit = "messages" })
	b.budget(t, func(s *BudgetSet) { s.Provider, s.Unit, s.LimitMicros = "codex", points, 100*budget.Micro })
}

func bare(amount int64) func(*Ask) {
	return func(a *Ask) { a.Estimate = []Amount{{Micros: amount * budget.Micro}} }
}

func TestAnEstimateWithoutAUnitSaysNothingOfAnotherProvidersUnits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.abroad(t)
	lowered := b.dispatch(t, ask(0, bare(400)))
	require.Equal(t, []Amount{{"messages", 400 * budget.Micro}}, lowered.Estimate)
	require.Equal(t, StateReady, lowered.State, lowered.Reason)
	require.Equal(t, "gpt-5.5", lowered.Model)
	require.Equal(t, int64(600_000), lowered.Holds[0].Micros, "1 % of the window at codex' cost, and not 400 percent")

	waiting := b.dispatch(t, ask(0, bare(400), func(a *Ask) { a.Exact = true }))
	require.Equal(t, StateQueued, waiting.State)
	require.Equal(t, []Amount{{"messages", 400 * budget.Micro}}, waiting.Estimate)
	b.audit(t)
}

func TestWhatAnEstimateWithoutAUnitLeavesOpenIsWhatEarlierRunsSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.abroad(t)
	for range 3 {
		b.dispatch(t, ask(0, func(a *Ask) { a.Model, a.Estimate = "gpt-5.5", []Amount{{points, budget.Micro / 2}} }))
		claim := b.claimed(t)
		_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
			Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{points, budget.Micro / 2}},
		})
		require.NoError(t, err)
	}
	learned := b.dispatch(t, ask(0, func(a *Ask) { a.Model, a.Estimate = "gpt-5.5", nil }))
	lowered := b.dispatch(t, ask(0, bare(400)))
	require.Equal(t, "gpt-5.5", lowered.Model, lowered.Reason)
	require.Equal(t, learned.Holds, lowered.Holds, "as without any estimate")
	require.NotEqual(t, int64(600_000), lowered.Holds[0].Micros)
	b.audit(t)
}

func TestWhatWaitsWithAnEstimateWithoutAUnitIsJudgedAnewAsItWasAtFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.abroad(t)
	b.dispatch(t, ask(0, func(a *Ask) { a.Model, a.Estimate = "gpt-5.5", []Amount{{points, 5 * budget.Micro}} }))
	waiting := b.dispatch(t, ask(0, bare(400)))
	require.Equal(t, StateQueued, waiting.State, waiting.Reason)
	b.clock.pass(time.Minute)
	_, err := b.Wake(t.Context())
	require.NoError(t, err)
	started := b.show(t, waiting.ID)
	require.Equal(t, StateReady, started.State, started.Reason)
	require.Equal(t, "gpt-5.5", started.Model)
	require.Equal(t, int64(600_000), started.Holds[0].Micros)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), waiting.ID, "")
	require.NoError(t, err)
	again, err := b.RetryDispatch(t.Context(), b.by("olga"), waiting.ID, Retry{})
	require.NoError(t, err)
	require.Equal(t, started.Holds, again.Holds, "and so is its retry")
	b.audit(t)
}

func TestAnEstimateWithoutAUnitForAModelWithoutAWindowMeansTheUnitOfThoseBelow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.Provider = "codex" })
	created := b.dispatch(t, ask(0, bare(4)))
	require.Equal(t, []Amount{{coins, 4 * budget.Micro}}, created.Estimate)
	b.budget(t, func(s *BudgetSet) { s.Provider, s.Window, s.Unit = "codex", "five", tokenUnit })
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(0, bare(4)))
	requireCode(t, CodeUnitMismatch, err)
}
