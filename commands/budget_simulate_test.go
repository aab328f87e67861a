package commands

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// runs dispatches so many pieces of work one after the other, each of which spends so many credits.
func (b *bundle) runs(t *testing.T, count int, credits int64) {
	t.Helper()
	for range count {
		b.send(t, register.CreateDispatch(register.DispatchRequest{
			Role: "coder", Brief: "work", Estimate: []register.EstimateAmount{{Micros: credits * credit, Unit: register.UnitCredits}},
			Origin: register.Origin{Transport: register.OriginTransportTty},
		}), nil)
		var claim register.Claim
		b.send(t, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
		require.NotEmpty(t, claim.ID)
		b.send(t, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
			Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: register.UnitCredits, Micros: credits * credit}},
		}), nil)
	}
}

func TestWhatWasSpentIsPlayedAgainOnTheWindowsAsSetAndOtherwise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 500 * credit, Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	b.answered(t, "olga", "budget simulate --work ledger", MoodRefused, "No dispatch says yet what it cost", "--work made-up")
	b.answered(t, "olga", "budget simulate", MoodDone, "Made-up work, 1.5 times what fits", "As set: used at reset", "over the cap 0 %", "(5 % is allowed)", "Nothing was changed.", "budget simulate --slack 10")

	b.runs(t, enoughToReplay, 3)
	began := time.Now()
	reply := b.answered(t, "olga", "budget simulate claude --slack 10 --limits 150", MoodDone,
		"Your last 20 dispatches", "As set: used at reset", "With slack 10 %, limits at 150 %: used at reset", "(10 % is allowed)", "20 started, 0 % of them on a cheaper model · 0 refused")
	t.Logf("answered in %s", time.Since(began))
	done := reply.Data.(Simulation)
	require.Equal(t, "ledger", done.Work)
	require.Len(t, done.Outcomes, 2)
	require.Zero(t, done.Outcomes[0].Overshoot)
	require.InDelta(t, done.Outcomes[0].Used/1.5, done.Outcomes[1].Used, 0.001, "60 credits are less of a larger limit")

	require.NotNil(t, reply.Picture)
	picture, err := png.Decode(bytes.NewReader(reply.Picture.PNG))
	require.NoError(t, err)
	require.Equal(t, reply.Picture.Width, picture.Bounds().Dx())
	require.Equal(t, Plain(reply.Markdown), reply.Picture.Alt)
	require.Equal(t, int64(60*credit), b.window(t).UsedMicros, "nothing was changed")
}

func (b *bundle) window(t *testing.T) register.Window {
	t.Helper()
	status, err := b.admin.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	return status.Windows[0]
}

func TestASimulationThatWouldTakeTooLongIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	fleet := playedOn(t, window(func(w *register.Window) { w.Since = monday.Add(-time.Hour) }))
	asked := simulateArguments{Demand: 1.5, Seeds: 3}
	reply, err := asked.play(over, fleet, nil, "")
	require.NoError(t, err)
	require.Equal(t, MoodRefused, reply.Mood)
	reads(t, reply.Markdown, "That takes longer to play than a reply may. Nothing was changed.",
		"Play it on a terminal, which may take its time: mosaic-matrix simulate --ledger gateway")
	require.Less(t, simulatedBound, 2*time.Second)
}

func playedOn(t *testing.T, windows ...register.Window) budget.Fleet {
	t.Helper()
	ladder := register.Ladder{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: 5}, {Provider: "claude", Model: "haiku", Cost: 1}}}
	fleet, err := SimulatedFleet(windows, ladder, register.Policy{Route: register.RouteDrain}, monday)
	require.NoError(t, err)
	return fleet
}

func TestWindowsOfEveryKindArePlayedAsTheyAreSet(t *testing.T) {
	t.Parallel()
	fleet := playedOn(t,
		window(func(w *register.Window) {
			w.Since, w.FloorMicros, w.BurstMicros, w.Hours = monday, 100*credit, 40*credit, "mon-fri 09:00-18:00 in Europe/Berlin"
		}),
		window(func(w *register.Window) {
			w.Window, w.Closed, w.Recurrence, w.Model = "5h", true, "rolling 5h0m0s", "opus"
		}),
		window(func(w *register.Window) { w.Window, w.Lapsed = "gone", true }),
		window(func(w *register.Window) {
			w.Window, w.Provider, w.Subscription, w.Scope, w.Since = "coders", "all", "all", "role:coder", monday
		}),
	)
	require.Equal(t, budget.PolicyDrain, fleet.Policy)
	require.Len(t, fleet.Subscriptions, 1)
	main, rolling := fleet.Subscriptions[0].Windows[0], fleet.Subscriptions[0].Windows[1]
	require.Equal(t, int64(400*credit), main.Capacity())
	require.Equal(t, int64(40*credit), main.Burst(), "with the slack it has")
	require.NotNil(t, main.Spread)
	require.Equal(t, 5*time.Hour, rolling.Reset.Sub(rolling.Since))
	require.Equal(t, "opus", rolling.Model)
	require.Equal(t, budget.Scope{Kind: budget.OfRole, Name: "coder"}, fleet.Shared[0].Scope)

	alone := playedOn(t, window(func(w *register.Window) { w.Subscription, w.Since = "all", monday }))
	require.Len(t, alone.Subscriptions, 1, "a shared window alone is played as well")
	require.Empty(t, alone.Shared)
	require.Empty(t, playedOn(t, window(func(w *register.Window) { w.Lapsed = true })).Subscriptions)
}

func TestASettingToTryThatIsNoneIsNamedWithOneThatIs(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"budget simulate --slack much": "not a number from 0 to 100, such as 10",
		"budget simulate --slack 101":  "not a number from 0 to 100, such as 10",
		"budget simulate --limits 0":   "not a number from 1 to 1000, such as 150",
		"budget simulate --route fast": "not one of pace and drain",
		"budget simulate --seeds 21":   "from 1 to 20",
		"budget simulate --demand 9":   "from 0.1 to 5",
		"budget simulate --work all":   "not one of ledger and made-up",
		"budget simulate --out x.png":  "in a room the picture is posted",
	} {
		require.ErrorContains(t, misunderstood(t, line), says, line)
	}
	require.JSONEq(t, `{"window":"claude","slack":7.5,"limits":150,"route":"drain","demand":2,"seeds":5,"work":"made-up"}`,
		string(understood(t, "budget simulate claude --slack 7.5% --limits 150 --route drain --demand 2 --seeds 5 --work made-up").Arguments))
}

func TestASimulationIsSaidInAFewLinesThatFitAPhone(t *testing.T) {
	t.Parallel()
	as := SimulationOutcome{
		Setting: "as set", Resets: 4, Used: 0.997, LeastUsed: 0.9906, PacingError: 0.0463, Slack: 0.05, WaitHalf: 2200, WaitMost: 2585,
		Promised: 90, PromisesKept: 0.985, Lowered: 0.55, StepsPerDay: 7.3, MostSteps: 2, Started: 210, Refused: 3, Waiting: 1,
	}
	tried := as
	tried.Setting, tried.Slack, tried.Overshoot, tried.WaitMost, tried.Promised = "with slack 10 %", 0.1, 0.0004, 0, 0
	text := simulationText(Simulation{Work: "made-up", Demand: 1.5, Plans: 2, Wanted: 3, Outcomes: []SimulationOutcome{as, tried}}, "claude")
	reads(t, text,
		"Made-up work, 1.5 times what fits, drawn 2 times, on your windows (there was time for 2 of 3)", "",
		"- As set: used at reset 99 % (least 99 %) · over the cap 0 %",
		"  4.6 % off the even spread (5 % is allowed) · 7 step changes a day, at most 2 until it was normal again",
		"  waits: half under 37 min, 95 of 100 under 43 min · 98 % of promised starts kept",
		"  210 started, 55 % of them on a cheaper model · 3 refused, 1 still waiting at the end",
		"- With slack 10 %: used at reset 99 % (least 99 %) · over the cap under 0.1 %",
		"  4.6 % off the even spread (10 % is allowed) · 7 step changes a day, at most 2 until it was normal again",
		"  nothing had to wait",
		"  210 started, 55 % of them on a cheaper model · 3 refused, 1 still waiting at the end", "",
		"Nothing was changed.",
		"As all is set: !mosaic budget simulate claude")
	require.LessOrEqual(t, len(fmt.Sprint(text)), 1200)
}
