package budget

import "time"

// DefaultEstimatePPM is held for a dispatch without an estimate: 1 % of the window's capacity on the requested tier.
const DefaultEstimatePPM = 10_000

// DefaultEstimate is what is held of a capacity for a dispatch of which nothing is known.
func DefaultEstimate(capacity int64) int64 {
	return scale(max(0, capacity), DefaultEstimatePPM, million)
}

// Scaled is an estimate for one tier worked out of that for another, by their costs, rounded up.
func Scaled(micros, cost, from int64) int64 {
	if from <= 0 {
		return micros
	}
	return scaleUp(max(0, micros), max(0, cost), from)
}

// Amount is a quantity in micro-units of a unit.
type Amount struct {
	Unit   string
	Micros int64
}

// Estimate is what a dispatch will probably take in one unit, in micro-units: pace counts the mean, the cap the upper bound.
type Estimate struct {
	Model string // the tier it is for; empty means the requested one. A tier without one scales another's by their costs
	Unit  string // empty means the unit of whichever window it meets
	Mean  int64
	Upper int64 // P90; below the mean it is read as the mean
}

// Request is what a dispatch asks of the ladder.
type Request struct {
	Place
	Role      string
	Project   string
	Mission   string
	Model     string // the ceiling; empty means the highest tier
	Lowest    string // the lowest tier its role allows; empty means any
	Exact     bool   // never lower than Model
	Estimates []Estimate
	Deadline  time.Time // the latest start; zero waits as long as it takes
	Crew      *Crew     // only what one of them serves is considered; nil considers everything
	Stays     int64     // the ID of the subscription that its context is warm on; 0 means none
}

// Policy is how the fleet chooses between subscriptions that can all take a dispatch.
type Policy uint8

// PolicyPace keeps all subscriptions on their even spread; PolicyDrain spends first what expires first.
const (
	PolicyPace Policy = iota
	PolicyDrain
)

// Subscription is one paid account of a provider with the windows that meter it.
type Subscription struct {
	// ID is the caller's own; the rules only hand it back.
	ID       int64
	Provider string
	Name     string
	Windows  []Window

	// Probe says that one dispatch may try the subscription though its meter is unknown: none runs there unmetered.
	Probe bool
}

// Fleet is all that a decision looks at: load it under the locks, decide and apply one request after the other. It remembers
// what it worked out about its windows, so that only one goroutine may decide on it at a time.
type Fleet struct {
	Ladder        Ladder
	Subscriptions []Subscription
	Shared        []Window // windows of a role, project or mission that span subscriptions
	Policy        Policy
	LimitBursts   bool // hold each window to twice the remaining even rate in any D/24: Lately must be loaded, see Recall

	figures      []figure // of the shared windows, then of each subscription's
	begin        []int    // where the figures of each subscription begin, and where the last ones end
	workedAt     int64
	workedBursts bool
	units        []string // that the last request's estimates spoke of
}

// Hold is what one window reserves for an admitted or waiting dispatch.
type Hold struct {
	Window int64 // the window's ID
	Micros int64 // the upper bound
	Margin int64 // how far it lies above the mean

	// Held is when it was reserved, for a hold that ends or is added to: the burst rule then knows what became of it.
	Held time.Time
}
