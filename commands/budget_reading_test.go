package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func readingOf(change func(*register.ReadingAnswer)) register.ReadingAnswer {
	answer := register.ReadingAnswer{
		Now: monday, Before: window(func(w *register.Window) { w.UsedMicros = 210 * credit }),
		After: window(func(w *register.Window) { w.UsedMicros, w.CommittedMicros = 240*credit, 230*credit }),
		Reading: register.Reading{
			Provider: "claude", Subscription: "claude", Window: "main", Unit: register.UnitCredits, UsedMicros: 240 * credit, Reporter: "olga",
			Verdict: register.ReadingVerdictBelieved, Cause: "30 credits were used outside of any dispatch.",
		},
		Replanned: []string{"D-3", "D-5"},
	}
	change(&answer)
	return answer
}

func TestAReadingIsEchoedWithWhatItChanged(t *testing.T) {
	t.Parallel()
	reads(t, readingText(readingOf(func(*register.ReadingAnswer) {}), berlin(t)),
		"claude: 240 credits of 500 credits used until Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"30 credits were used outside of any dispatch.",
		"Allowance now: 250 of 500 credits · step normal",
		"10 credits of it are held for work under way",
		"Before: 210 credits of 500 credits used until Sun 29 Nov 13:00 CET",
		"Planned anew: D-3, D-5")
	reads(t, readingText(readingOf(func(a *register.ReadingAnswer) {
		a.Before, a.Replanned, a.After.ReservedMicros = register.Window{}, nil, 0
		a.Reading.Cause = "Nobody had set this window, so it was made; 240 credits of it are used."
	}), berlin(t)),
		"claude: 240 credits of 500 credits used until Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"Nobody had set this window, so it was made; 240 credits of it are used.",
		"Allowance now: 250 of 500 credits · step normal")
}

func TestAReadingThatIsNotBelievedSaysWhyAndThatNothingChanged(t *testing.T) {
	t.Parallel()
	unlikely := readingOf(func(a *register.ReadingAnswer) {
		a.After, a.Reading.Verdict, a.Reading.UsedMicros = register.Window{}, register.ReadingVerdictDoubted, 2*credit
		a.Reading.Cause = "It says a reset at 2026-11-24T09:00:00Z instead of 2026-11-29T12:00:00Z, before that has come. It counts if the next reading agrees."
	})
	reads(t, readingText(unlikely, berlin(t)),
		"claude: 2 credits read, but not believed",
		"It says a reset at Tue 24 Nov 10:00 CET instead of Sun 29 Nov 13:00 CET, before that has come. It counts if the next reading agrees.",
		"Nothing has changed: 210 credits of 500 credits used until Sun 29 Nov 13:00 CET, in 6 d 3 h")
	event := register.Event{Type: register.EventTypeBudgetDoubted, At: monday, Reading: unlikely.Reading}
	notice, told := NoticeFor(event, berlin(t))
	require.True(t, told)
	require.False(t, notice.Rings)
	reads(t, notice.Markdown,
		"claude: a reading of 2 credits is not believed, from olga",
		"It says a reset at Tue 24 Nov 10:00 CET instead of Sun 29 Nov 13:00 CET, before that has come. It counts if the next reading agrees.",
		"It is kept and changes nothing. If you know better, say what the provider shows: !mosaic budget reading --provider claude --subscription claude --window main --used 42")
}

func TestAReadingIsTypedAsAProviderShowsIt(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]register.ReadingRequest{
		"budget reading --provider claude --window 5h --used 42% --reset-at 14:00": {
			Provider: "claude", Window: "5h", Unit: register.UnitPercent, UsedMicros: 42 * credit, ResetAt: monday.Add(4 * time.Hour), Source: register.ReadingSourceUserEntered,
		},
		"budget reading provider=claude used=42.5": {Provider: "claude", UsedMicros: 42_500_000, Source: register.ReadingSourceUserEntered},
		"budget reading --provider codex --subscription team-a --used 300k --limit 2M --unit tokens --taken-at 9:50": {
			Provider: "codex", Subscription: "team-a", Unit: register.UnitTokens, UsedMicros: 300_000 * credit, LimitMicros: 2_000_000 * credit,
			TakenAt: monday.Add(-10 * time.Minute), Source: register.ReadingSourceUserEntered,
		},
		"budget reading --provider claude --used 42% --taken-at 2026-11-23T08:58Z": {
			Provider: "claude", Unit: register.UnitPercent, UsedMicros: 42 * credit, TakenAt: monday.Add(-2 * time.Minute), Source: register.ReadingSourceUserEntered,
		},
	} {
		require.Equal(t, register.RecordReading(want), *understood(t, line).Mutation, line)
	}
	for line, problem := range map[string]string{
		"budget reading --provider claude":                           "--used is missing: what is used of the whole window, such as 42% or 120.",
		"budget reading --provider claude --used lots":               `--used: "lots" is not an amount, write digits with at most 6 decimals after a point and if you like k, M or G, such as 40k, 2M or 12.50.`,
		"budget reading --provider claude --used 5 --unit coins":     `--unit: "coins" is not a unit; units are messages, tokens, dollars, credits, compute-minutes and percent.`,
		"budget reading --provider claude --used 42% --unit credits": "--used 42% is a percentage, and --unit says credits. Give what is used in credits, or leave --unit out.",
	} {
		require.Equal(t, problem, misunderstood(t, line).Problem, line)
	}
}

func TestTheStatusSaysWhatNoDispatchExplains(t *testing.T) {
	t.Parallel()
	line := windowLine(window(func(w *register.Window) { w.UnattributedMicros, w.UnsettledMicros = 30*credit, 5*credit }), monday, berlin(t))
	require.Contains(t, line, "· 30 unattributed · 5 unsettled")
}
