package budget

import "time"

// DefaultEstimatePPM is held for a dispatch without an estimate: 1 % of the window's capacity on the requested tier.
const DefaultEstimatePPM = 10_000

// Subscription is one paid account of a provider with the windows that meter it; a dispatch needs room in all of them.
type Subscription struct {
	// ID is the caller's own; the rules only hand it back.
	ID       int64
	Provider string
	Name     string
	Windows  []Window
}

// Amount is a quantity in micro-units of a unit.
type Amount struct {
	Unit   string
	Micros int64
}

// Request is what a dispatch asks of the ladder.
type Request struct {
	Place
	Model    string    // the ceiling; empty means the highest tier
	Exact    bool      // never lower than Model
	Estimate []Amount  // on the requested tier, one a unit; an empty unit means the unit of whichever window it meets
	Deadline time.Time // the latest start; zero waits as long as it takes
	Crew     *Crew     // only what one of them serves is considered; nil considers everything
}

// Verdict is what came of one tier on one subscription.
type Verdict string

// The verdicts, as the register shows them.
const (
	Admitted       Verdict = "admitted"
	OverPace       Verdict = "over-pace"
	OverCap        Verdict = "over-cap"
	SavesNothing   Verdict = "saves-nothing"
	NotAllowed     Verdict = "not-allowed"
	NoSubscription Verdict = "no-subscription"
	UnitMismatch   Verdict = "unit-mismatch"
	Lapsed         Verdict = "lapsed"
	LineAhead      Verdict = "line-ahead"
	NoWorker       Verdict = "no-worker"
)

// Attempt is one tier on one subscription that was tried. Its numbers speak of the window that decided it.
type Attempt struct {
	Tier         Tier
	Subscription string // empty when the provider has none
	Verdict      Verdict
	Window       string
	Need         Amount
	Room         int64     // what pace (or for over-cap, the cap) still allowed, in micro-units
	Ahead        int       // dispatches that wait ahead
	AheadMicros  int64     // and what they need
	Start        time.Time // the earliest start; zero means never
	Reset        time.Time

	never          bool // for over-cap: larger than the whole window
	requested      Tier
	estimated      string // the estimate's unit, for unit-mismatch
	missing        string // the worker it lacks, for no-worker
	subscriptionID int64
	holds          []Hold
}

// Hold is what one window reserves for an admitted or waiting dispatch.
type Hold struct {
	Window int64 // the window's ID
	Micros int64
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
	Metered        bool   // false when it was admitted because no meter is known
	Missing        string // the worker it waits for, in one sentence; it then stands in no line
	Attempts       []Attempt

	request Request
	chosen  int // the attempt that decided, -1 if none did
}

// Decide walks the ladder for one request: every allowed tier from the requested one down, on every subscription of its
// provider, in the order given. The first that all its windows admit wins; else the request waits where it can start
// first; else it is refused. It changes nothing: see Apply. The only error is an *UnknownModelError.
func Decide(ladder Ladder, request Request, subscriptions []Subscription, now time.Time) (Decision, error) {
	allowed, err := ladder.From(request.Model)
	if err != nil {
		return Decision{}, err
	}
	g := gate{ladder: ladder, request: request, requested: allowed[0], subscriptions: subscriptions, now: now}
	if !request.Exact {
		g.lower = allowed[1:]
	}
	decision := Decision{Requested: g.requested, request: request, chosen: -1}
	if !request.Deadline.IsZero() && now.After(request.Deadline) {
		decision.Outcome = Refuse
		return decision, nil
	}
	for i, tier := range allowed {
		if i > 0 && request.Exact {
			decision.Attempts = append(decision.Attempts, Attempt{Tier: tier, Verdict: NotAllowed, requested: g.requested})
			continue
		}
		decision.Attempts = append(decision.Attempts, g.try(tier, i > 0)...)
		if last := len(decision.Attempts) - 1; decision.Attempts[last].Verdict == Admitted {
			decision.take(last, Admit)
			return decision, nil
		}
	}
	decision.wait(&g)
	if decision.Outcome == Refuse && request.Crew != nil {
		return decision, decision.awaitWorker(ladder, subscriptions, now)
	}
	return decision, nil
}

// take makes attempt i the one that decided.
func (d *Decision) take(i int, outcome Outcome) {
	attempt := &d.Attempts[i]
	d.Outcome, d.chosen = outcome, i
	d.Tier, d.Subscription, d.SubscriptionID = attempt.Tier, attempt.Subscription, attempt.subscriptionID
	d.Holds, d.Start = attempt.holds, attempt.Start
	d.Lowered = attempt.Tier != d.Requested
	d.Metered = true
}

// wait queues where the request can start first and in time, or refuses.
func (d *Decision) wait(g *gate) {
	earliest := -1
	for i := range d.Attempts {
		start := d.Attempts[i].Start
		if !start.IsZero() && (earliest < 0 || start.Before(d.Attempts[earliest].Start)) {
			earliest = i
		}
	}
	name, id, manned := g.unmetered()
	switch {
	case earliest < 0 && manned && g.meterUnknown(d.Attempts):
		d.Outcome, d.Tier, d.Start = Admit, g.requested, g.now
		d.Subscription, d.SubscriptionID = name, id
	case earliest >= 0 && (d.request.Deadline.IsZero() || !d.Attempts[earliest].Start.After(d.request.Deadline)):
		d.take(earliest, Queue)
	default:
		d.Outcome, d.chosen = Refuse, earliest
	}
}

// Apply makes the decision so in the subscriptions it was decided on: holds are reserved, waiting work joins its lines.
func (d *Decision) Apply(subscriptions []Subscription) {
	for s := range subscriptions {
		windows := subscriptions[s].Windows
		for w := range windows {
			windows[w].Leave(d.request.ID)
			for _, hold := range d.Holds {
				switch {
				case hold.Window != windows[w].ID || d.Outcome == Refuse:
				case d.Outcome == Admit:
					windows[w].Reserved = add(windows[w].Reserved, hold.Micros)
				default:
					windows[w].join(Waiting{Place: d.request.Place, Need: hold.Micros, Start: d.Start})
				}
			}
		}
	}
}
