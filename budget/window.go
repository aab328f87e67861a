package budget

import (
	"math"
	"math/bits"
	"time"
)

// DefaultBurstPPM is the default slack b above the allowance: 5 % of the capacity, in parts per million.
const DefaultBurstPPM = 50_000

const million = 1_000_000

// Window is one budget window of a subscription at one moment: what may be spent between two instants, and what is.
// Amounts are micro-units of Unit; instants count in microseconds, as the register stores them.
type Window struct {
	// ID is the caller's own; the rules only hand it back.
	ID   int64
	Name string
	Unit string

	Limit     int64
	Floor     int64 // kept back: nothing is admitted into it
	Committed int64 // spent
	Reserved  int64 // held for admitted work
	BurstPPM  int64 // the slack b as a share of the capacity, in parts per million

	Since time.Time
	Reset time.Time

	// Line is the work that waits on this window, in line order (see Waiting).
	Line []Waiting
}

// Capacity is L' = Limit - Floor, never below zero.
func (w *Window) Capacity() int64 { return max(0, w.Limit-w.Floor) }

// Used is what is committed and reserved.
func (w *Window) Used() int64 { return add(w.Committed, w.Reserved) }

// Burst is b = beta L', rounded down: the fixed slack above the allowance.
func (w *Window) Burst() int64 { return scale(w.Capacity(), w.BurstPPM, million) }

// Lapsed says whether the window is past its reset, so that its use is unknown until it is set again.
func (w *Window) Lapsed(now time.Time) bool { return !now.Before(w.Reset) }

// Allowance is the even spread a(t) = L' (t - t0) / D, rounded down: 0 at Since, L' at Reset, never falling in between.
func (w *Window) Allowance(now time.Time) int64 {
	elapsed, length := w.elapsed(now), w.length()
	if length <= 0 || elapsed >= length {
		return w.Capacity()
	}
	return scale(w.Capacity(), elapsed, length)
}

// WakeAt is the first instant, to the microsecond, at which pace admits need behind what is ahead with the given slack:
// t0 + D (used + ahead + need - slack) / L', rounded up and kept within [now, Reset].
func (w *Window) WakeAt(ahead, need, slack int64, now time.Time) time.Time {
	wanted := add(add(w.Used(), ahead), need) - slack
	capacity, length := w.Capacity(), w.length()
	switch {
	case wanted > capacity || length <= 0:
		return latest(now, w.Reset)
	case wanted <= 0:
		return latest(now, w.Since)
	}
	return latest(now, time.UnixMicro(w.Since.UnixMicro()+scaleUp(length, wanted, capacity)).UTC())
}

// EasesAt is when even spread brings the use back below the downgrade step if nothing more is spent, at most the reset.
func (w *Window) EasesAt(now time.Time) time.Time {
	if w.Used() >= w.Capacity() {
		return latest(now, w.Reset)
	}
	return w.WakeAt(0, 0, w.Burst()/2, now)
}

// paceRoom is how much more pace admits now with the given slack; below zero when the use is ahead of it.
func (w *Window) paceRoom(slack int64, now time.Time) int64 {
	return add(w.Allowance(now), slack) - w.Used()
}

func (w *Window) length() int64 { return w.Reset.UnixMicro() - w.Since.UnixMicro() }

func (w *Window) elapsed(now time.Time) int64 {
	return max(0, now.UnixMicro()-w.Since.UnixMicro())
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
	quotient, rest := bits.Div64(high, low, uint64(whole))
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
