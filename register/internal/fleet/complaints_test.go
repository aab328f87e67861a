package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// complaints are what users of other governors reported, as far as it is for the register to get right. Each is shown on a register
// of its own, the invariants of which hold afterwards.
var complaints = []struct {
	links     []string
	complaint string
	holds     func(*testing.T, *bundle)
}{
	{
		[]string{"BerriAI/litellm/issues/34732", "BerriAI/litellm/issues/40095", "BerriAI/litellm/issues/26672"},
		"requests at once pass the same check", aCrowdIsAdmittedExactlyToTheCap,
	},
	{
		[]string{"paperclipai/paperclip/issues/11276", "paperclipai/paperclip/issues/769", "paperclipai/paperclip/pull/2006"},
		"the hard stop comes silently, and only between runs", aRunThatReachesTheCapIsTold,
	},
	{
		[]string{"BerriAI/litellm/issues/27639", "BerriAI/litellm/issues/40050", "BerriAI/litellm/issues/35569", "BerriAI/litellm/issues/27735"},
		"a reservation is lost and refuses work that fits", aLostWorkersHoldEnds,
	},
	{[]string{"BerriAI/litellm/issues/36926", "Augustas11/macprovider/issues/762"}, "one run is booked twice", oneRunIsBookedOnce},
	{[]string{"nikoSchoinas/routeweiler-python-sdk/issues/3"}, "a key for each attempt never finds the first", oneKeyIsOneDispatch},
	{[]string{"BerriAI/litellm/pull/33736", "BerriAI/litellm/pull/36008", "BerriAI/litellm/issues/13245"}, "what was spent before a cancellation is lost", whatACancelledRunSpentIsBooked},
	{[]string{"hezo-ai/hezo/pull/235"}, "work is stranded after the rollover", workStartsAfterTheReset},
	{
		[]string{"paperclipai/paperclip/issues/5244", "paperclipai/paperclip/issues/9552", "paperclipai/paperclip/issues/1063"},
		"the queue, a restart or a retry pass the pause", nothingPassesThePause,
	},
	{[]string{"maximhq/bifrost/issues/2873", "BerriAI/litellm/issues/38176"}, "use beside the gateway is not counted", useBesideTheGateCounts},
	{[]string{"BerriAI/litellm/issues/27381"}, "a limit is declared and never registered", aLimitCountsFromTheNextAdmission},
	{[]string{"anthropics/claude-code/issues/30930", "anthropics/claude-code/issues/31021"}, "a stale meter stops the work, or is believed", aStaleMeterIsSaidToBeUnknown},
	{[]string{"BerriAI/litellm/issues/3738", "BerriAI/litellm/issues/3113", "BerriAI/litellm/issues/27398", "kdlbs/kandev/pull/3287"}, "an alert for each request", aStepIsToldOnce},
	{[]string{"paperclipai/paperclip/issues/8856", "paperclipai/paperclip/issues/3406"}, "a budget in another unit than the work's is inert", anotherUnitIsAnError},
	{[]string{"maximhq/bifrost/issues/5770"}, "the rule fires early", theCapIsReachedToTheMicroUnit},
	{[]string{"Aureliolo/synthorg/issues/44"}, "a task is lowered in its midst", aRunIsNotLoweredInItsMidst},
}

func TestWhatOthersComplainAboutDoesNotHappenInTheRegister(t *testing.T) {
	t.Parallel()
	for _, c := range complaints {
		t.Run(c.complaint, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.holds(t, b)
			b.audit(t)
			if t.Failed() {
				t.Log(c.links)
			}
		})
	}
}

func aCrowdIsAdmittedExactlyToTheCap(t *testing.T, b *bundle) {
	b.wide(t, 40)
	require.Equal(t, int64(40), b.crowd(t, 16, 60, b.Store, b.open(t, "beta")))
	b.hold(t)
}

func aRunThatReachesTheCapIsTold(t *testing.T, b *bundle) {
	b.wide(t, 10)
	b.dispatch(t, ask(4, exact))
	claim := b.claimed(t)
	_, err := b.extend(t, claim, Amount{coins, 10 * budget.Micro})
	require.NoError(t, err)
	_, err = b.extend(t, claim, Amount{coins, 11 * budget.Micro})
	require.Contains(t, requireCode(t, CodeCapReached, err).Detail, "has 0 credits left")
}

func aLostWorkersHoldEnds(t *testing.T, b *bundle) {
	b.wide(t, 10)
	b.dispatch(t, ask(10, exact, func(a *Ask) { a.MaxAttempts = 1 }))
	claim := b.claimed(t)
	_, err := b.beat(t, claim, 2)
	require.NoError(t, err)
	b.clock.pass(16 * time.Minute)
	b.sweep(t)
	require.Zero(t, b.window(t).ReservedMicros)
	require.Equal(t, int64(2*budget.Micro), b.window(t).CommittedMicros, "what it had metered, not nothing and not all")
	require.Equal(t, StateReady, b.dispatch(t, ask(8, exact)).State)
}

func oneRunIsBookedOnce(t *testing.T, b *bundle) {
	b.wide(t, 10)
	b.dispatch(t, ask(4, exact))
	claim := b.claimed(t)
	m, done := b.by("coder-1"), Completion{Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{coins, 3 * budget.Micro}}}
	for range 3 {
		_, err := b.CompleteDispatch(t.Context(), m, claim.Dispatch.ID, done)
		require.NoError(t, err)
	}
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, done)
	require.Error(t, err, "a fresh key does not bill it again")
	require.Equal(t, int64(3*budget.Micro), b.window(t).CommittedMicros)
}

func oneKeyIsOneDispatch(t *testing.T, b *bundle) {
	b.wide(t, 10)
	m := b.by("olga")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if d, err := b.CreateDispatch(t.Context(), m, ask(4, exact)); err != nil || d.ID != 1 {
				t.Errorf("a repetition was answered with %s, %v", d.ID, err)
			}
		})
	}
	wait.Wait()
	require.Equal(t, int64(4*budget.Micro), b.window(t).ReservedMicros)
}

func whatACancelledRunSpentIsBooked(t *testing.T, b *bundle) {
	b.wide(t, 10)
	b.dispatch(t, ask(4, exact))
	claim := b.claimed(t)
	_, err := b.beat(t, claim, 3)
	require.NoError(t, err)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), claim.Dispatch.ID, "enough")
	require.NoError(t, err)
	require.Equal(t, [2]int64{3 * budget.Micro, 0}, [2]int64{b.window(t).CommittedMicros, b.window(t).ReservedMicros})
}

func workStartsAfterTheReset(t *testing.T, b *bundle) {
	b.budget(t, func(s *BudgetSet) {
		s.Recurrence, s.ResetAt, s.UsedMicros = "every hour", start.Add(30*time.Minute), new(int64(500*budget.Micro))
	})
	waits := b.dispatch(t, ask(5, exact))
	require.Equal(t, start.Add(30*time.Minute), waits.PromisedStart)
	next, err := b.NextWake(t.Context())
	require.NoError(t, err)
	b.clock.pass(next.Sub(b.clock.now()))
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, StateReady, b.show(t, waits.ID).State, "without anybody asking for anything")
}

func nothingPassesThePause(t *testing.T, b *bundle) {
	b.wide(t, 10)
	cancelled := b.dispatch(t, ask(1, exact))
	b.cancelled(t, cancelled.ID)
	ready := b.dispatch(t, ask(1, exact))
	b.pause(t, "an incident")
	retried := b.retry(t, cancelled.ID)
	fresh := b.dispatch(t, ask(1, exact))
	again := b.open(t, "beta") // a gateway that comes up meanwhile
	_, err := again.Wake(t.Context())
	require.NoError(t, err)
	require.NoError(t, again.Sweep(t.Context()))
	for _, id := range []DispatchID{ready.ID, retried.ID, fresh.ID} {
		require.Equal(t, StateQueued, b.show(t, id).State)
	}
	b.requireWithheld(t, "Paused by olga at 2026-11-23 09:00:00 UTC: an incident.")
}

func useBesideTheGateCounts(t *testing.T, b *bundle) {
	b.wide(t, 10)
	_, err := b.ReportUsage(t.Context(), b.by("coder-1"), UsageReport{Provider: "claude", Reporter: "collector", Uses: []SeenUse{
		{Amount: Amount{coins, 8 * budget.Micro}, Until: b.clock.now()},
	}})
	require.NoError(t, err)
	require.Equal(t, StateReady, b.dispatch(t, ask(2, exact)).State)
	require.NotEqual(t, StateReady, b.dispatch(t, ask(1, exact)).State)
}

func aLimitCountsFromTheNextAdmission(t *testing.T, b *bundle) {
	b.wide(t, 10)
	require.Equal(t, StateReady, b.dispatch(t, ask(5, exact)).State)
	other := b.open(t, "beta")
	b.wide(t, 6)
	d, err := other.CreateDispatch(t.Context(), b.by("olga"), ask(2, exact))
	require.NoError(t, err)
	require.NotEqual(t, StateReady, d.State, "whichever gateway is asked")
	require.Equal(t, string(budget.OverCap), d.Attempts[0].Verdict)
}

func aStaleMeterIsSaidToBeUnknown(t *testing.T, b *bundle) {
	b.percent(t)
	b.read(t, 99)
	b.clock.pass(20 * time.Minute)
	d := b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{points, 5 * budget.Micro}} }))
	require.Equal(t, StateReady, d.State, d.Reason)
	require.Contains(t, d.Reason, "meter unknown")
}

func aStepIsToldOnce(t *testing.T, b *bundle) {
	b.wide(t, 10)
	b.dispatch(t, ask(10, exact))
	for range 5 {
		b.dispatch(t, ask(1, exact))
	}
	refusals := 0
	for _, step := range b.told(t, "budget.step") {
		if step.Step.To == "refuse" {
			refusals++
		}
	}
	require.Equal(t, 1, refusals)
}

func anotherUnitIsAnError(t *testing.T, b *bundle) {
	b.wide(t, 10)
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{"dollars", budget.Micro}} }))
	requireCode(t, CodeUnitMismatch, err)
	require.Zero(t, b.window(t).ReservedMicros)
}

func theCapIsReachedToTheMicroUnit(t *testing.T, b *bundle) {
	b.wide(t, 10)
	almost := b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{coins, 10*budget.Micro - 1}} }))
	require.Equal(t, StateReady, almost.State)
	over := b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{coins, 2}} }))
	require.Equal(t, string(budget.OverCap), over.Attempts[0].Verdict)
	b.cancelled(t, over.ID) // else it stands before what fits
	require.Equal(t, StateReady, b.dispatch(t, ask(0, exact, func(a *Ask) { a.Estimate = []Amount{{coins, 1}} })).State)
}

func aRunIsNotLoweredInItsMidst(t *testing.T, b *bundle) {
	b.wide(t, 100)
	d := b.dispatch(t, ask(10))
	claim := b.claimed(t)
	_, err := b.extend(t, claim, Amount{coins, 90 * budget.Micro})
	require.NoError(t, err, "past what any cheaper model would take")
	require.Equal(t, d.Model, b.show(t, d.ID).Model)
	require.Equal(t, StateRunning, b.show(t, d.ID).State)
}
