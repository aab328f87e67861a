package budget

import (
	"fmt"
	"math"
	"time"
)

// Windows of the past that a forecast needs: for their shape, and for a probability.
const (
	shapeNeeds       = 3
	probabilityNeeds = 5
)

// Forecast is how a window will end if work goes on as it does. Amounts are micro-units of the window's unit.
type Forecast struct {
	RunsDry time.Time // when its capacity will be used up; zero: not before the reset
	AtReset int64     // expected use at the reset, at most the capacity
	Left    int64     // what that leaves
	Rate    float64   // micro-units a second that the rate alone foresees

	Windows int // past windows it rests on; with fewer than 3 it is the rate alone
	// RunOut is the probability that the window runs dry before its reset, known from 5 past windows on.
	RunOut      float64
	RunOutKnown bool

	Path []Outlook // from now to the reset, for a chart
}

// Outlook is the use a forecast expects at one instant, and between what it may lie.
type Outlook struct {
	At                  time.Time
	Low, Expected, High int64
}

// Likely says whether the window is expected to run dry before its reset: with a known probability, at least even odds.
func (f *Forecast) Likely() bool {
	if f.RunOutKnown {
		return f.RunOut >= 0.5
	}
	return !f.RunsDry.IsZero()
}

// Foresee forecasts a window from its uses since it began and the curves of its past windows, newest first.
//
// By rate: now + (L' - used) / r, with r the greater of the least-squares rate of the last hour (or D/24, if longer) and the
// average since the window began, both over working time if the window has it. From 3 past windows on their weighted median, shifted to today's use, is blended in; from
// 5 on it says with what probability the window runs dry (the method of CodexBar's historical pace).
func Foresee(w *Window, uses Uses, past []Curve, now time.Time) Forecast {
	recent, average := uses.rates(w, now)
	rate := max(recent, average)
	f := Forecast{Rate: rate * Micro}
	history := recall(past, w, now)
	used, capacity := float64(w.Expected()), float64(w.Capacity())
	elapsed, _ := w.progress(now.UnixMicro())
	from, before := now, used
	for _, at := range w.outlooks(now) {
		then, _ := w.progress(at.UnixMicro())
		ahead := float64(then - elapsed)
		expected := used + ahead*rate
		low, high := used+ahead*min(recent, average), expected
		if history.windows >= shapeNeeds {
			trust := min(1, max(0, (history.effective-2)/6))
			expected = blend(trust, used+history.grows(w, at, 0.5), expected)
			low, high = min(used+history.grows(w, at, 0.1), expected), max(used+history.grows(w, at, 0.9), expected)
		}
		f.Path = append(f.Path, Outlook{At: at, Low: w.within(low), Expected: w.within(expected), High: w.within(high)})
		if f.RunsDry.IsZero() && expected >= capacity {
			f.RunsDry = w.crossing(from, at, before, expected, capacity)
		}
		from, before = at, expected
	}
	if history.windows >= shapeNeeds {
		f.Windows = history.windows
	}
	if history.windows >= probabilityNeeds {
		f.RunOut, f.RunsDry = history.runOut(w, now)
		f.RunOutKnown = true
	}
	f.AtReset = w.within(used)
	if last := len(f.Path) - 1; last >= 0 {
		f.AtReset = f.Path[last].Expected
	}
	f.Left = w.Capacity() - f.AtReset
	return f
}

// crossing is where a straight line between two instants reaches an amount; zero at the reset itself, when nothing stands idle.
func (w *Window) crossing(from, to time.Time, used, then, amount float64) time.Time {
	at := from
	if then > used && amount > used {
		at = at.Add(time.Duration(float64(to.UnixMicro()-from.UnixMicro())*(amount-used)/(then-used)) * time.Microsecond)
	}
	if !at.Before(w.Reset) {
		return time.Time{}
	}
	return at
}

// outlooks is the instants of a forecast: now, and every point of a curve from then to the reset.
func (w *Window) outlooks(now time.Time) []time.Time {
	if w.Closed() || w.Lapsed(now) || w.length() <= 0 {
		return nil
	}
	now = latest(now, w.Since)
	instants := []time.Time{now}
	for i := range curvePoints {
		if at := w.pointAt(i); at.After(instants[len(instants)-1]) {
			instants = append(instants, at)
		}
	}
	return instants
}

// within is an amount as a window can have used it.
func (w *Window) within(used float64) int64 {
	capacity := w.Capacity()
	if used >= float64(capacity) { // compared before it is converted: the largest capacity has no float of its own
		return capacity
	}
	return int64(max(0, math.Round(used)))
}

// Says is the forecast in one sentence.
func (f *Forecast) Says(w *Window) string {
	var says string
	switch {
	case w.Closed():
		return fmt.Sprintf("Opens at its first admission, with %s.", Format(w.Capacity(), w.Unit))
	case w.Expected() >= w.Capacity():
		says = fmt.Sprintf("Nothing is left until the reset at %s", instant(w.Reset))
	case !f.RunsDry.IsZero():
		says = fmt.Sprintf("Runs dry at %s, %s before the reset", instant(f.RunsDry.Round(time.Second)), span(w.Reset.Sub(f.RunsDry)))
	default:
		says = fmt.Sprintf("Lasts until the reset at %s and leaves about %s", instant(w.Reset), Short(f.Left, w.Unit))
	}
	switch {
	case f.RunOutKnown:
		return fmt.Sprintf("%s; %.0f %% likely to run dry, by %d past windows.", says, 100*f.RunOut, f.Windows)
	case f.Windows > 0:
		return fmt.Sprintf("%s, by its rate and %d past windows.", says, f.Windows)
	}
	return says + ", by its rate."
}
