package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ran lets a run for coder on opus take so long.
func (b *bundle) ran(t *testing.T, took time.Duration) {
	t.Helper()
	b.dispatch(t, ask(1))
	claim := b.claimed(t)
	b.clock.pass(took)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{Claim: claim.ID, Outcome: StateDone, Unmetered: "test"})
	require.NoError(t, err)
}

func finishing(in time.Duration) func(*Ask) {
	return func(a *Ask) { a.FinishBy = start.Add(in) }
}

func TestTheLatestStartIsTheFinishLessWhatTheRunTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	given := b.dispatch(t, ask(1, finishing(time.Hour), func(a *Ask) { a.Takes = 20 * time.Minute }))
	require.Equal(t, start.Add(time.Hour), given.FinishBy)
	require.Equal(t, start.Add(40*time.Minute), given.Deadline)
	require.JSONEq(t, `{"seconds": 1200, "from": "given"}`, string(given.Expected))

	unknown := b.dispatch(t, ask(1, finishing(time.Hour)))
	require.Equal(t, start.Add(45*time.Minute), unknown.Deadline, "a claim's default life")
	require.JSONEq(t, `{"seconds": 900, "from": "default"}`, string(unknown.Expected))

	plain := b.dispatch(t, ask(1, func(a *Ask) { a.Deadline = start.Add(time.Hour) }))
	require.Equal(t, start.Add(time.Hour), plain.Deadline, "a deadline is the latest start")
	require.Nil(t, plain.Expected)
}

func TestEarlierRunsOfTheRoleAndModelSayHowLongARunTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 8 {
		b.ran(t, time.Duration(i+1)*time.Minute)
	}
	// None of these is a run of coder on opus that was done at its first attempt.
	b.dispatch(t, ask(1))
	failed := b.claimed(t)
	b.clock.pass(5 * time.Hour)
	_, err := b.CompleteDispatch(t.Context(), b.by("coder-1"), failed.Dispatch.ID, Completion{Claim: failed.ID, Outcome: StateFailed, Unmetered: "test"})
	require.NoError(t, err)
	require.JSONEq(t, `{"seconds": 900, "from": "default", "runs": 8}`, string(b.dispatch(t, ask(1, finishing(100*time.Hour), func(a *Ask) { a.DryRun = true })).Expected))

	b.ran(t, 90*time.Second)
	known := b.dispatch(t, ask(1, finishing(100*time.Hour)))
	require.JSONEq(t, `{"seconds": 480, "from": "runs", "runs": 9}`, string(known.Expected))
	require.Equal(t, start.Add(100*time.Hour-8*time.Minute), known.Deadline)
	for _, other := range []func(*Ask){func(a *Ask) { a.Role = "tester" }, func(a *Ask) { a.Model = "sonnet" }} {
		require.JSONEq(t, `{"seconds": 900, "from": "default"}`, string(b.dispatch(t, ask(1, finishing(100*time.Hour), other)).Expected))
	}
}

func TestWhatCanNoLongerBeOverInTimeIsRefusedAndToldHowThatWasWorkedOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	late := b.dispatch(t, ask(1, finishing(10*time.Minute)))
	require.Equal(t, StateRefused, late.State)
	require.Equal(t, "Its deadline 2026-11-23 08:55:00 UTC has passed. It has to be over by 2026-11-23 09:10:00 UTC and is expected to take 15m0s, "+
		"since too few earlier runs are known.", late.Reason)

	waiting := b.dispatch(t, ask(50, exact, finishing(40*time.Minute), func(a *Ask) { a.Takes = 30 * time.Minute }))
	require.Equal(t, StateQueued, waiting.State, waiting.Reason)
	require.Equal(t, start.Add(5*time.Minute), waiting.PromisedStart)
	_, err := b.SetPause(t.Context(), b.by("olga"), true, "")
	require.NoError(t, err)
	b.clock.pass(10*time.Minute + time.Second)
	_, err = b.Wake(t.Context())
	require.NoError(t, err)
	refused := b.show(t, waiting.ID)
	require.Equal(t, StateRefused, refused.State)
	require.True(t, strings.HasSuffix(refused.Reason, "is expected to take 30m0s, as was given."), refused.Reason)
	events := b.events(t)
	told := events[len(events)-2] // the window's step follows
	require.Equal(t, "dispatch.refused", told.Type)
	require.Equal(t, Time, told.Actor)
	require.Equal(t, refused.Reason, told.Cause)
}

func TestTheDatabaseKnowsNoFinishWithoutALatestStartBeforeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1, finishing(time.Hour)))
	for _, sql := range []string{
		`UPDATE fleet.dispatches SET deadline = NULL`, `UPDATE fleet.dispatches SET expected = NULL`, `UPDATE fleet.dispatches SET deadline = finish_by`,
	} {
		requireState(t, "23514", b.exec(t.Context(), sql))
	}
}
