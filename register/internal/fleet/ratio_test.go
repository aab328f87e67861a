package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// tokens is a dispatch that is estimated in tokens alone.
func inTokens(thousands int64) Ask {
	return ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{tokenUnit, thousands * 1000 * budget.Micro}} })
}

// meters sets a window of percent and one of tokens on claude, over a week.
func (b *bundle) meters(t *testing.T) {
	t.Helper()
	week := b.clock.now().Add(7 * 24 * time.Hour)
	b.budget(t, func(s *BudgetSet) { s.Unit, s.LimitMicros, s.ResetAt = unitPercent, 100*budget.Micro, week })
	b.budget(t, func(s *BudgetSet) {
		s.Window, s.Unit, s.LimitMicros, s.ResetAt = "tokens", tokenUnit, 10_000_000*budget.Micro, week
	})
	b.clock.pass(4 * 24 * time.Hour)
}

// share is the window of percent.
func (b *bundle) share(t *testing.T) Window {
	t.Helper()
	window, err := b.Budget(t.Context(), "claude", "claude", DefaultWindow)
	require.NoError(t, err)
	return window
}

// runsTokens lets a claimed run end with tokens as all it metered.
func (b *bundle) runsTokens(t *testing.T, claim Claim, thousands int64) {
	t.Helper()
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{tokenUnit, thousands * 1000 * budget.Micro}},
	})
	require.NoError(t, err)
}

// teach shows a window of percent, three times, that 100k tokens take 2 % of it.
func (b *bundle) teach(t *testing.T) {
	t.Helper()
	b.clock.pass(time.Minute)
	b.read(t, 10)
	for i := range int64(3) {
		asked := inTokens(100)
		asked.Estimate = append(asked.Estimate, Amount{unitPercent, budget.Micro})
		b.dispatch(t, asked)
		claim := b.claimed(t)
		b.clock.pass(2 * time.Minute)
		b.read(t, 11+2*i) // half of it shows while it runs
		b.clock.pass(2 * time.Minute)
		b.runsTokens(t, claim, 100)
		b.clock.pass(time.Minute)
		b.read(t, 12+2*i)
	}
}

func TestTokensEnterAWindowOfPercentByTheRatioThatReadingsTaughtAndTheNextReadingCorrectsThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meters(t)
	require.Nil(t, b.share(t).Ratio)
	refused, err := b.CreateDispatch(t.Context(), b.by("olga"), inTokens(100))
	require.ErrorContains(t, err, "counts percent", "tokens never enter by themselves: %s", refused.Reason)

	b.teach(t)
	require.Equal(t, &TokenRatio{PointsMicros: 6 * budget.Micro, TokensMicros: 300_000 * budget.Micro, Readings: 3}, b.share(t).Ratio)
	before := b.share(t)
	admitted := b.dispatch(t, inTokens(200))
	require.Equal(t, StateReady, admitted.State, admitted.Reason)
	require.Len(t, admitted.Holds, 2)
	held := b.share(t).ReservedMicros
	require.Equal(t, int64(4_666_667), held, "4 %, and a point that rounding may hide")
	require.Contains(t, b.show(t, admitted.ID).Attempts[0].Reason, "estimated from its tokens")

	claim := b.claimed(t)
	b.clock.pass(time.Minute)
	b.runsTokens(t, claim, 150)
	after := b.share(t)
	require.Equal(t, before.CommittedMicros+3*budget.Micro, after.CommittedMicros, "150k tokens took 3 %")
	require.Zero(t, after.ReservedMicros)
	require.Equal(t, int64(3*budget.Micro), after.UnsettledMicros, "it is an estimate")
	b.audit(t)

	b.clock.pass(time.Minute)
	answer := b.read(t, 20)
	require.Equal(t, 20*budget.Micro-after.CommittedMicros, answer.Reading.BookedMicros, "the reading corrects it")
	require.Positive(t, answer.Reading.BookedMicros)
	corrected := b.share(t)
	require.Zero(t, corrected.UnsettledMicros)
	require.Equal(t, int64(20*budget.Micro), corrected.CommittedMicros)
	require.Equal(t, 4, corrected.Ratio.Readings, "and teaches")
}

func TestARunThatMeteredPercentItselfIsNotEstimated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meters(t)
	b.teach(t)
	before := b.share(t)
	b.dispatch(t, inTokens(100))
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{tokenUnit, 100_000 * budget.Micro}, {unitPercent, 5 * budget.Micro}},
	})
	require.NoError(t, err)
	after := b.share(t)
	require.Equal(t, before.CommittedMicros+5*budget.Micro, after.CommittedMicros)
	require.Zero(t, after.UnsettledMicros)
	b.audit(t)
}

func TestUseThatNoDispatchExplainsTeachesNoRatio(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meters(t)
	b.teach(t)
	taught := b.share(t).Ratio
	b.clock.pass(time.Minute)
	b.read(t, 40) // somebody used 24 % while nothing ran
	require.Equal(t, taught, b.share(t).Ratio)
}

func TestWorkWithoutAnEstimateHoldsWhatTheTokensOfSuchWorkTake(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meters(t)
	b.teach(t)
	learned := b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = nil }))
	require.Equal(t, StateReady, learned.State, learned.Reason)
	held := make(map[string]int64)
	for _, hold := range learned.Holds {
		held[hold.Unit] = hold.Micros
	}
	require.Positive(t, held[tokenUnit])
	require.InDelta(t, float64(held[tokenUnit])*7/300_000, float64(held[unitPercent]), 1, "6 % for 300k tokens, and a point that rounding may hide")
}
