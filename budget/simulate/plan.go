// Package simulate plays work against the budget's rules, and against simpler ones, on a clock of its own: the same plan gives
// the same report to the last digit. It uses the rules as the register does: what it decides on is budget.Decide.
package simulate

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// Job is one piece of work in a plan.
type Job struct {
	Arrives  time.Time
	Role     string
	Kind     string
	Model    string // the ceiling; empty means the highest tier
	Exact    bool
	Priority int
	Costs    []budget.Amount // what it really costs on the requested tier, one a unit
	Lasts    time.Duration
	Patience time.Duration   // how long it may wait for its start; zero: as long as it takes
	Estimate []budget.Amount // given with it; nil: learned from the jobs before
}

// Plan is what is played: subscriptions as they stand at the beginning, and the work that comes. A window that reaches its
// reset begins anew with the same length and limit.
type Plan struct {
	Ladder        budget.Ladder
	Subscriptions []budget.Subscription
	Jobs          []Job // in the order of their arrival
	Begin, End    time.Time
}

// copyOf is subscriptions that share nothing with these.
func copyOf(subscriptions []budget.Subscription) []budget.Subscription {
	copied := make([]budget.Subscription, len(subscriptions))
	for s, subscription := range subscriptions {
		copied[s] = subscription
		copied[s].Windows = make([]budget.Window, len(subscription.Windows))
		for w, window := range subscription.Windows {
			copied[s].Windows[w] = window
			copied[s].Windows[w].Line = append([]budget.Waiting(nil), window.Line...)
		}
	}
	return copied
}
