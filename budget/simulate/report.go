package simulate

import (
	"math"
	"slices"
	"time"
)

// Report is what came of a plan under a policy. Shares are of the capacity L' of the binding windows, the ones of each
// subscription that are used most, over the epochs that reached their reset.
type Report struct {
	Policy string
	Steps  bool // the policy has steps, so that their changes say something
	Length time.Duration
	Plans  int

	OvershootAtAdmission float64 // the largest; a policy that reserves has none
	Overshoot            float64 // the largest share spent above the capacity by a reset
	OvershootBound       float64 // what runs in flight at the last admission could have added there
	Used                 float64 // committed and reserved just before a reset, on average
	LeastUsed            float64
	Spent                float64 // really spent by then; what is reserved across the reset is spent in the next window
	PacingError          float64 // root mean square distance of the use from the even spread
	Slack                float64 // b, to hold it against
	Arrived, Started     int
	Refused, Waiting     int
	Lowered              int
	Waits                []time.Duration // of what started, in rising order
	Promised, Kept       int             // starts promised to what had to wait, and kept within max(2 min, 5 % of D)
	Changes              int             // of steps
	Stays                []int           // changes of the step within each stay above normal, until it ended or the window was reset

	Traces []Trace

	tolerance  time.Duration
	promises   []promise
	windowDays float64
	square     float64
	seconds    float64
	epochs     int
}

// Trace is the use of one window over a plan.
type Trace struct {
	Subscription, Window string
	Begin                time.Time     // of its first epoch in the plan
	Length               time.Duration // of an epoch
	Points               []Point
}

// promise is by how much a promised start was missed.
type promise struct{ missed time.Duration }

func (r *Report) start(t *ticket, now time.Time, lowered bool) {
	r.Started++
	if lowered {
		r.Lowered++
	}
	r.Waits = append(r.Waits, now.Sub(t.job.Arrives))
	if !t.promised.IsZero() {
		r.promises = append(r.promises, promise{missed: now.Sub(t.promised).Abs()})
	}
}

// stillWaits takes in what has not started by the end: a promise that is not due says nothing.
func (r *Report) stillWaits(t *ticket, now time.Time) {
	if !t.promised.IsZero() && t.promised.Before(now) {
		r.promises = append(r.promises, promise{missed: now.Sub(t.promised)})
	}
}

// sum makes the report of what the windows' watches measured.
func (r *Report) sum(watches []*watch) {
	r.Plans, r.LeastUsed = 1, 1
	for _, watch := range binding(watches) {
		length := watch.length()
		if r.tolerance == 0 || length < r.tolerance*20 {
			r.tolerance = max(2*time.Minute, length/20)
		}
		r.Slack = max(r.Slack, watch.share(watch.window.Burst()))
		for _, e := range watch.epochs {
			r.epochs++
			r.OvershootAtAdmission = max(r.OvershootAtAdmission, e.admitted)
			if e.overshoot >= r.Overshoot {
				r.Overshoot, r.OvershootBound = e.overshoot, e.overshootBound
			}
			r.Used += e.used
			r.Spent += e.spent
			r.LeastUsed = min(r.LeastUsed, e.used)
			r.square += e.square
			r.seconds += e.seconds
			r.windowDays += length.Hours() / 24
			r.Stays = append(r.Stays, e.stays...)
			r.Changes += e.changes
		}
		r.Traces = append(r.Traces, Trace{
			Subscription: watch.subscription, Window: watch.window.Name, Begin: watch.begin, Length: length,
			Points: watch.trace,
		})
	}
	r.settle()
}

// settle makes averages of sums.
func (r *Report) settle() {
	if r.epochs > 0 {
		r.Used /= float64(r.epochs)
		r.Spent /= float64(r.epochs)
		r.PacingError = math.Sqrt(r.square / r.seconds)
	}
	slices.Sort(r.Waits)
	r.Promised, r.Kept = len(r.promises), 0
	for _, promise := range r.promises {
		if promise.missed <= r.tolerance {
			r.Kept++
		}
	}
}

// binding is the window of each subscription that is used most.
func binding(watches []*watch) []*watch {
	var order []string
	most := map[string]*watch{}
	for _, watch := range watches {
		before, known := most[watch.subscription]
		if !known {
			order = append(order, watch.subscription)
		}
		if !known || watch.meanUsed() > before.meanUsed() {
			most[watch.subscription] = watch
		}
	}
	var chosen []*watch
	for _, subscription := range order {
		chosen = append(chosen, most[subscription])
	}
	return chosen
}

func (w *watch) meanUsed() float64 {
	if len(w.epochs) == 0 {
		return -1
	}
	var sum float64
	for _, e := range w.epochs {
		sum += e.used
	}
	return sum / float64(len(w.epochs))
}

// Add takes another report of the same policy into this one, as if both were one longer plan. Traces stay those of the first.
func (r *Report) Add(other *Report) {
	used, spent := r.Used*float64(r.epochs)+other.Used*float64(other.epochs), r.Spent*float64(r.epochs)+other.Spent*float64(other.epochs)
	r.Used, r.Spent = used, spent
	r.OvershootAtAdmission = max(r.OvershootAtAdmission, other.OvershootAtAdmission)
	if other.Overshoot > r.Overshoot {
		r.Overshoot, r.OvershootBound = other.Overshoot, other.OvershootBound
	}
	r.LeastUsed = min(r.LeastUsed, other.LeastUsed)
	r.Length += other.Length
	r.Plans += other.Plans
	r.Arrived += other.Arrived
	r.Started += other.Started
	r.Refused += other.Refused
	r.Waiting += other.Waiting
	r.Lowered += other.Lowered
	r.Changes += other.Changes
	r.Waits = append(r.Waits, other.Waits...)
	r.Stays = append(r.Stays, other.Stays...)
	r.promises = append(r.promises, other.promises...)
	r.windowDays += other.windowDays
	r.square += other.square
	r.seconds += other.seconds
	r.epochs += other.epochs
	r.settle()
}

// Wait is a quantile of how long what started had waited.
func (r *Report) Wait(quantile float64) time.Duration {
	if len(r.Waits) == 0 {
		return 0
	}
	return r.Waits[min(len(r.Waits)-1, int(quantile*float64(len(r.Waits))))]
}

// MostChanges is the most changes of the step in one stay above normal.
func (r *Report) MostChanges() int {
	if len(r.Stays) == 0 {
		return 0
	}
	return slices.Max(r.Stays)
}

// Resets is how many epochs reached their reset; without any, nothing can be said of what was used by then.
func (r *Report) Resets() int { return r.epochs }

// FlapsPerDay is changes of a window's step on a day.
func (r *Report) FlapsPerDay() float64 {
	if r.windowDays == 0 {
		return 0
	}
	return float64(r.Changes) / r.windowDays
}

// PromiseKept is the share of promised starts that were kept; 1 if nothing had to wait.
func (r *Report) PromiseKept() float64 {
	if r.Promised == 0 {
		return 1
	}
	return float64(r.Kept) / float64(r.Promised)
}

// LoweredShare is the share of what started that ran on a lower tier than asked for.
func (r *Report) LoweredShare() float64 {
	if r.Started == 0 {
		return 0
	}
	return float64(r.Lowered) / float64(r.Started)
}
