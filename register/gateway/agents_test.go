package gateway

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestWhoMayDeclareListAndRetireAgents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	declare, retire := register.DeclareAgent("coder-2", register.AgentDeclaration{}), register.RetireAgent("coder-1")
	for _, api := range []*register.API{b.reader, b.olga, b.bot} {
		require.NotEmpty(t, b.refused(t, register.ProblemCodeForbidden, api, declare).NextStep)
	}
	for _, api := range []*register.API{b.reader, b.olga, b.worker} {
		require.NotEmpty(t, b.refused(t, register.ProblemCodeForbidden, api, retire).NextStep)
	}
	b.send(t, b.worker, declare, nil)
	list, err := b.reader.Agents(t.Context(), register.By{}, "", 1, register.AgentStateLive)
	require.NoError(t, err)
	require.Equal(t, "coder-1", list.Agents[0].Name)
	list, err = b.reader.Agents(t.Context(), register.By{}, list.Next, 1)
	require.NoError(t, err)
	require.Equal(t, "coder-2", list.Agents[0].Name)
	require.WithinDuration(t, list.Now.Add(time.Minute), list.Agents[0].LiveUntil, 30*time.Second, "60 s unless it says otherwise")
	var retired register.Agent
	b.send(t, b.admin, retire, &retired)
	require.Equal(t, register.AgentStateRetired, retired.State)
	refused := b.refused(t, register.ProblemCodeAgentRetired, b.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}))
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Contains(t, refused.Example, "mosaic-matrix work --role coder --name coder-2 -- ")
	_, err = b.reader.Agent(t.Context(), register.By{}, "coder-9")
	requireCode(t, register.ProblemCodeNotFound, err)
}

func TestADeclarationThatCannotBeMeantIsRefusedWithAnExample(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for field, mutation := range map[string]register.Mutation{
		"agent":            register.DeclareAgent("coder", register.AgentDeclaration{}),
		"liveness_seconds": register.DeclareAgent("coder-2", register.AgentDeclaration{LivenessSeconds: 1}),
		"subscriptions.0":  register.DeclareAgent("coder-2", register.AgentDeclaration{Subscriptions: []string{"Claude Max"}}),
		"model_ceiling":    register.DeclareAgent("coder-2", register.AgentDeclaration{ModelCeiling: "opsu"}),
		"worker":           register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "tester-1"}),
	} {
		require.Equal(t, field, b.refused(t, register.ProblemCodeInvalid, b.worker, mutation).Field)
	}
}

func TestAWorkersSilenceIsNoticedByTheGatewayItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, b.worker, register.DeclareAgent("coder-2", register.AgentDeclaration{LivenessSeconds: 5}), nil)
	require.Eventually(t, func() bool {
		agent, err := b.reader.Agent(t.Context(), register.By{}, "coder-2")
		return err == nil && agent.State == register.AgentStateGone && !agent.EndedAt.IsZero()
	}, time.Minute, 50*time.Millisecond)
}

func TestWorkWaitsForItsWorkerAndIsReadyOnceItIsDeclared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	request := ask(1)
	request.Role = "tester"
	waiting := b.dispatch(t, request)
	require.Equal(t, register.DispatchStateQueued, waiting.State)
	require.Equal(t, "Waits for a worker. No live worker for tester is logged in to claude.", waiting.Reason)
	require.Equal(t, register.RoutingAttemptVerdictNoWorker, waiting.Attempts[0].Verdict)
	b.send(t, b.worker, register.DeclareAgent("tester-1", register.AgentDeclaration{Subscriptions: []string{"claude"}}), nil)
	ready, err := b.reader.Dispatch(t.Context(), register.By{}, waiting.ID)
	require.NoError(t, err)
	require.Equal(t, register.DispatchStateReady, ready.State)
}

func TestStayingAliveUsesUpNoKeyAndJoiningDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	declaration := register.AgentDeclaration{Subscriptions: []string{"claude"}}
	key := register.By{Key: rand.Text()}
	require.NoError(t, b.worker.Send(t.Context(), key, register.DeclareAgent("coder-2", declaration), nil))
	requireCode(t, register.ProblemCodeIdempotencyMismatch, b.worker.Send(t.Context(), key, register.DeclareAgent("coder-3", declaration), nil))
	again := register.By{Key: rand.Text()}
	for range 2 {
		require.NoError(t, b.worker.Send(t.Context(), again, register.DeclareAgent("coder-2", declaration), nil))
	}
	require.NoError(t, b.worker.Send(t.Context(), again, register.DeclareAgent("coder-3", declaration), nil), "nothing was kept under it")
}

func TestReadyWorkThatNobodyClaimsIsReturnedByTheGateway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.startWith(t, "beta", func(options *Options) { options.UnclaimedAfter = time.Second })
	require.NotEmpty(t, other.URL())
	b.budget(t)
	ready := b.dispatch(t, ask(1))
	require.Equal(t, register.DispatchStateReady, ready.State)
	require.Eventually(t, func() bool {
		now, err := b.reader.Dispatch(t.Context(), register.By{}, ready.ID)
		return err == nil && now.State == register.DispatchStateQueued && len(now.Holds) == 0 &&
			now.Reason == "Nobody claimed it for 1 s. coder-1 is live and did not ask for it."
	}, time.Minute, 50*time.Millisecond)
	var claim register.Claim
	b.send(t, b.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	require.Equal(t, ready.ID, claim.Dispatch.ID)
	require.Equal(t, "claude", claim.Dispatch.Subscription)
	require.Equal(t, "opus", claim.Dispatch.Model)
}
