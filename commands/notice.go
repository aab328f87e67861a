package commands

import (
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// NoticeFor words an event of the fleet; instants are told in zone, distances from when it happened. False is for events nobody needs
// to be told of. What an opened proposal says is ProposalMessage.
func NoticeFor(event register.Event, zone *time.Location) (Notice, bool) {
	if zone == nil {
		zone = time.UTC
	}
	switch event.Type {
	case register.EventTypeDispatchRunning, register.EventTypeDispatchProgress, register.EventTypeDispatchReady:
		return Notice{Markdown: underWay(event, zone)}, true
	case register.EventTypeDispatchQueued:
		return Notice{Markdown: waits(event, zone)}, true
	case register.EventTypeDispatchCancelled:
		return Notice{Markdown: paragraph("**"+event.Dispatch.ID+" cancelled**", explained(event.Dispatch.Reason, event.At, zone), spent(event.Dispatch))}, true
	case register.EventTypeDispatchDone, register.EventTypeDispatchFailed:
		return Notice{Markdown: ended(event.Dispatch), Rings: true, File: resultFile(event.Dispatch)}, true
	case register.EventTypeDispatchRefused:
		return Notice{Markdown: turnedDown(event, zone), Rings: true}, true
	case register.EventTypeAgentRetired:
		return Notice{Markdown: retiredText(event.Agent)}, true
	case register.EventTypeAgentGone:
		return goneNotice(event)
	case register.EventTypeFleetPaused, register.EventTypeFleetResumed:
		return Notice{Markdown: pauseText(event.Pause, event.At, zone)}, true
	case register.EventTypeIdentityReset, register.EventTypeIdentityTrusted:
		return Notice{Markdown: keysNotice(event)}, true
	case register.EventTypeAuditHead:
		return Notice{Markdown: paragraph("**Audit head**: every entry up to now is sealed by the hash at the end of this command, "+
			"which tells whether the audit still goes through it:", "`mosaic-matrix audit verify --head "+event.Audit.Head+"`")}, true
	case register.EventTypeBudgetStep:
		return Notice{Markdown: stepped(event, zone), Rings: event.Step.Ring != ""}, true
	case register.EventTypeBudgetBurn:
		return Notice{Markdown: burns(event, zone)}, true
	case register.EventTypeRingAgain:
		return Notice{Markdown: ringsAgain(event, zone), Rings: true}, true
	case register.EventTypeRingAcked:
		return Notice{Markdown: ringAcked(event)}, true
	case register.EventTypeOverrideGranted:
		return Notice{Markdown: overrideGranted(event, zone)}, true
	case register.EventTypeOverrideEnded:
		return Notice{Markdown: overrideEnded(event)}, true
	case register.EventTypePolicySet:
		return Notice{Markdown: policyChanged(event)}, true
	case register.EventTypeBudgetLapsed:
		return Notice{Markdown: lapsed(event, zone)}, true
	case register.EventTypeBudgetDoubted:
		return Notice{Markdown: doubted(event, zone)}, true
	case register.EventTypeProposalOpened:
		return Notice{Markdown: ProposalMessage(event.Proposal, register.BoardKeys{}, zone), Rings: true}, true
	case register.EventTypeProposalClosed:
		p := event.Proposal
		return Notice{Markdown: paragraph(fmt.Sprintf("**%s %s: %s**", p.ID, p.State, escape(p.Title)), result(p, zone))}, true
	}
	return Notice{}, false
}

// goneNotice tells of an agent that is gone while it runs something; an idle one that ends is no news.
func goneNotice(event register.Event) (Notice, bool) {
	agent := event.Agent
	if len(agent.Running) == 0 {
		return Notice{}, false
	}
	return Notice{Markdown: paragraph("**"+escape(agent.Name)+" is gone** while it runs "+listing(agent.Running, "and"),
		"What it runs goes on elsewhere once its claim ends, unless it comes back.", "Who is left: "+say("agents"))}, true
}

// underWay names no agent: its words are its own, or the bot says them in its name.
func underWay(event register.Event, zone *time.Location) string {
	d := event.Dispatch
	if event.Type == register.EventTypeDispatchReady {
		return paragraph("**"+d.ID+" "+decided(d, "")+"**, a worker for "+escape(d.Role)+" takes it next", because(d, zone))
	}
	return paragraph("**"+d.ID+" running**"+on(d), progressLine(d), spent(d))
}

func waits(event register.Event, zone *time.Location) string {
	d := event.Dispatch
	start := ""
	if !d.PromisedStart.IsZero() {
		start = "Promised start: **" + ahead(d.PromisedStart, event.At, zone) + "**"
	}
	return paragraph("**"+d.ID+" queued** · "+escape(d.Role)+": "+escape(cut(oneLine(d.Brief), 60)), start, explained(d.Reason, event.At, zone))
}

// resultLines is how many lines of a result are shown; its end matters most.
const resultLines = 8

// ended is how a run came out: what it spent, how long it took and the last lines of its result.
func ended(d register.Dispatch) string {
	head := "**" + d.ID + " " + ending(d) + "**" + on(d)
	if !d.StartedAt.IsZero() && !d.FinishedAt.IsZero() {
		head += " after " + length(d.FinishedAt.Sub(d.StartedAt))
	}
	cause := ""
	if d.State == register.DispatchStateFailed {
		cause = escape(d.Reason)
		if code := d.Result.ExitCode; code != nil && *code != 0 {
			head += fmt.Sprintf(", exit code %d", *code)
		}
	}
	reference := ""
	if d.Result.Reference != "" {
		reference = wholeResult(d)
	}
	text := paragraph(head, cause, spent(d), reference)
	if d.Result.Summary != "" {
		text += "\n\n" + quote(d.Result.Summary, resultLines)
	}
	return text
}

// resultFile is a result that a message shows only the end of.
func resultFile(d register.Dispatch) File {
	text := strings.TrimSpace(d.Result.Summary)
	if text == "" || quote(text, resultLines) == quote(text, len(text)+1) && !strings.Contains(quote(text, resultLines), "…") {
		return File{}
	}
	return File{Name: d.ID + "-result.txt", Text: text + "\n"}
}

// WholeResult is a result's file with all there is of it, which the dispatch itself holds only the end of.
func WholeResult(d register.Dispatch, whole string) File {
	return File{Name: d.ID + "-result.txt", Text: strings.TrimSpace(whole) + "\n"}
}

func turnedDown(event register.Event, zone *time.Location) string {
	d := event.Dispatch
	return paragraph("**"+d.ID+" refused** · "+escape(d.Role)+": "+escape(cut(oneLine(d.Brief), 60)), explained(d.Reason, event.At, zone), "Asked by "+escape(d.CreatedBy), wayOut(d))
}

// stepped says that a window moved on the ladder: from where to where, what that means for work, when it eases and what can be done.
func stepped(event register.Event, zone *time.Location) string {
	step, w := event.Step, event.Step.Window
	lines := []string{
		fmt.Sprintf("**%s: %s → %s**", windowOf(w), step.From, step.To),
		spentOf(w),
		explained(step.Text, event.At, zone),
		meaning(step.To),
	}
	told := strings.Contains(step.Text, step.ModelFrom) && strings.Contains(step.Text, step.ModelTo)
	if step.ModelFrom != "" && step.ModelTo != "" && step.ModelFrom != step.ModelTo && !told {
		lines = append(lines, fmt.Sprintf("%s is lowered from %s to %s.", orWork(step.Dispatch), escape(step.ModelFrom), escape(step.ModelTo)))
	}
	lines = append(lines, waitingOn(w))
	if !step.EasesAt.IsZero() {
		lines = append(lines, "Eases "+ahead(step.EasesAt, event.At, zone)+" if nothing more is spent")
	}
	lines = append(lines, remedy(step.To, w, event.At, zone))
	if step.Ring != "" {
		lines = append(lines, ackHint(step.Ring))
	}
	return paragraph(lines...)
}

// lapsed says that a window is past its reset and that nobody but a person or its provider can tell what is used now.
func lapsed(event register.Event, zone *time.Location) string {
	w := event.Window
	return paragraph("**"+windowOf(w)+" lapsed** at its reset, "+instant(w.ResetAt, event.At, zone),
		"What was used since is unknown. Until it is set again, work runs without this meter.", "Set it again: "+setAgain(w))
}

// setAgain is the command that begins a lapsed window anew.
func setAgain(w register.Window) string {
	command := "budget set --provider " + w.Provider
	if w.Subscription != w.Provider {
		command += " --subscription " + w.Subscription
	}
	if w.Window != "main" {
		command += " --window " + w.Window
	}
	return say(fmt.Sprintf("%s --limit %s --unit %s --reset-at +5h", command, budget.Format(w.LimitMicros, ""), w.Unit))
}

func orWork(dispatch string) string {
	if dispatch == "" {
		return "Work"
	}
	return dispatch
}

// meaning is what a step does to work.
func meaning(step register.Step) string {
	switch step {
	case register.StepNormal:
		return "Work runs on the model it asks for again."
	case register.StepDowngrade:
		return "New work goes to a cheaper model where one saves, unless it asks for its model exactly."
	case register.StepQueue:
		return "New work waits in line until the pace allows it; each dispatch is promised a start."
	}
	return "The cap is reached: new work waits for the reset, and what cannot wait is refused."
}

// remedy is what can be done now about a window at a step.
func remedy(step register.Step, w register.Window, now time.Time, zone *time.Location) string {
	switch step {
	case register.StepDowngrade, register.StepQueue:
		return "Now: look with " + say("budget status "+w.Provider) + ", or cancel what can wait: " + say("list running")
	case register.StepRefuse:
		return "Now: " + wayOutOfRefuse(w, now, zone)
	}
	return ""
}

// waitingOn is how much work waits on a window, if any does.
func waitingOn(w register.Window) string {
	if w.Waiting == 0 {
		return ""
	}
	return count(w.Waiting, "dispatch waits", "dispatches wait") + ": " + say("list queued")
}

// ResyncNotice says what a room may have missed while events could not be heard, and that are no longer told.
func ResyncNotice(lost register.Resync) string {
	return paragraph(
		fmt.Sprintf("**I was away for too long**: events %d to %d are no longer told.", lost.Lost.First, lost.Lost.Last),
		"Open proposals, the steps of the budget, and work you saw running, are shown as they stand now.",
		"Missing may be: work that came and ended meanwhile, and pauses. See "+say("status")+" and "+say("list")+".",
	)
}
