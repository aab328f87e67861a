package budget

import (
	"fmt"
	"time"
)

// Burn is a window that is spent faster than its even spread, so fast that its step will change before the reset.
type Burn struct {
	Fast bool // a matter of minutes to hours; else of days
	// Rate is how many times as fast as the even spread it was spent over the last Long, and Recent over the last Short.
	Rate, Recent float64
	Long, Short  time.Duration // of working time, if the window has it
	Downgrade    time.Time     // when its use will be so far ahead that work is lowered
	RunsDry      time.Time     // when nothing will be left; zero: not before the reset
}

// burnTiers is the multiwindow, multi-burn-rate alert of Google's SRE Workbook, chapter 5, as shares of the window: on 30
// days they are 1 h, 6 h and 3 d, each also over a twelfth of it.
var burnTiers = []struct {
	share int64
	times float64
	fast  bool
}{
	{720, 14.4, true},
	{120, 6, true},
	{10, 1, false},
}

const burnShort = 12

// Burns warns ahead of the step: the fastest tier whose rate is exceeded over its long span and over a twelfth of it, if at
// that rate work is lowered before its reset and before its last moments, when all of it may go. Spans shorter than what is sampled every poll are left out, so a window
// of hours may have only the slow tier. A window that has left normal already is not warned of.
//
// A span that would begin before the window has only what has passed; one run is much of that, so it counts once half the way
// to the step is used up.
func Burns(w *Window, uses Uses, poll time.Duration, now time.Time) (Burn, bool) {
	if w.Closed() || w.Capacity() <= 0 || w.Lapsed(now) || w.StandsOn(false, now) != StepNormal {
		return Burn{}, false
	}
	elapsed, length := w.progress(now.UnixMicro())
	ahead := w.Expected() - w.Allowance(now)
	for _, tier := range burnTiers {
		long := length / tier.share
		short := long / burnShort
		switch {
		case short <= 0 || short < poll.Microseconds():
			continue
		case elapsed < short || elapsed < long && ahead <= w.Burst()/4:
			continue
		}
		long = min(long, elapsed)
		burn := Burn{
			Fast: tier.fast, Rate: w.burn(uses, elapsed, long, length), Recent: w.burn(uses, elapsed, short, length),
			Long: time.Duration(long) * time.Microsecond, Short: time.Duration(short) * time.Microsecond,
		}
		if burn.Rate <= tier.times || burn.Recent <= tier.times {
			continue
		}
		even := float64(w.Capacity()) / float64(length)
		burn.Downgrade = w.before(now, elapsed, length, float64(w.Burst()/2-ahead)/((burn.Rate-1)*even))
		burn.RunsDry = w.before(now, elapsed, length, float64(w.Capacity()-w.Expected())/(burn.Rate*even))
		lastsToTheEnd := !burn.RunsDry.IsZero() && !burn.Downgrade.Before(burn.RunsDry)
		if !burn.Downgrade.IsZero() && !lastsToTheEnd {
			return burn, true
		}
	}
	return Burn{}, false
}

// burn is how many times as fast as the even spread the last span was spent.
func (w *Window) burn(uses Uses, elapsed, span, length int64) float64 {
	spent := float64(w.Expected() - uses.At(w.reaches(elapsed-span)))
	return spent * float64(length) / (float64(w.Capacity()) * float64(span))
}

// before is when so many more (working) microseconds will have passed, or zero from the reset on.
func (w *Window) before(now time.Time, elapsed, length int64, more float64) time.Time {
	if more >= float64(length-elapsed) {
		return time.Time{}
	}
	return latest(now, w.reaches(elapsed+int64(more)))
}

// Says is the warning in one sentence: what will happen, and when.
func (b *Burn) Says() string {
	says := fmt.Sprintf("Spent %.1f times as fast as the even spread over the last %s; at this rate work is lowered or waits from %s",
		b.Rate, span(b.Long), instant(b.Downgrade))
	if b.RunsDry.IsZero() {
		return says + "."
	}
	return fmt.Sprintf("%s, and without that nothing would be left at %s.", says, instant(b.RunsDry))
}

// span is a length of time to two places: "3 d", "1 h 12 min", "25 s".
func span(d time.Duration) string {
	d = d.Round(time.Second)
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, unit := range units {
		count, rest := d/unit.length, d%unit.length
		if count == 0 && unit.length > time.Second {
			continue
		}
		says := fmt.Sprintf("%d %s", count, unit.name)
		if i+1 < len(units) && rest/units[i+1].length > 0 {
			says += fmt.Sprintf(" %d %s", rest/units[i+1].length, units[i+1].name)
		}
		return says
	}
	return "0 s"
}
