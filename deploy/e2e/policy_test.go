package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestARefusalIsPutToTheBoardByItselfAndItsVotesRunTheWork(t *testing.T) {
	t.Parallel()
	f := setup(t, true)
	f.work(quick)
	f.setBudget(500, time.Time{})
	rules := register.PutBoard(register.BoardRequest{OpenOnRefusal: new(true), SettleSeconds: new(3)})
	require.NoError(t, f.API().Send(t.Context(), register.By{Key: "policy"}, rules, nil))
	f.ask(f.fleet, `!mosaic dispatch coder "Ship it" --estimate 300 --deadline +5m`)
	seen, err := f.operator.WaitFor(t.Context(), client.In(f.board), client.From(f.bot), client.Contains("P-1"), rings(f.seats["ceo"], f.seats["cto"], f.seats["cfo"]))
	require.NoError(t, err, "nobody proposed it")
	require.Contains(t, seen.Body, "opened by the board's rules, since D-1 was refused")
	require.Contains(t, seen.Body, "If it passes: Lift the pace for D-1")
	require.True(t, seen.WasEncrypted)
	f.taps("cfo", seen.EventID, "❌")
	f.taps("ceo", seen.EventID, "👍")
	f.taps("cto", seen.EventID, "✅")
	settling := f.tally(2, 1)
	require.Equal(t, register.ProposalStateOpen, settling.State, "a mistap can still be mended")
	ran := f.reaches("D-1", register.DispatchStateDone)
	require.True(t, ran.Lifted)
	closed := f.tally(2, 1)
	require.Equal(t, register.ProposalStatePassed, closed.State)
	require.Empty(t, closed.Unread, "the room was read to the end of the settling time")
	list, err := f.API().Proposals(t.Context(), register.By{}, "", "", 20)
	require.NoError(t, err)
	require.Len(t, list.Proposals, 1, "one for one refusal")
}
