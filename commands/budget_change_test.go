package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAWindowIsEchoedWithWhatItMetersAndHowItRecurs(t *testing.T) {
	t.Parallel()
	echo := func(change func(*register.Window)) string {
		return changeText(register.BudgetChange{Now: monday, After: window(change)}, "", berlin(t))
	}
	reads(t, echo(func(w *register.Window) {
		w.Window, w.Recurrence, w.Closed, w.UsedMicros, w.ReservedMicros, w.CommittedMicros = "5h", "rolling 5h", true, 0, 0, 0
		w.Since, w.ResetAt = time.Time{}, time.Time{}
	}),
		"claude 5h: 500 credits once it opens",
		"It lasts 5h from its first work on",
		"Nothing is used; it opens with the first work that is admitted.")
	reads(t, echo(func(w *register.Window) {
		w.Provider, w.Subscription, w.Window, w.Scope, w.Recurrence, w.Zone = "all", "all", "coders", "role:coder", "every week on mon at 09:00 in Europe/Berlin", "Europe/Berlin"
		w.Hours = "mon-fri 09:00-18:00 in Europe/Berlin"
	}),
		"all coders: 500 credits until Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"It meters only work of role coder, over every provider",
		"It resets every week on mon at 09:00 in Europe/Berlin; spread over mon-fri 09:00-18:00 in Europe/Berlin",
		"Since Tue 17 Nov 10:00 CET, 200 credits used and 10 credits reserved; spending is spread evenly up to the reset.",
		"Allowance now: 250 of 500 credits · step normal")
	require.Contains(t, Plain(echo(func(w *register.Window) { w.Subscription = "all" })), "It meters all work, over every subscription of claude")
	require.Contains(t, Plain(echo(func(w *register.Window) { w.Model = "opus" })), "It meters only work on opus")
}

func TestAClosedWindowSaysWhatOpensIt(t *testing.T) {
	t.Parallel()
	line := windowLine(window(func(w *register.Window) {
		w.Window, w.Recurrence, w.Closed, w.UsedMicros = "5h", "rolling 5h", true, 0
	}), monday, berlin(t))
	require.Equal(t, "claude 5h ▱▱▱▱▱▱▱▱▱▱ 0 of 500 credits\n  closed, its first work opens it for 5h · user-entered", Plain(line))
}

func TestTheStatusOfAScopeShowsTheWindowsThatMeterIt(t *testing.T) {
	t.Parallel()
	windows := []register.Window{window(func(*register.Window) {}), window(func(w *register.Window) { w.Window, w.Scope = "coders", "role:coder" })}
	require.Len(t, scoped(windows, "claude"), 2)
	require.Equal(t, "coders", scoped(windows, "role:coder")[0].Window)
	require.Contains(t, budgetText(register.BudgetStatus{}, "role:tester", berlin(t)), "No budget window meters role:tester by itself")
}

func TestARecurrenceIsReadAsItIsTyped(t *testing.T) {
	t.Parallel()
	const set = "budget set --provider claude --limit 45 --unit messages "
	for typed, want := range map[string]register.BudgetSetRequest{
		"--rolling 5h":                                  {Recurrence: "rolling 5h"},
		"--rolling 5 hours":                             {Recurrence: "rolling 5h"},
		"--every week":                                  {Recurrence: "every week"},
		"--every week --zone america/new_york":          {Recurrence: "every week", Zone: "America/New_York"},
		"--every every 2 weeks on mon at 09:00":         {Recurrence: "every 2 weeks on mon at 09:00"},
		`--every "day at 02:30" --zone Asia/Kolkata`:    {Recurrence: "every day at 02:30", Zone: "Asia/Kolkata"},
		"--rolling 5h --hours mon–fri 09:00–18:00":      {Recurrence: "rolling 5h", Hours: "mon-fri 09:00-18:00 in Europe/Berlin"},
		"--rolling 5h --hours none":                     {Recurrence: "rolling 5h", Hours: "none"},
		"--every 5h --scope Role:coder --model gpt-5.5": {Recurrence: "every 5h", Scope: "role:coder", Model: "gpt-5.5"},
	} {
		if want.Zone == "" {
			want.Zone = "Europe/Berlin"
		}
		call := understood(t, set+typed)
		var got register.BudgetSetRequest
		require.NoError(t, json.Unmarshal(call.Mutation.Body, &got), typed)
		want.Provider, want.LimitMicros, want.Unit = "claude", 45*credit, register.UnitMessages
		require.Equal(t, want, got, typed)
	}
}
