package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func ring(change func(*register.Ring)) register.Ring {
	r := register.Ring{ID: "R-4", Provider: "claude", Subscription: "claude", Window: "main", FirstAt: monday.Add(-15 * time.Minute), Rung: 2}
	change(&r)
	return r
}

func TestARefusalThatNobodySawRingsAgainAndSaysHowItStops(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{
		Type: register.EventTypeRingAgain, Ring: ring(func(*register.Ring) {}),
		Window: window(func(w *register.Window) { w.UsedMicros, w.Waiting = 500*credit, 2 }),
	}, true,
		"claude still refuses work, since 15 min ago; nobody has acknowledged it",
		"▰▰▰▰▰▰▰▰▰▰ 500 of 500 credits used · allowance now 250",
		"2 dispatches wait: !mosaic list queued",
		"Now: it resets Sun 29 Nov 13:00 CET, in 6 d 3 h; if the subscription allows more, raise the limit: "+
			"!mosaic budget set --provider claude --limit 750 --unit credits --reset-at 2026-11-29T12:00:00Z",
		"Seen it? 👀 or !mosaic ack R-4; else it rings again after 15 and 45 minutes.")
}

func TestWhoSawARefusalIsTold(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{Type: register.EventTypeRingAcked, Ring: ring(func(r *register.Ring) { r.AckedBy = "olga" })}, false,
		"olga has seen it: R-4, claude, rings no more.")
}

func TestAWarningComesBeforeItsStepAndRingsNobody(t *testing.T) {
	t.Parallel()
	noticed(t, register.Event{Type: register.EventTypeBudgetBurn, Burn: register.Burn{
		Fast: true, Rate: 15, Window: window(func(w *register.Window) { w.UsedMicros = 260 * credit }),
		Text: "Spent 15.0 times as fast as the even spread over the last 1 h; at this rate work is lowered or waits from 2026-11-23 10:00:00 UTC.",
	}}, false,
		"claude is spent far too fast, still at step normal",
		"▰▰▰▰▰▱▱▱▱▱ 260 of 500 credits used · allowance now 250",
		"Spent 15.0 times as fast as the even spread over the last 1 h; at this rate work is lowered or waits from Mon 23 Nov 11:00 CET.",
		"Now: look with !mosaic budget status claude, or cancel what can wait: !mosaic list running")
}

func TestEveryCommandOfANoticeWorks(t *testing.T) {
	t.Parallel()
	for _, w := range []register.Window{
		window(func(*register.Window) {}),
		window(func(w *register.Window) {
			w.Subscription, w.Window, w.LimitMicros = "team-a@example.org", "weekly", 1_234_567
		}),
		window(func(w *register.Window) { w.Unit, w.LimitMicros = register.UnitTokens, 1<<62 }),
	} {
		call, err := Prepare(Asked{Text: raise(w), At: monday})
		require.NoError(t, err, raise(w))
		require.Contains(t, string(call.Mutation.Body), `"reset_at":"2026-11-29T12:00:00Z"`)
	}
}

func TestOnlyLoweredAndQueuedAdmissionsAreToldToARoomThatWantsAll(t *testing.T) {
	t.Parallel()
	event := register.Event{Type: register.EventTypeDispatchReady, At: monday, Dispatch: asked(func(d *register.Dispatch) {
		d.State, d.ModelRequested, d.Model, d.Downgraded, d.Reason = register.DispatchStateReady, "opus", "sonnet", true, "Opus waits until noon."
	})}
	said, told := AdmissionNotice(event, berlin(t))
	require.True(t, told)
	reads(t, said, "D-5 lowered from opus to sonnet · coder", "Opus waits until noon.")
	event.Dispatch.Downgraded = false
	_, told = AdmissionNotice(event, nil)
	require.False(t, told)
	event.Type = register.EventTypeDispatchQueued
	_, told = AdmissionNotice(event, nil)
	require.True(t, told)
}

func TestARoomIsNamedByWhereItIsSaidOrByItsID(t *testing.T) {
	t.Parallel()
	call, err := Prepare(Asked{Text: "room verbosity low", At: monday, Origin: register.Origin{Transport: register.OriginTransportMatrix, Room: "!b:x"}})
	require.NoError(t, err)
	require.Equal(t, "/api/fleet/rooms/%21b:x/verbosity", call.Mutation.Path)
	_, err = Prepare(Asked{Text: "room verbosity low", At: monday})
	require.ErrorContains(t, err, "which room do you mean")
	_, err = Prepare(Asked{Text: "room verbosity loud --room !b:x", At: monday})
	require.ErrorContains(t, err, "not one of low, medium and high")
}
