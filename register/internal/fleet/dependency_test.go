package fleet

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func after(ids ...DispatchID) func(*Ask) { return func(a *Ask) { a.DependsOn = ids } }

func (b *bundle) complete(t *testing.T, claim Claim, outcome string) {
	t.Helper()
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: outcome, Unmetered: "no meter"})
	require.NoError(t, err)
}

func TestWorkThatDependsOnOtherWorkHoldsNothingUntilAllOfItIsDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	first, second := b.dispatch(t, ask(5)), b.dispatch(t, ask(5))
	last := b.dispatch(t, ask(5, after(second.ID, first.ID, second.ID)))
	require.Equal(t, StateQueued, last.State)
	require.Equal(t, "Waits until D-1 and D-2 are done.", last.Reason)
	require.Equal(t, []DispatchID{1, 2}, last.DependsOn)
	require.Empty(t, last.Holds)
	require.Equal(t, int64(10_000_000), b.window(t).ReservedMicros)
	require.Zero(t, b.window(t).Waiting, "it stands in no line")

	b.complete(t, b.claimed(t), StateDone)
	wake(t, b)
	require.Equal(t, "Waits until D-2 is done.", b.show(t, last.ID).Reason)
	b.complete(t, b.claimed(t), StateDone)
	require.Equal(t, []DispatchID{last.ID}, wake(t, b))
	ready := b.show(t, last.ID)
	require.Equal(t, StateReady, ready.State)
	require.Len(t, ready.Holds, 1)
	require.Equal(t, StateReady, b.dispatch(t, ask(1, after(first.ID))).State, "what is done keeps nobody waiting")
	b.audit(t)
}

func TestADependencyThatEndsOtherwiseCancelsWhatWaitsForItWithTheCause(t *testing.T) {
	t.Parallel()
	for want, end := range map[string]func(*testing.T, *bundle){
		"failed": func(t *testing.T, b *bundle) { b.complete(t, b.claimed(t), StateFailed) },
		"cancelled": func(t *testing.T, b *bundle) {
			_, err := b.CancelDispatch(t.Context(), b.by("olga"), 1, "")
			require.NoError(t, err)
		},
		"refused": func(t *testing.T, b *bundle) {
			b.pause(t, "incident") // it goes back to the line, where its latest start passes
			b.clock.pass(2 * time.Minute)
			wake(t, b)
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.budget(t)
			b.dispatch(t, ask(5, func(a *Ask) { a.Deadline = start.Add(time.Minute) }))
			b.dispatch(t, ask(5, after(1)))
			b.dispatch(t, ask(5, after(2)))
			end(t, b)
			require.Equal(t, want, b.show(t, 1).State)
			require.Equal(t, StateCancelled, b.show(t, 2).State)
			require.Equal(t, "Cancelled because D-1, which it waited for, is "+want+".", b.show(t, 2).Reason)
			require.Equal(t, StateCancelled, b.show(t, 3).State)
			require.Equal(t, "Cancelled because D-2, which it waited for, is cancelled.", b.show(t, 3).Reason)
			_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(5, after(1)))
			require.Equal(t, "D-1 is "+want+", so nothing can run after it.", requireCode(t, CodeNotOpen, err).Detail)
			b.audit(t)
		})
	}
}

func TestNothingCanWaitForItselfOrForWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(5, after(1)))
	require.Equal(t, "There is no dispatch D-1 to wait for; a dispatch can only wait for earlier ones.", requireCode(t, CodeNotFound, err).Detail)
	b.dispatch(t, ask(5))
	require.ErrorContains(t, b.exec(t.Context(), `UPDATE fleet.dispatches SET depends_on = '{1}'`), "dispatch_after", "the database allows no circle either")
}

// TestNoDependentOutlivesItsCancelledDependency races creating dependents against the end of what they wait for.
func TestNoDependentOutlivesItsCancelledDependency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 10 {
		first := b.dispatch(t, ask(1))
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() { _, _ = b.CreateDispatch(context.Background(), b.by("olga"), ask(1, after(first.ID))) })
		}
		_, err := b.CancelDispatch(t.Context(), b.by("olga"), first.ID, "")
		require.NoError(t, err)
		wait.Wait()
	}
	open, err := b.Dispatches(t.Context(), []string{StateQueued, StateReady}, 0, 100)
	require.NoError(t, err)
	require.Empty(t, open.Dispatches)
}
