package simulate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// TestAtSaturationTheGovernorPacesBetterAndWastesNothing is the proof of the rules over 20 seeds.
func TestAtSaturationTheGovernorPacesBetterAndWastesNothing(t *testing.T) {
	t.Parallel()
	const seeds = 20
	var plans []*Plan
	for seed := range uint64(seeds) {
		plans = append(plans, generate(t, saturating(seed)))
	}
	reports, err := Compare(plans...)
	require.NoError(t, err)
	t.Logf("\n%s", Table(reports))
	governor, baselines := reports[0], reports[1:]
	require.Equal(t, seeds, governor.Plans)
	require.Zero(t, governor.OvershootAtAdmission)
	require.LessOrEqual(t, governor.Overshoot, governor.OvershootBound)
	require.GreaterOrEqual(t, governor.LeastUsed, 0.97, "of L' at every reset of every seed")
	require.GreaterOrEqual(t, governor.Spent, 0.97)
	require.LessOrEqual(t, governor.PacingError, governor.Slack)
	require.LessOrEqual(t, governor.MostChanges(), 2)
	require.GreaterOrEqual(t, governor.PromiseKept(), 0.9)
	require.Greater(t, governor.Promised, 10_000)
	for _, baseline := range baselines {
		require.Less(t, governor.PacingError, baseline.PacingError, baseline.Policy)
		require.GreaterOrEqual(t, governor.Used, baseline.Used-0.001, "without losing utilisation to %s", baseline.Policy)
	}
}

// TestWorkThatWaitsHoweverLongStartsWhenPromised is a line that grows over several windows, none of whose work may be lowered.
func TestWorkThatWaitsHoweverLongStartsWhenPromised(t *testing.T) {
	t.Parallel()
	var sum *Report
	for seed := range uint64(4) {
		shape := saturating(seed)
		shape.Fleet.Subscriptions = shape.Fleet.Subscriptions[1:]
		shape.Exact, shape.Patience, shape.Demand, shape.Cycles, shape.Backlog = 1, 0, 1.2, 3, 0
		report := play(t, shape, &Governor{})
		if sum == nil {
			sum = report
		} else {
			sum.Add(report)
		}
	}
	require.GreaterOrEqual(t, sum.PromiseKept(), 0.9)
	require.Greater(t, sum.Promised, 1000)
}

// TestLargerJobsUseLessOfAWindowAndArePacedAllTheSame is jobs of 3 to 5 %: a window cannot be cut finer than its jobs, and so its use
// ends up to one of them below the capacity. All else holds as for small ones, but for how often steps change.
func TestLargerJobsUseLessOfAWindowAndArePacedAllTheSame(t *testing.T) {
	t.Parallel()
	for name, longest := range map[string]float64{"of 15 minutes": 0.05, "of 30 minutes": 0.1} {
		var plans []*Plan
		for seed := range uint64(6) {
			shape := saturating(seed)
			shape.Mean, shape.Largest, shape.Longest, shape.Sigma = 0.035, 0.05, longest, 0.25
			plans = append(plans, generate(t, shape))
		}
		reports, err := Compare(plans...)
		require.NoError(t, err)
		t.Logf("jobs of 3 to 5 %% of L' %s:\n%s", name, Table(reports))
		governor, baselines := reports[0], reports[1:]
		require.Zero(t, governor.OvershootAtAdmission)
		require.LessOrEqual(t, governor.Overshoot, governor.OvershootBound)
		require.GreaterOrEqual(t, governor.LeastUsed, 0.95, "at every reset of every seed")
		require.LessOrEqual(t, governor.PacingError, governor.Slack)
		require.GreaterOrEqual(t, governor.PromiseKept(), 0.9)
		require.Greater(t, governor.Promised, 1000)
		for _, baseline := range baselines {
			require.Less(t, governor.PacingError, baseline.PacingError, baseline.Policy)
			require.GreaterOrEqual(t, governor.Used, baseline.Used-0.001, "without losing utilisation to %s", baseline.Policy)
		}
	}
}

func TestAPlanIsPlayedTheSameEveryTime(t *testing.T) {
	t.Parallel()
	shape := saturating(7)
	shape.Priorities = 3
	first, second := generate(t, shape), generate(t, shape)
	require.Equal(t, first, second)
	for _, policy := range []Policy{&Governor{}, Baselines()[0]} {
		one, err := Play(first, policy)
		require.NoError(t, err)
		two, err := Play(second, policy)
		require.NoError(t, err)
		require.Equal(t, one, two)
	}
	other := shape
	other.Seed = 8
	require.NotEqual(t, first.Jobs, generate(t, other).Jobs)
}

func TestAShapeThatCannotBePlayedIsNamed(t *testing.T) {
	t.Parallel()
	for wrong, change := range map[string]func(*Shape){
		"there is no subscription": func(s *Shape) { s.Fleet.Subscriptions = nil },
		"0 windows":                func(s *Shape) { s.Cycles = 0 },
		"the demand":               func(s *Shape) { s.Demand = 0 },
		"the mean cost":            func(s *Shape) { s.Largest = s.Mean / 2 },
		"a share":                  func(s *Shape) { s.Exact = 1.5 },
		"the ladder":               func(s *Shape) { s.Fleet.Ladder = budget.Ladder{} },
	} {
		shape := saturating(1)
		change(&shape)
		_, err := Generate(shape)
		require.ErrorContains(t, err, wrong)
	}
}
