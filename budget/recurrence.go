package budget

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is how a window's epochs follow one another.
type Kind uint8

// The kinds. A window without one is a one-off: past its reset it lapses.
const (
	OneOff   Kind = iota // from one instant to another, once
	Calendar             // at a civil time in a zone, every so often; epochs are contiguous
	Rolling              // opens at its first admission and lasts Length
	Reported             // as the provider reports it
)

// Period is the step of a calendar recurrence.
type Period uint8

// The periods.
const (
	Hours Period = iota
	Days
	Weeks
	Months
)

var periodNames = [...]string{"hour", "day", "week", "month"}

// Recurrence is when a window resets. The zero one is a one-off.
type Recurrence struct {
	Kind   Kind
	Length time.Duration // of a rolling window

	// A calendar window resets every Every Periods at At in Zone, counted from the civil day From: on its weekday for
	// Weeks, on its day of the month (or the last one of a shorter month) for Months, from its At on for Hours.
	Every  int
	Period Period
	At     time.Duration // since midnight on the clock, in whole minutes
	From   Date
	Zone   *time.Location
}

// Date is a civil day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// origin is the day that calendar windows are counted from unless another is named: a Monday and the first of a month.
var origin = Date{2001, time.January, 1}

// OpensAfter is a window that opens at its first admission and lasts length.
func OpensAfter(length time.Duration) Recurrence { return Recurrence{Kind: Rolling, Length: length} }

// Repeats is the calendar window that resets at an instant, and every so often at that civil time in the zone.
func Repeats(every int, period Period, reset time.Time, zone *time.Location) Recurrence {
	civil := reset.In(zone)
	at := time.Duration(civil.Hour())*time.Hour + time.Duration(civil.Minute())*time.Minute
	return Recurrence{
		Kind: Calendar, Every: every, Period: period, At: at,
		From: Date{civil.Year(), civil.Month(), civil.Day()}, Zone: zone,
	}
}

// ParseRecurrence reads how a window recurs: once, provider, rolling 5h, or every [N] hours, days, weeks or months, then if
// you like on a weekday or a day of the month, at a time, in a zone and from a date, such as
// "every 2 weeks on mon at 09:00 in Europe/Berlin from 2026-01-05".
func ParseRecurrence(text string) (Recurrence, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 1 && strings.EqualFold(words[0], "once"):
		return Recurrence{}, nil
	case len(words) == 1 && strings.EqualFold(words[0], "provider"):
		return Recurrence{Kind: Reported}, nil
	case len(words) == 2 && strings.EqualFold(words[0], "rolling"):
		length, err := time.ParseDuration(words[1])
		if err != nil || length < time.Minute || length > maxRolling {
			return Recurrence{}, fmt.Errorf("%q is not how long a rolling window lasts, write hours and minutes from 1m to %dh, such as rolling 5h", words[1], int(maxRolling.Hours()))
		}
		return OpensAfter(length), nil
	case len(words) >= 2 && strings.EqualFold(words[0], "every"):
		return parseCalendar(words[1:])
	}
	return Recurrence{}, fmt.Errorf("%q is not how a window recurs, write once, provider, rolling or every, such as every week on mon at 09:00 in Europe/Berlin", strings.TrimSpace(text))
}

const (
	maxRolling = 366 * 24 * time.Hour
	maxEvery   = 1000
)

func parseCalendar(words []string) (Recurrence, error) {
	r := Recurrence{Kind: Calendar, Every: 1, From: origin, Zone: time.UTC}
	if n, err := strconv.Atoi(words[0]); err == nil {
		r.Every, words = n, words[1:]
	} else if digits := strings.TrimRight(words[0], "hdw"); digits != words[0] && isDigits(digits) && len(words[0]) == len(digits)+1 {
		r.Every, _ = strconv.Atoi(digits)
		words[0] = map[byte]string{'h': "hour", 'd': "day", 'w': "week"}[words[0][len(digits)]]
	}
	if r.Every < 1 || r.Every > maxEvery || len(words) == 0 {
		return Recurrence{}, fmt.Errorf("a window recurs every 1 to %d hours, days, weeks or months, such as every 2 weeks", maxEvery)
	}
	period := strings.ToLower(strings.TrimSuffix(strings.ToLower(words[0]), "s"))
	known := false
	for i, name := range periodNames {
		if period == name {
			r.Period, known = Period(i), true
		}
	}
	if !known {
		return Recurrence{}, fmt.Errorf("%q is not a period, write hours, days, weeks or months, such as every 2 weeks", words[0])
	}
	if len(words)%2 == 0 {
		return Recurrence{}, fmt.Errorf("%q stands alone, write pairs of on, at, in and from with their values, such as at 09:00", words[len(words)-1])
	}
	on := ""
	for i := 1; i < len(words); i += 2 {
		var err error
		switch value := words[i+1]; strings.ToLower(words[i]) {
		case "on":
			on = value
		case "at":
			r.At, err = parseClock(value)
		case "in":
			r.Zone, err = parseZone(value)
		case "from":
			r.From, err = parseDate(value)
		default:
			err = fmt.Errorf("%q is not one of on, at, in and from, such as every day at 09:00", words[i])
		}
		if err != nil {
			return Recurrence{}, err
		}
	}
	return r, r.on(on)
}

// on moves the first day to the weekday, or the day of the month, that was named.
func (r *Recurrence) on(text string) error {
	if text == "" {
		return nil
	}
	switch r.Period {
	case Weeks:
		day, ok := weekdays[strings.ToLower(text[:min(3, len(text))])]
		if !ok {
			return fmt.Errorf("%q is not a weekday, write mon, tue, wed, thu, fri, sat or sun, such as on mon", text)
		}
		first := r.From.utc()
		first = first.AddDate(0, 0, (int(day)-int(first.Weekday())+7)%7)
		r.From = Date{first.Year(), first.Month(), first.Day()}
		return nil
	case Months:
		day, err := strconv.Atoi(text)
		if err != nil || day < 1 || day > 31 {
			return fmt.Errorf("%q is not a day of a month, write 1 to 31, such as on 1", text)
		}
		r.From.Day = day
		return nil
	}
	return fmt.Errorf("a window of hours or days has no day it resets on, leave out on %s, such as every day at 09:00", text)
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

func parseClock(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time of day, write hours and minutes from 00:00 to 23:59, such as 09:00", text)
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, nil
}

func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone, write its name in the tz database, such as Europe/Berlin", name)
	}
	return zone, nil
}

func parseDate(text string) (Date, error) {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1970 || day.Year() > 9000 {
		return Date{}, fmt.Errorf("%q is not a date, write year, month and day, such as 2026-01-05", text)
	}
	return Date{day.Year(), day.Month(), day.Day()}, nil
}

// String writes the recurrence so that ParseRecurrence reads it back.
func (r Recurrence) String() string {
	switch r.Kind {
	case Rolling:
		return "rolling " + short(r.Length)
	case Reported:
		return "provider"
	case OneOff:
		return "once"
	}
	text := "every " + periodNames[r.Period]
	if r.Every != 1 {
		text = fmt.Sprintf("every %d %ss", r.Every, periodNames[r.Period])
	}
	from := r.From
	switch r.Period {
	case Weeks:
		text += " on " + strings.ToLower(from.utc().Weekday().String()[:3])
	case Months:
		text += " on " + strconv.Itoa(from.Day)
		from.Day = 1
	}
	text += fmt.Sprintf(" at %02d:%02d in %s", int(r.At.Hours()), int(r.At.Minutes())%60, r.Zone)
	if r.Every == 1 && r.Period != Hours || from == origin {
		return text
	}
	return text + " from " + from.utc().Format(time.DateOnly)
}

// short writes a duration without the zeros at its end: 5h, 1h30m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }
