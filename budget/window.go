package budget

import (
	"math"
	"math/bits"
	"time"
)

// DefaultBurstPPM is the default slack b above the allowance: 5 % of the capacity, in parts per million.
const DefaultBurstPPM = 50_000

const million = 1_000_000

// Window is one budget window at one moment: what may be spent between two instants, and what is. Amounts are micro-units
// of Unit; instants count in microseconds, as the register stores them. Roll it over (see RollOver)
// before it is judged. While it is in a fleet its unit stays the same.
type Window struct {
	// ID is the caller's own; the rules only hand it back.
	ID   int64
	Name string

	Limit     int64
	Floor     int64 // kept back: nothing is admitted into it
	Committed int64 // spent
	Reserved  int64 // held for admitted work, on upper bounds: R90
	Margin    int64 // how far Reserved lies above the means: R90 - Rmean
	Recent    int64 // the means of what was admitted since RecentSince, within this epoch; see Recall
	BurstPPM  int64 // the slack b as a share of the capacity, in parts per million
	Extra     int64 // slack that overrides add for this epoch; see Grant

	Since  time.Time // zero while a rolling window is not open
	Reset  time.Time
	Spread *Spread // the working hours of this epoch; nil spreads evenly over all hours

	Source  Source
	Checked time.Time // when a provider last reported it; see Meter
	Theirs  bool      // the provider sets the limit, whoever entered it; else we set it ourselves

	Unit     string
	Scope    Scope  // whose work it meters; zero means all work of its subscription
	Provider string // of a shared window that meters one provider only; empty means every provider
	Model    string // of a window that meters one model only; empty means every model

	// Lately is what was admitted in this epoch, as far as the burst rule still looks at it.
	Lately []Slot

	// Line is the work that waits on this window, in line order (see Waiting).
	Line []Waiting

	Recurrence Recurrence
	Ratio      Ratio // of a window of percent: what tokens take of it, as far as it is known
}

// Capacity is L' = Limit - Floor, never below zero.
func (w *Window) Capacity() int64 { return max(0, w.Limit-w.Floor) }

// Used is what is committed and reserved, on upper bounds: C + R90. The cap judges it.
func (w *Window) Used() int64 { return add(w.Committed, w.Reserved) }

// Expected is what is committed and reserved, on means: C + Rmean. Pace judges it.
func (w *Window) Expected() int64 { return add(w.Committed, w.Reserved-w.Margin) }

// Burst is b = beta L', rounded down: the fixed slack above the allowance.
func (w *Window) Burst() int64 { return scale(w.Capacity(), w.BurstPPM, million) }

// Lapsed says whether the window is past its reset, so that its use is unknown until it is set again.
func (w *Window) Lapsed(now time.Time) bool { return !w.Closed() && !now.Before(w.Reset) }

// Closed says whether a rolling window waits for its first admission to open it.
func (w *Window) Closed() bool { return w.Recurrence.Kind == Rolling && w.Since.IsZero() }

// Allowance is the even spread a(t) = L' phi(t), rounded down: 0 at Since, L' at Reset, never falling in between. phi is the
// share of the window's (working) time that has passed.
func (w *Window) Allowance(now time.Time) int64 {
	elapsed, length := w.progress(now.UnixMicro())
	return allowance(w.Capacity(), elapsed, length)
}

func allowance(capacity, elapsed, length int64) int64 {
	if length <= 0 || elapsed >= length {
		return capacity
	}
	return scale(capacity, elapsed, length)
}

// WakeAt is the first instant, to the microsecond, at which pace admits need behind what is ahead with the given slack, all
// on means: t0 + D (used + ahead + need - slack) / L', rounded up and kept within [now, Reset].
func (w *Window) WakeAt(ahead, need, slack int64, now time.Time) time.Time {
	wanted := add(add(w.Expected(), ahead), need) - slack
	capacity := w.Capacity()
	_, length := w.progress(0)
	switch {
	case w.Closed():
		return now
	case wanted > capacity || length <= 0:
		return latest(now, w.Reset)
	case wanted <= 0:
		return latest(now, w.Since)
	}
	return latest(now, w.reaches(scaleUp(length, wanted, capacity)))
}

// EasesAt is when even spread brings the use back below the downgrade step if nothing more is spent, at most the reset.
func (w *Window) EasesAt(now time.Time) time.Time {
	if w.Used() >= w.Capacity() {
		return latest(now, w.Reset)
	}
	return w.WakeAt(0, 0, w.Burst()/2, now)
}

// progress is how much of the window's (working) time has passed at an instant, and all of it, in microseconds.
func (w *Window) progress(now int64) (elapsed, length int64) {
	if w.Closed() {
		return 0, w.Recurrence.Length.Microseconds()
	}
	if w.Spread != nil && w.Spread.total > 0 {
		return w.Spread.worked(now), w.Spread.total
	}
	since := w.Since.UnixMicro()
	length = w.Reset.UnixMicro() - since
	return min(max(0, now-since), length), length
}

// reaches is the first instant at which elapsed (working) microseconds have passed.
func (w *Window) reaches(elapsed int64) time.Time {
	if w.Spread != nil && w.Spread.total > 0 {
		return w.Spread.reaches(elapsed)
	}
	return time.UnixMicro(w.Since.UnixMicro() + elapsed).UTC()
}

// length is D in microseconds.
func (w *Window) length() int64 {
	if w.Closed() {
		return w.Recurrence.Length.Microseconds()
	}
	return w.Reset.UnixMicro() - w.Since.UnixMicro()
}

// add adds amounts and stays at the largest one instead of wrapping.
func add(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// scale is value x part / whole in 128 bits, rounded down; at most the largest int64.
func scale(value, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(value), uint64(part))
	if high == 0 {
		return int64(min(low/uint64(whole), math.MaxInt64))
	}
	if high >= uint64(whole) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, uint64(whole))
	return int64(min(quotient, math.MaxInt64))
}

// scaleUp is scale, rounded up.
func scaleUp(value, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(value), uint64(part))
	if high >= uint64(whole) {
		return math.MaxInt64
	}
	var quotient, rest uint64
	if high == 0 {
		quotient, rest = low/uint64(whole), low%uint64(whole)
	} else {
		quotient, rest = bits.Div64(high, low, uint64(whole))
	}
	if rest > 0 {
		quotient++
	}
	return int64(min(quotient, math.MaxInt64))
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
