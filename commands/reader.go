package commands

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// reader turns what was typed into values; it keeps the first problem, so that a request reads top to bottom.
type reader struct {
	at      time.Time
	zone    *time.Location
	origin  register.Origin
	said    time.Time
	problem error
}

// refuse keeps the first problem.
func (r *reader) refuse(err error) {
	if r.problem == nil {
		r.problem = err
	}
}

// under says in front of a problem which flag or argument it is about.
func (r *reader) under(where string, err error) {
	if err != nil {
		text := err.Error()
		if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
			text += "."
		}
		r.refuse(problemf("%s: %s", where, text))
	}
}

// instant reads a time; the zero time if none was typed.
func (r *reader) instant(where, typed string) time.Time {
	if typed == "" {
		return time.Time{}
	}
	instant, err := parseTime(typed, r.at, r.zone)
	r.under(where, err)
	return instant
}

// amount reads an amount in micro-units.
func (r *reader) amount(where, typed string) int64 {
	micros, err := parseAmount(typed)
	r.under(where, err)
	return micros
}

// maybeAmount is nil if none was typed.
func (r *reader) maybeAmount(where, typed string) *int64 {
	if typed == "" {
		return nil
	}
	return new(r.amount(where, typed))
}

var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	accountPattern  = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,64}$`)
	providerPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)
)

// name reads a name of letters, digits, dots, dashes and underscores.
func (r *reader) name(where, typed, example string) string {
	return r.matching(where, straightDashes(typed), example, namePattern, "letters, digits, dots, dashes and underscores, at most 64")
}

// account is a subscription's name, which may be a mail address.
func (r *reader) account(where, typed string) string {
	return r.matching(where, straightDashes(typed), "team-a", accountPattern, "letters, digits, dots, dashes, underscores and @, at most 64")
}

// provider reads a provider's name, which has no capitals.
func (r *reader) provider(where, typed string) string {
	return r.matching(where, straightDashes(strings.ToLower(typed)), "claude", providerPattern, "letters, digits, dots, dashes and underscores, at most 64")
}

func (r *reader) matching(where, typed, example string, pattern *regexp.Regexp, accepted string) string {
	if typed != "" && !pattern.MatchString(typed) {
		r.refuse(problemf("%s: %s is not a name; accepted are %s, such as %s.", where, read(typed), accepted, example))
	}
	return typed
}

// text reads free text of at most limit bytes.
func (r *reader) text(where, typed string, limit int) string {
	switch {
	case !utf8.ValidString(typed):
		r.refuse(problemf("%s: the text is not valid UTF-8.", where))
	case strings.Contains(typed, "\x00"):
		r.refuse(problemf("%s: the text holds a zero byte.", where))
	case utf8.RuneCountInString(typed) > limit:
		r.refuse(problemf("%s: the text has %d characters; at most %d are accepted.", where, utf8.RuneCountInString(typed), limit))
	}
	return typed
}

// required reads free text that may not be empty.
func (r *reader) required(where, typed string, limit int) string {
	if strings.TrimFunc(typed, isBlank) == "" {
		r.refuse(problemf("%s is empty.", where))
	}
	return r.text(where, typed, limit)
}

// choice reads one of a few words.
func (r *reader) choice(where, typed string, choices ...string) string {
	chosen := straightDashes(strings.ToLower(typed))
	for _, choice := range choices {
		if chosen == choice {
			return choice
		}
	}
	if typed == "" {
		return ""
	}
	did := ""
	if near := nearest(chosen, choices); near != "" {
		did = " Did you mean " + near + "?"
	}
	r.refuse(problemf("%s: %s is not one of %s.%s", where, read(typed), listing(choices, "and"), did))
	return ""
}

// number reads a whole number between least and most.
func (r *reader) number(where, typed string, least, most int, example string) int {
	number, err := strconv.Atoi(strings.TrimSpace(typed))
	if err != nil || number < least || number > most {
		r.refuse(problemf("%s: %s is not a whole number from %d to %d, such as %s.", where, read(typed), least, most, example))
	}
	return number
}

var (
	dispatchID = regexp.MustCompile(`^#?(?:[Dd]-?)?([1-9][0-9]{0,17})$`)
	proposalID = regexp.MustCompile(`^#?(?:[Pp]-?)?([1-9][0-9]{0,17})$`)
)

// dispatch reads the ID of a dispatch: D-12, d12, 12.
func (r *reader) dispatch(where, typed string) string {
	return r.id(where, typed, dispatchID, "D-", "a dispatch", "D-12")
}

// proposal reads the ID of a proposal: P-7, p7, 7.
func (r *reader) proposal(where, typed string) string {
	return r.id(where, typed, proposalID, "P-", "a proposal", "P-7")
}

func (r *reader) id(where, typed string, pattern *regexp.Regexp, letter, what, example string) string {
	parts := pattern.FindStringSubmatch(strings.TrimRight(straightDashes(typed), ":.,"))
	if parts == nil {
		if where != "" {
			where += ": "
		}
		r.refuse(problemf("%s%s is not the ID of %s, such as %s.", where, read(typed), what, example))
		return letter + "0"
	}
	return letter + parts[1]
}

// local reads the number of something the transport keeps.
func (r *reader) local(typed string, pattern *regexp.Regexp, what, example string) int64 {
	parts := pattern.FindStringSubmatch(strings.TrimRight(straightDashes(typed), ":.,"))
	if parts == nil {
		r.refuse(problemf("%s is not the number of %s, such as %s.", read(typed), what, example))
		return 0
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		r.refuse(problemf("%s is too large a number.", read(typed)))
	}
	return number
}
