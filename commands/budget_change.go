package commands

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// changeText echoes a window as it is now and as it was; why says why it begins now, where it does and was not told to.
func changeText(change register.BudgetChange, why string, zone *time.Location) string {
	w := change.After
	lines := []string{
		fmt.Sprintf("**%s: %s %s**", windowOf(w), amount(w.LimitMicros, w.Unit), until(w, change.Now, zone)),
		meters(w),
		recurs(w),
		began(change, why, zone),
	}
	if !w.Closed {
		lines = append(lines, fmt.Sprintf("Allowance now: %s of %s · step %s", allowance(w), amount(w.LimitMicros-w.FloorMicros, w.Unit), w.Step))
	}
	if w.FloorMicros > 0 {
		lines = append(lines, "Kept back: "+amount(w.FloorMicros, w.Unit))
	}
	if before := change.Before; before.Provider != "" {
		lines = append(lines, fmt.Sprintf("Before: %s %s, %s used", amount(before.LimitMicros, before.Unit), was(before, change.Now, zone), amount(before.UsedMicros, before.Unit)))
	}
	if len(change.Replanned) > 0 {
		lines = append(lines, "Planned anew: "+escape(strings.Join(change.Replanned, ", ")))
	}
	return paragraph(lines...)
}

// until is the reset of a window, resolved.
func until(w register.Window, now time.Time, zone *time.Location) string {
	if w.Closed {
		return "once it opens"
	}
	return "until " + ahead(w.ResetAt, now, zone)
}

func was(w register.Window, now time.Time, zone *time.Location) string {
	if w.Closed {
		return "once it opens"
	}
	return "until " + instant(w.ResetAt, now, zone)
}

// meters says whose work a window is about, if that is not all of its subscription.
func meters(w register.Window) string {
	whose := "all work"
	if w.Scope != "" && w.Scope != budget.OfSubscription.String() {
		whose = "only work of " + escape(strings.Replace(w.Scope, ":", " ", 1))
	}
	if w.Model != "" {
		whose = strings.Replace(whose, "all", "only", 1) + " on " + escape(w.Model)
	}
	switch {
	case w.Provider == everyOne:
		return "It meters " + whose + ", over every provider"
	case w.Subscription == everyOne:
		return "It meters " + whose + ", over every subscription of " + escape(w.Provider)
	case whose == "all work":
		return ""
	}
	return "It meters " + whose
}

// everyOne is the provider, and the subscription, of a window that is shared.
const everyOne = "all"

// recurs says what comes after the reset.
func recurs(w register.Window) string {
	text := ""
	switch {
	case strings.HasPrefix(w.Recurrence, "every "):
		text = "It resets " + escape(w.Recurrence)
	case strings.HasPrefix(w.Recurrence, "rolling "):
		text = "It lasts " + escape(strings.TrimPrefix(w.Recurrence, "rolling ")) + " from its first work on"
	case w.Recurrence == "provider":
		text = "It resets when its provider says so"
	}
	if w.Hours != "" {
		if text != "" {
			text += "; "
		}
		text += "spread over " + escape(w.Hours)
	}
	return text
}

func began(change register.BudgetChange, why string, zone *time.Location) string {
	w := change.After
	used := amount(w.UsedMicros, w.Unit) + " used"
	if w.ReservedMicros > 0 {
		used = amount(w.UsedMicros-w.ReservedMicros, w.Unit) + " used and " + amount(w.ReservedMicros, w.Unit) + " reserved"
	}
	switch {
	case w.Closed:
		return "Nothing is used; it opens with the first work that is admitted."
	case change.BeganNow:
		return fmt.Sprintf("It starts now with %s%s; spending is spread evenly from here to the reset.", used, why)
	}
	return fmt.Sprintf("Since %s, %s; spending is spread evenly up to the reset.", instant(w.Since, change.Now, zone), used)
}
