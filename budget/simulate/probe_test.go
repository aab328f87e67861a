package simulate

import (
	"fmt"
	"testing"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func one() []budget.Subscription {
	return []budget.Subscription{{ID: 1, Provider: "claude", Name: "a", Windows: []budget.Window{{ID: 10, Name: "5h", Unit: "credits", Limit: 500 * budget.Micro, BurstPPM: 50000, Since: t0, Reset: t0.Add(5 * time.Hour)}}}}
}

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func TestProbe(t *testing.T) {
	for _, big := range []float64{1, 4} {
		for _, exact := range []float64{0.5, 1} {
			sums := map[string]*Report{}
			var order []string
			began := time.Now()
			for seed := range uint64(5) {
				plan, err := Generate(Shape{Seed: seed, Ladder: budget.DefaultLadder(), Subscriptions: one(), Cycles: 3, Demand: 1.3, Mean: .005 * big, Largest: .01 * big, Sigma: .5, Longest: .02, Burst: .1, Exact: exact})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range append([]Policy{Governor{budget.DefaultLadder()}}, Baselines(budget.DefaultLadder())...) {
					r, err := Play(plan, p)
					if err != nil {
						t.Fatal(err)
					}
					if sums[r.Policy] == nil {
						sums[r.Policy] = r
						order = append(order, r.Policy)
					} else {
						sums[r.Policy].Add(r)
					}
				}
			}
			fmt.Println("exact", exact, "big", big, time.Since(began))
			for _, n := range order {
				r := sums[n]
				hist := map[int]int{}
				for _, s := range r.Stays {
					hist[s]++
				}
				fmt.Printf("%-14s over@adm %.4f over %.4f/%.4f used %.4f least %.4f spent %.4f pace %.4f slack %.3f arr %d start %d ref %d wait %d low %.2f w50 %s w95 %s kept %.2f (%d) flaps %.1f stays %v\n", n, r.OvershootAtAdmission, r.Overshoot, r.OvershootBound, r.Used, r.LeastUsed, r.Spent, r.PacingError, r.Slack, r.Arrived, r.Started, r.Refused, r.Waiting, r.LoweredShare(), r.Wait(.5).Round(time.Second), r.Wait(.95).Round(time.Second), r.PromiseKept(), r.Promised, r.FlapsPerDay(), hist)
			}
		}
	}
}
