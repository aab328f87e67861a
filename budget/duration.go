package budget

import (
	"slices"
	"time"
)

// leastRuns is how many runs a 90th percentile takes: the rank ceil(0.9 (n+1)) exists from n = 9 on.
const leastRuns = 9

// LongRun is the 90th percentile of how long runs took, by the conformal rank ceil(0.9 (n+1)): if the next run is like these, it is
// over by then with a probability of at least 0.9. It is unknown for fewer than 9 runs.
func LongRun(runs []time.Duration) (long time.Duration, known bool) {
	if len(runs) < leastRuns {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(runs))
	rank := (9*(len(runs)+1) + 9) / 10
	return sorted[rank-1], true
}

// Late says whether a dispatch was refused because it cannot start in time, and not because it can never fit.
func (d *Decision) Late() bool {
	return d.Outcome == Refuse && (len(d.Attempts) == 0 || d.chosen >= 0)
}
