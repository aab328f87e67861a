package commands

import (
	"regexp"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

var modelPattern = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,64}$`)

// recurrence reads how a window recurs, as the register takes it, and the zone of its clock: what was typed, else the asker's.
func (r *reader) recurrence(rolling, every, zone string) (recurrence, in string) {
	in = zoneName(r.zone)
	if zone != "" {
		named := zoneNamed(zone)
		if named == nil {
			r.refuse(problemf("--zone: %s is not a time zone; write one such as Europe/Berlin or UTC.", read(zone)))
			return "", ""
		}
		in = named.String()
	}
	switch {
	case rolling != "" && every != "":
		r.refuse(problemf("--rolling and --every exclude each other: a window opens with its first work, or it resets by the clock."))
		return "", ""
	case rolling != "":
		length, err := parseDuration(rolling)
		if err != nil {
			r.refuse(problemf("--rolling: %s is not how long a window lasts, from 1m to 30d, such as 5h or 7d.", read(rolling)))
		}
		recurrence = budget.OpensAfter(length).String()
	case every != "":
		recurrence = "every " + cutEvery(strings.TrimRight(straightDashes(every), ".,; "))
		_, err := budget.ParseRecurrence(recurrence)
		r.under("--every", err)
	}
	return recurrence, in
}

// cutEvery takes the word off that the flag says already.
func cutEvery(text string) string {
	if words := strings.Fields(text); len(words) > 1 && strings.EqualFold(words[0], "every") {
		return strings.Join(words[1:], " ")
	}
	return text
}

// scope reads whose work a window meters.
func (r *reader) scope(where, typed string) string {
	if typed == "" {
		return ""
	}
	scope, err := budget.ParseScope(straightDashes(typed))
	r.under(where, err)
	return scope.String()
}

// hours reads working hours, as the register takes them.
func (r *reader) hours(where, typed, zone string) string {
	typed = strings.TrimRight(straightDashes(typed), ".; ")
	if typed == "" || strings.EqualFold(typed, "none") {
		return strings.ToLower(typed)
	}
	if !strings.Contains(strings.ToLower(typed), " in ") {
		typed += " in " + zone
	}
	hours, err := budget.ParseWorkingHours(typed)
	if err != nil {
		r.under(where, err)
		return ""
	}
	return hours.String()
}
