package budget

import "math"

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
	first    int // of its needs
	ruling   ruling
	known    bool // a window of its own is known
	covered  bool // a window of its own covers the tier
	saves    bool // it takes less than the requested tier
	kept     bool // half the slack of the window that speaks is kept for a tier that saves
	decides  *figure
	doubt    *figure // the first unknown window
	need     *need
	start    int64 // when all windows admit
	headroom float64
	longest  int64 // the length of its longest window
	reset    int64 // and its reset
}

// judge adds the attempt of a tier on a subscription.
func (d *Decision) judge(t, subscription int) {
	s := &d.sheet
	tier, on := &s.tiers[t], &s.fleet.Subscriptions[subscription]
	g := gate{tier: t, start: s.now, headroom: maxHeadroom, first: t * len(s.units)}
	g.saves = t == 0 || tier.Provider != s.tiers[0].Provider || s.request.Crew != nil && !s.served(0, on)
	g.hear(s, tier, s.fleet.of(subscription))
	if shared := s.fleet.shared(); len(shared) > 0 {
		g.hear(s, tier, shared)
	}
	attempt := d.attempt(tier)
	attempt.tier, attempt.on = t, on
	g.conclude(attempt, s)
	if s.request.Crew != nil {
		d.man(attempt)
	}
}

// man takes an attempt out of choice that no worker of the crew can run. What no worker would help stays what it is.
func (d *Decision) man(a *Attempt) {
	ladder := d.sheet.fleet.Ladder
	if a.Verdict == UnitMismatch || a.never || d.request.Crew.serves(ladder, a.Tier.Model, a.Tier.Provider, a.Subscription()) {
		return
	}
	a.Verdict, a.canary, a.start = NoWorker, false, never
}

// hear lets windows rule.
func (g *gate) hear(s *sheet, tier *Tier, figures []figure) {
	for i := range figures {
		f := &figures[i]
		if !f.covered || f.narrow && !f.covers(tier) {
			g.saves = g.saves || f.covered && f.covers(&s.tiers[0])
			continue
		}
		g.covered = g.covered || !f.shared
		if f.meter == MeterUnknown {
			if g.doubt == nil && !f.shared {
				g.doubt = f
			}
			continue
		}
		if !f.shared {
			g.known = true
			if f.length > g.longest {
				g.longest, g.reset = f.length, f.reset
			}
		}
		n := g.needOf(s, f)
		if n == nil {
			g.saves = true
			if g.ruling < mismatches {
				g.ruling, g.decides = mismatches, f
			}
			continue
		}
		kept := g.tier == 0 && s.relieved(f, n)
		g.saves = g.saves || (!f.narrow || f.covers(&s.tiers[0])) && n.less(s.need(0, f))
		ruled := f.rule(n, kept, s.request.Lifted)
		if ruled > admits {
			g.start = f.start(s.now, n, kept, ruled, g.start)
		} else if headroom := (f.sure - float64(n.mean)) * f.weight; headroom < g.headroom {
			g.headroom = headroom
		}
		if ruled > g.ruling {
			g.ruling, g.decides, g.need, g.kept = ruled, f, n, kept
		}
	}
}

// needOf is what the tier takes from a window; nil when the estimates speak of other units only.
func (g *gate) needOf(s *sheet, f *figure) *need {
	if f.unit >= 0 {
		return &s.needs[g.first+f.unit]
	}
	return s.need(g.tier, f)
}

// rule holds the need against the cap, which nothing lifts, the line, pace and the burst.
func (f *figure) rule(n *need, kept, lifted bool) ruling {
	room := f.room
	if kept && !f.closed {
		room -= f.half
	}
	switch {
	case n.upper > f.left:
		if n.upper > f.capacity {
			return neverFits
		}
		return overCap
	case lifted:
		return admits
	case f.ahead.count > 0:
		return lineAhead
	case n.mean > room:
		return overPace
	case f.recent > 0 && f.bursts(n.mean):
		return overBurst
	}
	return admits
}

// never is the start of what never can.
const never = math.MinInt64

// start is the promise, or the later one so far: when the window admits the need behind all that is ahead. What is ahead, and
// what is held, counts with its mean. What this epoch cannot take flows into the next ones, if the window recurs.
func (f *figure) start(now int64, n *need, kept bool, ruled ruling, at int64) int64 {
	if f.ahead.count > 0 {
		at = max(at, f.ahead.start)
	}
	if ruled >= neverFits || f.closed {
		return at
	}
	slack := f.slack
	if kept {
		slack -= f.half
	}
	taken := add(f.expected, f.ahead.mean)
	if add(taken, n.upper) > f.capacity {
		return max(at, f.laterEpoch(max(add(taken, n.mean)-f.capacity, n.mean), slack))
	}
	start := f.later(at, add(taken, n.mean)-slack-f.window.Extra)
	if f.recent > 0 {
		start = max(start, f.calm(now, n.mean))
	}
	if ruled == overCap { // shut by the margins of holds alone, which open as runs settle
		start = max(start, now+f.window.Dwell().Microseconds())
	}
	return max(at, min(start, f.reset))
}

// laterEpoch is when the epochs after the reset, taken to be as long as this one, have admitted so much.
func (f *figure) laterEpoch(wanted, slack int64) int64 {
	if f.window.Recurrence.Kind == OneOff || f.capacity <= 0 {
		return f.reset
	}
	length := f.window.length()
	epochs, rest := (wanted-1)/f.capacity, (wanted-1)%f.capacity+1
	start := add(f.reset, scale(length, epochs, 1))
	if rest > slack {
		start = add(start, scaleUp(length, rest-slack, f.capacity))
	}
	return min(start, farthest)
}

// farthest keeps promises within what every party can write as a date.
const farthest = 253402300799 * Micro // 9999-12-31T23:59:59Z

// conclude writes down what the windows ruled.
func (g *gate) conclude(a *Attempt, s *sheet) {
	a.evaporates = g.reset
	if g.decides != nil {
		g.explain(a)
	}
	switch {
	case g.ruling <= admits && !g.known:
		g.doubted(a, s)
		return
	case !g.saves:
		a.Verdict = SavesNothing
		return
	case g.ruling == admits:
		a.Headroom = max(0, g.headroom)
	}
	a.Verdict = verdictOf[g.ruling]
	if g.ruling < neverFits {
		a.start = g.start
	}
}

// explain takes over the numbers of the window that speaks.
func (g *gate) explain(a *Attempt) {
	f := g.decides
	a.in = f.window
	if g.need == nil {
		return
	}
	a.Need, a.Ahead, a.AheadMicros = g.need.mean, f.ahead.count, f.ahead.mean
	switch g.ruling {
	case overCap, neverFits:
		a.Need, a.Room, a.never = g.need.upper, f.left, g.ruling == neverFits
	case overBurst:
		a.Room = f.most - f.recent
	default:
		a.Room = f.room
		if g.kept && !f.closed {
			a.Room -= f.half
		}
		a.Room = min(a.Room, f.left)
	}
}

// doubted is a subscription none of whose own windows is known: it may be tried by one canary at a time.
func (g *gate) doubted(a *Attempt, s *sheet) {
	switch {
	case !g.covered:
		a.Verdict = NoSubscription
	case g.doubt.lapsed:
		a.Verdict, a.in = Lapsed, g.doubt.window
	default:
		a.Verdict, a.in = UnknownMeter, g.doubt.window
	}
	if a.on.Probe {
		a.Verdict, a.canary, a.start = Admitted, true, s.now
	}
}
