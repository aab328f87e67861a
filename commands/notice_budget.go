package commands

import (
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// spentOf shows a window's use against what is allowed by now.
func spentOf(w register.Window) string {
	return fmt.Sprintf("%s %s of %s used · allowance now %s", bar(w.UsedMicros, w.LimitMicros), bare(w.UsedMicros, w.Unit), amount(w.LimitMicros, w.Unit), allowance(w))
}

// ringsAgain says that a window still refuses and that nobody has said they know.
func ringsAgain(event register.Event, zone *time.Location) string {
	w, ring := event.Window, event.Ring
	return paragraph(
		fmt.Sprintf("**%s still refuses work**, since %s; nobody has acknowledged it", windowOf(w), since(ring.FirstAt, event.At)),
		spentOf(w), waitingOn(w), "Now: "+wayOutOfRefuse(w, event.At, zone), ackHint(ring.ID),
	)
}

func ringAcked(event register.Event) string {
	ring := event.Ring
	return "**" + escape(ring.AckedBy) + " has seen it**: " + ring.ID + ", " + windowName(ring.Provider, ring.Subscription, ring.Window) + ", rings no more."
}

// burns warns ahead of a step.
func burns(event register.Event, zone *time.Location) string {
	speed := "too fast"
	if event.Burn.Fast {
		speed = "far too fast"
	}
	w := event.Burn.Window
	return paragraph(
		"**"+windowOf(w)+" is spent "+speed+"**, still at step "+string(w.Step), spentOf(w), explained(event.Burn.Text, event.At, zone),
		"Now: look with "+say("budget status "+w.Provider)+", or cancel what can wait: "+say("list running"),
	)
}

// wayOutOfRefuse is when a window that refuses resets, and a command that gives it more room.
func wayOutOfRefuse(w register.Window, now time.Time, zone *time.Location) string {
	return "it resets " + ahead(w.ResetAt, now, zone) + "; if the subscription allows more, raise the limit: " + say(raise(w))
}

// raise is the command that gives a window half as much again, and keeps the rest of it.
func raise(w register.Window) string {
	line := "budget set --provider " + w.Provider
	if w.Subscription != w.Provider {
		line += " --subscription " + w.Subscription
	}
	if w.Window != "" && w.Window != "main" {
		line += " --window " + w.Window
	}
	more := w.LimitMicros/2 + w.LimitMicros
	if more < w.LimitMicros {
		more = w.LimitMicros
	}
	return fmt.Sprintf("%s --limit %s --unit %s --reset-at %s", line, budget.Format(more, ""), w.Unit, w.ResetAt.UTC().Format("2006-01-02T15:04:05Z"))
}

// lowered words an admission that was lowered or queued, for a room that is told of each.
func lowered(event register.Event, zone *time.Location) (string, bool) {
	d := event.Dispatch
	switch {
	case event.Type == register.EventTypeDispatchReady && d.Downgraded:
		return paragraph("**"+d.ID+" lowered** from "+escape(d.ModelRequested)+" to "+escape(d.Model)+" · "+escape(d.Role), because(d, zone)), true
	case event.Type == register.EventTypeDispatchQueued:
		return waits(event, zone), true
	}
	return "", false
}

// AdmissionNotice words an admission that was lowered or queued; false for any other event.
func AdmissionNotice(event register.Event, zone *time.Location) (string, bool) {
	if zone == nil {
		zone = time.UTC
	}
	return lowered(event, zone)
}

// StepNow says at which step a window stands, for who cannot know what it was before. ring is what rings for it, if anything does.
func StepNow(w register.Window, ring string, now time.Time, zone *time.Location) Notice {
	if zone == nil {
		zone = time.UTC
	}
	if w.Lapsed {
		return Notice{Markdown: lapsed(register.Event{Window: w, At: now}, zone)}
	}
	lines := []string{"**" + windowOf(w) + ": now " + string(w.Step) + "**", spentOf(w), meaning(w.Step), waitingOn(w), remedy(w.Step, w, now, zone)}
	if ring != "" {
		lines = append(lines, ackHint(ring))
	}
	return Notice{Markdown: paragraph(lines...), Rings: ring != ""}
}
