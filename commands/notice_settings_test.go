package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func lift(change func(*register.Override)) register.Override {
	o := register.Override{
		ID: "O-3", Provider: "claude", Subscription: "claude", Window: "main", Lifts: register.LiftPace, Unit: register.UnitCredits, Micros: 40 * credit,
		Cycles: 1, CyclesLeft: 1, GrantedBy: "olga", Reason: "The release audit must run today",
	}
	change(&o)
	return o
}

func TestAnOverrideIsToldWithWhoWhatUntilWhenAndWhatItLifts(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{
		Type: register.EventTypeOverrideGranted, Override: lift(func(*register.Override) {}), Window: window(func(*register.Window) {}),
	}, false,
		"olga lifted the pace of claude by 40 credits, O-3",
		"Holds until the reset Sun 29 Nov 13:00 CET, in 6 d 3 h",
		"Work may run that far ahead of the even spread until then.",
		"Why: The release audit must run today",
		"To end it sooner: !mosaic budget revoke O-3")
}

func TestTheEndOfAnOverrideIsTheSoonerOfItsEpochsAndItsExpiry(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]register.Override{
		"until Mon 23 Nov 12:00 CET, in 2 h":                             lift(func(o *register.Override) { o.ExpiresAt = monday.Add(2 * time.Hour) }),
		"until the reset Sun 29 Nov 13:00 CET, in 6 d 3 h":               lift(func(o *register.Override) { o.ExpiresAt = monday.AddDate(0, 1, 0) }),
		"for 2 cycles, the first until Sun 29 Nov 13:00 CET, in 6 d 3 h": lift(func(o *register.Override) { o.CyclesLeft = 2 }),
		"for 2 cycles, the first until Sun 29 Nov 13:00 CET, in 6 d 3 h, and no longer than until Mon 30 Nov 10:00 CET, in 7 d": lift(func(o *register.Override) {
			o.CyclesLeft, o.ExpiresAt = 2, monday.Add(7*24*time.Hour)
		}),
	} {
		require.Equal(t, says, holdsUntil(register.Event{At: monday, Override: o, Window: window(func(*register.Window) {})}, berlin(t)))
	}
}

func TestTheEndOfAnOverrideIsToldWithItsReason(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{
		Type: register.EventTypeOverrideEnded, Window: window(func(w *register.Window) { w.Waiting = 2 }),
		Override: lift(func(o *register.Override) { o.Lifts, o.EndedWhy = register.LiftLimit, "it has expired" }),
	}, false,
		"O-3 has ended: 40 credits more limit on claude",
		"Why: it has expired",
		"What it admitted goes on; new work is judged without it.",
		"2 dispatches wait: !mosaic list queued",
		"What is still lifted: !mosaic budget overrides")
}

func TestAChangeOfThePolicyIsToldWithAllThatHoldsNow(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{
		Type: register.EventTypePolicySet, Actor: "olga",
		Policy: register.Policy{Route: register.RouteDrain, Lowest: []register.LowestTier{{Role: "coder", Model: "sonnet"}}},
	}, false,
		"olga changed how work is routed", "",
		"Work goes to what resets first (route drain)", "",
		"- Work for coder is not lowered below sonnet", "",
		"To change it: !mosaic budget policy --route pace")
}

func TestAStepIsSaidAsItStandsByWhoDoesNotKnowWhatItWas(t *testing.T) {
	t.Parallel()
	full := window(func(w *register.Window) { w.UsedMicros, w.Step = 500*credit, register.StepRefuse })
	said := StepNow(full, "R-4", monday, berlin(t))
	require.True(t, said.Rings)
	reads(t, said.Markdown,
		"claude: now refuse",
		"▰▰▰▰▰▰▰▰▰▰ 500 of 500 credits used · allowance now 250",
		"The cap is reached: new work waits for the reset, and what cannot wait is refused.",
		"Now: it resets Sun 29 Nov 13:00 CET, in 6 d 3 h; if the subscription allows more, raise the limit: "+
			"!mosaic budget set --provider claude --limit 750 --unit credits --reset-at 2026-11-29T12:00:00Z",
		"Seen it? 👀 or !mosaic ack R-4; else it rings again after 15 and 45 minutes.")
	require.False(t, StepNow(full, "", monday, nil).Rings)
	lapsed := window(func(w *register.Window) { w.Lapsed = true })
	require.Contains(t, StepNow(lapsed, "", monday, nil).Markdown, "lapsed")
}
