package simulate

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestWindowsAreTakenBackToTheEpochTheWorkCameIn(t *testing.T) {
	t.Parallel()
	for at, since := range map[time.Duration]time.Duration{
		0: 0, -time.Nanosecond: -5 * time.Hour, -5 * time.Hour: -5 * time.Hour, -26 * time.Hour: -30 * time.Hour, 7 * time.Hour: 5 * time.Hour,
	} {
		fleet := twoAccounts()
		fleet.Subscriptions[0].Windows[0].Committed, fleet.Subscriptions[0].Windows[0].Reserved = 7*budget.Micro, budget.Micro
		Begin(&fleet, begin.Add(at))
		window := fleet.Subscriptions[0].Windows[0]
		require.Equal(t, begin.Add(since), window.Since, "%s", at)
		require.Equal(t, 5*time.Hour, window.Reset.Sub(window.Since))
		require.Zero(t, window.Used())
	}
}

func TestWorkIsNotLoweredBelowItsRolesLowestTier(t *testing.T) {
	t.Parallel()
	plan := generate(t, saturating(3))
	for i := range plan.Jobs {
		plan.Jobs[i].Lowest = plan.Jobs[i].Model
	}
	report, err := Play(plan, &Governor{})
	require.NoError(t, err)
	require.Zero(t, report.Lowered)
}

func TestWhoCannotWaitGivesUp(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := PlayWithin(over, generate(t, saturating(1)), &Governor{})
	require.ErrorIs(t, err, context.Canceled)
}
