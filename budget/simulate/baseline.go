package simulate

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// baseline runs work on the requested tier as soon as the cap lets it; it reserves what the governor would, so it is better
// than a check before each run, but has no pace, no ladder and no line.
type baseline struct {
	name   string
	ladder budget.Ladder
	// most prefers the subscription with the largest share left to the first with room.
	most bool
	// hour splits a window into hours that may each spend the same; nil does not.
	hour map[int64]hour
}

type hour struct {
	since time.Time
	used  int64
}

// Baselines are the policies that the governor is measured against.
func Baselines(ladder budget.Ladder) []Policy {
	return []Policy{
		&baseline{name: "greedy", ladder: ladder},
		&baseline{name: "hourly", ladder: ladder, hour: map[int64]hour{}},
		&baseline{name: "most-headroom", ladder: ladder, most: true},
	}
}

func (b *baseline) Name() string { return b.name }

func (b *baseline) Judge(request budget.Request, fleet []budget.Subscription, now time.Time) (Ruling, error) {
	tiers, err := b.ladder.From(request.Model)
	if err != nil {
		return Ruling{}, err
	}
	ruling := Ruling{Outcome: budget.Queue, Tier: tiers[0]}
	best, headroom := -1, 0.0
	for s := range fleet {
		if fleet[s].Provider != tiers[0].Provider {
			continue
		}
		room, again := b.room(request, &fleet[s], now)
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
	for w := range fleet[best].Windows {
		window := &fleet[best].Windows[w]
		hold := budget.Hold{Window: window.ID, Micros: amountIn(request.Estimate, window)}
		window.Reserved += hold.Micros
		ruling.Holds = append(ruling.Holds, hold)
	}
	return ruling, nil
}

// room is the smallest share that is left of a subscription's windows; below zero where the request does not fit, with the
// next hour, if that may help.
func (b *baseline) room(request budget.Request, subscription *budget.Subscription, now time.Time) (share float64, again time.Time) {
	share = 1
	for w := range subscription.Windows {
		window := &subscription.Windows[w]
		need, left := amountIn(request.Estimate, window), window.Capacity()-window.Used()
		if need > left {
			return -1, time.Time{}
		}
		if b.hour != nil {
			spent, length, next := b.spent(window, now)
			if window.Reset.Sub(window.Since) > length && spent+need > share64(window, length) {
				return -1, next
			}
		}
		share = min(share, float64(left)/float64(window.Capacity()))
	}
	return share, time.Time{}
}

// spent is what a window has used since its present hour began.
func (b *baseline) spent(window *budget.Window, now time.Time) (spent int64, length time.Duration, next time.Time) {
	length = time.Hour
	since := window.Since.Add(now.Sub(window.Since).Truncate(length))
	if began := b.hour[window.ID]; !began.since.Equal(since) {
		b.hour[window.ID] = hour{since: since, used: window.Used()}
	}
	return window.Used() - b.hour[window.ID].used, length, since.Add(length)
}

func share64(window *budget.Window, length time.Duration) int64 {
	return int64(float64(window.Capacity()) * float64(length) / float64(window.Reset.Sub(window.Since)))
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

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
