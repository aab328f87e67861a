package simulate

import (
	"math"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// watch measures one window while a plan is played.
type watch struct {
	subscription string
	window       *budget.Window
	begin        time.Time
	expected     time.Time // the reset that is scheduled
	epochs       []epoch
	trace        []Point

	// of the present epoch
	square    float64 // integral of the squared distance from the even spread, as a share of the capacity, over seconds
	seconds   float64
	over      int64 // by how much the runs in flight will exceed what they reserve
	bound     int64 // and what that was at the last admission
	overAdmit int64
	stance    budget.Stance
	lowered   bool
	above     int // changes of the step within the present stay above normal
	changes   int // of the step, all of them
	stays     []int
}

// epoch is what is left to know of a window that reached its reset. Amounts are shares of the capacity.
type epoch struct {
	used, spent     float64 // committed and reserved just before the reset; and spent by then
	overshoot       float64
	overshootBound  float64
	admitted        float64 // overshoot at an admission
	square, seconds float64
	stays           []int
	changes         int
}

// Point is what a window had used at an instant, as a share of its capacity.
type Point struct {
	At          time.Time
	Used, Spent float64
}

func (w *watch) share(micros int64) float64 {
	return float64(micros) / float64(max(1, w.window.Capacity()))
}

// measure takes in a time in which nothing happened: the use stood still while the even spread rose.
func (w *watch) measure(from, to time.Time) {
	seconds := to.Sub(from).Seconds()
	if seconds <= 0 {
		return
	}
	if w.window.Closed() {
		return
	}
	before := w.share(w.window.Expected() - w.window.Allowance(from))
	after := w.share(w.window.Expected() - w.window.Allowance(to))
	w.square += seconds * (before*before + before*after + after*after) / 3
	w.seconds += seconds
	w.trace = append(w.trace, Point{At: to, Used: w.share(w.window.Expected()), Spent: w.share(w.window.Committed)})
}

func (w *watch) admit(lowered bool, over int64) {
	w.lowered = lowered
	w.over += over
	w.bound = w.over
	w.overAdmit = max(w.overAdmit, w.window.Used()-w.window.Capacity())
}

func (w *watch) length() time.Duration {
	if w.window.Closed() {
		return w.window.Recurrence.Length
	}
	return w.window.Reset.Sub(w.window.Since)
}

// look takes the window to the step it stands on, as the register does after every change and by a timer.
func (w *watch) look(now time.Time) {
	before := w.stance.Step
	w.stance = w.stance.Next(w.window.StandsOn(w.lowered, now), w.window.Dwell(), now)
	switch {
	case w.stance.Step == before:
		return
	case w.stance.Step == budget.StepNormal:
		w.stays, w.above = append(w.stays, w.above), 0
	case before != budget.StepNormal:
		w.above++
	}
	w.changes++
}

// close ends the epoch at the reset.
func (w *watch) close(used, over int64) {
	overshoot := max(0, w.window.Committed-w.window.Capacity())
	if w.stance.Step != budget.StepNormal {
		w.stays = append(w.stays, w.above)
	}
	w.epochs = append(w.epochs, epoch{
		used: math.Min(1, w.share(used)), spent: math.Min(1, w.share(w.window.Committed)),
		overshoot: w.share(overshoot), overshootBound: w.share(w.bound), admitted: w.share(max(0, w.overAdmit)),
		square: w.square, seconds: w.seconds, stays: w.stays, changes: w.changes,
	})
	w.square, w.seconds, w.over, w.bound, w.overAdmit = 0, 0, over, over, 0
	w.stance, w.lowered, w.above, w.changes, w.stays = budget.Stance{Held: w.window.Reset}, false, 0, 0, nil
}
