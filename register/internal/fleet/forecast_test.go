package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// spendOf runs one dispatch to its end.
func (b *bundle) spendOf(t *testing.T, credits int64) {
	t.Helper()
	b.dispatch(t, ask(credits))
	b.finishWith(t, credits)
}

func (b *bundle) finishWith(t *testing.T, credits int64) {
	t.Helper()
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", credits * budget.Micro}},
	})
	require.NoError(t, err)
}

func (b *bundle) foreseen(t *testing.T) Forecast {
	t.Helper()
	forecast, err := b.Forecast(t.Context(), "claude", "claude", DefaultWindow)
	require.NoError(t, err)
	return forecast
}

func TestAForecastSaysWhatWillBeLeftByTheRateOfLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	for range 10 {
		b.clock.pass(5 * time.Minute)
		b.spendOf(t, 10)
	}
	forecast := b.foreseen(t)
	require.InDelta(t, 300*budget.Micro, forecast.LeftMicros, 10*budget.Micro, "100 in the first half, and 100 in the second")
	require.Zero(t, forecast.RunsDryAt)
	require.Nil(t, forecast.RunOut)
	require.Zero(t, forecast.Windows)
	require.Contains(t, forecast.Text, "Lasts until the reset at 2026-11-23 10:40:00 UTC and leaves about")
	require.Equal(t, int64(100*budget.Micro), forecast.Uses[len(forecast.Uses)-1].UsedMicros)
	require.Equal(t, start, forecast.Uses[0].At)
	require.Equal(t, start.Add(100*time.Minute), forecast.Path[len(forecast.Path)-1].At)
	require.Equal(t, forecast.AtResetMicros, forecast.Path[len(forecast.Path)-1].ExpectedMicros)
}

func TestAForecastSaysWhenAWindowRunsDry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.LimitMicros = 500 * budget.Micro })
	for range 9 {
		b.clock.pass(5 * time.Minute)
		b.spendOf(t, 25)
	}
	b.budget(t, func(s *BudgetSet) { s.LimitMicros, s.ResetAt = 300*budget.Micro, start.Add(100*time.Minute) })
	forecast := b.foreseen(t)
	require.WithinDuration(t, start.Add(60*time.Minute), forecast.RunsDryAt, 3*time.Minute, "225 in 45 minutes, 75 more in 15")
	require.Contains(t, forecast.Text, "Runs dry at")
}

func TestAForecastKnowsAProbabilityFromFivePastEpochsOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	for epoch := range 6 {
		if epoch > 0 {
			b.nextEpoch(t)
		}
		for range 4 {
			b.clock.pass(10 * time.Minute)
			b.spendOf(t, 20)
		}
	}
	forecast := b.foreseen(t)
	require.Equal(t, 5, forecast.Windows)
	require.NotNil(t, forecast.RunOut)
	require.Less(t, *forecast.RunOut, 0.2, "it never did")
	require.Contains(t, forecast.Text, "by 5 past windows")
}

// nextEpoch goes past claude's reset and sets the lapsed window again, to begin where the last one ended.
func (b *bundle) nextEpoch(t *testing.T) {
	t.Helper()
	reset := b.window(t).ResetAt
	b.clock.pass(reset.Sub(b.clock.now()))
	b.budget(t)
}

func TestAHistoryAndAForecastTellWhatNoDispatchExplains(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.spendOf(t, 10)
	b.clock.pass(time.Minute)
	b.read(t, 40)
	b.nextEpoch(t)
	b.spendOf(t, 5)
	history, err := b.History(t.Context(), "claude", "claude", DefaultWindow, 5)
	require.NoError(t, err)
	require.Zero(t, history.Epochs[0].UnattributedMicros)
	require.Equal(t, int64(30*budget.Micro), history.Epochs[1].UnattributedMicros, "40 less the 10 that were dispatched")
	b.clock.pass(time.Minute)
	b.read(t, 12)
	require.Equal(t, int64(7*budget.Micro), b.foreseen(t).Window.UnattributedMicros)
}

func TestAHistoryTellsWhatWasUsedLeftLoweredAndRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.spendOf(t, 10)
	b.spendOf(t, 10) // lowered: half the slack is used
	refused := b.dispatch(t, ask(400, exact, func(a *Ask) { a.Deadline = start.Add(time.Minute) }))
	require.Equal(t, StateRefused, refused.State)
	b.nextEpoch(t)
	b.spendOf(t, 5)
	history, err := b.History(t.Context(), "claude", "claude", DefaultWindow, 5)
	require.NoError(t, err)
	require.Len(t, history.Epochs, 2)
	now, before := history.Epochs[0], history.Epochs[1]
	require.Zero(t, now.EndedAt)
	require.Equal(t, int64(5*budget.Micro), now.UsedMicros)
	require.Equal(t, int64(20*budget.Micro), before.UsedMicros)
	require.Equal(t, int64(480*budget.Micro), before.LeftMicros)
	require.Zero(t, before.OvershootMicros)
	require.Equal(t, int64(1), before.Lowered)
	require.Equal(t, int64(1), before.Refused)
	require.Equal(t, "downgrade", before.HighestStep)
	require.Equal(t, start.Add(100*time.Minute), before.EndedAt)

	one, err := b.History(t.Context(), "claude", "claude", DefaultWindow, 1)
	require.NoError(t, err)
	require.Len(t, one.Epochs, 1)
	_, err = b.History(t.Context(), "claude", "claude", "none", 1)
	requireCode(t, CodeNotFound, err)
}
