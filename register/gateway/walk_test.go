package gateway

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAFleetWorksThroughTheAPIAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := follow(t, b.reader, 0)
	change := b.budget(t)
	require.True(t, change.BeganNow)
	require.Equal(t, register.StepNormal, change.After.Step)

	created := b.dispatch(t, ask(10))
	require.Equal(t, register.DispatchStateReady, created.State)
	require.Equal(t, "alpha", created.Host)
	require.Equal(t, tenant, created.TenantID)
	require.Equal(t, "olga", created.CreatedBy)

	claim := b.claim(t)
	require.Equal(t, created.ID, claim.Dispatch.ID)
	var beat register.Heartbeat
	b.send(t, b.worker, register.HeartbeatDispatch(created.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "testing"}), &beat)
	require.False(t, beat.Cancelled)
	var done register.Dispatch
	b.send(t, b.worker, register.CompleteDispatch(created.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: "credits", Micros: 9_000_000}},
		Result: register.Result{Summary: "done", ExitCode: new(0)},
	}), &done)
	require.Equal(t, register.DispatchStateDone, done.State)
	require.Equal(t, "done", done.Result.Summary)

	await(t, events, register.EventTypeBudgetSet)
	require.Equal(t, created, await(t, events, register.EventTypeDispatchReady).Dispatch, "an event shows the state as of that event")
	running := await(t, events, register.EventTypeDispatchRunning)
	require.Equal(t, "coder-1", running.Actor)
	require.Equal(t, "testing", await(t, events, register.EventTypeDispatchProgress).Dispatch.Progress)
	require.Equal(t, done, await(t, events, register.EventTypeDispatchDone).Dispatch)

	status, err := b.reader.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	require.Equal(t, int64(9_000_000), status.Windows[0].CommittedMicros)
	shown, err := b.reader.Dispatch(t.Context(), register.By{}, "d-1")
	require.NoError(t, err)
	require.Equal(t, done, shown)
}

func TestTheWholeResultOfARunIsKeptUpToAMebibyteAndReadBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	complete := func(output string, into any) (string, error) {
		b.dispatch(t, ask(1))
		claim := b.claim(t)
		return claim.Dispatch.ID, b.worker.Send(t.Context(), register.By{Key: claim.ID}, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
			Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "x", Result: register.Result{Summary: "the end", OutputBytes: 7}, Output: output,
		}), into)
	}
	whole := strings.Repeat("<", 1<<20) // each is six bytes in the JSON that Go writes
	var done register.Dispatch
	id, err := complete(whole, &done)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), done.Result.OutputBytes)
	output, err := b.reader.Output(t.Context(), register.By{}, id)
	require.NoError(t, err)
	require.Equal(t, register.Output{Dispatch: id, Text: whole}, output)

	for _, large := range []string{whole + "<", strings.Repeat("é", 1<<19+1)} {
		_, err := complete(large, nil)
		require.Equal(t, register.ProblemCodeInvalid, register.CodeOf(err), err)
	}
	var short register.Dispatch
	id, err = complete("", &short)
	require.NoError(t, err)
	require.Zero(t, short.Result.OutputBytes, "only the register says how much it keeps")
	_, err = b.reader.Output(t.Context(), register.By{}, id)
	require.Equal(t, register.ProblemCodeNotFound, register.CodeOf(err))
	require.ErrorContains(t, err, "output of "+id)
}
