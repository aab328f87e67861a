package budget

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// WorkingHours is when people (or agents) are at work: on each weekday one span of the clock in a zone.
type WorkingHours struct {
	Zone *time.Location
	Days [7]Span // by time.Weekday; an empty span is a day off
}

// Span is a part of a civil day in minutes since midnight, from From up to To; To is at most 1440.
type Span struct {
	From, To int
}

// ParseWorkingHours reads spans of weekdays and a zone, such as "mon-fri 09:00-18:00, sat 10:00-14:00 in Europe/Berlin".
func ParseWorkingHours(text string) (*WorkingHours, error) {
	spans, zone, _ := strings.Cut(strings.TrimSpace(text), " in ")
	hours := &WorkingHours{Zone: time.UTC}
	if zone = strings.TrimSpace(zone); zone != "" {
		var err error
		if hours.Zone, err = parseZone(zone); err != nil {
			return nil, err
		}
	}
	for part := range strings.SplitSeq(spans, ",") {
		if err := hours.parse(strings.Fields(part)); err != nil {
			return nil, err
		}
	}
	return hours, nil
}

func (h *WorkingHours) parse(words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("%q is not working hours, write weekdays and a span, such as mon-fri 09:00-18:00 in Europe/Berlin", strings.Join(words, " "))
	}
	first, last, ranged := strings.Cut(strings.ToLower(words[0]), "-")
	if !ranged {
		last = first
	}
	from, known := weekdays[first]
	to, knownToo := weekdays[last]
	if !known || !knownToo {
		return fmt.Errorf("%q is not a weekday or a range of them, write mon, tue, wed, thu, fri, sat or sun, such as mon-fri", words[0])
	}
	opens, closes, _ := strings.Cut(words[1], "-")
	span := Span{}
	for _, end := range []struct {
		text string
		into *int
	}{{opens, &span.From}, {closes, &span.To}} {
		if end.text == "24:00" {
			*end.into = 1440
			continue
		}
		at, err := parseClock(end.text)
		if err != nil {
			return err
		}
		*end.into = int(at.Minutes())
	}
	if span.From >= span.To {
		return fmt.Errorf("%q ends before it begins, write a span within one day, such as 09:00-18:00", words[1])
	}
	for day := from; ; day = (day + 1) % 7 {
		h.Days[day] = span
		if day == to {
			return nil
		}
	}
}

// String writes the hours so that ParseWorkingHours reads them back.
func (h *WorkingHours) String() string {
	var parts []string
	for i := 0; i < 7; {
		day := time.Weekday((i + 1) % 7) // weeks are written from Monday
		until := i
		for until+1 < 7 && h.Days[(until+2)%7] == h.Days[day] {
			until++
		}
		if span := h.Days[day]; span.From < span.To {
			name := dayName(day)
			if until > i {
				name += "-" + dayName(time.Weekday((until+1)%7))
			}
			parts = append(parts, fmt.Sprintf("%s %02d:%02d-%02d:%02d", name, span.From/60, span.From%60, span.To/60, span.To%60))
		}
		i = until + 1
	}
	return strings.Join(parts, ", ") + " in " + h.Zone.String()
}

func dayName(day time.Weekday) string { return strings.ToLower(day.String()[:3]) }

// Spread is the working time of one epoch, made once so that the allowance and the wake stay exact and cheap.
type Spread struct {
	hours  *WorkingHours
	shifts []shift
	total  int64
}

// shift is one stretch of work, in microseconds, and how much was worked before it.
type shift struct {
	from, to, before int64
}

// Spread is the working time of an epoch. An epoch without any spreads over all its hours.
func (h *WorkingHours) Spread(epoch Epoch) *Spread {
	spread := &Spread{hours: h}
	if epoch.Since.IsZero() {
		return spread
	}
	since, reset := epoch.Since.UnixMicro(), epoch.Reset.UnixMicro()
	day := epoch.Since.In(h.Zone)
	first := Date{day.Year(), day.Month(), day.Day()}.utc().AddDate(0, 0, -1)
	for civil := first.Unix(); ; civil += 86400 {
		span := h.Days[time.Unix(civil, 0).UTC().Weekday()]
		from := instantOf(civil+int64(span.From)*60, h.Zone) * Micro
		to := instantOf(civil+int64(span.To)*60, h.Zone) * Micro
		if instantOf(civil, h.Zone)*Micro >= reset {
			return spread
		}
		if n := len(spread.shifts); n > 0 {
			from = max(from, spread.shifts[n-1].to)
		}
		from, to = max(from, since), min(to, reset)
		if from < to {
			spread.shifts = append(spread.shifts, shift{from, to, spread.total})
			spread.total += to - from
		}
	}
}

// worked is how much working time has passed at an instant.
func (s *Spread) worked(now int64) int64 {
	i := sort.Search(len(s.shifts), func(i int) bool { return s.shifts[i].from > now }) - 1
	if i < 0 {
		return 0
	}
	return s.shifts[i].before + min(now, s.shifts[i].to) - s.shifts[i].from
}

// reaches is the first instant at which so much has been worked.
func (s *Spread) reaches(worked int64) time.Time {
	i := sort.Search(len(s.shifts), func(i int) bool { return s.shifts[i].before >= worked }) - 1
	at := s.shifts[max(0, i)]
	return time.UnixMicro(at.from + max(0, worked-at.before)).UTC()
}
