package fleet

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// date works out when the window's epoch begins and ends, from what was said and from how it recurs.
func (p *plan) date(set BudgetSet, current *budget.Window, now time.Time) error {
	recurrence, err := recurrences.of(p.definition.Recurrence)
	if err != nil {
		return fmt.Errorf("reading how the window recurs: %w", err)
	}
	live := current != nil && !p.fresh && !current.Closed()
	since, reset := set.Since, set.ResetAt
	if live && (set.Recurrence == "" || recurrence.Kind == budget.OneOff || recurrence.Kind == budget.Reported) {
		since, reset = given(since, current.Since), given(reset, current.Reset)
	}
	if live && recurrence.Kind == budget.Rolling {
		since = given(since, current.Since)
	}
	switch recurrence.Kind {
	case budget.Rolling:
		since, reset, err = p.dateRolling(recurrence, since, reset, now)
	case budget.Calendar:
		since, reset, err = p.dateCalendar(recurrence, set, since, reset, now)
	default:
		if since.IsZero() {
			since, p.beganNow = now, true
		}
		if reset.IsZero() {
			err = missingReset(now)
		}
	}
	switch {
	case err != nil:
		return err
	case since.IsZero(): // it opens at its first admission
		p.row.Since, p.row.ResetAt = nil, nil
		return nil
	case since.After(now):
		return &Error{
			Code: CodeInvalid, Field: "since",
			Detail:  fmt.Sprintf("The window's start %s is still to come.", since.Format(time.RFC3339)),
			Example: now.Format(time.RFC3339), NextStep: "Give a start that is not in the future.",
		}
	}
	p.row.Since, p.row.ResetAt = &since, &reset
	return checkReset(reset, now)
}

// dateRolling opens a rolling window only if something says when, or that something was used already.
func (p *plan) dateRolling(r budget.Recurrence, since, reset, now time.Time) (time.Time, time.Time, error) {
	switch {
	case since.IsZero() && reset.IsZero() && p.row.CommittedMicros+p.row.ReservedMicros == 0:
		return since, reset, nil
	case since.IsZero() && reset.IsZero():
		p.beganNow = true
		return now, now.Add(r.Length), nil
	case reset.IsZero():
		return since, since.Add(r.Length), nil
	case since.IsZero() && reset.Add(-r.Length).After(now):
		return since, reset, &Error{
			Code: CodeInvalid, Field: "reset_at", Example: now.Add(r.Length).Format(time.RFC3339),
			Detail: fmt.Sprintf("The reset %s is further away than a window of %s lasts.", reset.Format(time.RFC3339), strings.TrimPrefix(r.String(), "rolling ")),
		}
	case since.IsZero():
		return reset.Add(-r.Length), reset, nil
	}
	return since, reset, nil
}

// dateCalendar takes the epoch that is current by the calendar. A recurrence that names no day and no time is counted from the reset.
func (p *plan) dateCalendar(r budget.Recurrence, set BudgetSet, since, reset, now time.Time) (time.Time, time.Time, error) {
	if set.Recurrence == "" {
		epoch, _ := r.EpochAt(now)
		return given(since, epoch.Since), given(reset, epoch.Reset), nil
	}
	if !anchored(set.Recurrence) {
		if reset.IsZero() {
			return since, reset, &Error{
				Code: CodeInvalid, Field: "reset_at", Example: "every week on mon at 09:00",
				Detail: fmt.Sprintf("When %q begins is not said.", set.Recurrence), NextStep: "Give the next reset, or write the day and the time into the recurrence.",
			}
		}
		reset = reset.Truncate(time.Minute)
		r = budget.Repeats(r.Every, r.Period, reset, r.Zone)
		p.definition.Recurrence = r.String()
	}
	epoch, _ := r.EpochAt(now)
	if !reset.IsZero() && !reset.Equal(epoch.Reset) && reset.After(now) {
		return since, reset, &Error{
			Code: CodeInvalid, Field: "reset_at", Example: epoch.Reset.Format(time.RFC3339),
			Detail: fmt.Sprintf("The reset %s is not the next one of %s; that is %s.", reset.Format(time.RFC3339), r, epoch.Reset.Format(time.RFC3339)),
		}
	}
	return given(since, epoch.Since), given(reset, epoch.Reset), nil
}

// anchored says whether a recurrence names when it begins.
func anchored(recurrence string) bool {
	for _, word := range strings.Fields(strings.ToLower(recurrence)) {
		if word == "on" || word == "at" || word == "from" {
			return true
		}
	}
	return false
}

func missingReset(now time.Time) error {
	return &Error{
		Code: CodeInvalid, Field: "reset_at", Detail: "When the window resets is not said.",
		Example: now.Add(5 * time.Hour).Truncate(time.Minute).Format(time.RFC3339), NextStep: "Give its reset, or how it recurs.",
	}
}

func given(at, otherwise time.Time) time.Time {
	if at.IsZero() {
		return otherwise
	}
	return at
}
