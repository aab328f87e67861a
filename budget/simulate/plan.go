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
	Lowest   string // the lowest tier it may be lowered to; empty means any
	Priority int
	Costs    []budget.Amount // what it really costs on the requested tier, one a unit
	Lasts    time.Duration
	Patience time.Duration     // how long it may wait for its start; zero: as long as it takes
	Given    []budget.Estimate // estimates that came with it; nil: learned from the jobs before
}

// Plan is what is played: a fleet as it stands at the beginning, and the work that comes. A window that does not say how it
// recurs begins anew with the same length at its reset.
type Plan struct {
	Fleet      budget.Fleet
	Jobs       []Job // in the order of their arrival
	Begin, End time.Time
}

// Begin takes every window to the epoch of its length that holds an instant, with nothing spent: as it would have been then, for work
// that came before the windows it is played on.
func Begin(fleet *budget.Fleet, at time.Time) {
	for window := range Windows(fleet) {
		length := window.Reset.Sub(window.Since)
		since := window.Since.Add(at.Sub(window.Since) / max(1, length) * length)
		if at.Before(since) {
			since = since.Add(-length)
		}
		window.Enter(budget.Epoch{Since: since, Reset: since.Add(length)})
		window.Committed, window.Reserved, window.Margin = 0, 0, 0
	}
}

// Copy is a fleet that shares nothing with this one.
func Copy(fleet *budget.Fleet) *budget.Fleet {
	copied := budget.Fleet{
		Ladder: fleet.Ladder, Policy: fleet.Policy, LimitBursts: fleet.LimitBursts,
		Subscriptions: append([]budget.Subscription(nil), fleet.Subscriptions...), Shared: copyWindows(fleet.Shared),
	}
	for s := range copied.Subscriptions {
		copied.Subscriptions[s].Windows = copyWindows(copied.Subscriptions[s].Windows)
	}
	return &copied
}

func copyWindows(windows []budget.Window) []budget.Window {
	copied := append([]budget.Window(nil), windows...)
	for w := range copied {
		copied[w].Line = append([]budget.Waiting(nil), copied[w].Line...)
	}
	return copied
}

// amountIn is the amount in a window's unit.
func amountIn(amounts []budget.Amount, window *budget.Window) int64 {
	for _, amount := range amounts {
		if amount.Unit == "" || amount.Unit == window.Unit {
			return amount.Micros
		}
	}
	return 0
}
