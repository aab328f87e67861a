package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// noticed compares the notice for an event with how it is to read.
func noticed(t *testing.T, event register.Event, rings bool, lines ...string) {
	t.Helper()
	event.At = monday
	notice, ok := NoticeFor(event, berlin(t))
	require.True(t, ok, event.Type)
	reads(t, notice.Markdown, lines...)
	require.Equal(t, rings, notice.Rings, "%s rings", event.Type)
}

func TestADispatchIsToldFromStartToEnd(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{Type: register.EventTypeDispatchQueued, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.PromisedStart, d.Reason = register.DispatchStateQueued, monday.Add(time.Hour), "Waits for opus until 2026-11-23 10:00:00 UTC."
	})}, false,
		"D-5 queued · coder: Add a health check", "Promised start: Mon 23 Nov 11:00 CET, in 1 h", "Waits for opus until Mon 23 Nov 11:00 CET.")
	noticed(t, register.Event{Type: register.EventTypeDispatchReady, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Reason = register.DispatchStateReady, "opus", "Admitted on opus."
	})}, false,
		"D-5 ready on opus, a worker for coder takes it next", "Admitted on opus.")
	running := asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Worker = register.DispatchStateRunning, "opus", "coder-1"
	})
	noticed(t, register.Event{Type: register.EventTypeDispatchRunning, Dispatch: running}, false, "D-5 running on opus")
	running.Progress, running.Metered = "writing tests", []register.Amount{{Unit: register.UnitCredits, Micros: 3 * credit}}
	noticed(t, register.Event{Type: register.EventTypeDispatchProgress, Dispatch: running}, false,
		"D-5 running on opus", "Progress: writing tests", "Spent so far: 3 credits")
	noticed(t, register.Event{Type: register.EventTypeDispatchDone, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.Model, d.StartedAt, d.FinishedAt = register.DispatchStateDone, "opus", monday, monday.Add(12*time.Minute)
		d.Actuals = []register.Amount{{Unit: register.UnitCredits, Micros: 7 * credit}}
		d.Result = register.Result{Summary: "2 files changed\nall tests pass", Reference: "runs/D-5/result.md"}
	})}, true,
		"D-5 done on opus after 12 min", "Spent: 7 credits", "Whole result: runs/D-5/result.md", "", "> 2 files changed", "> all tests pass")
	noticed(t, register.Event{Type: register.EventTypeDispatchFailed, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Reason, d.Unmetered = register.DispatchStateFailed, "opus", "The command failed.", "the command ended without a meter"
		d.Result = register.Result{ExitCode: new(2), Summary: "1\n2\n3\n4\n5\n6\n7\n8\n9\nno such file"}
	})}, true,
		"D-5 failed on opus, exit code 2", "The command failed.", "Unmetered: the command ended without a meter", "",
		"> …", "> 3", "> 4", "> 5", "> 6", "> 7", "> 8", "> 9", "> no such file")
	noticed(t, register.Event{Type: register.EventTypeDispatchCancelled, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.Reason = register.DispatchStateCancelled, "Cancelled by olga: no longer needed"
	})}, false, "D-5 cancelled", "Cancelled by olga: no longer needed")
	noticed(t, register.Event{Type: register.EventTypeDispatchRefused, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.Reason, d.Deadline = register.DispatchStateRefused, "Cannot start in time.", monday.Add(5*time.Minute)
		d.Attempts = []register.RoutingAttempt{{Verdict: register.RoutingAttemptVerdictOverPace}}
	})}, true,
		"D-5 refused · coder: Add a health check", "Cannot start in time.", "Asked by olga",
		`The board can lift the pace for it: !mosaic board propose "Run D-5 now" --for D-5`)
}

func TestAStepSaysWhatItMeansWhenItEasesAndWhatCanBeDone(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{Type: register.EventTypeBudgetStep, Step: register.StepChange{
		From: register.StepNormal, To: register.StepDowngrade, Dispatch: "D-5", ModelFrom: "opus", ModelTo: "sonnet", EasesAt: monday.Add(40 * time.Minute),
		Text: "D-5 was lowered from opus to sonnet.", Window: window(func(w *register.Window) { w.UsedMicros = 270 * credit }),
	}}, false,
		"claude: normal → downgrade",
		"▰▰▰▰▰▱▱▱▱▱ 270 of 500 credits used · allowance now 250",
		"D-5 was lowered from opus to sonnet.",
		"New work goes to a cheaper model where one saves, unless it asks for its model exactly.",
		"Eases Mon 23 Nov 10:40 CET, in 40 min if nothing more is spent",
		"Now: look with !mosaic budget status claude, or cancel what can wait: !mosaic list running")
	noticed(t, register.Event{Type: register.EventTypeBudgetStep, Step: register.StepChange{
		From: register.StepDowngrade, To: register.StepRefuse, Text: "The cap is reached.", Post: true, Ring: "R-4",
		Window: window(func(w *register.Window) { w.UsedMicros, w.Waiting = 500*credit, 1 }),
	}}, true,
		"claude: downgrade → refuse",
		"▰▰▰▰▰▰▰▰▰▰ 500 of 500 credits used · allowance now 250",
		"The cap is reached.",
		"The cap is reached: new work waits for the reset, and what cannot wait is refused.",
		"1 dispatch waits: !mosaic list queued",
		"Now: it resets Sun 29 Nov 13:00 CET, in 6 d 3 h; if the subscription allows more, raise the limit: "+
			"!mosaic budget set --provider claude --limit 750 --unit credits --reset-at 2026-11-29T12:00:00Z",
		"Seen it? 👀 or !mosaic ack R-4; else it rings again after 15 and 45 minutes.")
	noticed(t, register.Event{Type: register.EventTypeBudgetStep, Step: register.StepChange{
		From: register.StepQueue, To: register.StepNormal, Window: window(func(*register.Window) {}),
	}}, false,
		"claude: queue → normal", "▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits used · allowance now 250", "Work runs on the model it asks for again.")
}

func proposal(change func(*register.Proposal)) register.Proposal {
	p := register.Proposal{
		ID: "P-7", Title: "Run the release audit now", Body: "It cannot wait.", State: register.ProposalStateOpen, Quorum: 2, Pass: register.PassRuleMajority,
		ActionText: "Lift the pace for D-5, which was refused: Cannot start by 2026-11-23 09:05:00 UTC. The cap still holds.",
		OpenedBy:   "olga", OpenedAt: monday, ClosesAt: monday.Add(24 * time.Hour),
		Roster: []register.Seat{{Seat: "ceo", Identity: "ada"}, {Seat: "cto", Identity: "ben"}, {Seat: "cfo", Identity: "cleo"}},
		Votes:  []register.Vote{{Seat: "ceo", Actor: "ada", Verdict: register.VerdictApprove, Reason: "go"}},
		Tally:  register.Tally{Approve: 1, Seats: 3, Needed: 2, Missing: []string{"cfo", "cto"}},
	}
	change(&p)
	return p
}

func TestAProposalSaysItsActionItsTallyWhoIsMissingAndHowToVote(t *testing.T) {
	t.Parallel()
	open := []string{
		"P-7: Run the release audit now", "",
		"> It cannot wait.", "",
		"If it passes: Lift the pace for D-5, which was refused: Cannot start by Mon 23 Nov 10:05 CET. The cap still holds.",
		"2 of 3 seats must approve (majority), 2 must vote",
		"✅ approve 1 · ❌ reject 0 · 1 of 3 voted",
		"Not voted: cfo, cto",
		"Closes Tue 24 Nov 10:00 CET · opened by olga",
		`Vote: react ✅ approve, ❌ reject, ⚠️ approve on a condition or ⚪ abstain; or write !mosaic vote P-7 approve "why"`,
		"ceo (ada): approve, “go”",
	}
	keys := register.BoardKeys{Approve: []string{"✅", "👍"}, Reject: []string{"❌", "👎"}, Conditional: []string{"⚠️"}, Abstain: []string{"⚪"}}
	reads(t, ProposalMessage(proposal(func(*register.Proposal) {}), keys, berlin(t)), open...)
	open[9] = `Vote: react 🚀 approve or 🧊 reject; or write !mosaic vote P-7 approve "why"`
	reads(t, ProposalMessage(proposal(func(*register.Proposal) {}), register.BoardKeys{Approve: []string{"🚀"}, Reject: []string{"🧊"}}, berlin(t)), open...)
	open[9] = `Vote: write !mosaic vote P-7 approve "why"`
	noticed(t, register.Event{Type: register.EventTypeProposalOpened, Proposal: proposal(func(*register.Proposal) {})}, true, open...)
	passed := proposal(func(p *register.Proposal) {
		p.State, p.Body, p.Outcome = register.ProposalStatePassed, "", register.Outcome{CarriedOut: true, Text: "D-5 is ready."}
		p.Votes = append(p.Votes, register.Vote{Seat: "cto", Actor: "ben", Verdict: register.VerdictApprove})
		p.Tally = register.Tally{Approve: 2, Seats: 3, Needed: 2, Missing: []string{"cfo"}}
	})
	reads(t, ProposalMessage(passed, keys, berlin(t)),
		"P-7 passed: Run the release audit now", "✅ approve 2 · ❌ reject 0 · 2 of 3 voted", "Carried out: D-5 is ready.", "ceo (ada): approve, “go”", "cto (ben): approve", "Not voted: cfo")
	noticed(t, register.Event{Type: register.EventTypeProposalClosed, Proposal: passed}, false,
		"P-7 passed: Run the release audit now", "✅ approve 2 · ❌ reject 0 · 2 of 3 voted", "Carried out: D-5 is ready.", "ceo (ada): approve, “go”", "cto (ben): approve", "Not voted: cfo")
}

func TestTheFinalReportSaysWhoWhenAndWhyWithDissentConditionsTheActionAndItsOutcome(t *testing.T) {
	t.Parallel()
	p := votedOn()
	p.Body = ""
	reads(t, ProposalMessage(p, register.BoardKeys{}, berlin(t)),
		"P-7 passed: Run the release audit now",
		"✅ approve 2 · ❌ reject 1 · ⚪ abstain 1 · 4 of 4 voted",
		"Carried out: D-5 is ready.",
		"ceo (ada): approve, “go” · Mon 23 Nov 10:00 CET",
		"cto (critic-1 as CTO): reject, “load” · dissent · Mon 23 Nov 10:00 CET · confidence 0.8 · concerns: load · recommends: test first · risks: time",
		"cfo (cleo): conditional, accepted, “after the freeze” · Mon 23 Nov 10:00 CET",
		"coo (dan): abstain · Mon 23 Nov 10:00 CET",
		"Opened by olga Mon 23 Nov 10:00 CET, closed Mon 23 Nov 11:00 CET",
		"Recused: technical (carl asked for D-5)")
	p.State, p.Outcome = register.ProposalStateOpen, register.Outcome{}
	require.Contains(t, Plain(ProposalMessage(p, register.BoardKeys{}, berlin(t))), "Recused: technical (carl asked for D-5)", "also before anyone votes")
}

func TestAClosedProposalSaysWhatBecameOfItsAction(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]register.Proposal{
		"Passed, but not carried out: D-5 is done by now.":        {State: register.ProposalStatePassed, Outcome: register.Outcome{Text: "D-5 is done by now."}},
		"There was nothing to carry out.":                         {State: register.ProposalStatePassed},
		"Nothing is carried out.":                                 {State: register.ProposalStateRejected},
		"It closed without enough votes; nothing is carried out.": {State: register.ProposalStateExpired},
	} {
		require.Equal(t, want, outcomeLine(p, time.UTC))
	}
}

func TestEventsNobodyNeedsToBeToldOfMakeNoNotice(t *testing.T) {
	t.Parallel()
	for _, kind := range []register.EventType{
		register.EventTypeBudgetSet, register.EventTypeBudgetReset, register.EventTypeProposalVoted, register.EventTypeSeatSet,
		register.EventTypeRoomBound, register.EventTypeIdentitySet, "something.later",
	} {
		_, ok := NoticeFor(register.Event{Type: kind}, time.UTC)
		require.False(t, ok, kind)
	}
}

func TestTheAuditsHeadIsToldWithWhatChecksIt(t *testing.T) {
	t.Parallel()
	head := "41:" + strings.Repeat("5f", 32)
	noticed(t, register.Event{Type: register.EventTypeAuditHead, Audit: register.AuditHead{Head: head}}, false,
		"Audit head: every entry up to now is sealed by the hash at the end of this command, which tells whether the audit still goes through it:",
		"mosaic-matrix audit verify --head "+head)
}

func TestWhatMayHaveBeenMissedIsSaid(t *testing.T) {
	t.Parallel()
	var lost register.Resync
	lost.Lost.First, lost.Lost.Last = 18, 4000
	reads(t, ResyncNotice(lost), "I was away for too long: events 18 to 4000 are no longer told.",
		"Open proposals, the steps of the budget, and work you saw running, are shown as they stand now.",
		"Missing may be: work that came and ended meanwhile, and pauses. See !mosaic status and !mosaic list.")
}
