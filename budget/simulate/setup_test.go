package simulate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

var begin = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// fiveHours is 500 credits every five hours.
func fiveHours(id int64) budget.Window {
	return budget.Window{
		ID: id, Name: "5h", Unit: "credits", Limit: 500 * budget.Micro, BurstPPM: budget.DefaultBurstPPM,
		Since: begin, Reset: begin.Add(5 * time.Hour), Recurrence: budget.Repeats(5, budget.Hours, begin, time.UTC),
	}
}

// twoAccounts is two subscriptions of one provider, each with 500 credits in five hours and a week that does not bind.
func twoAccounts() budget.Fleet {
	week := fiveHours(11)
	week.Name, week.Limit, week.Reset = "weekly", 30_000*budget.Micro, begin.Add(7*24*time.Hour)
	week.Recurrence = budget.Repeats(1, budget.Weeks, begin, time.UTC)
	return budget.Fleet{
		Ladder: budget.DefaultLadder(), LimitBursts: true,
		Subscriptions: []budget.Subscription{
			{ID: 1, Provider: "claude", Name: "team-a", Windows: []budget.Window{fiveHours(10), week}},
			{ID: 2, Provider: "claude", Name: "team-b", Windows: []budget.Window{fiveHours(20)}},
		},
	}
}

// saturating is more work than two subscriptions can take, of jobs of at most 1 % of L' that last at most 2 % of D. Half of it
// may be lowered; it waits from the beginning on.
func saturating(seed uint64) Shape {
	return Shape{
		Seed: seed, Fleet: twoAccounts(), Cycles: 2, Demand: 2.5, Mean: 0.008, Largest: 0.01, Sigma: 0.5, Longest: 0.02,
		Backlog: 0.2, Burst: 0.1, Exact: 0.5, Patience: 0.15,
	}
}

func generate(t *testing.T, shape Shape) *Plan {
	t.Helper()
	plan, err := Generate(shape)
	require.NoError(t, err)
	return plan
}

func play(t *testing.T, shape Shape, policy Policy) *Report {
	t.Helper()
	report, err := Play(generate(t, shape), policy)
	require.NoError(t, err)
	return report
}
