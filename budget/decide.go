package budget

import (
	"strings"
	"time"
)

// Verdict is what came of one tier on one subscription.
type Verdict string

// The verdicts, as the register shows them.
const (
	Admitted       Verdict = "admitted"
	PassedOver     Verdict = "passed-over" // it fits, but another subscription of the tier was chosen
	OverPace       Verdict = "over-pace"
	OverBurst      Verdict = "over-burst"
	OverCap        Verdict = "over-cap"
	SavesNothing   Verdict = "saves-nothing"
	NotAllowed     Verdict = "not-allowed"
	NoSubscription Verdict = "no-subscription"
	UnitMismatch   Verdict = "unit-mismatch"
	UnknownMeter   Verdict = "unknown-meter"
	Lapsed         Verdict = "lapsed"
	LineAhead      Verdict = "line-ahead"
	NoWorker       Verdict = "no-worker"
)

// Attempt is one tier on one subscription that was tried. Its numbers speak of the window that decided it, in its unit.
type Attempt struct {
	Tier        *Tier
	Verdict     Verdict
	Need        int64   // the mean, or for over-cap the upper bound
	Room        int64   // what pace (or the burst, or the cap) still allowed
	AheadMicros int64   // what waits ahead needs, on means
	Ahead       int     // and how many they are
	Headroom    float64 // g of the subscription where it fits: 1 is on pace, above it is under-spent

	never          bool    // for over-cap: larger than the whole window
	canary         bool    // admitted to try an unknown meter
	because        because // for passed-over
	tier           int     // its place among the tiers the request may use
	start          int64
	evaporates     int64 // the reset of the subscription's longest window
	request        *Request
	requested      *Tier
	on             *Subscription
	in             *Window
	chosen         *Subscription // for passed-over
	chosenHeadroom float64
}

// Subscription is the name of the subscription; empty when the provider has none.
func (a *Attempt) Subscription() string {
	if a.on == nil {
		return ""
	}
	return a.on.Name
}

// Window is the name of the window that decided; empty when there was none.
func (a *Attempt) Window() string {
	if a.in == nil {
		return ""
	}
	return a.in.Name
}

// Unit is what the numbers count; empty when no window decided.
func (a *Attempt) Unit() string {
	if a.in == nil {
		return ""
	}
	return a.in.Unit
}

// Start is the earliest start; zero means never.
func (a *Attempt) Start() time.Time {
	if a.start == never {
		return time.Time{}
	}
	return time.UnixMicro(a.start).UTC()
}

// Outcome is what the ladder decided.
type Outcome int

// Admit, queue until Start, or refuse.
const (
	Admit Outcome = iota
	Queue
	Refuse
)

// Decision is what the ladder decided for one request, with every attempt on the way there.
type Decision struct {
	Outcome        Outcome
	Requested      Tier
	Tier           Tier   // admitted or waiting on; zero when refused
	Subscription   string // of Tier; empty when its provider has none or the request is refused
	SubscriptionID int64
	Holds          []Hold // what it reserves, or needs when it waits
	Start          time.Time
	Lowered        bool   // admitted or waiting on a lower tier than requested
	Metered        bool   // false when it was admitted though no meter of its subscription is known
	Missing        string // the worker it waits for, in one sentence; it then stands in no line
	Attempts       []Attempt

	request Request
	chosen  int // the attempt that decided, -1 if none did
	sheet   sheet
}

// Decide walks the ladder for one request: every allowed tier from the requested one down, on every subscription of its
// provider. Of those that all their windows admit the policy takes one; else the request waits where it can start first; else
// it is refused. It changes nothing: see Apply. The only error is an *UnknownModelError.
func (f *Fleet) Decide(request *Request, now time.Time) (Decision, error) {
	var decision Decision
	err := f.DecideInto(&decision, request, now)
	return decision, err
}

// DecideInto is Decide into a decision that was used before: its slices are filled anew, so that nothing is allocated.
func (f *Fleet) DecideInto(d *Decision, request *Request, now time.Time) error {
	allowed, err := f.Ladder.From(request.Model)
	if err != nil {
		return err
	}
	d.begin(allowed[0], request)
	if !request.Deadline.IsZero() && now.After(request.Deadline) {
		d.Outcome = Refuse
		return nil
	}
	lowest := request.lowest(allowed)
	d.sheet.open(f, &d.request, allowed[:lowest+1], now)
	for i := range allowed {
		if i > lowest {
			d.attempt(&allowed[i]).Verdict = NotAllowed
			continue
		}
		if d.climb(i) {
			return nil
		}
	}
	d.wait()
	if d.Outcome == Refuse && request.Crew != nil {
		return d.awaitWorker(now)
	}
	return nil
}

func (d *Decision) begin(requested Tier, request *Request) {
	d.Outcome, d.Requested, d.Tier, d.Subscription, d.SubscriptionID = Admit, requested, Tier{}, "", 0
	d.Start, d.Lowered, d.Metered, d.Missing = time.Time{}, false, false, ""
	d.Holds, d.Attempts = d.Holds[:0], d.Attempts[:0]
	d.request, d.chosen = *request, -1
}

// lowest is the place of the lowest tier that the request may use, among those from its ceiling down.
func (r *Request) lowest(allowed Ladder) int {
	switch {
	case r.Exact:
		return 0
	case r.Lowest == "":
		return len(allowed) - 1
	}
	for i := range allowed {
		if strings.EqualFold(allowed[i].Model, r.Lowest) {
			return i
		}
	}
	return 0
}

func (d *Decision) attempt(tier *Tier) *Attempt {
	d.Attempts = append(d.Attempts, Attempt{})
	attempt := &d.Attempts[len(d.Attempts)-1]
	attempt.Tier, attempt.start, attempt.request, attempt.requested = tier, never, &d.request, &d.sheet.tiers[0]
	return attempt
}

// climb tries one tier on every subscription of its provider and says whether the request is admitted there.
func (d *Decision) climb(i int) bool {
	tier, first := &d.sheet.tiers[i], len(d.Attempts)
	for s := range d.sheet.fleet.Subscriptions {
		if d.sheet.fleet.Subscriptions[s].Provider == tier.Provider {
			d.judge(i, s)
		}
	}
	if len(d.Attempts) == first {
		attempt := d.attempt(tier)
		attempt.Verdict, attempt.tier = NoSubscription, i
		d.man(attempt)
		return false
	}
	best := d.route(first)
	if best < 0 {
		return false
	}
	d.take(best, Admit)
	return true
}

// take makes attempt i the one that decided.
func (d *Decision) take(i int, outcome Outcome) {
	attempt := &d.Attempts[i]
	d.Outcome, d.chosen = outcome, i
	d.Tier, d.Start = *attempt.Tier, attempt.Start()
	d.Lowered = attempt.tier > 0
	d.Metered = !attempt.canary
	if attempt.on != nil {
		d.Subscription, d.SubscriptionID = attempt.on.Name, attempt.on.ID
		d.Holds = d.sheet.holds(d.Holds, attempt.tier, d.sheet.fleet.index(attempt.on))
	}
}

// wait queues where the request can start first and in time, runs it unmetered if only an unknown meter can take it, or refuses.
func (d *Decision) wait() {
	earliest := -1
	for i := range d.Attempts {
		start := d.Attempts[i].start
		if start != never && (earliest < 0 || start < d.Attempts[earliest].start) {
			earliest = i
		}
	}
	if earliest >= 0 && (d.request.Deadline.IsZero() || d.Attempts[earliest].start <= d.request.Deadline.UnixMicro()) {
		d.take(earliest, Queue)
		return
	}
	if unmetered := d.unmetered(); unmetered >= 0 {
		d.Attempts[unmetered].start = d.sheet.now
		d.take(unmetered, Admit)
		d.Metered = false
		return
	}
	d.Outcome, d.chosen = Refuse, earliest
}

// unmetered is the first attempt on an unknown meter. A provider without any subscription is one only for the requested tier.
// An estimate in the wrong unit is told instead.
func (d *Decision) unmetered() int {
	for i := range d.Attempts {
		attempt := &d.Attempts[i]
		switch attempt.Verdict {
		case UnitMismatch:
			return -1
		case Lapsed, UnknownMeter:
			return i
		case NoSubscription:
			if attempt.on != nil || attempt.tier == 0 {
				return i
			}
		}
	}
	return -1
}

// Apply makes the decision so in the fleet it was decided on: holds are reserved, waiting work joins its lines.
func (d *Decision) Apply(fleet *Fleet) {
	for s := range fleet.Subscriptions {
		subscription := &fleet.Subscriptions[s]
		if d.Outcome == Admit && !d.Metered && subscription.ID == d.SubscriptionID {
			subscription.Probe = false
		}
		d.apply(subscription.Windows)
	}
	d.apply(fleet.Shared)
}

func (d *Decision) apply(windows []Window) {
	for w := range windows {
		window := &windows[w]
		window.Leave(d.request.ID)
		for _, hold := range d.Holds {
			switch {
			case hold.Window != window.ID || d.Outcome == Refuse:
			case d.Outcome == Admit:
				window.reserve(hold, d.Start)
			default:
				window.join(Waiting{Place: d.request.Place, Need: hold.Micros, Margin: hold.Margin, Start: d.Start})
			}
		}
	}
}
