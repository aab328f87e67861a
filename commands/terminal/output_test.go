package terminal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands/terminal"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestTheOutputOfARunIsPrintedWholeAndCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := func(mutation register.Mutation, answer any) {
		require.NoError(t, b.worker.Send(t.Context(), register.By{Key: t.Name() + mutation.Path}, mutation, answer))
	}
	send(register.DeclareAgent("coder-1", register.AgentDeclaration{LivenessSeconds: 86400}), nil)
	code, _, said := b.exec(t, "dispatch", "coder", "talk for an hour")
	require.Equal(t, terminal.Done, code, said)
	var claim register.Claim
	send(register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	send(register.CompleteDispatch("D-1", register.CompleteRequest{
		Claim: claim.ID, Outcome: register.CompleteRequestOutcomeDone, Unmetered: "a test",
		Result: register.Result{Summary: "last"}, Output: "one\n\ttwo\x1b]0;title\a\r\u009b2J\nlast",
	}), nil)
	code, out, said := b.exec(t, "output", "D-1")
	require.Equal(t, terminal.Done, code, said)
	require.Equal(t, "D-1-result.txt\nD-1 done · coder: talk for an hour\n\none\n\ttwo]0;title2J\nlast\n", out)
}
