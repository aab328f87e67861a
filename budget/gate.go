package budget

import "time"

// gate judges the tiers of one request. Both rules must hold on every window: the cap, used + q <= L', which nothing
// lifts, and pace, used + q <= a(t) + slack.
type gate struct {
	ladder        Ladder
	request       Request
	requested     Tier
	lower         Ladder // the tiers below the requested one that may be used
	subscriptions []Subscription
	now           time.Time
}

// try is the attempts of one tier, up to the first that is admitted; at least one.
func (g *gate) try(tier Tier, lower bool) []Attempt {
	var attempts []Attempt
	for s := range g.subscriptions {
		subscription := &g.subscriptions[s]
		if subscription.Provider != tier.Provider {
			continue
		}
		attempt := g.trySubscription(tier, lower, subscription)
		attempts = append(attempts, attempt)
		if attempt.Verdict == Admitted {
			return attempts
		}
	}
	if len(attempts) == 0 {
		return []Attempt{{Tier: tier, Verdict: NoSubscription, requested: g.requested}}
	}
	return attempts
}

// trySubscription is admitted only by all live windows at once; otherwise the window that shuts the gate most firmly speaks.
func (g *gate) trySubscription(tier Tier, lower bool, subscription *Subscription) Attempt {
	attempt := Attempt{Tier: tier, Verdict: NoSubscription}
	var holds []Hold
	var start time.Time
	for w := range subscription.Windows {
		window := &subscription.Windows[w]
		judged := g.tryWindow(tier, lower, window)
		if judged.Verdict != Lapsed {
			holds = append(holds, Hold{Window: window.ID, Micros: judged.Need.Micros})
			start = latest(start, judged.Start)
		}
		if firmness(&judged) > firmness(&attempt) {
			attempt = judged
		}
	}
	if lower && holds != nil && !g.saves(tier, subscription) {
		attempt.Verdict = SavesNothing
	}
	attempt.Subscription, attempt.subscriptionID = subscription.Name, subscription.ID
	attempt.requested, attempt.holds, attempt.Start = g.requested, holds, start
	if attempt.missing = g.missing(tier, subscription); attempt.missing != "" && attempt.Verdict != UnitMismatch && !attempt.never {
		attempt.Verdict = NoWorker
	}
	if shut(&attempt) {
		attempt.Start = time.Time{}
	}
	return attempt
}

// shut says whether an attempt can never start.
func shut(a *Attempt) bool {
	switch a.Verdict {
	case Admitted, OverPace, LineAhead:
		return false
	case OverCap:
		return a.never
	}
	return true
}

// firmness orders judgements by how firmly they shut the gate; a live window's always outweighs a lapsed one's.
func firmness(a *Attempt) int {
	switch a.Verdict {
	case Lapsed:
		return 1
	case Admitted:
		return 2
	case OverPace:
		return 3
	case LineAhead:
		return 4
	case OverCap:
		if a.never {
			return 6
		}
		return 5
	case UnitMismatch:
		return 7
	}
	return 0
}

func (g *gate) tryWindow(tier Tier, lower bool, window *Window) Attempt {
	attempt := Attempt{Tier: tier, Window: window.Name, Reset: window.Reset}
	if window.Lapsed(g.now) {
		attempt.Verdict = Lapsed
		return attempt
	}
	need, known := g.need(tier, window)
	attempt.Need = Amount{Unit: window.Unit, Micros: need}
	if !known {
		attempt.Verdict, attempt.estimated = UnitMismatch, g.request.Estimate[0].Unit
		return attempt
	}
	slack := window.Burst()
	if !lower && g.someLowerSaves(window) {
		slack /= 2
	}
	var ahead queue
	if !g.request.Lifted {
		ahead = window.ahead(g.request.Place)
	}
	left := window.Capacity() - window.Used()
	attempt.Room = min(left, window.paceRoom(slack, g.now))
	attempt.Ahead, attempt.AheadMicros = ahead.count, ahead.amount
	attempt.Start = window.Reset
	if add(ahead.amount, need) <= left {
		attempt.Start = latest(window.WakeAt(ahead.amount, need, slack, g.now), ahead.start)
	}
	switch {
	case need > left:
		attempt.Verdict, attempt.Room, attempt.never = OverCap, left, need > window.Capacity()
	case ahead.count > 0:
		attempt.Verdict = LineAhead
	case need > attempt.Room && !g.request.Lifted:
		attempt.Verdict = OverPace
	default:
		attempt.Verdict, attempt.Start = Admitted, g.now
	}
	return attempt
}

// need is what a tier takes from a window: the estimate in the window's unit, scaled by cost and rounded up. It is not
// known when the estimate speaks of other units only.
func (g *gate) need(tier Tier, window *Window) (micros int64, known bool) {
	if len(g.request.Estimate) == 0 {
		return scaleUp(scale(window.Capacity(), DefaultEstimatePPM, million), tier.Cost, g.requested.Cost), true
	}
	for _, estimate := range g.request.Estimate {
		if estimate.Unit == "" || estimate.Unit == window.Unit {
			return scaleUp(estimate.Micros, tier.Cost, g.requested.Cost), true
		}
	}
	return 0, false
}

// saves says whether a lower tier takes less than the requested one: a smaller estimate on a window they share, or
// windows of its own.
func (g *gate) saves(tier Tier, subscription *Subscription) bool {
	if tier.Provider != g.requested.Provider || g.missing(g.requested, subscription) != "" {
		return true
	}
	for w := range subscription.Windows {
		if window := &subscription.Windows[w]; !window.Lapsed(g.now) && g.savesOn(tier, window) {
			return true
		}
	}
	return false
}

func (g *gate) savesOn(tier Tier, window *Window) bool {
	lower, known := g.need(tier, window)
	requested, _ := g.need(g.requested, window)
	return !known || lower < requested
}

// someLowerSaves says whether a lower tier could relieve this window of the requested one, so that half the slack is
// kept for it.
func (g *gate) someLowerSaves(window *Window) bool {
	for _, tier := range g.lower {
		if tier.Provider == g.requested.Provider {
			if g.savesOn(tier, window) {
				return true
			}
			continue
		}
		if g.live(tier) {
			return true
		}
	}
	return false
}

// live says whether a tier has a subscription whose windows can take this request at all.
func (g *gate) live(tier Tier) bool {
	for s := range g.subscriptions {
		if g.subscriptions[s].Provider != tier.Provider || g.missing(tier, &g.subscriptions[s]) != "" {
			continue
		}
		for w := range g.subscriptions[s].Windows {
			window := &g.subscriptions[s].Windows[w]
			if need, known := g.need(tier, window); known && !window.Lapsed(g.now) && need <= window.Capacity() {
				return true
			}
		}
	}
	return false
}

// meterUnknown says whether the request may run unmetered: no live window ever admits it, and the requested tier has
// none that a worker serves. An unknown meter is advisory, never a hard stop.
func (g *gate) meterUnknown(attempts []Attempt) bool {
	for _, attempt := range attempts {
		if attempt.Tier == g.requested && attempt.Verdict != Lapsed && attempt.Verdict != NoSubscription && attempt.Verdict != NoWorker {
			return false
		}
	}
	return true
}

// unmetered is the subscription that unmetered work runs on: the first of the requested provider that a worker serves, or none
// where it has none.
func (g *gate) unmetered() (name string, id int64, manned bool) {
	none := true
	for s := range g.subscriptions {
		subscription := &g.subscriptions[s]
		if subscription.Provider != g.requested.Provider {
			continue
		}
		none = false
		if g.missing(g.requested, subscription) == "" {
			return subscription.Name, subscription.ID, true
		}
	}
	return "", 0, none && g.missing(g.requested, &Subscription{Provider: g.requested.Provider}) == ""
}

func (g *gate) missing(tier Tier, subscription *Subscription) string {
	return g.request.Crew.Missing(g.ladder, tier.Model, Label(subscription.Provider, subscription.Name))
}
