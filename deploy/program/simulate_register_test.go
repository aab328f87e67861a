package program

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/gateway"
)

func TestTheRegistersOwnLedgerIsPlayedOnItsOwnWindows(t *testing.T) {
	database := localtest.Database(t)
	server, err := gateway.New(t.Context(), gateway.Options{Listen: "127.0.0.1:0", DatabaseURL: database.Gateway, Tenant: "acme"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	token := func(name, kind, role, scope string) string {
		require.NoError(t, gateway.EnsureIdentity(t.Context(), database.Gateway, "acme", name, kind, []string{role}))
		issued, err := gateway.IssueToken(t.Context(), database.Gateway, "acme", name, []string{scope}, 0)
		require.NoError(t, err)
		return issued
	}
	t.Setenv("MOSAIC_GATEWAY_URL", server.URL())
	t.Setenv("MOSAIC_GATEWAY_TOKEN", token("vera", "human", "viewer", "read"))
	_, code := said(t, "simulate", "--ledger", "gateway")
	require.Equal(t, 1, code, "there is no window to play on")

	admin := register.NewAPI(server.URL(), token("root", "human", "admin", "admin"))
	send := func(mutation register.Mutation, answer any) {
		require.NoError(t, admin.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
	}
	send(register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 500_000_000, Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	_, code = said(t, "simulate", "--ledger", "gateway")
	require.Equal(t, 1, code, "no dispatch says what it cost")

	send(register.DeclareAgent("coder-1", register.AgentDeclaration{LivenessSeconds: 86400}), nil)
	for range 205 { // more than a page of the API
		send(register.CreateDispatch(register.DispatchRequest{Role: "coder", Brief: "work", Estimate: []register.EstimateAmount{{Micros: 1_000_000}}}), nil)
		var claim register.Claim
		send(register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
		send(register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
			Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Actuals: []register.Amount{{Unit: register.UnitCredits, Micros: 1_200_000}},
		}), nil)
	}
	picture := filepath.Join(t.TempDir(), "ledger.png")
	out, code := said(t, "simulate", "--ledger", "gateway", "--plot", picture)
	require.Zero(t, code, out)
	require.Contains(t, out, "205 dispatches of the ledger.")
	require.Regexp(t, `(?m)^overshoot at admission +0\.00 %`, out)
	require.Regexp(t, `(?m)^started, refused, waiting +205, 0, 0`, out)
	require.FileExists(t, picture)
}
