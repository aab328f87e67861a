package budget

import "time"

// Reading is what a provider says of a window at one moment. A reading that failed is no reading: it is not a use of zero.
type Reading struct {
	Used  int64 // U, in micro-units
	At    time.Time
	Reset time.Time     // zero if it does not say
	Every time.Duration // how long the provider's window is; zero if it does not say
	// Redeemed says that a reset credit was used, so that an early reset needs no second reading.
	Redeemed bool
}

// Watch is what the register remembers of a window's readings between two of them.
type Watch struct {
	Epoch Epoch
	Used  int64
	// Doubted is a reading that nothing agrees with yet; zero At means there is none.
	Doubted Reading
}

// Belief is what comes of a reading.
type Belief uint8

// A reading is taken as one more of the same epoch, or as the first of a new one, or it waits for a second that agrees.
const (
	SameReading Belief = iota
	NewEpoch
	Doubtful
)

// Unattributed is what was used but is in no ledger: U - C(t_u), where C(t_u) is what was committed when the reading was taken.
// Once booked, used = U + (C(now) - C(t_u)) + R. Providers show whole points, so that a difference of less than one is none;
// it is below zero where estimates were booked too high.
func (w *Window) Unattributed(reading Reading, committedThen int64) int64 {
	difference := reading.Used - committedThen
	if w.Unit == "percent" && difference > -point && difference <= point {
		return 0
	}
	return difference
}

// Correction is what a reading moves the committed amount by: no further than it must, so that what was committed when it was
// taken is at most U, and with what was then held for running work at least U. Running work explains use first, since its cost is
// committed when it ends; what it does not explain is unattributed.
func (w *Window) Correction(reading Reading, committedThen, heldThen int64) int64 {
	difference := w.Unattributed(reading, committedThen)
	if difference <= 0 {
		return difference
	}
	return max(0, difference-heldThen)
}

// point is what a percent window is shown in.
const point = Micro

// SameEpoch says whether two resets are one: rounded to five minutes, of equal length, and apart by less than half of it
// (or five minutes if that is more).
func SameEpoch(a, b Epoch) bool {
	const grain = 5 * time.Minute
	resetA, resetB := a.Reset.Round(grain), b.Reset.Round(grain)
	length := resetA.Sub(a.Since.Round(grain))
	if length != resetB.Sub(b.Since.Round(grain)) {
		return false
	}
	return resetA.Sub(resetB).Abs() < max(length/2, grain)
}

// Believe decides what comes of a reading, and what is remembered then. A reset that comes early, use that falls, and use that
// leaps by half the limit at once need a second reading that agrees.
func (r Watch) Believe(reading Reading, limit int64) (Belief, Watch) {
	epoch := r.Epoch
	if !reading.Reset.IsZero() {
		length := reading.Every
		if length == 0 {
			length = r.Epoch.Reset.Sub(r.Epoch.Since)
		}
		epoch = Epoch{Since: reading.Reset.Add(-length), Reset: reading.Reset}
	}
	begins := !SameEpoch(epoch, r.Epoch) || falls(r.Used, reading.Used, limit)
	if begins && (r.Epoch.Reset.IsZero() || !reading.At.Before(r.Epoch.Reset) || reading.Redeemed) {
		return NewEpoch, Watch{Epoch: epoch, Used: reading.Used}
	}
	if !begins && !leaps(r.Used, reading.Used, limit) {
		return SameReading, Watch{Epoch: r.Epoch, Used: reading.Used}
	}
	if !r.Doubted.At.IsZero() && r.Doubted.At.Before(reading.At) && r.Doubted.agrees(reading, limit) {
		if begins {
			return NewEpoch, Watch{Epoch: epoch, Used: reading.Used}
		}
		return SameReading, Watch{Epoch: r.Epoch, Used: reading.Used}
	}
	r.Doubted = reading
	return Doubtful, r
}

// falls and leaps say whether use moves as it hardly can within an epoch: down by more than what a provider rounds, or up by half
// the limit.
func falls(from, to, limit int64) bool { return to < from-limit/100 }

func leaps(from, to, limit int64) bool { return to-from > limit/2 }

func (r Reading) agrees(second Reading, limit int64) bool {
	if r.Reset.IsZero() != second.Reset.IsZero() || falls(r.Used, second.Used, limit) || leaps(r.Used, second.Used, limit) {
		return false
	}
	return r.Reset.Sub(second.Reset).Abs() < 5*time.Minute && r.Every == second.Every
}
