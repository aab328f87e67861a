package gateway

import (
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAPauseIsReadSetAndToldAndAWorkerLearnsWhyItGetsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	never, err := b.reader.Pause(t.Context(), register.By{})
	require.NoError(t, err)
	require.Equal(t, register.Pause{}, never)
	events := follow(t, b.reader, 0)

	var paused register.Pause
	b.send(t, b.olga, register.SetPause(register.PauseRequest{Paused: true, Reason: "Störung\n100 %"}), &paused)
	require.True(t, paused.Paused)
	require.Equal(t, "olga", paused.By)
	told := await(t, events, register.EventTypeFleetPaused)
	require.Equal(t, paused, told.Pause)
	require.Equal(t, "olga", told.Actor)
	read, err := b.reader.Pause(t.Context(), register.By{})
	require.NoError(t, err)
	require.Equal(t, paused, read)

	waiting := b.dispatch(t, ask(1))
	require.Equal(t, register.DispatchStateQueued, waiting.State)
	require.Contains(t, waiting.Reason, "Paused by olga at ")
	var none register.ClaimAnswer
	b.send(t, b.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &none)
	require.Empty(t, none.ID)
	require.Equal(t, waiting.Reason, none.Withheld)
	require.Contains(t, none.Withheld, "Störung\n100 %")

	b.send(t, b.olga, register.SetPause(register.PauseRequest{}), nil)
	require.False(t, await(t, events, register.EventTypeFleetResumed).Pause.Paused)
	require.Equal(t, waiting.ID, await(t, events, register.EventTypeDispatchReady).Dispatch.ID)
	require.Equal(t, waiting.ID, b.claim(t).Dispatch.ID)
}

func TestAClaimDuringAPauseUsesUpNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, ask(1))
	b.send(t, b.olga, register.SetPause(register.PauseRequest{Paused: true}), nil)
	body := `{"role": "coder", "worker": "coder-1"}`
	key := []string{"Idempotency-Key", rand.Text()}
	status, header, _ := b.raw(t, http.MethodPost, "/api/fleet/claims", b.tokens["coder-1"], body, key...)
	require.Equal(t, http.StatusNoContent, status)
	require.Regexp(t, "^Paused by olga at .* UTC\\.$", header.Get("Mosaic-Withheld"))
	b.send(t, b.olga, register.SetPause(register.PauseRequest{}), nil)
	status, _, _ = b.raw(t, http.MethodPost, "/api/fleet/claims", b.tokens["coder-1"], body, key...)
	require.Equal(t, http.StatusOK, status)
}

func TestOnlyOperatorsAndAdminsPause(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pause := register.SetPause(register.PauseRequest{Paused: true})
	b.refused(t, register.ProblemCodeForbidden, b.reader, pause)
	b.refused(t, register.ProblemCodeForbidden, b.worker, pause)
	b.send(t, b.olga, pause, nil)
	b.send(t, b.admin, register.SetPause(register.PauseRequest{}), nil)
}

func TestADependentIsToldWhenWhatItWaitedForIsDoneOrFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	events := follow(t, b.reader, 0)
	first := b.dispatch(t, ask(1))
	claim := b.claim(t)
	request := ask(1)
	request.DependsOn = []string{first.ID}
	second := b.dispatch(t, request)
	require.Equal(t, []string{"D-1"}, second.DependsOn)
	await(t, events, register.EventTypeDispatchQueued)
	b.send(t, b.worker, register.CompleteDispatch(first.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "done", Unmetered: "x"}), nil)
	require.Equal(t, second.ID, await(t, events, register.EventTypeDispatchReady).Dispatch.ID)
	claim = b.claim(t)
	request.DependsOn = []string{second.ID}
	third := b.dispatch(t, request)
	b.send(t, b.worker, register.CompleteDispatch(second.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "failed", Unmetered: "x"}), nil)
	cancelled := await(t, events, register.EventTypeDispatchCancelled)
	require.Equal(t, third.ID, cancelled.Dispatch.ID)
	require.Equal(t, "Cancelled because D-2, which it waited for, is failed.", cancelled.Cause)
	request.DependsOn = []string{"D-99"}
	require.Equal(t, "depends_on", b.refused(t, register.ProblemCodeNotFound, b.olga, register.CreateDispatch(request)).Field)
}

func TestAWorkerBeyondTheBoundOfItsHostLearnsWhyItGetsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1", Host: "forge-a"})
	for range defaultWorkerBound + 1 {
		b.dispatch(t, ask(1))
	}
	for range defaultWorkerBound {
		var claim register.ClaimAnswer
		b.send(t, b.worker, request, &claim)
		require.NotEmpty(t, claim.ID)
	}
	var none register.ClaimAnswer
	b.send(t, b.worker, request, &none)
	require.Equal(t, "8 dispatches for coder run on forge-a already; at most 8 may at once.", none.Withheld)
	require.NotEmpty(t, b.claim(t).ID, "another host has room")
}
