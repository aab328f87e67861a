package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func wake(t *testing.T, b *bundle) []DispatchID {
	t.Helper()
	replanned, err := b.Wake(t.Context())
	require.NoError(t, err)
	return replanned
}

func TestWaitingWorkStartsAtItsPromiseAndNotBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	waiting := b.dispatch(t, ask(50, exact))
	require.Equal(t, start.Add(5*time.Minute), waiting.PromisedStart)
	next, err := b.NextWake(t.Context())
	require.NoError(t, err)
	require.Equal(t, waiting.PromisedStart, next)

	b.clock.pass(5*time.Minute - time.Microsecond)
	require.Empty(t, wake(t, b))
	require.Equal(t, StateQueued, b.show(t, waiting.ID).State)
	b.clock.pass(time.Microsecond)
	require.Equal(t, []DispatchID{waiting.ID}, wake(t, b))
	ready := b.show(t, waiting.ID)
	require.Equal(t, StateReady, ready.State)
	require.Zero(t, ready.PromisedStart)
	require.Equal(t, int64(50*budget.Micro), b.window(t).ReservedMicros)
	require.Zero(t, b.window(t).Waiting)
	b.audit(t)
}

func TestALineIsServedInOrderAndReplannedWhenSomethingFreesUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	running := b.dispatch(t, ask(25, exact))
	first := b.dispatch(t, ask(20, exact))
	second := b.dispatch(t, ask(5, exact))
	require.Equal(t, start.Add(4*time.Minute), first.PromisedStart)
	require.Equal(t, start.Add(5*time.Minute), second.PromisedStart)

	_, err := b.CancelDispatch(t.Context(), b.by("olga"), running.ID, "not needed")
	require.NoError(t, err)
	require.Equal(t, []DispatchID{first.ID, second.ID}, wake(t, b))
	require.Equal(t, StateReady, b.show(t, first.ID).State)
	require.Equal(t, StateReady, b.show(t, second.ID).State)
	b.audit(t)
}

func TestHigherPriorityGoesAheadAndThoseBehindArePromisedAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(25, exact))
	plain := b.dispatch(t, ask(10, exact))
	var replan bool
	b.options.Changed = func(change Change) { replan = replan || change.Replan }
	urgent := b.dispatch(t, ask(20, exact, func(a *Ask) { a.Priority = 9 }))
	require.True(t, replan)
	require.Equal(t, start.Add(4*time.Minute), urgent.PromisedStart)
	require.Equal(t, []DispatchID{plain.ID}, wake(t, b))
	require.Equal(t, start.Add(6*time.Minute), b.show(t, plain.ID).PromisedStart)
	events := b.events(t)
	last := events[len(events)-1]
	require.Equal(t, "dispatch.queued", last.Type, "a promise that moved by more than a minute is told")
	require.Equal(t, plain.ID, last.Dispatch.ID)
	require.Equal(t, Time, last.Actor)
}

func TestWaitingWorkIsRefusedWhenItsDeadlineCanNoLongerBeMet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	waiting := b.dispatch(t, ask(50, exact, func(a *Ask) { a.Deadline = start.Add(6 * time.Minute) }))
	require.Equal(t, StateQueued, waiting.State)
	urgent := b.dispatch(t, ask(50, exact, func(a *Ask) { a.Priority = 9 }))
	require.Equal(t, StateQueued, urgent.State)
	require.Contains(t, wake(t, b), waiting.ID)
	refused := b.show(t, waiting.ID)
	require.Equal(t, StateRefused, refused.State)
	require.Contains(t, refused.Reason, "Cannot start by 2026-11-23 09:06:00 UTC")
	require.Equal(t, 1, b.window(t).Waiting)
}

func TestAStepComesDownByTimeAloneAfterItsDwell(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(20, exact))
	require.Equal(t, "downgrade", b.window(t).Step, "20 used is more than half the slack ahead")
	next, err := b.NextWake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(90*time.Second), next, "then 12.5 ahead is within half the slack")

	b.clock.pass(90 * time.Second)
	wake(t, b)
	require.Equal(t, "downgrade", b.window(t).Step, "not before the dwell")
	next, err = b.NextWake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(5*time.Minute), next)
	b.clock.pass(210 * time.Second)
	wake(t, b)
	require.Equal(t, "normal", b.window(t).Step)
	steps := stepsIn(b.events(t))
	require.Len(t, steps, 2)
	require.Equal(t, "Back within even spread: 20 credits used, 25 credits allowed by now.", steps[1].Text)
	next, err = b.NextWake(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(100*time.Minute), next, "next it lapses")
}

func TestWorkThatWaitedForALapsedWindowRunsUnmetered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(480 * budget.Micro)) })
	waiting := b.dispatch(t, ask(100, exact))
	require.Equal(t, StateQueued, waiting.State)
	require.Equal(t, start.Add(100*time.Minute), waiting.PromisedStart)
	b.clock.pass(100 * time.Minute)
	wake(t, b)
	ready := b.show(t, waiting.ID)
	require.Equal(t, StateReady, ready.State)
	require.Contains(t, ready.Reason, "meter unknown")
	require.True(t, b.window(t).Lapsed)
	b.audit(t)
}

func TestAModelThatLeftTheLadderRefusesWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	waiting := b.dispatch(t, ask(50, exact))
	_, err := b.PutLadder(t.Context(), b.by("olga"), []Tier{{"claude", "sonnet", 1}})
	require.NoError(t, err)
	wake(t, b)
	refused := b.show(t, waiting.ID)
	require.Equal(t, StateRefused, refused.State)
	require.Equal(t, `The model "opus" is not in the ladder; known are sonnet.`, refused.Reason)
}
