package budget

import (
	"math"
	"math/bits"
	"time"
)

// ruling orders what a window can say by how firmly it shuts the gate.
type ruling uint8

const (
	unheard ruling = iota
	admits
	overPace
	overBurst
	lineAhead
	overCap
	neverFits
	mismatches
)

var verdictOf = [...]Verdict{NoSubscription, Admitted, OverPace, OverBurst, LineAhead, OverCap, OverCap, UnitMismatch}

// gate is one tier on one subscription while its windows are heard. It is admitted only by all known windows at once;
// otherwise the one that shuts the gate most firmly speaks.
type gate struct {
	tier     int
	ruling   ruling
	decides  *figure // the window that speaks
	need     need
	slack    int64
	known    bool  // a window of its own is known
	covered  bool  // a window of its own covers the tier
	saves    bool  // it takes less than the requested tier
	start    int64 // when all windows admit
	headroom float64
	longest  int64   // the length of its longest window
	doubt    *figure // the first unknown window
	reset    time.Time
}

// judge adds the attempt of a tier on a subscription.
func (d *Decision) judge(t, subscription int) {
	s := &d.sheet
	tier, on := &s.tiers[t], &s.fleet.Subscriptions[subscription]
	g := gate{tier: t, start: s.micros, headroom: maxHeadroom}
	g.saves = t == 0 || tier.Provider != s.tiers[0].Provider || !s.served(0, on)
	own := s.of(subscription)
	for i := range own {
		g.hear(s, &own[i])
	}
	for i := range s.figures[:s.shared] {
		g.hear(s, &s.figures[i])
	}
	attempt := d.attempt(tier)
	attempt.tier, attempt.subscription = t, subscription
	attempt.Subscription = on.Name
	g.conclude(attempt, s, on.Probe)
	d.man(attempt)
}

// man takes an attempt out of choice that no worker of the crew can run. What no worker would help stays what it is.
func (d *Decision) man(a *Attempt) {
	if a.Verdict == UnitMismatch || a.never || d.request.Crew.serves(d.sheet.fleet.Ladder, a.Tier.Model, a.Tier.Provider, a.Subscription) {
		return
	}
	a.Verdict, a.crew, a.canary, a.Start = NoWorker, d.request.Crew, false, time.Time{}
}

// hear lets one window rule.
func (g *gate) hear(s *sheet, f *figure) {
	tier := &s.tiers[g.tier]
	if !f.covers(tier) {
		g.saves = g.saves || f.covers(&s.tiers[0])
		return
	}
	g.covered = g.covered || !f.shared
	if f.meter == MeterUnknown {
		if g.doubt == nil && !f.shared {
			g.doubt = f
		}
		return
	}
	g.known = g.known || !f.shared
	n, known := s.need(g.tier, f)
	if !known {
		g.saves = true
		g.speak(mismatches, f, n, 0)
		return
	}
	if g.tier > 0 && !g.saves {
		requested, _ := s.need(0, f)
		g.saves = n.less(&requested)
	}
	slack := f.slack
	if g.tier == 0 && s.relieved(f, &n) {
		slack /= 2
	}
	slack = add(slack, f.window.Extra)
	ruled := f.rule(&n, slack, s.request.Lifted)
	if ruled > admits {
		g.start = max(g.start, f.start(s, &n, slack, ruled))
	}
	g.speak(ruled, f, n, slack)
	if g.ruling == admits {
		g.headroom = min(g.headroom, f.headroom(s.micros, n.mean))
	}
	if !f.shared && f.length > g.longest {
		g.longest, g.reset = f.length, f.window.Reset
	}
}

func (g *gate) speak(ruled ruling, f *figure, n need, slack int64) {
	if ruled > g.ruling {
		g.ruling, g.decides, g.need, g.slack = ruled, f, n, slack
	}
}

// rule holds the need against the cap, which nothing lifts, the line, pace and the burst.
func (f *figure) rule(n *need, slack int64, lifted bool) ruling {
	switch {
	case n.upper > f.capacity:
		return neverFits
	case n.upper > f.left:
		return overCap
	case lifted:
		return admits
	case f.ahead.count > 0:
		return lineAhead
	case f.closed: // nothing is spent and no time runs until something opens it
		return admits
	case !f.paces(add(f.expected, n.mean) - slack):
		return overPace
	case f.bursts(n.mean, slack):
		return overBurst
	}
	return admits
}

// paces says whether use <= a(t), without dividing: use x E <= L' x e.
func (f *figure) paces(use int64) bool {
	if use <= 0 {
		return true
	}
	if f.elapsed >= f.length {
		return use <= f.capacity
	}
	useHigh, useLow := bits.Mul64(uint64(use), uint64(f.length))
	allowedHigh, allowedLow := bits.Mul64(uint64(f.capacity), uint64(f.elapsed))
	return useHigh < allowedHigh || useHigh == allowedHigh && useLow <= allowedLow
}

// start is the promise: when the window admits the need behind all that is ahead. Whatever is not known to settle earlier
// counts with its mean. What this epoch cannot take flows into the next ones, if the window recurs.
func (f *figure) start(s *sheet, n *need, slack int64, ruled ruling) int64 {
	if ruled == neverFits {
		return math.MaxInt64
	}
	window, reset := f.window, f.window.Reset.UnixMicro()
	if f.closed {
		return max(s.micros, f.ahead.start)
	}
	taken := add(f.expected, f.ahead.mean)
	if add(taken, n.upper) > f.capacity {
		return max(f.ahead.start, window.laterEpoch(reset, max(add(taken, n.mean)-f.capacity, n.mean), slack))
	}
	start := window.WakeAt(f.ahead.mean, n.mean, slack, s.now).UnixMicro()
	start = max(start, f.calm(s.micros, n.mean, slack))
	if ruled == overCap { // shut by the margins of holds alone, which open as runs settle
		start = max(start, s.micros+window.Dwell().Microseconds())
	}
	return max(f.ahead.start, min(start, reset))
}

// laterEpoch is when the epochs after the reset, taken to be as long as this one, have admitted so much.
func (w *Window) laterEpoch(reset, wanted, slack int64) int64 {
	capacity, length := w.Capacity(), w.length()
	if w.Recurrence.Kind == OneOff || capacity <= 0 {
		return reset
	}
	epochs, rest := (wanted-1)/capacity, (wanted-1)%capacity+1
	start := add(reset, scale(length, epochs, 1))
	if rest > slack {
		start = add(start, scaleUp(length, rest-slack, capacity))
	}
	return min(start, farthest)
}

// farthest keeps promises within what every party can write as a date.
const farthest = 253402300799 * Micro // 9999-12-31T23:59:59Z

// conclude writes down what the windows ruled.
func (g *gate) conclude(a *Attempt, s *sheet, probe bool) {
	if g.decides != nil {
		g.explain(a, s)
	}
	a.evaporates = g.reset
	switch {
	case g.ruling <= admits && !g.known:
		g.doubted(a, s, probe)
		return
	case !g.saves:
		a.Verdict, a.other = SavesNothing, s.tiers[0].Model
		return
	case g.ruling == admits:
		a.Headroom = g.headroom
	}
	a.Verdict = verdictOf[g.ruling]
	if g.ruling < neverFits {
		a.Start = time.UnixMicro(g.start).UTC()
	}
}

// explain takes over the numbers of the window that speaks.
func (g *gate) explain(a *Attempt, s *sheet) {
	f := g.decides
	a.Window, a.Reset = f.window.Name, f.window.Reset
	a.Need = Amount{Unit: f.window.Unit, Micros: g.need.mean}
	a.Ahead, a.AheadMicros = f.ahead.count, f.ahead.mean
	switch g.ruling {
	case mismatches:
		a.other = s.request.Estimates[0].Unit
	case overCap, neverFits:
		a.Need.Micros, a.Room, a.never = g.need.upper, f.left, g.ruling == neverFits
	case overBurst:
		a.Room = add(f.burst(), g.slack-f.slack) - f.recent
	default:
		a.Room = f.left
		if !f.closed {
			a.Room = min(a.Room, add(allowance(f.capacity, f.elapsed, f.length), g.slack)-f.expected)
		}
	}
}

// doubted is a subscription none of whose own windows is known: it may be tried by one canary at a time.
func (g *gate) doubted(a *Attempt, s *sheet, probe bool) {
	switch {
	case !g.covered:
		a.Verdict = NoSubscription
	case g.doubt.lapsed:
		a.Verdict, a.Window, a.Reset = Lapsed, g.doubt.window.Name, g.doubt.window.Reset
	default:
		a.Verdict, a.Window, a.Reset = UnknownMeter, g.doubt.window.Name, g.doubt.window.Checked
	}
	if probe {
		a.Verdict, a.canary, a.Start = Admitted, true, s.now
	}
}
