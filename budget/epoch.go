package budget

import (
	"math"
	"time"
)

// Epoch is one run of a window, from its start up to its reset.
type Epoch struct {
	Since, Reset time.Time
}

// EpochAt is the epoch of a calendar window that an instant falls in; false for every other kind, which no clock alone decides.
func (r Recurrence) EpochAt(now time.Time) (Epoch, bool) {
	if r.Kind != Calendar {
		return Epoch{}, false
	}
	_, offset := now.In(r.Zone).Zone()
	k := r.count(now.Unix() + int64(offset))
	since, reset := int64(math.MinInt64), int64(math.MaxInt64)
	for i := k - r.reach(); i <= k+r.reach()+1; i++ {
		if at := instantOf(r.civil(i), r.Zone); at <= now.Unix() {
			since = max(since, at)
		} else {
			reset = min(reset, at)
		}
	}
	return Epoch{time.Unix(since, 0).UTC(), time.Unix(reset, 0).UTC()}, true
}

// Next is the epoch that follows one that ended; false if nothing but a reading, a person or an admission can tell.
func (r Recurrence) Next(ended Epoch) (Epoch, bool) { return r.EpochAt(ended.Reset) }

// reach is how many resets around an instant a change of the zone's offset can put out of order.
func (r Recurrence) reach() int64 {
	if r.Period == Hours {
		return int64(26/r.Every + 2)
	}
	return 2
}

// civil is the k-th reset on the clock, as seconds that pretend the clock shows UTC.
func (r Recurrence) civil(k int64) int64 {
	at, first := int64(r.At/time.Second), r.From.utc()
	step := k * int64(r.Every)
	switch r.Period {
	case Hours:
		return first.Unix() + at + step*3600
	case Days:
		return first.Unix() + at + step*86400
	case Weeks:
		return first.Unix() + at + step*7*86400
	}
	month := time.Date(r.From.Year, r.From.Month+time.Month(step), 1, 0, 0, 0, 0, time.UTC)
	last := month.AddDate(0, 1, -1).Day()
	return month.Unix() + int64(min(r.From.Day, last)-1)*86400 + at
}

// count is the number of the last reset at or before a civil second, give or take one.
func (r Recurrence) count(civil int64) int64 {
	first := r.From.utc()
	passed := civil - first.Unix() - int64(r.At/time.Second)
	every := int64(r.Every)
	switch r.Period {
	case Hours:
		return floor(passed, every*3600)
	case Days:
		return floor(passed, every*86400)
	case Weeks:
		return floor(passed, every*7*86400)
	}
	day := time.Unix(civil, 0).UTC()
	return floor(int64(day.Year()-first.Year())*12+int64(day.Month()-first.Month()), every)
}

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// instantOf is when the zone's clock shows a civil second. A time that a jump forward skips is read as if the clock had not
// jumped, which is the later reading; of a time that comes twice it is the first.
func instantOf(civil int64, zone *time.Location) int64 {
	const before = 26 * 3600 // more than any offset and any jump
	t := time.Unix(civil-before, 0).In(zone)
	_, earlier := t.Zone()
	begins := int64(civil - before)
	for {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		if !end.IsZero() && !end.After(t) {
			end = t.Add(time.Hour) // Go ends the bounds a day early in leap years beyond the zone's table, such as 2040
		}
		at := civil - int64(offset)
		if end.IsZero() || at < end.Unix() {
			if at < begins {
				return civil - int64(earlier)
			}
			return at
		}
		t, begins, earlier = end, end.Unix(), offset
	}
}

// RollOver brings the window into its epoch at an instant and says whether that is another one. What is spent stays behind;
// what is held for live work moves along, even beyond the capacity. A rolling window whose work is still live goes on at
// once, else it closes until something is admitted. A one-off and a reported window stay lapsed.
func (w *Window) RollOver(now time.Time) bool {
	if !w.Lapsed(now) {
		return false
	}
	switch w.Recurrence.Kind {
	case Calendar:
		epoch, _ := w.Recurrence.EpochAt(now)
		w.Enter(Epoch{Since: latest(w.Reset, epoch.Since), Reset: epoch.Reset})
		return true
	case Rolling:
		if w.Reserved == 0 {
			w.Enter(Epoch{})
			return true
		}
		length := w.Recurrence.Length
		since := w.Reset.Add(now.Sub(w.Reset) / length * length)
		w.Enter(Epoch{Since: since, Reset: since.Add(length)})
		return true
	}
	return false
}

// Enter begins an epoch: nothing is spent in it yet, and what is held for live work is held in it.
func (w *Window) Enter(epoch Epoch) {
	w.Since, w.Reset = epoch.Since, epoch.Reset
	w.Committed, w.Recent, w.Extra, w.Lately = 0, 0, 0, nil
	if w.Spread != nil {
		w.Spread = w.Spread.hours.Spread(epoch)
	}
}
