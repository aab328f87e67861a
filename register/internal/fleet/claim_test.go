package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func (b *bundle) beat(t *testing.T, claim Claim, metered int64) (Heartbeat, error) {
	t.Helper()
	return b.HeartbeatDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Beat{
		Claim: claim.ID, Metered: []Amount{{"credits", metered * budget.Micro}}, TTL: 15 * time.Minute,
	})
}

func (b *bundle) sweep(t *testing.T) {
	t.Helper()
	require.NoError(t, b.Sweep(t.Context()))
}

func TestTheOldestOfTheHighestPriorityIsClaimedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	b.dispatch(t, ask(1))
	urgent := b.dispatch(t, ask(1, func(a *Ask) { a.Priority = 9 }))
	b.dispatch(t, ask(1, func(a *Ask) { a.Role = "tester" }))
	require.Equal(t, urgent.ID, b.claimed(t).Dispatch.ID)
	require.Equal(t, DispatchID(1), b.claimed(t).Dispatch.ID)
	require.Equal(t, DispatchID(2), b.claimed(t).Dispatch.ID)
	none, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestNoDispatchIsClaimedTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 20 {
		b.dispatch(t, ask(1))
	}
	var wait sync.WaitGroup
	claims := make([]*Claim, 40)
	for i := range claims {
		wait.Go(func() {
			claims[i], _ = b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
		})
	}
	wait.Wait()
	seen := make(map[DispatchID]bool)
	for _, claim := range claims {
		if claim != nil {
			require.False(t, seen[claim.Dispatch.ID])
			seen[claim.Dispatch.ID] = true
		}
	}
	require.Len(t, seen, 20)
}

func TestALostWorkersSpendIsCommittedAndItsWorkGoesThroughTheGateAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(20, exact))
	claim := b.claimed(t)
	_, err := b.beat(t, claim, 7)
	require.NoError(t, err)

	b.clock.pass(15*time.Minute - time.Second)
	b.sweep(t)
	require.Equal(t, StateRunning, b.show(t, created.ID).State)
	b.clock.pass(time.Second)
	b.sweep(t)
	again := b.show(t, created.ID)
	require.Equal(t, StateReady, again.State)
	require.Contains(t, again.Reason, "coder-1 was lost.")
	require.Empty(t, again.Worker)
	require.Equal(t, int64(7*budget.Micro), b.window(t).CommittedMicros)
	require.Equal(t, int64(20*budget.Micro), b.window(t).ReservedMicros)
	b.audit(t)

	_, err = b.beat(t, claim, 8)
	requireCode(t, CodeClaimLost, err)
	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "late"})
	requireCode(t, CodeClaimLost, err)

	for attempt := 2; attempt <= maxAttempts; attempt++ {
		require.Equal(t, attempt, b.claimed(t).Dispatch.Attempt)
		b.clock.pass(15 * time.Minute)
		b.sweep(t)
	}
	failed := b.show(t, created.ID)
	require.Equal(t, StateFailed, failed.State)
	require.Equal(t, "coder-1 was lost on attempt 3 of 3.", failed.Reason)
	require.Zero(t, b.window(t).ReservedMicros)
	b.audit(t)
}

func TestALostWorkersDispatchWaitsWhenThereIsNoRoomAnyMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(25, exact, func(a *Ask) { a.Deadline = start }))
	claim := b.claimed(t)
	_, err := b.beat(t, claim, 100)
	require.NoError(t, err)
	b.clock.pass(15 * time.Minute)
	b.sweep(t)
	again := b.show(t, created.ID)
	require.Equal(t, StateQueued, again.State, "75 are allowed by now and 100 are spent; its deadline was met when it first started")
	require.Equal(t, start.Add(20*time.Minute), again.PromisedStart)
	b.audit(t)

	b.budget(t, func(s *BudgetSet) { s.LimitMicros = 20 * budget.Micro })
	require.Equal(t, StateRefused, b.show(t, created.ID).State)
}

func TestCancellingFreesTheHoldAndTellsTheWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	created := b.dispatch(t, ask(20, exact))
	claim := b.claimed(t)
	_, err := b.beat(t, claim, 3)
	require.NoError(t, err)
	cancelled, err := b.CancelDispatch(t.Context(), b.by("olga"), created.ID, "wrong branch")
	require.NoError(t, err)
	require.Equal(t, StateCancelled, cancelled.State)
	require.Equal(t, "Cancelled by olga: wrong branch", cancelled.Reason)
	require.Equal(t, int64(3*budget.Micro), b.window(t).CommittedMicros)
	require.Zero(t, b.window(t).ReservedMicros)

	beat, err := b.beat(t, claim, 4)
	require.NoError(t, err)
	require.True(t, beat.Cancelled)
	late, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{
		Claim: claim.ID, Outcome: StateFailed, Actuals: []Amount{{"credits", 5 * budget.Micro}},
	})
	require.NoError(t, err)
	require.Equal(t, StateCancelled, late.State)
	require.Equal(t, int64(5*budget.Micro), b.window(t).CommittedMicros, "what it spent before it stopped is booked once")
	b.audit(t)

	_, err = b.CancelDispatch(t.Context(), b.by("olga"), created.ID, "")
	requireCode(t, CodeNotOpen, err)
	_, err = b.CancelDispatch(t.Context(), b.by("olga"), 99, "")
	requireCode(t, CodeNotFound, err)
}

func TestWaitingWorkCanBeCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	waiting := b.dispatch(t, ask(50, exact))
	require.Equal(t, "queue", b.window(t).Step)
	_, err := b.CancelDispatch(t.Context(), b.by("olga"), waiting.ID, "")
	require.NoError(t, err)
	require.Zero(t, b.window(t).Waiting)
}

func TestSpendInAUnitNobodyHoldsIsStillBooked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.budget(t, func(s *BudgetSet) { s.Window, s.Unit = "tokens", "tokens" })
	created := b.dispatch(t, ask(5, func(a *Ask) {
		a.Estimate = []Amount{{"credits", 5 * budget.Micro}, {"tokens", budget.Micro}}
	}))
	require.Len(t, created.Holds, 2)
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), created.ID, Completion{
		Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"tokens", 2 * budget.Micro}, {"dollars", budget.Micro}},
	})
	require.NoError(t, err)
	status, err := b.Budgets(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, int64(5*budget.Micro), status.Windows[0].CommittedMicros, "a held unit that was not metered is committed as its estimate")
	require.Equal(t, int64(2*budget.Micro), status.Windows[1].CommittedMicros)
	b.audit(t)
	var dollars int64
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT micros FROM fleet.ledger WHERE unit = 'dollars' AND window_id IS NULL`).Scan(&dollars))
	require.Equal(t, int64(budget.Micro), dollars)
}

func TestReadyWorkAgesUpToTheWorkerAsItDoesInTheLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 1000)
	low := b.dispatch(t, ask(1, exact, func(a *Ask) { a.Priority = 2 }))
	b.clock.pass(2*time.Hour + time.Minute)
	fresh := b.dispatch(t, ask(1, exact, func(a *Ask) { a.Priority = 4 }))
	urgent := b.dispatch(t, ask(1, exact, func(a *Ask) { a.Priority = 5 }))
	require.Equal(t, urgent.ID, b.claimed(t).Dispatch.ID, "three levels are worth three hours")
	require.Equal(t, low.ID, b.claimed(t).Dispatch.ID, "two levels are worth two hours, which it has waited: nothing starves for newcomers")
	require.Equal(t, fresh.ID, b.claimed(t).Dispatch.ID)
}
