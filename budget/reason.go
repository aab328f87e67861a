package budget

import (
	"fmt"
	"time"
)

// Reason is the attempt in one sentence with its numbers.
func (a *Attempt) Reason() string {
	need := a.need()
	switch a.Verdict {
	case Admitted:
		if a.canary {
			return "Its meter is unknown; one dispatch at a time tries it."
		}
		return fmt.Sprintf("Needs %s; even spread allows %s now.", need, Short(max(0, a.Room), ""))
	case PassedOver:
		return a.passedOver()
	case OverPace: // when it will fit is Start: whoever shows the attempt shows that too
		return fmt.Sprintf("Needs %s; even spread allows %s now.", need, Short(max(0, a.Room), ""))
	case OverBurst:
		return fmt.Sprintf("Needs %s; twice the even rate allows %s now.", need, Short(max(0, a.Room), ""))
	case OverCap:
		if a.never {
			return fmt.Sprintf("Needs %s; the whole window %s is smaller.", need, a.Window())
		}
		return fmt.Sprintf("Needs %s; %s is left until the reset at %s.", need, Short(max(0, a.Room), a.Unit()), instant(a.in.Reset))
	case LineAhead:
		return fmt.Sprintf("Needs %s; %s ahead with %s.", need, waits(a.Ahead), Format(a.AheadMicros, a.Unit()))
	case SavesNothing:
		return fmt.Sprintf("Costs as much as %s here.", a.requested.Model)
	case NoWorker:
		return a.request.Crew.lacks(a.Tier.Model, a.Tier.Provider, a.Subscription())
	case NotAllowed:
		if a.request.Exact {
			return fmt.Sprintf("The dispatch asks for %s exactly.", a.requested.Model)
		}
		return fmt.Sprintf("Its role allows nothing below %s.", a.request.Lowest)
	case UnitMismatch:
		return fmt.Sprintf("The estimate is in %s; the window %s counts %s.", a.request.Estimates[0].Unit, a.Window(), a.Unit())
	case UnknownMeter:
		return fmt.Sprintf("The window %s has had no reading since %s.", a.Window(), instant(a.in.Checked))
	case Lapsed:
		return fmt.Sprintf("The window %s lapsed at %s and was not set again.", a.Window(), instant(a.in.Reset))
	}
	return fmt.Sprintf("No budget window is set for %s.", a.Tier.Provider)
}

// need is what the attempt needs, and that it is an estimate if it was made of tokens.
func (a *Attempt) need() string {
	need := Format(a.Need, a.Unit())
	if a.in == nil || !a.in.Ratio.Known() || len(a.request.Estimates) == 0 {
		return need
	}
	for _, estimate := range a.request.Estimates {
		if estimate.Unit == a.Unit() || estimate.Unit == "" {
			return need
		}
	}
	return need + " (estimated from its tokens)"
}

func (a *Attempt) passedOver() string {
	switch a.because {
	case toProbe:
		return fmt.Sprintf("Fits too; %s is tried, since its meter is unknown.", a.chosen.Name)
	case toDrain:
		return fmt.Sprintf("Fits too; %s resets earlier.", a.chosen.Name)
	case toStay:
		return fmt.Sprintf("Fits too; the context is warm on %s.", a.chosen.Name)
	}
	if a.Headroom == a.chosenHeadroom {
		return fmt.Sprintf("Fits too; %s has as much left for the time to its reset and comes first.", a.chosen.Name)
	}
	return fmt.Sprintf("Fits too; %s has more left for the time to its reset, %.2f times the even rate against %.2f.", a.chosen.Name, a.chosenHeadroom, a.Headroom)
}

// Reason is the decision in one sentence with its numbers.
func (d *Decision) Reason() string {
	switch {
	case d.Outcome == Refuse:
		return d.refusal()
	case d.Missing != "":
		return "Waits for a worker. " + d.Missing
	case d.Outcome == Queue:
		return fmt.Sprintf("Waits for %s. %s", d.Tier.Model, d.Attempts[d.chosen].Reason())
	case !d.Metered:
		return d.unknown()
	case d.Lowered:
		return fmt.Sprintf("Lowered from %s to %s. On %s: %s", d.Requested.Model, d.Tier.Model, d.Requested.Model, d.Attempts[0].Reason())
	case d.request.Lifted:
		return fmt.Sprintf("Admitted on %s; an override lifted the pace. Needs %s.", d.Tier.Model, d.need())
	}
	return fmt.Sprintf("Admitted on %s. %s", d.Tier.Model, d.Attempts[d.chosen].Reason())
}

func (d *Decision) unknown() string {
	if len(d.Holds) > 0 {
		return fmt.Sprintf("Admitted on %s: meter unknown, no fresh reading of %s.", d.Tier.Model, d.Subscription)
	}
	return fmt.Sprintf("Admitted on %s without a hold: meter unknown, no live budget window for %s.", d.Tier.Model, d.Tier.Provider)
}

func (d *Decision) refusal() string {
	if d.chosen >= 0 {
		attempt := &d.Attempts[d.chosen]
		return fmt.Sprintf("Cannot start by %s; the earliest start is %s on %s. %s", instant(d.request.Deadline), instant(attempt.Start()), attempt.Tier.Model, attempt.Reason())
	}
	if len(d.Attempts) == 0 {
		return fmt.Sprintf("Its deadline %s has passed.", instant(d.request.Deadline))
	}
	for i := range d.Attempts {
		if attempt := &d.Attempts[i]; attempt.Verdict == OverCap || attempt.Verdict == UnitMismatch {
			return "Can never fit. " + attempt.Reason()
		}
	}
	return "Can never fit. " + d.Attempts[0].Reason()
}

// Mismatched is the attempt that shows that the estimate fits no window's unit, or nil.
func (d *Decision) Mismatched() *Attempt {
	if d.Outcome != Refuse {
		return nil
	}
	var mismatched *Attempt
	for i := range d.Attempts {
		switch d.Attempts[i].Verdict {
		case UnitMismatch:
			if mismatched == nil {
				mismatched = &d.Attempts[i]
			}
		case OverCap, OverPace, OverBurst, LineAhead:
			return nil
		}
	}
	return mismatched
}

func (d *Decision) need() string {
	attempt := &d.Attempts[d.chosen]
	return Format(attempt.Need, attempt.Unit())
}

func waits(count int) string {
	if count == 1 {
		return "1 dispatch waits"
	}
	return fmt.Sprintf("%d dispatches wait", count)
}

func instant(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
