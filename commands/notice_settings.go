package commands

import (
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// lifts is what an override does to work, for each kind.
var lifts = map[register.Lift]string{
	register.LiftPace:  "Work may run that far ahead of the even spread until then.",
	register.LiftFloor: "Work may use that much of what is kept back until then.",
	register.LiftLimit: "That much more than the limit may be spent until then.",
}

// overrideGranted says who lifts how much of what, until when, why, and what that means for work.
func overrideGranted(event register.Event, zone *time.Location) string {
	o := event.Override
	why := ""
	if o.Reason != "" {
		why = "Why: " + escape(o.Reason)
	}
	return paragraph("**"+granter(o)+" lifted the "+string(o.Lifts)+" of "+windowName(o.Provider, o.Subscription, o.Window)+" by "+amount(o.Micros, o.Unit)+"**, "+o.ID,
		"Holds "+holdsUntil(event, zone), lifts[o.Lifts], why, "To end it sooner: "+say("budget revoke "+o.ID))
}

func granter(o register.Override) string {
	if o.Proposal != "" {
		return "The board, by " + o.Proposal + ","
	}
	return escape(o.GrantedBy)
}

// holdsUntil is when an override ends: after its cycles, or when it expires if that is sooner.
func holdsUntil(event register.Event, zone *time.Location) string {
	o, reset := event.Override, event.Window.ResetAt
	expires := "until " + ahead(o.ExpiresAt, event.At, zone)
	switch {
	case o.CyclesLeft == 1 && !o.ExpiresAt.IsZero() && (reset.IsZero() || !o.ExpiresAt.After(reset)):
		return expires
	case o.CyclesLeft == 1 && !reset.IsZero():
		return "until the reset " + ahead(reset, event.At, zone)
	}
	text := "for " + count(o.CyclesLeft, "cycle", "cycles")
	if !reset.IsZero() {
		text += ", the first until " + ahead(reset, event.At, zone)
	}
	if !o.ExpiresAt.IsZero() {
		text += ", and no longer than " + expires
	}
	return text
}

// overrideEnded says what no longer holds, and why.
func overrideEnded(event register.Event) string {
	o := event.Override
	return paragraph("**"+o.ID+" has ended**: "+amount(o.Micros, o.Unit)+" more "+string(o.Lifts)+" on "+windowName(o.Provider, o.Subscription, o.Window),
		"Why: "+escape(o.EndedWhy), "What it admitted goes on; new work is judged without it.", waitingOn(event.Window), "What is still lifted: "+say("budget overrides"))
}

// policyChanged says who set how work is routed, and all that holds now.
func policyChanged(event register.Event) string {
	return "**" + escape(event.Actor) + " changed how work is routed**\n\n" + policyText(event.Policy) + "\n\n" + "To change it: " + say("budget policy --route pace")
}
