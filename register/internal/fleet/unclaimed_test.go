package fleet

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func setupUnclaimed(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.options.UnclaimedAfter = 15 * time.Minute
	b.budget(t)
	return b
}

// left lets 15 minutes pass with the sweep at either side of the mark.
func (b *bundle) left(t *testing.T) {
	t.Helper()
	b.clock.pass(15*time.Minute - time.Second)
	b.sweep(t)
	b.clock.pass(time.Second)
	b.sweep(t)
}

func TestReadyWorkThatNobodyClaimsReturnsItsHoldAndSaysWhoIsBusyWithWhat(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	b.dispatch(t, ask(1))
	running := b.claimed(t)
	_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), 1, Beat{Claim: running.ID, TTL: 24 * time.Hour})
	require.NoError(t, err)
	unclaimed := b.dispatch(t, ask(5))
	require.Equal(t, StateReady, unclaimed.State)
	b.declare(t, Declaration{Name: "coder-2", ModelCeiling: "haiku", Liveness: 24 * time.Hour})
	b.declare(t, Declaration{Name: "coder-3", Liveness: 24 * time.Hour})
	b.clock.pass(time.Minute)
	b.left(t)
	returned := b.show(t, unclaimed.ID)
	require.Equal(t, StateQueued, returned.State)
	require.Equal(t, "Nobody claimed it for 15 min. coder-1 runs D-1, coder-3 is live and did not ask for it.", returned.Reason)
	require.Empty(t, returned.Holds)
	require.Zero(t, returned.PromisedStart)
	require.Equal(t, int64(budget.Micro), b.window(t).ReservedMicros)
	require.Zero(t, b.window(t).Waiting)
	for range 5 { // it does not flap
		b.clock.pass(time.Minute)
		wake(t, b)
		b.sweep(t)
	}
	require.Equal(t, StateQueued, b.show(t, unclaimed.ID).State)
	require.Equal(t, []string{"budget.set", "dispatch.ready", "dispatch.running", "dispatch.ready", "dispatch.queued"}, b.story(t))
	b.audit(t)
}

func TestReturnedWorkIsClaimedByTheVeryClaimOfAFittingWorker(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	b.dispatch(t, ask(5, exact))
	b.left(t)
	_, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "tester", "tester-1", time.Minute)
	require.NoError(t, err)
	b.declare(t, Declaration{Name: "coder-2", Subscriptions: []string{"codex"}})
	require.Nil(t, b.claimBy(t, "coder-2"))
	require.Equal(t, StateQueued, b.show(t, 1).State, "a worker that cannot run it changes nothing")
	low := b.dispatch(t, ask(1, func(a *Ask) { a.Priority = 1 }))
	high := b.dispatch(t, ask(1, func(a *Ask) { a.Priority = 9 }))
	require.Equal(t, high.ID, b.claimed(t).Dispatch.ID, "what is more urgent still goes first")
	require.Equal(t, StateQueued, b.show(t, 1).State)
	require.Equal(t, DispatchID(1), b.claimed(t).Dispatch.ID)
	require.Equal(t, low.ID, b.claimed(t).Dispatch.ID)
	b.audit(t)
}

func TestReturnedWorkIsReadyAgainWhenAFittingWorkerJoinsOrBecomesFree(t *testing.T) {
	t.Parallel()
	for how, comes := range map[string]func(*testing.T, *bundle, Claim){
		"joins":         func(t *testing.T, b *bundle, _ Claim) { b.declare(t, Declaration{Name: "coder-2"}) },
		"becomes free":  func(t *testing.T, b *bundle, running Claim) { b.complete(t, running, StateDone) },
		"stops at last": func(t *testing.T, b *bundle, running Claim) { b.stopped(t, running) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setupUnclaimed(t)
			b.dispatch(t, ask(1))
			running := b.claimed(t)
			_, err := b.HeartbeatDispatch(t.Context(), b.by("coder-1"), 1, Beat{Claim: running.ID, TTL: 24 * time.Hour})
			require.NoError(t, err)
			first, second := b.dispatch(t, ask(5)), b.dispatch(t, ask(5))
			b.left(t)
			require.Equal(t, StateQueued, b.show(t, first.ID).State)
			comes(t, b, running)
			require.Equal(t, StateReady, b.show(t, first.ID).State)
			require.Equal(t, StateQueued, b.show(t, second.ID).State, "one worker gets one")
			require.Equal(t, first.ID, b.claimed(t).Dispatch.ID)
			require.Equal(t, second.ID, b.claimed(t).Dispatch.ID)
			b.audit(t)
		})
	}
}

// stopped cancels a run, and lets its worker report.
func (b *bundle) stopped(t *testing.T, running Claim) {
	t.Helper()
	b.cancelled(t, running.Dispatch.ID)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), running.Dispatch.ID, Completion{Claim: running.ID, Outcome: StateFailed, Unmetered: "stopped"})
	require.NoError(t, err)
}

func TestAWorkerThatGoesAwayBetweenAdmissionAndClaimIsMissed(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	b.retire(t, "coder-1")
	b.budget(t, func(s *BudgetSet) { s.Provider = "codex" })
	b.declare(t, Declaration{Name: "coder-2", Subscriptions: []string{"claude"}, Liveness: time.Minute})
	ready := b.dispatch(t, ask(5, exact))
	elsewhere := b.dispatch(t, ask(5, func(a *Ask) { a.Model = "haiku" }))
	require.Equal(t, StateReady, elsewhere.State)
	b.declare(t, Declaration{Name: "coder-3", Subscriptions: []string{"codex"}, Liveness: 24 * time.Hour})
	b.left(t)
	require.Equal(t, AgentGone, b.agent(t, "coder-2").State)
	missed := b.show(t, ready.ID)
	require.Equal(t, StateQueued, missed.State)
	require.Equal(t, "Nobody claimed it for 15 min. No live worker for coder is logged in to claude.", missed.Reason)
	require.Zero(t, b.window(t).ReservedMicros)
	wake(t, b)
	require.Equal(t, lacksClaude, b.show(t, ready.ID).Reason)
	require.Equal(t, "codex", b.show(t, elsewhere.ID).Subscription, "what can run elsewhere is routed there")
	require.Equal(t, elsewhere.ID, b.claimBy(t, "coder-3").Dispatch.ID)
	require.Equal(t, ready.ID, b.claimBy(t, "coder-2").Dispatch.ID, "it is back")
	b.audit(t)
}

func TestReturnedWorkStillHasItsDeadlineAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	b.dispatch(t, ask(5, func(a *Ask) { a.Deadline = start.Add(20 * time.Minute) }))
	b.dispatch(t, ask(5))
	b.dispatch(t, ask(5))
	b.left(t)
	_, err := b.CancelDispatch(t.Context(), b.by("olga"), 2, "")
	require.NoError(t, err)
	b.clock.pass(6 * time.Minute)
	wake(t, b)
	require.Equal(t, StateRefused, b.show(t, 1).State)
	b.retire(t, "coder-1")
	wake(t, b)
	require.Equal(t, lacksClaude, b.show(t, 3).Reason, "once nobody lives who could run it, it says so")
	b.audit(t)
}

func TestReturnedWorkWithoutRoomGoesIntoTheLineWhenAWorkerAsks(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	b.dispatch(t, ask(5, exact))
	b.left(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(200 * budget.Micro)) })
	require.Nil(t, b.claimBy(t, "coder-1"))
	waiting := b.show(t, 1)
	require.Equal(t, StateQueued, waiting.State)
	require.NotZero(t, waiting.PromisedStart)
	require.Equal(t, 1, b.window(t).Waiting)
	b.audit(t)
}

func TestReturnedWorkIsClaimedOnceHoweverManyAskOnTwoGateways(t *testing.T) {
	t.Parallel()
	b := setupUnclaimed(t)
	for range 10 {
		b.dispatch(t, ask(1))
	}
	stores := []*Store{b.Store, b.open(t, "beta")}
	b.clock.pass(15 * time.Minute)
	var wait sync.WaitGroup
	for _, store := range stores { // both sweep at once
		store.options.UnclaimedAfter = 15 * time.Minute
		wait.Go(func() {
			if err := store.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	b.sweep(t)
	queued, err := b.Dispatches(t.Context(), []string{StateQueued}, 0, 20)
	require.NoError(t, err)
	require.Len(t, queued.Dispatches, 10)
	require.Zero(t, b.window(t).ReservedMicros)
	var claims atomic.Int64
	var seen sync.Map
	for i := range 32 {
		wait.Go(func() {
			claim, err := stores[i%2].ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Hour)
			if err != nil {
				t.Error(err)
			}
			if claim == nil {
				return
			}
			claims.Add(1)
			if _, twice := seen.LoadOrStore(claim.Dispatch.ID, true); twice {
				t.Errorf("%s was claimed twice", claim.Dispatch.ID)
			}
		})
	}
	wait.Wait()
	require.Equal(t, int64(10), claims.Load())
	b.audit(t)
}
