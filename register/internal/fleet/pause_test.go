package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func (b *bundle) pause(t *testing.T, reason string) Pause {
	t.Helper()
	pause, err := b.SetPause(t.Context(), b.by("olga"), true, reason)
	require.NoError(t, err)
	return pause
}

func (b *bundle) resume(t *testing.T) {
	t.Helper()
	pause, err := b.SetPause(t.Context(), b.by("olga"), false, "")
	require.NoError(t, err)
	require.False(t, pause.Paused)
}

const pausedByOlga = "Paused by olga at 2026-11-23 09:00:00 UTC: incident."

func (b *bundle) requireWithheld(t *testing.T, reason string) {
	t.Helper()
	claim, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
	var withheld *Withheld
	require.ErrorAs(t, err, &withheld)
	require.Nil(t, claim)
	require.Equal(t, reason, withheld.Reason)
}

func TestDuringAPauseNewWorkIsQueuedHoldsNothingAndSaysWhoPausedAndWhy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.pause(t, "incident")
	waiting := b.dispatch(t, ask(10))
	require.Equal(t, StateQueued, waiting.State)
	require.Equal(t, pausedByOlga, waiting.Reason)
	require.Empty(t, waiting.Holds)
	require.Zero(t, waiting.PromisedStart)
	require.Equal(t, pausedByOlga, b.dispatch(t, ask(10, func(a *Ask) { a.DryRun = true })).Reason)
	_, err := b.CreateDispatch(t.Context(), b.by("olga"), ask(10, func(a *Ask) { a.Model = "nonsense" }))
	requireCode(t, CodeInvalid, err)
	require.Zero(t, b.window(t).ReservedMicros)
	require.Empty(t, wake(t, b), "waking judges nothing while the fleet is paused")
	require.Equal(t, StateRefused, b.dispatch(t, ask(1, func(a *Ask) { a.Deadline = start.Add(-time.Second) })).State)
	b.audit(t)
}

func TestAPausedFleetGivesOutNoWorkAndRunningWorkGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	running := b.claimed(t)
	ready := b.dispatch(t, ask(5))
	b.pause(t, "incident")

	b.requireWithheld(t, pausedByOlga)
	returned := b.show(t, ready.ID)
	require.Equal(t, StateQueued, returned.State)
	require.Equal(t, pausedByOlga, returned.Reason)
	require.Empty(t, returned.Holds)
	require.Equal(t, int64(5*budget.Micro), b.window(t).ReservedMicros, "only the running one holds")

	_, err := b.beat(t, running, 1)
	require.NoError(t, err)
	done, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), running.Dispatch.ID, Completion{
		Claim: running.ID, Outcome: StateDone, Actuals: []Amount{{"credits", 2 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, StateDone, done.State)
	wake(t, b)
	require.Equal(t, StateQueued, b.show(t, ready.ID).State)
	b.resume(t)
	require.Equal(t, ready.ID, b.claimed(t).Dispatch.ID)
	b.audit(t)
}

func TestResumeWakesTheLineInItsOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	paced := b.dispatch(t, ask(30, exact))
	require.NotZero(t, paced.PromisedStart)
	b.pause(t, "incident")
	require.Zero(t, b.show(t, paced.ID).PromisedStart, "a pause keeps no promise")
	first := b.dispatch(t, ask(5, exact))
	second := b.dispatch(t, ask(5, exact))
	urgent := b.dispatch(t, ask(5, exact, func(a *Ask) { a.Priority = 9 }))
	b.clock.pass(20 * time.Minute)
	b.resume(t)
	var woken []DispatchID
	for _, event := range b.events(t) {
		if event.Type == "dispatch.ready" {
			woken = append(woken, event.Dispatch.ID)
		}
	}
	require.Equal(t, []DispatchID{urgent.ID, paced.ID, first.ID, second.ID}, woken)
	b.audit(t)
}

func TestAPauseIsToldOnceAndRepeatsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	never, err := b.Pause(t.Context())
	require.NoError(t, err)
	require.Equal(t, Pause{}, never)
	b.resume(t)
	paused := b.pause(t, "incident")
	require.Equal(t, Pause{Paused: true, Reason: "incident", By: "olga", At: start, Version: 1}, paused)
	b.clock.pass(time.Minute)
	require.Equal(t, paused, b.pause(t, "incident"))
	b.dispatch(t, ask(1))
	b.pause(t, "still down")
	require.Equal(t, "Paused by olga at 2026-11-23 09:01:00 UTC: still down.", b.show(t, 1).Reason)
	b.resume(t)
	b.resume(t)
	require.Equal(t, []string{"fleet.paused", "dispatch.queued", "fleet.paused", "fleet.resumed", "dispatch.ready"}, b.story(t))
}

func TestALostWorkersDispatchWaitsForTheEndOfThePause(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(5))
	b.claimed(t)
	b.pause(t, "incident")
	b.clock.pass(15 * time.Minute)
	b.sweep(t)
	lost := b.show(t, 1)
	require.Equal(t, StateQueued, lost.State)
	require.Equal(t, "coder-1 was lost. "+pausedByOlga, lost.Reason)
	require.Zero(t, b.window(t).ReservedMicros)
	b.resume(t)
	require.Equal(t, StateReady, b.show(t, 1).State)
	b.audit(t)
}

// TestNoClaimAndNoAdmissionPassesAPauseThatWasAnswered races many of both against the switch, on two gateways.
func TestNoClaimAndNoAdmissionPassesAPauseThatWasAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.LimitMicros = 500_000 * budget.Micro })
	stores := []*Store{b.Store, b.open(t, "beta")}
	for range 40 {
		b.dispatch(t, ask(1))
	}
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var answered atomic.Int64 // how often the switch was answered; even: the fleet runs
	var late []string
	var mutex sync.Mutex
	var claims, creates atomic.Int64
	passed := func(before int64, what string) {
		// It began and ended within one answered pause, and went through all the same.
		if before%2 == 1 && answered.Load() == before {
			mutex.Lock()
			defer mutex.Unlock()
			late = append(late, what)
		}
	}
	for i := range 6 {
		wait.Go(func() {
			for ctx.Err() == nil {
				before := answered.Load()
				claim, err := stores[i%2].ClaimDispatch(ctx, b.by("coder-1"), "coder", "coder-1", time.Hour)
				if err == nil && claim != nil {
					claims.Add(1)
					passed(before, "claim "+claim.Dispatch.ID.String())
				}
			}
		})
		wait.Go(func() {
			for ctx.Err() == nil {
				before := answered.Load()
				dispatch, err := stores[i%2].CreateDispatch(ctx, b.by("olga"), ask(1))
				if err == nil && dispatch.State == StateReady {
					creates.Add(1)
					passed(before, "create "+dispatch.ID.String())
				}
			}
		})
	}
	for round := range 6 {
		at := claims.Load() + creates.Load()
		require.Eventually(t, func() bool { return claims.Load()+creates.Load() > at }, time.Minute, time.Millisecond)
		b.pause(t, fmt.Sprint("round ", round))
		answered.Add(1)
		ready, err := b.Dispatches(t.Context(), []string{StateReady}, 0, 200)
		require.NoError(t, err)
		require.Empty(t, ready.Dispatches, "a paused fleet has no ready work")
		queued := b.dispatch(t, ask(1))
		require.Equal(t, StateQueued, queued.State)
		answered.Add(1)
		b.resume(t)
	}
	stop()
	wait.Wait()
	require.Empty(t, late)
	require.NotZero(t, claims.Load())
	require.NotZero(t, creates.Load())
	require.Zero(t, slices.Index(b.story(t), "budget.set"))
	b.audit(t)
}

func TestToPauseAgainWithoutAReasonKeepsTheReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.pause(t, "incident")
	require.Equal(t, "incident", b.pause(t, "").Reason)
	require.Equal(t, "worse", b.pause(t, "worse").Reason)
	b.resume(t)
	require.Empty(t, b.pause(t, "").Reason, "a pause that is over has no reason to leave behind")
}
