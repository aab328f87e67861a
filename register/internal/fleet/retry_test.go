package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

func (b *bundle) retry(t *testing.T, id DispatchID, change ...func(*Retry)) Dispatch {
	t.Helper()
	var retry Retry
	for _, alter := range change {
		alter(&retry)
	}
	again, err := b.RetryDispatch(t.Context(), b.by("olga"), id, retry)
	require.NoError(t, err)
	return again
}

func (b *bundle) cancelled(t *testing.T, id DispatchID) {
	t.Helper()
	_, err := b.CancelDispatch(t.Context(), b.by("olga"), id, "")
	require.NoError(t, err)
}

func TestARetryIsTheSameAskThroughTheSameGate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscribed(t)
	first := b.dispatch(t, ask(0, several, func(a *Ask) {
		a.Priority, a.Project, a.Mission, a.BriefClass, a.MaxAttempts, a.ContextTokens = 7, "collector", "m1", "hotfix", 5, 90_000
		a.Origin = []byte(`{"room": "!r:localhost"}`)
	}))
	claim := b.claimed(t)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), first.ID, Completion{Claim: claim.ID, Outcome: StateFailed, Actuals: []Amount{{tokenUnit, budget.Micro}}})
	require.NoError(t, err)
	again := b.retry(t, first.ID, func(r *Retry) { r.Reason = "the branch is mended" })
	require.Equal(t, first.ID, *again.RetryOf)
	require.Equal(t, StateReady, again.State)
	require.Contains(t, again.Reason, "Retry of D-1: the branch is mended. Admitted on opus.")
	require.Equal(t, "olga", again.CreatedBy)
	for _, same := range []func(Dispatch) any{
		func(d Dispatch) any { return d.Brief }, func(d Dispatch) any { return d.Estimate }, func(d Dispatch) any { return d.Priority },
		func(d Dispatch) any {
			return d.Project + d.Mission + d.BriefClass + d.ModelRequested + string(d.Origin)
		},
		func(d Dispatch) any { return d.MaxAttempts }, func(d Dispatch) any { return d.ContextTokens }, func(d Dispatch) any { return d.Exact },
		func(d Dispatch) any { return d.Holds },
	} {
		require.Equal(t, same(first), same(again))
	}
	require.Zero(t, again.Attempt)
	require.Equal(t, StateFailed, b.show(t, first.ID).State, "the old one stays as it ended")
	events := b.events(t)
	last := events[len(events)-1]
	require.Equal(t, "dispatch.ready", last.Type)
	require.Equal(t, "olga", last.Actor)
	require.Equal(t, again.Reason, last.Cause)
	b.audit(t)
}

func TestEachDispatchIsRetriedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	b.cancelled(t, 1)
	other := b.open(t, "beta")
	failures := make([]error, 16)
	var wait sync.WaitGroup
	for i := range failures {
		m, store := b.by("olga"), []*Store{b.Store, other}[i%2]
		wait.Go(func() { _, failures[i] = store.RetryDispatch(t.Context(), m, 1, Retry{}) })
	}
	wait.Wait()
	made := 0
	for _, err := range failures {
		if err == nil {
			made++
			continue
		}
		require.Equal(t, "D-1 was retried already, as D-2.", requireCode(t, CodeAlreadyRetried, err).Detail)
	}
	require.Equal(t, 1, made)
	b.cancelled(t, 2)
	require.Equal(t, DispatchID(3), b.retry(t, 2).ID, "the retry can be retried")
	requireState(t, "23505", b.exec(t.Context(), `UPDATE fleet.dispatches SET retry_of = 1 WHERE id = 3`))
	requireState(t, "23514", b.exec(t.Context(), `UPDATE fleet.dispatches SET retry_of = 3 WHERE id = 3`))
}

func TestOpenAndDoneWorkIsNotRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	_, err := b.RetryDispatch(t.Context(), b.by("olga"), 1, Retry{})
	require.Contains(t, requireCode(t, CodeNotRetryable, err).Detail, "D-1 is ready;")
	claim := b.claimed(t)
	_, err = b.RetryDispatch(t.Context(), b.by("olga"), 1, Retry{})
	requireCode(t, CodeNotRetryable, err)
	_, err = b.CompleteDispatch(t.Context(), b.by("coder-1"), 1, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "test"})
	require.NoError(t, err)
	_, err = b.RetryDispatch(t.Context(), b.by("olga"), 1, Retry{})
	require.Contains(t, requireCode(t, CodeNotRetryable, err).NextStep, "anew")
	_, err = b.RetryDispatch(t.Context(), b.by("olga"), 9, Retry{})
	requireCode(t, CodeNotFound, err)
}

func TestADeadlineThatIsOverIsDroppedAndOneToComeIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	soon := start.Add(time.Minute)
	refused := b.dispatch(t, ask(100, exact, func(a *Ask) { a.Deadline = soon }))
	require.Equal(t, StateRefused, refused.State)
	kept := b.retry(t, refused.ID)
	require.Equal(t, StateRefused, kept.State, "the same gate")
	require.Equal(t, soon, kept.Deadline)
	b.clock.pass(2 * time.Minute)
	dropped := b.retry(t, kept.ID)
	require.Equal(t, StateQueued, dropped.State)
	require.Zero(t, dropped.Deadline)
	require.Contains(t, dropped.Reason, "Retry of D-2. Its deadline 2026-11-23 09:01:00 UTC is over and was dropped. Waits for opus.")
	b.cancelled(t, dropped.ID)
	anew := b.retry(t, dropped.ID, func(r *Retry) { r.Deadline = start.Add(time.Hour) })
	require.Equal(t, start.Add(time.Hour), anew.Deadline)
}

func TestAFinishThatIsOverIsDroppedAndOneToComeIsWorkedOutAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	first := b.dispatch(t, ask(1, func(a *Ask) { a.FinishBy, a.Takes = start.Add(time.Hour), 10*time.Minute }))
	b.cancelled(t, first.ID)
	again := b.retry(t, first.ID)
	require.Equal(t, start.Add(time.Hour), again.FinishBy)
	require.Equal(t, start.Add(50*time.Minute), again.Deadline)
	require.JSONEq(t, `{"seconds": 600, "from": "given"}`, string(again.Expected))
	b.cancelled(t, again.ID)
	b.clock.pass(time.Hour)
	late := b.retry(t, again.ID)
	require.Equal(t, StateReady, late.State)
	require.Zero(t, late.FinishBy)
	require.Contains(t, late.Reason, "Its finish by 2026-11-23 10:00:00 UTC is over and was dropped.")
}

func TestAChainIsRetriedFromItsFirstLinkOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.dispatch(t, ask(1))
	second := b.dispatch(t, ask(1, func(a *Ask) { a.DependsOn = []DispatchID{first.ID} }))
	b.cancelled(t, first.ID)
	require.Equal(t, StateCancelled, b.show(t, second.ID).State)
	_, err := b.RetryDispatch(t.Context(), b.by("olga"), second.ID, Retry{})
	require.Contains(t, requireCode(t, CodeNotOpen, err).Detail, "D-1 is cancelled")
	b.retry(t, first.ID)
	again := b.retry(t, second.ID)
	require.Equal(t, []DispatchID{3}, again.DependsOn, "it waits for the retry")
	require.Equal(t, StateQueued, again.State)
}

func TestTheBoardDoesNotLiftWhatWasRetriedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	refused := b.refused(t)
	proposal := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	b.retry(t, refused.ID)
	b.votes(t, proposal.ID, "ada", "ceo", "approve")
	passed := b.votes(t, proposal.ID, "ben", "cto", "approve")
	require.Equal(t, ProposalPassed, passed.State)
	require.False(t, passed.Outcome.CarriedOut)
	require.Contains(t, passed.Outcome.Text, "D-1 was retried as D-2 by now.")
	require.Equal(t, StateRefused, b.show(t, refused.ID).State)
}
