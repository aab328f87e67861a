package bot

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// fleet is a real gateway on a register of its own, with one window to spend from.
type fleet struct {
	*gatewaytest.Gateway
	admin  *register.API
	worker *register.API
	bot    string // token
}

func startFleet(t *testing.T, db localtest.DB) *fleet {
	t.Helper()
	f := &fleet{Gateway: gatewaytest.On(t, db)}
	f.admin, f.worker = f.As(t, "admin", "root"), f.As(t, "worker", "coder-1")
	f.send(t, f.worker, register.DeclareAgent("coder-1", register.AgentDeclaration{LivenessSeconds: 86400}), nil)
	f.send(t, f.admin, register.PutBoard(register.BoardRequest{SettleSeconds: new(int)}), nil)
	f.bot = f.BotToken(t)
	f.send(t, f.admin, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 500_000_000,
		Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	return f
}

// restart runs the gateway that was stopped anew, at an address.
func (f *fleet) restart(t *testing.T, listen string) {
	t.Helper()
	f.Gateway = gatewaytest.On(t, f.Database, func(o *gatewaytest.Options) { o.Listen = listen })
}

func (f *fleet) send(t *testing.T, api *register.API, mutation register.Mutation, answer any) {
	t.Helper()
	require.NoError(t, api.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
}

func (f *fleet) identify(t *testing.T, name, matrixID string, roles ...register.FleetRole) {
	t.Helper()
	f.send(t, f.admin, register.PutIdentity(name, register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: matrixID, Roles: roles,
	}), nil)
}

func (f *fleet) seat(t *testing.T, seat, identity string) {
	t.Helper()
	f.send(t, f.admin, register.PutSeat(seat, register.SeatRequest{Lens: "cost", Identity: identity}), nil)
}

func (f *fleet) propose(t *testing.T, title string) register.Proposal {
	t.Helper()
	var opened register.Proposal
	f.send(t, f.admin, register.OpenProposal(register.ProposalRequest{Title: title}), &opened)
	return opened
}

func (f *fleet) proposal(t *testing.T, id string) register.Proposal {
	t.Helper()
	current, err := f.admin.Proposal(t.Context(), register.By{}, id)
	require.NoError(t, err)
	return current
}

func (f *fleet) listDispatches(t *testing.T) []register.Dispatch {
	t.Helper()
	list, err := f.admin.Dispatches(t.Context(), register.By{}, "", 100)
	require.NoError(t, err)
	return list.Dispatches
}

// run claims the oldest ready dispatch, reports progress and completes it.
func (f *fleet) run(t *testing.T, progress ...string) {
	t.Helper()
	var claim register.Claim
	f.send(t, f.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	require.NotEmpty(t, claim.ID)
	for _, line := range progress {
		f.send(t, f.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: line}), nil)
	}
	f.send(t, f.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: register.UnitCredits, Micros: 1_000_000}},
		Result: register.Result{Summary: "all green"},
	}), nil)
}
