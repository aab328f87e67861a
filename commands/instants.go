package commands

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// instant shows when something is, in zone: "Mon 30 Nov 09:00 CET". The year is shown where it is not that of now.
func instant(at, now time.Time, zone *time.Location) string {
	at = at.In(zone)
	layout := "Mon 2 Jan 15:04 MST"
	if !now.IsZero() && at.Year() != now.In(zone).Year() {
		layout = "Mon 2 Jan 2006 15:04 MST"
	}
	return at.Format(layout)
}

// utcInstant is how rules and gateway write an instant into a sentence.
var utcInstant = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?: UTC|Z)`)

// explained makes a sentence of the register safe and shows its instants in zone.
func explained(sentence string, now time.Time, zone *time.Location) string {
	return escape(utcInstant.ReplaceAllStringFunc(sentence, func(found string) string {
		at, err := time.Parse(time.DateTime, strings.Replace(found[:19], "T", " ", 1))
		if err != nil {
			return found
		}
		return instant(at, now, zone)
	}))
}

// ahead shows when something is and how far away that is: "Mon 30 Nov 09:00 CET, in 6 d 3 h".
func ahead(at, now time.Time, zone *time.Location) string {
	return instant(at, now, zone) + ", " + away(at, now)
}

// away is how far at is from now: "in 6 d 3 h", "12 min ago".
func away(at, now time.Time) string {
	switch between := at.Sub(now); {
	case between >= time.Second:
		return "in " + length(between)
	case between <= -time.Second:
		return length(-between) + " ago"
	}
	return "now"
}

// since is how long ago something happened.
func since(at, now time.Time) string {
	if now.Sub(at) < time.Second {
		return "just now"
	}
	return away(at, now)
}

// length shows a duration in its two largest units: "6 d 3 h", "1 h 12 min", "45 s".
func length(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", max(1, int(d.Seconds())))
	}
	if d = d.Round(time.Minute); d < time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	if d < 24*time.Hour {
		return twoUnits(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	d = d.Round(time.Hour)
	return twoUnits(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func twoUnits(large int, largeUnit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}
