package budget

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eightByFour is eight subscriptions, six of Claude and two of Codex, with four windows each: 5 hours, a week, a week of one
// model, and one of a role. Their use is spread by used, in percent of the allowance.
func eightByFour(used int64) *Fleet {
	fleet := &Fleet{Ladder: DefaultLadder(), LimitBursts: true}
	id := int64(0)
	for s := range 8 {
		subscription := Subscription{ID: int64(s + 1), Provider: "claude", Name: fmt.Sprintf("max-%d", s+1)}
		model := "opus"
		if s >= 6 {
			subscription.Provider, model = "codex", "gpt-5.5"
		}
		for w := range 4 {
			id++
			window := Window{
				ID: id, Name: "5h", Unit: "tokens", Limit: 40_000_000 * Micro, BurstPPM: DefaultBurstPPM, Source: ProviderDetected,
				Checked: start.Add(time.Hour), Since: start, Reset: start.Add(5 * time.Hour),
			}
			switch w {
			case 1:
				window.Name, window.Limit, window.Reset = "weekly", 400_000_000*Micro, start.Add(7*24*time.Hour)
			case 2:
				window.Name, window.Model, window.Reset = "weekly "+model, model, start.Add(7*24*time.Hour)
			case 3:
				window.Name, window.Scope, window.Source = "role", Scope{OfRole, "coder"}, UserEntered
			}
			window.Committed = window.Allowance(middle) / 100 * used
			window.Recent = window.Committed / 20
			subscription.Windows = append(subscription.Windows, window)
		}
		fleet.Subscriptions = append(fleet.Subscriptions, subscription)
	}
	return fleet
}

var middle = start.Add(time.Hour + 3*time.Minute)

func someWork() Request {
	return Request{
		Place: Place{ID: 1, Priority: 5}, Role: "coder", Project: "mosaic", Model: "opus",
		Estimates: []Estimate{{Unit: "tokens", Mean: 100_000 * Micro, Upper: 220_000 * Micro}},
	}
}

// BenchmarkDecide is one decision over 8 subscriptions with 4 windows each: admitted after comparing all of the first tier,
// and queued after trying every tier on all of them.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name    string
		used    int64
		outcome Outcome
	}{{"admit", 90, Admit}, {"queue", 200, Queue}} {
		b.Run(c.name, func(b *testing.B) {
			fleet, request := eightByFour(c.used), someWork()
			var decision Decision
			require.NoError(b, fleet.DecideInto(&decision, &request, middle))
			require.Equal(b, c.outcome, decision.Outcome)
			b.ReportAllocs()
			before := worked(b)
			for b.Loop() {
				if err := fleet.DecideInto(&decision, &request, middle); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(worked(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// worked is the time this process has had a processor, which says the same on a busy machine as on a quiet one.
func worked(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestADecisionAllocatesNothing(t *testing.T) {
	for _, used := range []int64{90, 200} {
		fleet, request := eightByFour(used), someWork()
		var decision Decision
		require.NoError(t, fleet.DecideInto(&decision, &request, middle))
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = fleet.DecideInto(&decision, &request, middle) }))
	}
}
