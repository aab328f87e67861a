package simulate

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestShows(t *testing.T) {
	sums := map[string]*Report{}
	var order []string
	for seed := range uint64(4) {
		for _, p := range append([]Policy{&Governor{}}, Baselines()...) {
			at := time.Now()
			r := play(t, saturating(seed), p)
			fmt.Println(p.Name(), time.Since(at))
			if sums[r.Policy] == nil {
				sums[r.Policy] = r
				order = append(order, r.Policy)
			} else {
				sums[r.Policy].Add(r)
			}
		}
	}
	for _, n := range order {
		r := sums[n]
		slices.Sort(r.Stays)
		fmt.Printf("%-14s over@adm %.4f over %.4f/%.4f used %.4f least %.4f spent %.4f pace %.4f slack %.3f arr %d start %d ref %d wait %d low %.2f w50 %s w95 %s kept %.2f (%d) flaps %.1f stays %v\n", n, r.OvershootAtAdmission, r.Overshoot, r.OvershootBound, r.Used, r.LeastUsed, r.Spent, r.PacingError, r.Slack, r.Arrived, r.Started, r.Refused, r.Waiting, r.LoweredShare(), r.Wait(.5).Round(time.Second), r.Wait(.95).Round(time.Second), r.PromiseKept(), r.Promised, r.FlapsPerDay(), r.Stays)
	}
}
