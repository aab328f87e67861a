package budget

import (
	"math/bits"
	"slices"
	"time"
)

// figure is a window worked out for one instant, but for what depends on the request. It is kept as long as nothing of the
// window and of the time has changed, which is compared each time: working it out costs several divisions.
type figure struct {
	window  *Window
	covered bool // it covers the request
	narrow  bool // but only on some tiers
	shared  bool
	lapsed  bool
	closed  bool
	meter   Meter
	unit    int   // in sheet.units; -1 for none of them
	left    int64 // L' - C - R90
	room    int64 // a(t) + b + extra - C - Rmean
	half    int64 // what is kept of b for a tier that saves
	recent  int64 // 0 if bursts are not limited
	ahead   queue
	length  int64
	reset   int64
	sure    float64 // L' - C - Rmean - z sigma
	weight  float64 // D / (L' (T - t)): headroom is (sure - q) x weight; 0 when no time is left

	capacity int64
	expected int64 // C + Rmean
	slack    int64 // b
	most     int64 // what may be recent
	elapsed  int64
	since    int64
	of       facts
	share    [2]need // without an estimate: of the requested tier, and of the one in hand
}

// facts is all of a window that its figure depends on.
type facts struct {
	limit, floor, committed, reserved, margin, recent, burst, extra int64
	kind                                                            Kind
	source                                                          Source
	spread                                                          *Spread
	since, reset, checked                                           time.Time
}

// survey brings the figures of all windows up to date and finds out which cover the request.
func (f *Fleet) survey(s *sheet) {
	count := len(f.Shared)
	for i := range f.Subscriptions {
		count += len(f.Subscriptions[i].Windows)
	}
	if count != len(f.figures) || len(f.begin) != len(f.Subscriptions)+1 {
		f.figures, f.begin = make([]figure, count), make([]int, len(f.Subscriptions)+1)
	}
	if f.workedAt != s.now || f.workedBursts != f.LimitBursts {
		clear(f.figures)
		f.workedAt, f.workedBursts = s.now, f.LimitBursts
	}
	sameUnits := slices.Equal(f.units, s.units)
	f.units = append(f.units[:0], s.units...)
	next := f.surveyOf(s, f.Shared, 0, true, sameUnits)
	f.begin[0] = next
	for i := range f.Subscriptions {
		next = f.surveyOf(s, f.Subscriptions[i].Windows, next, false, sameUnits)
		f.begin[i+1] = next
	}
}

func (f *Fleet) surveyOf(s *sheet, windows []Window, next int, shared, sameUnits bool) int {
	for i := range windows {
		window, figure := &windows[i], &f.figures[next]
		next++
		if figure.window != window || !figure.of.still(window) {
			figure.workOut(window, s.now, f.LimitBursts, shared)
			figure.unit = s.unit(window.Unit)
		} else if !sameUnits {
			figure.unit = s.unit(window.Unit)
		}
		figure.covered = window.Scope.Kind == OfSubscription || window.Scope.Covers(s.request)
		if !figure.covered {
			continue
		}
		figure.narrow = window.Model != "" || window.Provider != ""
		if len(window.Line) > 0 && !s.request.Lifted {
			figure.ahead = window.ahead(&s.request.Place)
		} else if figure.ahead.count > 0 {
			figure.ahead = queue{}
		}
	}
	return next
}

// of is the figures of a subscription's own windows.
func (f *Fleet) of(subscription int) []figure {
	return f.figures[f.begin[subscription]:f.begin[subscription+1]]
}

func (f *Fleet) shared() []figure { return f.figures[:f.begin[0]] }

// still says whether the window is as it was. It does not stop at the first difference: there rarely is one.
func (k *facts) still(w *Window) bool {
	changed := (k.limit ^ w.Limit) | (k.floor ^ w.Floor) | (k.committed ^ w.Committed) | (k.reserved ^ w.Reserved) |
		(k.margin ^ w.Margin) | (k.recent ^ w.Recent) | (k.burst ^ w.BurstPPM) | (k.extra ^ w.Extra)
	return changed == 0 && k.kind == w.Recurrence.Kind && k.source == w.Source && k.spread == w.Spread &&
		k.since == w.Since && k.reset == w.Reset && k.checked == w.Checked
}

func (f *figure) workOut(w *Window, now int64, bursts, shared bool) {
	*f = figure{window: w, shared: shared, closed: w.Closed(), of: facts{
		limit: w.Limit, floor: w.Floor, committed: w.Committed, reserved: w.Reserved, margin: w.Margin, recent: w.Recent,
		burst: w.BurstPPM, extra: w.Extra, since: w.Since, reset: w.Reset, checked: w.Checked, spread: w.Spread,
		kind: w.Recurrence.Kind, source: w.Source,
	}}
	f.since, f.reset = w.Since.UnixMicro(), w.Reset.UnixMicro()
	f.lapsed = !f.closed && now >= f.reset
	if f.lapsed {
		f.meter = MeterUnknown
		return
	}
	f.meter = w.believed(now)
	f.capacity = w.Capacity()
	f.left = f.capacity - w.Used()
	f.expected, f.slack = w.Expected(), w.Burst()
	f.half = f.slack - f.slack/2
	f.elapsed, f.length = w.progress(now)
	f.room = add(add(allowance(f.capacity, f.elapsed, f.length), f.slack), w.Extra) - f.expected
	if f.closed {
		f.room = f.left
	}
	if bursts {
		f.recent, f.most = w.Recent, add(f.burst(), w.Extra)
	}
	f.weigh(now)
}

// covers says whether work on the tier draws on the window.
func (f *figure) covers(tier *Tier) bool {
	model, provider := f.window.Model, f.window.Provider
	return f.covered && (model == "" || model == tier.Model) && (provider == "" || provider == tier.Provider)
}

// later is the later of an instant and when even spread has reached a use, if that is within the epoch. It divides only if it
// must: use x E / L' is later than the elapsed e if use x E > L' x e.
func (f *figure) later(at, use int64) int64 {
	if use <= 0 {
		return at
	}
	if f.window.Spread != nil && f.window.Spread.total > 0 {
		return max(at, f.window.reaches(scaleUp(f.length, use, f.capacity)).UnixMicro())
	}
	if elapsed := at - f.since; elapsed >= 0 {
		useHigh, useLow := bits.Mul64(uint64(use), uint64(f.length))
		passedHigh, passedLow := bits.Mul64(uint64(f.capacity), uint64(elapsed))
		if useHigh < passedHigh || useHigh == passedHigh && useLow <= passedLow {
			return at
		}
	}
	return max(at, f.since+scaleUp(f.length, use, f.capacity))
}
