package simulate

import (
	"iter"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// memory is what finished runs cost, as the register keeps it.
type memory map[remembered]*budget.Actuals

type remembered struct {
	budget.Key
	unit string
}

func (m memory) keys(job *Job, model, unit string) []*budget.Actuals {
	var keys []*budget.Actuals
	for _, key := range (budget.Key{Role: job.Role, Kind: job.Kind, Model: model}).BackOff() {
		kept, known := m[remembered{key, unit}]
		if !known {
			kept = &budget.Actuals{}
			m[remembered{key, unit}] = kept
		}
		keys = append(keys, kept)
	}
	return keys
}

// expect is the estimates of a job on every tier it may use that has been seen, and on the one it asks for, in every unit that
// windows count; the rules scale those to tiers that have not been seen.
func (m memory) expect(job *Job, tiers budget.Ladder, fleet *budget.Fleet) []budget.Estimate {
	var estimates []budget.Estimate
	for _, unit := range units(fleet) {
		for t, tier := range tiers {
			learned := budget.Expect(prior(fleet, unit), m.keys(job, tier.Model, unit)...)
			if t == 0 || learned.Confidence != budget.NoConfidence {
				estimates = append(estimates, learned.Estimate(tier.Model, unit))
			}
		}
	}
	return estimates
}

// learn takes in what a run cost on its tier.
func (m memory) learn(r *run, fleet *budget.Fleet, now time.Time) {
	requested, _ := fleet.Ladder.From(r.ticket.job.Model)
	for _, cost := range r.ticket.job.Costs {
		actual := budget.Actual{At: now, Micros: onTier(cost.Micros, r.tier, requested[0])}
		budget.Learn(actual, prior(fleet, cost.Unit), m.keys(r.ticket.job, r.tier.Model, cost.Unit)...)
	}
}

// prior is what is held without any estimate: 1 % of the smallest window of the unit.
func prior(fleet *budget.Fleet, unit string) budget.Prior {
	var smallest int64
	for window := range Windows(fleet) {
		if window.Unit == unit && (smallest == 0 || window.Capacity() < smallest) {
			smallest = window.Capacity()
		}
	}
	return budget.Prior{Mean: int64(float64(smallest) * budget.DefaultEstimatePPM / 1e6)}
}

func units(fleet *budget.Fleet) []string {
	var all []string
	for window := range Windows(fleet) {
		if !slices.Contains(all, window.Unit) {
			all = append(all, window.Unit)
		}
	}
	return all
}

// Windows is every window of a fleet with the name of its subscription; a shared one has its scope's.
func Windows(fleet *budget.Fleet) iter.Seq2[*budget.Window, string] {
	return func(yield func(*budget.Window, string) bool) {
		for s := range fleet.Subscriptions {
			for w := range fleet.Subscriptions[s].Windows {
				if !yield(&fleet.Subscriptions[s].Windows[w], fleet.Subscriptions[s].Name) {
					return
				}
			}
		}
		for w := range fleet.Shared {
			if !yield(&fleet.Shared[w], fleet.Shared[w].Scope.String()) {
				return
			}
		}
	}
}
