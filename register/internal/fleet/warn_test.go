package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestAWindowThatBurnsTooFastIsWarnedOfOncePerLevelBeforeItsStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		every time.Duration // one credit; an even spread has 0.69 an hour
		fast  bool
	}{
		"fast": {5 * time.Minute, true},
		"slow": {30 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.budget(t, func(s *BudgetSet) { s.ResetAt = start.Add(30 * 24 * time.Hour) })
			for range 30 {
				b.clock.pass(c.every)
				b.dispatch(t, ask(1))
				require.NoError(t, b.Warn(t.Context()))
				require.NoError(t, b.Warn(t.Context()))
			}
			warnings, steps := b.told(t, "budget.burn"), b.told(t, "budget.step")
			require.NotEmpty(t, steps, "the step it warned of came")
			require.Len(t, warnings, 1)
			warning := warnings[0]
			require.Equal(t, c.fast, warning.Burn.Fast)
			require.Less(t, warning.Seq, steps[0].Seq, "ahead of the step")
			require.Equal(t, "normal", warning.Burn.Window.Step)
			require.Contains(t, warning.Burn.Text, "as fast as the even spread")
		})
	}
}

func TestUseEnteredByHandIsNoBurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) {
		s.Since, s.ResetAt, s.UsedMicros = start.Add(-10*24*time.Hour), start.Add(20*24*time.Hour), new(int64(165*budget.Micro))
	})
	b.clock.pass(time.Minute)
	require.NoError(t, b.Warn(t.Context()))
	require.Empty(t, b.told(t, "budget.burn"))
}
