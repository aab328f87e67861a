package simulate

import (
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

// expect is the bound on what a job costs on a tier, in every unit that the tier's windows count.
func (m memory) expect(job *Job, tier budget.Tier, fleet []budget.Subscription, now time.Time) []budget.Amount {
	var estimates []budget.Amount
	for _, unit := range units(fleet) {
		expected := budget.Expect(prior(fleet, unit), now, m.keys(job, tier.Model, unit)...)
		estimates = append(estimates, budget.Amount{Unit: unit, Micros: expected.Bound})
	}
	return estimates
}

// learn takes in what a run cost on its tier.
func (m memory) learn(r *run, fleet []budget.Subscription, ladder budget.Ladder, now time.Time) {
	requested, _ := ladder.From(r.ticket.job.Model)
	for _, cost := range r.ticket.job.Costs {
		actual := budget.Actual{At: now, Micros: onTier(cost.Micros, r.tier, requested[0])}
		budget.Learn(actual, prior(fleet, cost.Unit), m.keys(r.ticket.job, r.tier.Model, cost.Unit)...)
	}
}

// prior is what is held without any estimate: 1 % of the smallest window of the unit.
func prior(fleet []budget.Subscription, unit string) budget.Prior {
	var smallest int64
	for s := range fleet {
		for w := range fleet[s].Windows {
			if window := &fleet[s].Windows[w]; window.Unit == unit && (smallest == 0 || window.Capacity() < smallest) {
				smallest = window.Capacity()
			}
		}
	}
	return budget.Prior{Mean: int64(float64(smallest) * budget.DefaultEstimatePPM / 1e6)}
}

func units(fleet []budget.Subscription) []string {
	var all []string
	seen := map[string]bool{}
	for s := range fleet {
		for w := range fleet[s].Windows {
			if unit := fleet[s].Windows[w].Unit; !seen[unit] {
				seen[unit] = true
				all = append(all, unit)
			}
		}
	}
	return all
}
