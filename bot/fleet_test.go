package bot

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

// fleet is a real gateway on a register of its own, with one window to spend from.
type fleet struct {
	gateway *gateway.Gateway
	stop    func() // waits for its end; may be called again
	admin   *register.API
	worker  *register.API
	bot     string // token
	store   string // the register's database
}

func startFleet(t *testing.T, db localtest.DB) *fleet {
	t.Helper()
	f := &fleet{store: db.Gateway}
	f.serve(t, db, "127.0.0.1:0")
	token := func(name, kind string, roles []string, scopes ...string) string {
		require.NoError(t, gateway.EnsureIdentity(t.Context(), db.Gateway, "acme", name, kind, roles))
		issued, err := gateway.IssueToken(t.Context(), db.Gateway, "acme", name, scopes, time.Hour)
		require.NoError(t, err)
		return issued
	}
	f.admin = register.NewAPI(f.url(), token("root", "human", []string{"admin"}, "admin"))
	f.worker = register.NewAPI(f.url(), token("coder-1", "agent", []string{"worker"}, "worker"))
	f.send(t, f.worker, register.DeclareAgent("coder-1", register.AgentDeclaration{LivenessSeconds: 86400}), nil)
	f.send(t, f.admin, register.PutBoard(register.BoardRequest{SettleSeconds: new(int)}), nil)
	f.bot = token("mosaic-bot", "service", nil, "bot")
	f.send(t, f.admin, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 500_000_000,
		Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	return f
}

// serve runs the gateway until the test ends or stop is called.
func (f *fleet) serve(t *testing.T, db localtest.DB, listen string) {
	t.Helper()
	running, err := gateway.New(t.Context(), gateway.Options{
		Listen: listen, DatabaseURL: db.Gateway, Tenant: "acme", Host: "alpha", Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	f.gateway = running
	f.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(f.stop)
}

func (f *fleet) url() string   { return f.gateway.URL() }
func (f *fleet) token() string { return f.bot }

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
