package commands

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a static binary in an empty container knows every zone
)

// acceptedTimes is what a person is told when a time cannot be read.
const acceptedTimes = "write +5h, +2d, 17:00, fri 17:00, tomorrow 9:00 or 2026-11-30 09:00, and a zone after it if you like, as in 17:00 Europe/Berlin"

var (
	relativeTime = regexp.MustCompile(`^(?:\+|in )\s*((?:\d{1,6}\s?(?:minutes|minute|mins|min|m|hours|hour|hrs|h|days|day|d|weeks|week|w)\s?)+)$`)
	relativePart = regexp.MustCompile(`(\d+)\s?([a-z])[a-z]*`)
	offsetTime   = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[t ](\d{1,2}:\d{2})(:\d{2})?(\.\d+)? ?(z|[+-]\d{2}:?\d{2})$`)
	dateTime     = regexp.MustCompile(`^(\d{4})-(\d{2})-(\d{2})(?:[t ](.+))?$`)
	clockTime    = regexp.MustCompile(`^(\d{1,2})(?::(\d{2}))?(?::(\d{2}))? ?(am|pm)?$`)
)

// parseTime reads an instant as people type it. Relative times count from at (a day is 24 hours, a week 7 days); wall-clock times are read
// in zone, or in the IANA zone that follows them. A wall-clock time that daylight saving skips means the later valid instant,
// the same time on before the clocks changed; one that occurs twice means the first. A time of day or a weekday means the next one after at.
func parseTime(text string, at time.Time, zone *time.Location) (time.Time, error) {
	typed := strings.Join(strings.Fields(strings.ToLower(straightDashes(oneLine(text)))), " ")
	instant, err := readTime(typed, text, at, zone)
	if err != nil {
		return time.Time{}, err
	}
	if instant.Year() < 1970 || instant.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not a time between the years 1970 and 9999; an example is +5h", read(text))
	}
	return instant.UTC(), nil
}

func readTime(typed, text string, at time.Time, zone *time.Location) (time.Time, error) {
	if parts := relativeTime.FindStringSubmatch(typed); parts != nil {
		return relative(parts[1], at), nil
	}
	if parts := offsetTime.FindStringSubmatch(typed); parts != nil {
		return withOffset(parts, text)
	}
	typed, named, err := cutZone(typed, text)
	if err != nil {
		return time.Time{}, err
	}
	if named != nil {
		zone = named
	}
	if instant, ok := wallClock(typed, at.In(zone), zone); ok {
		return instant, nil
	}
	return time.Time{}, unreadable(text)
}

func unreadable(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("a time is missing; " + acceptedTimes)
	}
	return fmt.Errorf("%s is not a time; %s", read(text), acceptedTimes)
}

func relative(parts string, at time.Time) time.Time {
	hours := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for _, part := range relativePart.FindAllStringSubmatch(parts, -1) {
		number, _ := strconv.Atoi(part[1])
		// A step at a time, since many weeks do not fit one duration.
		for unit := hours[part[2]]; number > 0; number -= min(number, 10_000) {
			at = at.Add(time.Duration(min(number, 10_000)) * unit)
		}
	}
	return at
}

func withOffset(parts []string, text string) (time.Time, error) {
	seconds, offset := parts[3], strings.ToUpper(parts[5])
	if seconds == "" {
		seconds = ":00"
	}
	if len(offset) == 5 {
		offset = offset[:3] + ":" + offset[3:]
	}
	clock := parts[2]
	if len(clock) == 4 {
		clock = "0" + clock
	}
	instant, err := time.Parse(time.RFC3339Nano, parts[1]+"T"+clock+seconds+parts[4]+offset)
	if err != nil {
		return time.Time{}, unreadable(text)
	}
	return instant, nil
}

// cutZone takes an IANA zone off the end of a typed time; nil if there is none.
func cutZone(typed, text string) (string, *time.Location, error) {
	space := strings.LastIndexByte(typed, ' ')
	if space < 0 {
		return typed, nil, nil
	}
	before, last := typed[:space], typed[space+1:]
	if _, isClock := clockOf(last); isClock || last == "am" || last == "pm" {
		return typed, nil, nil
	}
	if zone := zoneNamed(last); zone != nil {
		return before, zone, nil
	}
	words := strings.Fields(oneLine(text))
	return "", nil, fmt.Errorf("%s is not a time zone; write one such as Europe/Berlin or UTC, as in 17:00 Europe/Berlin", read(words[len(words)-1]))
}

// zoneNamed finds an IANA zone typed in any case; abbreviations such as CET are not zones, since they mean different offsets to different people.
func zoneNamed(typed string) *time.Location {
	if typed == "utc" || typed == "z" || typed == "gmt" {
		return time.UTC
	}
	if !strings.Contains(typed, "/") {
		return nil
	}
	// Names are capitalised by word, but for a few parts such as "of" and "es"; the typed spelling is tried as well.
	for _, name := range []string{titled(typed, ""), titled(typed, " of es au "), typed} {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone
		}
	}
	return nil
}

func titled(name, small string) string {
	var out strings.Builder
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && !strings.ContainsRune("/_-", rune(name[i])) {
			continue
		}
		part := name[start:i]
		if part != "" && !strings.Contains(small, " "+part+" ") {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		out.WriteString(part)
		if i < len(name) {
			out.WriteByte(name[i])
		}
		start = i + 1
	}
	return out.String()
}

// wallClock reads a date and time, a weekday and time, today or tomorrow and a time, or a time alone.
func wallClock(typed string, now time.Time, zone *time.Location) (time.Time, bool) {
	if parts := dateTime.FindStringSubmatch(typed); parts != nil {
		year, _ := strconv.Atoi(parts[1])
		month, _ := strconv.Atoi(parts[2])
		day, _ := strconv.Atoi(parts[3])
		c, isClock := clockOf(parts[4])
		exists := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) == typed[:10]
		return instantAt(year, time.Month(month), day, c, zone), isClock && exists
	}
	word, rest, _ := strings.Cut(typed, " ")
	if c, isClock := clockOf(typed); isClock {
		return next(c, now, zone, func(time.Time) bool { return true }), true
	}
	c, isClock := clockOf(strings.TrimPrefix(rest, "at "))
	if !isClock {
		return time.Time{}, false
	}
	switch weekday, isWeekday := weekdayOf(word); {
	case word == "today":
		return instantAt(now.Year(), now.Month(), now.Day(), c, zone), true
	case word == "tomorrow":
		return instantAt(now.Year(), now.Month(), now.Day()+1, c, zone), true
	case isWeekday:
		return next(c, now, zone, func(day time.Time) bool { return day.Weekday() == weekday }), true
	}
	return time.Time{}, false
}

// next is the first instant after now at which the clock shows c on a fitting day.
func next(c clock, now time.Time, zone *time.Location, fits func(day time.Time) bool) time.Time {
	for ahead := 0; ; ahead++ {
		day := time.Date(now.Year(), now.Month(), now.Day()+ahead, 0, 0, 0, 0, time.UTC)
		if instant := instantAt(day.Year(), day.Month(), day.Day(), c, zone); fits(day) && instant.After(now) {
			return instant
		}
	}
}

type clock struct{ hour, minute, second int }

func clockOf(typed string) (clock, bool) {
	parts := clockTime.FindStringSubmatch(typed)
	if parts == nil || parts[2] == "" && parts[4] == "" {
		return clock{}, false
	}
	var c clock
	c.hour, _ = strconv.Atoi(parts[1])
	c.minute, _ = strconv.Atoi(parts[2])
	c.second, _ = strconv.Atoi(parts[3])
	if parts[4] != "" {
		if c.hour < 1 || c.hour > 12 {
			return clock{}, false
		}
		c.hour %= 12
		if parts[4] == "pm" {
			c.hour += 12
		}
	}
	return c, c.hour < 24 && c.minute < 60 && c.second < 60
}

func weekdayOf(word string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := strings.ToLower(day.String()); len(word) >= 3 && strings.HasPrefix(name, strings.TrimSuffix(word, ".")) {
			return day, true
		}
	}
	return 0, false
}

// instantAt is when the clocks of zone show the given time: the first of two such instants, and for a time that is skipped the
// later of the two readings, which is as long after the change as the typed time is after its beginning.
func instantAt(year int, month time.Month, day int, c clock, zone *time.Location) time.Time {
	naive := time.Date(year, month, day, c.hour, c.minute, c.second, 0, time.UTC)
	_, before := naive.Add(-24 * time.Hour).In(zone).Zone()
	_, after := naive.Add(24 * time.Hour).In(zone).Zone()
	early := naive.Add(-time.Duration(max(before, after)) * time.Second)
	late := naive.Add(-time.Duration(min(before, after)) * time.Second)
	if shows(early, naive, zone) {
		return early
	}
	return late
}

func shows(instant, naive time.Time, zone *time.Location) bool {
	_, offset := instant.In(zone).Zone()
	return instant.Add(time.Duration(offset) * time.Second).Equal(naive)
}
