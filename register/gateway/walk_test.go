package gateway

import (
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
