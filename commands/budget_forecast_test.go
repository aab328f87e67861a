package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAForecastSpeaksOfEveryWindowInALine(t *testing.T) {
	t.Parallel()
	lasts := register.Forecast{Window: window(func(*register.Window) {}), Now: monday, Text: "Lasts until the reset at 2026-11-29 12:00:00 UTC and leaves about 80 credits, by its rate."}
	dry := register.Forecast{
		Window: window(func(w *register.Window) { w.Window = "weekly" }), Now: monday, RunsDryAt: monday.Add(time.Hour),
		Text: "Runs dry at 2026-11-23 10:00:00 UTC, 6 d 2 h before the reset; 80 % likely to run dry, by 5 past windows.",
	}
	reads(t, forecastText([]register.Forecast{lasts, dry}, berlin(t)),
		"Forecast: claude weekly runs dry before its reset", "",
		"- claude ▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits · Lasts until the reset at Sun 29 Nov 13:00 CET and leaves about 80 credits, by its rate.",
		"- claude weekly ▰▰▰▰▱▱▱▱▱▱ 210 of 500 credits · Runs dry at Mon 23 Nov 11:00 CET, 6 d 2 h before the reset; 80 % likely to run dry, by 5 past windows.")
	require.Contains(t, forecastText([]register.Forecast{lasts}, berlin(t)), "every window lasts")
}

func TestAForecastSaysHowMuchOfTheUseNoDispatchExplains(t *testing.T) {
	t.Parallel()
	f := register.Forecast{Window: window(func(w *register.Window) { w.UnattributedMicros = 60 * credit }), Now: monday, Text: "Runs dry."}
	require.Contains(t, forecastLine(f, berlin(t)), "Runs dry. · 60 of it unattributed: what nobody dispatched may go on or not")
}

func TestAHistoryHasALineForEachCycle(t *testing.T) {
	t.Parallel()
	reads(t, historyText(register.BudgetHistory{Window: window(func(*register.Window) {}), Now: monday, Epochs: []register.BudgetEpoch{
		{Since: monday, ResetAt: monday.Add(5 * time.Hour), Unit: "credits", LimitMicros: 500 * credit, UsedMicros: 100 * credit, LeftMicros: 400 * credit, HighestStep: "normal"},
		{
			Since: monday.Add(-24 * time.Hour), ResetAt: monday, EndedAt: monday, Unit: "credits", LimitMicros: 500 * credit, UsedMicros: 510 * credit,
			OvershootMicros: 10 * credit, UnattributedMicros: 30 * credit, Lowered: 3, Refused: 1, HighestStep: "refuse",
		},
	}}, berlin(t)),
		"claude, newest first", "",
		"- Mon 23 Nov 10:00–15:00 ▰▰▱▱▱▱▱▱▱▱ 100 of 500 credits · 400 left so far",
		"- Sun 22 Nov 10:00 – Mon 23 Nov 10:00 ▰▰▰▰▰▰▰▰▰▰ 510 of 500 credits · 0 left at the reset · 10 over the limit · 30 unattributed · came to refuse · 3 lowered · 1 refused")
}

func TestAWordNamesWindowsByWhateverTheyAreCalled(t *testing.T) {
	t.Parallel()
	w := window(func(w *register.Window) { w.Subscription, w.Window, w.Scope = "team-a", "weekly", "role:coder" })
	for _, word := range []string{"claude", "Team-A", "weekly", "claude/weekly", "claude/team-a/weekly", "role:coder"} {
		require.True(t, means(w, word), word)
	}
	require.False(t, means(w, "codex"))
}
