package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const credit = 1_000_000

// asked is a dispatch as the ladder might have decided it on monday.
func asked(change func(*register.Dispatch)) register.Dispatch {
	d := register.Dispatch{
		ID: "D-5", Role: "coder", Brief: "Add a health check", BriefClass: "technical", ModelRequested: "opus", Priority: 5,
		Estimate: []register.Amount{{Unit: register.UnitCredits, Micros: 10 * credit}}, CreatedBy: "olga", CreatedAt: monday,
	}
	change(&d)
	return d
}

func window(change func(*register.Window)) register.Window {
	w := register.Window{
		Provider: "claude", Subscription: "claude", Window: "main", Unit: register.UnitCredits, LimitMicros: 500 * credit,
		CommittedMicros: 200 * credit, ReservedMicros: 10 * credit, UsedMicros: 210 * credit, AllowanceMicros: 250 * credit,
		Step: register.StepNormal, Since: monday.Add(-6 * 24 * time.Hour), ResetAt: monday.Add(6*24*time.Hour + 3*time.Hour), Source: register.WindowSourceUserEntered,
	}
	change(&w)
	return w
}

// reads compares a reply with how it is to read, line by line.
func reads(t *testing.T, markdown string, lines ...string) {
	t.Helper()
	require.Equal(t, strings.Join(lines, "\n"), Plain(markdown))
	first, _, _ := strings.Cut(markdown, "\n")
	require.Contains(t, first, "**", "the first line carries the essential in bold")
}

func TestADispatchReplySaysWhatWasDecidedAndWhatCanBeDone(t *testing.T) {
	t.Parallel()
	held := []register.Hold{{Provider: "claude", Subscription: "claude", Window: "main", Unit: register.UnitCredits, Micros: 6 * credit}}
	for name, c := range map[string]struct {
		dispatch register.Dispatch
		mood     Mood
		lines    []string
	}{
		"downgraded": {asked(func(d *register.Dispatch) {
			d.State, d.Model, d.Downgraded, d.Holds = register.DispatchStateReady, "sonnet", true, held
			d.Reason = "Lowered from opus to sonnet. Needs 10 credits; even spread allows 2.5 credits more now, and this from 2026-11-23 09:30:00 UTC."
		}), MoodDone, []string{
			"D-5 ready on sonnet, downgraded from opus",
			"Reserved: 6 credits on claude",
			"Lowered from opus to sonnet. Needs 10 credits; even spread allows 2.5 credits more now, and this from Mon 23 Nov 10:30 CET.",
		}},
		"queued": {asked(func(d *register.Dispatch) {
			d.State, d.PromisedStart, d.Deadline = register.DispatchStateQueued, monday.Add(72*time.Minute), monday.Add(5*time.Hour)
			d.Reason = "Waits for opus until 2026-11-23 10:12:00 UTC."
		}), MoodWaiting, []string{
			"D-5 queued",
			"Promised start: Mon 23 Nov 11:12 CET, in 1 h 12 min",
			"Latest start: Mon 23 Nov 15:00 CET, in 5 h",
			"Waits for opus until Mon 23 Nov 11:12 CET.",
		}},
		"refused by pace": {asked(func(d *register.Dispatch) {
			d.State, d.Reason = register.DispatchStateRefused, "Cannot start by 2026-11-23 09:05:00 UTC."
			d.Attempts = []register.RoutingAttempt{{Verdict: register.RoutingAttemptVerdictOverPace}}
		}), MoodRefused, []string{
			"D-5 refused",
			"Cannot start by Mon 23 Nov 10:05 CET.",
			`The board can lift the pace for it: !mosaic board propose "Run D-5 now" --for D-5`,
		}},
		"refused by cap": {asked(func(d *register.Dispatch) {
			d.State, d.Reason = register.DispatchStateRefused, "Can never fit. Needs 600 credits; the whole window main is smaller."
			d.Attempts = []register.RoutingAttempt{{Verdict: register.RoutingAttemptVerdictOverCap}}
		}), MoodRefused, []string{
			"D-5 refused",
			"Can never fit. Needs 600 credits; the whole window main is smaller.",
			"The board cannot lift a cap. Lower the estimate, allow a cheaper model, or wait for the reset; !mosaic budget explain D-5 shows each try.",
		}},
		"a dry run that would wait": {asked(func(d *register.Dispatch) {
			d.ID, d.DryRun, d.State, d.PromisedStart = "D-0", true, register.DispatchStateQueued, monday.Add(time.Hour)
		}), MoodDone, []string{
			"Dry run: it would be queued. Nothing is reserved or recorded.",
			"Promised start: Mon 23 Nov 11:00 CET, in 1 h",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := dispatchReply(c.dispatch, berlin(t))
			reads(t, reply.Markdown, c.lines...)
			require.Equal(t, c.mood, reply.Mood)
			require.Equal(t, c.dispatch, reply.Data)
		})
	}
}

func TestShowTellsARunFromItsAskToItsResult(t *testing.T) {
	t.Parallel()
	d := asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Worker, d.Brief = register.DispatchStateDone, "opus", "coder-1", "Add a health check\n\nIt answers in 1 s."
		d.StartedAt, d.FinishedAt = monday.Add(time.Minute), monday.Add(13*time.Minute)
		d.Actuals = []register.Amount{{Unit: register.UnitCredits, Micros: 7 * credit}, {Unit: register.UnitTokens, Micros: 41_200 * credit}}
		d.Result = register.Result{Summary: "2 files changed\nall tests pass", Reference: "runs/D-5/result.md"}
	})
	reads(t, showText(d, monday.Add(time.Hour), berlin(t)),
		"D-5 done on opus",
		"For coder (technical), asked by olga 1 h ago",
		"Estimate: 10 credits",
		"Ran 12 min by coder-1",
		"Spent: 7 credits and 41.2k tokens",
		"Result: 2 files changed all tests pass",
		"Whole result: runs/D-5/result.md",
		"",
		"> Add a health check",
		"> It answers in 1 s.")
	d = asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Worker, d.StartedAt = register.DispatchStateRunning, "opus", "coder-1", monday
		d.Progress, d.Metered = "writing tests", []register.Amount{{Unit: register.UnitCredits, Micros: 3 * credit}}
	})
	reads(t, showText(d, monday.Add(90*time.Second), berlin(t)),
		"D-5 running on opus",
		"For coder (technical), asked by olga 2 min ago",
		"Estimate: 10 credits",
		"Running for 2 min by coder-1",
		"Spent so far: 3 credits",
		"Progress: writing tests",
		"",
		"> Add a health check")
}

func TestBudgetStatusIsTwoShortLinesAWindow(t *testing.T) {
	t.Parallel()
	status := register.BudgetStatus{Now: monday, Windows: []register.Window{
		window(func(*register.Window) {}),
		window(func(w *register.Window) {
			w.Provider, w.Subscription, w.Window, w.Unit = "claude", "team-a", "weekly", register.UnitTokens
			w.LimitMicros, w.UsedMicros, w.AllowanceMicros = 2_000_000*credit, 1_300_000*credit, 1_000_000*credit
			w.Step, w.Waiting = register.StepQueue, 2
		}),
		window(func(w *register.Window) {
			w.Provider, w.Subscription, w.UsedMicros, w.AllowanceMicros = "codex", "codex", 0, 0
		}),
		window(func(w *register.Window) { w.Provider, w.Subscription, w.AllowanceMicros = "gemini", "gemini", 0 }),
		window(func(w *register.Window) {
			w.Provider, w.Subscription, w.Lapsed, w.ResetAt = "pi", "pi", true, monday.Add(-time.Hour)
		}),
	}}
	reads(t, budgetText(status, "", berlin(t)),
		"Budget: claude/team-a weekly is at step queue",
		"",
		"- claude ▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits\n  allowed 250 · pace 84 % · normal · resets in 6 d 3 h · user-entered",
		"- claude/team-a weekly ▰▰▰▰▰▰▱▱▱▱ 1.3M of 2M tokens\n  allowed 1M · pace 130 % · queue · resets in 6 d 3 h · user-entered · 2 waiting",
		"- codex ▱▱▱▱▱▱▱▱▱▱ 0 of 500 credits\n  allowed 0 · pace 0 % · normal · resets in 6 d 3 h · user-entered",
		"- gemini ▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits\n  allowed 0 · pace far too fast · normal · resets in 6 d 3 h · user-entered",
		"- pi lapsed Mon 23 Nov 09:00 CET, its use is unknown; set it again: !mosaic budget set --provider pi --limit 500 --unit credits --reset-at +5h")
	require.Contains(t, budgetText(register.BudgetStatus{Windows: status.Windows[:1]}, "", berlin(t)), "**Budget: claude is at step normal**")
	require.Contains(t, budgetText(register.BudgetStatus{}, "codex", berlin(t)), "**No budget window is set for codex.**")
}

func TestAWindowOfPercentSaysHowManyTokensTakeOnePercentOnceThatIsKnown(t *testing.T) {
	t.Parallel()
	status := register.BudgetStatus{Now: monday, Windows: []register.Window{window(func(w *register.Window) {
		w.Unit, w.LimitMicros, w.UsedMicros, w.AllowanceMicros = register.UnitPercent, 100*credit, 42*credit, 50*credit
		w.UnsettledMicros = 3 * credit
		w.Ratio = register.TokenRatio{PointsMicros: 6 * credit, TokensMicros: 300_000 * credit, Readings: 3}
	})}}
	reads(t, budgetText(status, "", berlin(t)), "Budget: claude is at step normal", "",
		"- claude ▰▰▰▰▱▱▱▱▱▱ 42 of 100%\n  allowed 50 · pace 84 % · normal · resets in 6 d 3 h · user-entered · 3 unsettled · 1 % ≈ 50k tokens (estimated)")
}

func TestABarNeverHidesSpendAndNeverRunsOver(t *testing.T) {
	t.Parallel()
	for used, want := range map[int64]string{0: "▱▱▱▱▱▱▱▱▱▱", 1: "▰▱▱▱▱▱▱▱▱▱", 99: "▰▰▰▰▰▰▰▰▰▱", 100: "▰▰▰▰▰▰▰▰▰▰", 250: "▰▰▰▰▰▰▰▰▰▰"} {
		require.Equal(t, want, bar(used, 100))
	}
	require.Equal(t, "▱▱▱▱▱▱▱▱▱▱", bar(5, 0))
}

func TestAChangedBudgetIsEchoedWithWhatItWas(t *testing.T) {
	t.Parallel()
	reads(t, changeText(register.BudgetChange{Now: monday, BeganNow: true, After: window(func(w *register.Window) { w.UsedMicros, w.ReservedMicros, w.AllowanceMicros, w.Since = 0, 0, 0, monday })}, ", since no --since was given", berlin(t)),
		"claude: 500 credits until Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"It starts now with 0 credits used, since no --since was given; spending is spread evenly from here to the reset.",
		"Allowance now: 0 of 500 credits · step normal")
	reads(t, changeText(register.BudgetChange{
		Now: monday, Before: window(func(w *register.Window) { w.LimitMicros = 400 * credit }), Replanned: []string{"D-5", "D-6"},
		After: window(func(w *register.Window) { w.FloorMicros, w.AllowanceMicros = 50*credit, 225*credit }),
	}, "", berlin(t)),
		"claude: 500 credits until Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"Since Tue 17 Nov 10:00 CET, 200 credits used and 10 credits reserved; spending is spread evenly up to the reset.",
		"Allowance now: 225 of 450 credits · step normal",
		"Kept back: 50 credits",
		"Before: 400 credits until Sun 29 Nov 13:00 CET, 210 credits used",
		"Planned anew: D-5, D-6")
	began := register.BudgetChange{Now: monday, BeganNow: true, After: window(func(w *register.Window) { w.UsedMicros = w.ReservedMicros })}
	require.Contains(t, Plain(changeText(began, "", berlin(t))), "It starts now with 0 credits used and 10 credits reserved; spending", "a reset with --zero has no --since")
}

func TestTokensAndMessagesAreShownWhole(t *testing.T) {
	t.Parallel()
	tokens := window(func(w *register.Window) {
		w.Unit, w.AllowanceMicros, w.BurstMicros = register.UnitTokens, 57_360_000, 95_000*credit
	})
	require.Contains(t, windowLine(tokens, monday, berlin(t)), "allowed 57 (+95k slack)")
	require.Contains(t, windowLine(window(func(w *register.Window) { w.AllowanceMicros = 57_360_000 }), monday, berlin(t)), "allowed 57.36")
}

func TestAPathIsToldAsOneOfTheWorkersMachine(t *testing.T) {
	t.Parallel()
	d := asked(func(d *register.Dispatch) { d.Worker, d.Result.Reference = "coder-1", "/srv/runs/D-5-1" })
	require.Equal(t, "Whole result, on the machine of coder-1: /srv/runs/D-5-1", wholeResult(d))
	d.Result.Reference = "https://git.example.org/pulls/7"
	require.Equal(t, "Whole result: https://git.example.org/pulls/7", wholeResult(d))
}

func TestExplainIsATableAPhoneCanShow(t *testing.T) {
	t.Parallel()
	d := asked(func(d *register.Dispatch) {
		d.State, d.Model, d.Downgraded, d.Lifted, d.Reason = register.DispatchStateReady, "haiku", true, true, "Lowered from opus to haiku."
		d.Attempts = []register.RoutingAttempt{
			{Model: "opus", Provider: "claude", Subscription: "claude", Verdict: register.RoutingAttemptVerdictOverPace, EarliestStart: monday, Reason: "Needs 10 credits; even spread allows 2 credits more now, and this from 2026-11-23 09:30:00 UTC."},
			{Model: "sonnet", Provider: "claude", Subscription: "team-a", Verdict: register.RoutingAttemptVerdictLineAhead, EarliestStart: monday.Add(time.Hour), Reason: "Needs 6 credits; 1 dispatch waits ahead with 9 credits."},
			{Model: "haiku", Provider: "claude", Subscription: "claude", Verdict: register.RoutingAttemptVerdictAdmitted, Reason: "Needs 2 credits; even spread allows 2 credits now."},
			{Model: "gpt-5.5", Provider: "codex", Verdict: register.RoutingAttemptVerdictNoSubscription, Reason: "No budget window is set for codex."},
		}
	})
	reads(t, explainText(d, monday, berlin(t)),
		"D-5 ready on haiku, downgraded from opus",
		"Lowered from opus to haiku.",
		"An override has lifted its pace.",
		"",
		"- ✗ opus on claude: over pace. Needs 10 credits; even spread allows 2 credits more now, and this from Mon 23 Nov 10:30 CET.",
		"- ✗ sonnet on claude/team-a: behind the line. Needs 6 credits; 1 dispatch waits ahead with 9 credits. Earliest start Mon 23 Nov 11:00 CET, in 1 h.",
		"- ✓ haiku on claude: admitted. Needs 2 credits; even spread allows 2 credits now.",
		"- ✗ gpt-5.5 on codex: no subscription. No budget window is set for codex.")
}

func TestTheFleetIsSeenAtAGlance(t *testing.T) {
	t.Parallel()
	running := asked(func(d *register.Dispatch) { d.ID, d.State, d.Model = "D-1", register.DispatchStateRunning, "opus" })
	queued := asked(func(d *register.Dispatch) {
		d.State, d.PromisedStart = register.DispatchStateQueued, monday.Add(time.Hour)
	})
	status := Status{Running: []register.Dispatch{running}, Windows: []register.Window{window(func(*register.Window) {})}, Now: monday}
	for range 7 {
		status.Queued = append(status.Queued, queued)
	}
	line := "- D-5 queued, starts Mon 23 Nov 11:00 CET, in 1 h · coder: Add a health check"
	reads(t, statusText(status, berlin(t)),
		"Fleet: 1 running and 7 queued · not paused · every step normal", "", "- D-1 running on opus · coder: Add a health check", line, line, line, line, line,
		"- 2 more queued: !mosaic list queued",
		"- No worker is live. Start one on its host: mosaic-matrix work --role coder -- ./agent.sh",
		"- claude ▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits\n  allowed 250 · pace 84 % · normal · resets in 6 d 3 h · user-entered")
}
