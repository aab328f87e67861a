package simulate

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// baseline runs work on the requested tier as soon as the cap lets it; it reserves what the governor would, so it is better
// than a check before each run, but has no pace, no ladder and no line.
type baseline struct {
	name string
	// most prefers the subscription with the largest share left to the first with room.
	most bool
	// hours are the hour that each window is in, each of which may spend the same; nil does not look at hours.
	hours map[int64]hour
}

type hour struct {
	since time.Time
	used  int64
}

// Baselines are the policies that the governor is measured against.
func Baselines() []Policy {
	return []Policy{
		&baseline{name: "greedy"},
		&baseline{name: "hourly", hours: map[int64]hour{}},
		&baseline{name: "most-headroom", most: true},
	}
}

func (b *baseline) Name() string { return b.name }

func (b *baseline) Steps() bool { return false }

func (b *baseline) Judge(request *budget.Request, fleet *budget.Fleet, now time.Time) (Ruling, error) {
	tiers, err := fleet.Ladder.From(request.Model)
	if err != nil {
		return Ruling{}, err
	}
	ruling := Ruling{Outcome: budget.Queue, Tier: tiers[0]}
	if !request.Deadline.IsZero() && now.After(request.Deadline) {
		ruling.Outcome = budget.Refuse
		return ruling, nil
	}
	best, headroom := -1, 0.0
	for s := range fleet.Subscriptions {
		subscription := &fleet.Subscriptions[s]
		if subscription.Provider != tiers[0].Provider {
			continue
		}
		room, again := b.room(request, tiers[0], subscription, now)
		if room < 0 {
			ruling.Start = earlier(ruling.Start, again)
			continue
		}
		if best < 0 || b.most && room > headroom {
			best, headroom = s, room
		}
	}
	if best < 0 {
		return ruling, nil
	}
	ruling.Outcome = budget.Admit
	windows := fleet.Subscriptions[best].Windows
	for w := range windows {
		window := &windows[w]
		if window.Closed() {
			window.Enter(budget.Epoch{Since: now, Reset: now.Add(window.Recurrence.Length)})
		}
		hold := holdOf(request, tiers[0], window)
		window.Reserved += hold.Micros
		window.Margin += hold.Margin
		ruling.Holds = append(ruling.Holds, hold)
	}
	return ruling, nil
}

// room is the smallest share that is left of a subscription's windows; below zero where the request does not fit, with the
// next hour, if that may help.
func (b *baseline) room(request *budget.Request, tier budget.Tier, subscription *budget.Subscription, now time.Time) (share float64, again time.Time) {
	share = 1
	for w := range subscription.Windows {
		window := &subscription.Windows[w]
		need, left := holdOf(request, tier, window).Micros, window.Capacity()-window.Used()
		if need > left {
			return -1, time.Time{}
		}
		if length := window.Reset.Sub(window.Since); b.hours != nil && !window.Closed() && length > time.Hour {
			spent, next := b.spent(window, now)
			if float64(spent+need) > float64(window.Capacity())*float64(time.Hour)/float64(length) {
				return -1, next
			}
		}
		share = min(share, float64(left)/float64(window.Capacity()))
	}
	return share, time.Time{}
}

// spent is what a window has used since its present hour began, and when the next one does.
func (b *baseline) spent(window *budget.Window, now time.Time) (spent int64, next time.Time) {
	since := window.Since.Add(now.Sub(window.Since).Truncate(time.Hour))
	if began := b.hours[window.ID]; !began.since.Equal(since) {
		b.hours[window.ID] = hour{since: since, used: window.Used()}
	}
	return window.Used() - b.hours[window.ID].used, since.Add(time.Hour)
}

// holdOf is what a tier reserves of a window.
func holdOf(request *budget.Request, tier budget.Tier, window *budget.Window) budget.Hold {
	for _, estimate := range request.Estimates {
		if estimate.Model == tier.Model && estimate.Unit == window.Unit {
			return budget.Hold{Window: window.ID, Micros: estimate.Upper, Margin: estimate.Upper - estimate.Mean}
		}
	}
	return budget.Hold{Window: window.ID, Micros: window.Capacity() / 100}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
