package fleet

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func TestTheLadderIsClimbedRungByRung(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := b.budget(t)
	require.True(t, change.BeganNow)
	require.Nil(t, change.Before)
	require.Equal(t, start, change.After.Since)

	first := b.dispatch(t, ask(10))
	require.Equal(t, StateReady, first.State)
	require.Equal(t, "D-1", first.ID.String())
	require.Equal(t, []Hold{{Provider: "claude", Subscription: "claude", Window: "main", Unit: "credits", Micros: 10 * budget.Micro}}, first.Holds)

	second := b.dispatch(t, ask(10))
	require.Equal(t, StateReady, second.State)
	require.True(t, second.Downgraded)
	require.Equal(t, "sonnet", second.Model)

	third := b.dispatch(t, ask(50))
	require.Equal(t, StateQueued, third.State)
	require.Equal(t, start.Add(12*time.Second), third.PromisedStart)
	require.Empty(t, third.Holds)

	fourth := b.dispatch(t, ask(100, func(a *Ask) { a.Deadline = start.Add(time.Minute) }))
	require.Equal(t, StateRefused, fourth.State)

	require.Equal(t, []string{
		"budget.set", "dispatch.ready", "dispatch.ready", "budget.step", "dispatch.queued", "budget.step", "dispatch.refused",
	}, b.story(t))
	steps := stepsIn(b.events(t))
	require.Equal(t, "normal", steps[0].From)
	require.Equal(t, "downgrade", steps[0].To)
	require.Equal(t, "opus", steps[0].ModelFrom)
	require.Equal(t, "sonnet", steps[0].ModelTo)
	require.Equal(t, DispatchID(2), *steps[0].Dispatch)
	require.Equal(t, "queue", steps[1].To)
	require.Equal(t, 1, steps[1].Window.Waiting)
	require.Equal(t, "D-3 waits for"+strings.TrimPrefix(third.Reason, "Waits for"), steps[1].Text)

	window := b.window(t)
	require.Equal(t, int64(16*budget.Micro), window.ReservedMicros)
	require.Equal(t, "queue", window.Step)
	b.audit(t)
}

func stepsIn(events []Event) []StepChange {
	var steps []StepChange
	for _, event := range events {
		if event.Step != nil {
			steps = append(steps, *event.Step)
		}
	}
	return steps
}

func TestARefusedDispatchReservesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	refused := b.dispatch(t, ask(600, exact))
	require.Equal(t, StateRefused, refused.State)
	require.Empty(t, refused.Holds)
	require.Zero(t, b.window(t).UsedMicros)
	require.Zero(t, b.window(t).Waiting)
}

func TestAWorkingFleetSpendsWhatItReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(10))
	claim := b.claimed(t)
	require.Equal(t, created.ID, claim.Dispatch.ID)
	require.Equal(t, StateRunning, claim.Dispatch.State)
	require.Equal(t, 1, claim.Dispatch.Attempt)

	beat, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), created.ID, Beat{
		Claim: claim.ID, Progress: "tests pass", Metered: []Amount{{"credits", 3 * budget.Micro}}, TTL: time.Hour,
	})
	require.NoError(t, err)
	require.Equal(t, start.Add(time.Hour), beat.ExpiresAt)

	done, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", 12 * budget.Micro}}, Result: []byte(`{"summary":"done"}`),
	})
	require.NoError(t, err)
	require.Equal(t, StateDone, done.State)
	require.Empty(t, done.Holds)
	window := b.window(t)
	require.Equal(t, int64(12*budget.Micro), window.CommittedMicros, "an actual may exceed its hold")
	require.Zero(t, window.ReservedMicros)
	require.Equal(t, []string{"budget.set", "dispatch.ready", "dispatch.running", "dispatch.progress", "dispatch.done"}, b.story(t))
	b.audit(t)

	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "twice"})
	requireCode(t, CodeClaimLost, err)
}

func TestARunWithoutAnActualCommitsItsEstimate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(10))
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{Claim: claim.ID, Outcome: StateFailed})
	requireCode(t, CodeActualMissing, err)

	failed, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{Claim: claim.ID, Outcome: StateFailed, Unmetered: "the meter broke"})
	require.NoError(t, err)
	require.Equal(t, StateFailed, failed.State)
	require.Equal(t, int64(10*budget.Micro), b.window(t).CommittedMicros)
	b.audit(t)
}

func TestExactlyTheLimitIsAdmittedUnderSixtyFourWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.LimitMicros = 40 * budget.Micro })
	b.clock.pass(100*time.Minute - time.Second) // the pace is nearly all there
	stores := []*Store{b.Store, b.open(t, "beta")}

	var wait sync.WaitGroup
	states := make([]string, 64)
	for i := range states {
		wait.Go(func() {
			dispatch, err := stores[i%2].CreateDispatch(t.Context(), b.by("olga"), ask(1, exact, func(a *Ask) {
				a.Deadline = b.clock.now()
			}))
			if err == nil {
				states[i] = dispatch.State
			}
		})
	}
	wait.Wait()
	count := map[string]int{}
	for _, state := range states {
		count[state]++
	}
	require.Equal(t, map[string]int{StateReady: 40, StateRefused: 24}, count)
	window := b.window(t)
	require.Equal(t, int64(40*budget.Micro), window.ReservedMicros)
	require.Equal(t, "refuse", window.Step)
	b.audit(t)

	for range 40 {
		wait.Go(func() {
			claim, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Hour)
			if err != nil || claim == nil {
				return
			}
			_, _ = b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
				Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", budget.Micro / 2}},
			})
		})
	}
	wait.Wait()
	require.Equal(t, int64(20*budget.Micro), b.window(t).CommittedMicros)
	require.Zero(t, b.window(t).ReservedMicros)
	b.audit(t)
}

func TestWhatIsWrongWithARequestIsAnErrorAndRecordsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(1, func(a *Ask) { a.Model = "opsu" }))
	refusal := requireCode(t, CodeInvalid, err)
	require.Equal(t, "model", refusal.Field)
	require.Contains(t, refusal.Detail, "opus, sonnet, haiku, gpt-5.5")

	_, err = b.CreateDispatch(t.Context(), b.by("olga"), ask(1, func(a *Ask) { a.Estimate[0].Unit = "tokens" }))
	refusal = requireCode(t, CodeUnitMismatch, err)
	require.Equal(t, "The estimate is in tokens; the window main counts credits.", refusal.Detail)

	require.Equal(t, "D-1", b.dispatch(t, ask(1)).ID.String(), "no number was lost")
}

func TestADryRunReservesAndRecordsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	tried := b.dispatch(t, ask(10, func(a *Ask) { a.DryRun = true }))
	require.Equal(t, "D-0", tried.ID.String())
	require.Equal(t, StateReady, tried.State)
	require.True(t, tried.DryRun)
	require.Zero(t, b.window(t).UsedMicros)
	require.Equal(t, []string{"budget.set"}, b.story(t))
	require.Equal(t, "D-1", b.dispatch(t, ask(10)).ID.String())
}

func TestWithoutABudgetTheMeterIsUnknownAndWorkRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.dispatch(t, ask(10))
	require.Equal(t, StateReady, created.State)
	require.Contains(t, created.Reason, "meter unknown")
	require.Empty(t, created.Holds)
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", budget.Micro}},
	})
	require.NoError(t, err)
	b.audit(t)
}

func TestAnEstimateWithoutAUnitTakesThatOfTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(10, func(a *Ask) { a.Estimate = []Amount{{Micros: 10 * budget.Micro}} }))
	require.Equal(t, []Amount{{"credits", 10 * budget.Micro}}, created.Estimate)
	require.Equal(t, created, b.show(t, created.ID), "what was answered is what is kept")
}
