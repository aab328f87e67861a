package program

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheRegistersOwnLedgerIsPlayedOnItsOwnWindows(t *testing.T) {
	running := gatewaytest.Start(t)
	t.Setenv("MOSAIC_GATEWAY_URL", running.URL)
	t.Setenv("MOSAIC_GATEWAY_TOKEN", running.TokenAs(t, "viewer", "vera"))
	_, code := said(t, "simulate", "--ledger", "gateway")
	require.Equal(t, 1, code, "there is no window to play on")

	admin := running.As(t, "admin", "root")
	send := func(mutation register.Mutation, answer any) {
		require.NoError(t, admin.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
	}
	send(register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: register.UnitCredits, LimitMicros: 5000_000_000, Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
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
