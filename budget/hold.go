package budget

import "time"

// reserve holds an admitted need, and opens a rolling window that was closed.
func (w *Window) reserve(hold Hold, now time.Time) {
	if w.Closed() {
		w.Enter(Epoch{Since: now, Reset: now.Add(w.Recurrence.Length)})
	}
	w.Reserved = add(w.Reserved, hold.Micros)
	w.Margin = add(w.Margin, hold.Margin)
	w.admitted(hold.mean(), now)
}

// mean is what pace counts of a hold.
func (h Hold) mean() int64 { return h.Micros - h.Margin }

// Settle commits what work has cost and gives its hold back. What it cost above the hold is the overrun: it is spent all the
// same, and what then stands above the capacity is the window's debt.
func (w *Window) Settle(hold Hold, cost int64) (overrun int64) {
	w.Reserved -= hold.Micros
	w.Margin -= hold.Margin
	w.Committed = add(w.Committed, cost)
	w.turnedOut(hold.Held, cost-hold.mean())
	return max(0, cost-hold.Micros)
}

// Release gives back a hold that nothing was spent of.
func (w *Window) Release(hold Hold) {
	w.Reserved -= hold.Micros
	w.Margin -= hold.Margin
	w.turnedOut(hold.Held, -hold.mean())
}

// Expire settles the hold of work that went silent with what it last metered; what never metered anything counts as its mean.
func (w *Window) Expire(hold Hold, metered int64, known bool) (overrun int64) {
	if !known {
		metered = hold.mean()
	}
	return w.Settle(hold, metered)
}

// Debt is what is spent and held above the capacity: nothing is admitted until it is gone.
func (w *Window) Debt() int64 { return max(0, w.Used()-w.Capacity()) }

// Meter splits a hold at a reset: what the run has metered so far stays behind, and the remainder moves along.
func (h Hold) Meter(metered int64) (remainder Hold) {
	h.Micros = max(0, h.Micros-metered)
	h.Margin = min(h.Margin, h.Micros)
	return h
}

// Extend adds to the holds of a run on the tier and subscription it runs on: all of its windows, or none. It is held to the cap
// alone, since a run is neither lowered nor stopped for pace in its midst; what comes after it is paced by it. A hold whose window is not
// in the fleet is refused.
func (f *Fleet) Extend(more []Hold) bool {
	for _, hold := range more {
		if window := f.Window(hold.Window); window == nil || hold.Micros > window.Capacity()-window.Used() {
			return false
		}
	}
	for _, hold := range more {
		window := f.Window(hold.Window)
		window.Reserved, window.Margin = add(window.Reserved, hold.Micros), add(window.Margin, hold.Margin)
		if !hold.Held.IsZero() {
			window.admitted(hold.mean(), hold.Held)
		}
	}
	return true
}

// Window finds a window of the fleet by its ID; nil if there is none.
func (f *Fleet) Window(id int64) *Window {
	for s := range f.Subscriptions {
		for w := range f.Subscriptions[s].Windows {
			if window := &f.Subscriptions[s].Windows[w]; window.ID == id {
				return window
			}
		}
	}
	for w := range f.Shared {
		if f.Shared[w].ID == id {
			return &f.Shared[w]
		}
	}
	return nil
}

func (f *Fleet) index(subscription *Subscription) int {
	for i := range f.Subscriptions {
		if &f.Subscriptions[i] == subscription {
			return i
		}
	}
	return -1
}
