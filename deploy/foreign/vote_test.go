//go:build foreign

package foreign

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// refusedAndProposed brings a fleet to the point where the board is asked about the refused D-1.
func (f *fleet) refusedAndProposed() (proposal client.Seen) {
	f.t.Helper()
	f.setBudget(500, time.Time{})
	f.ask(f.fleet, `!mosaic dispatch coder "Ship it" --estimate 300 --deadline +5m`)
	f.ask(f.board, `!mosaic board propose "Ship it now" --for D-1`)
	return f.operator.sees(client.In(f.board), client.From(f.bot), client.Contains("P-1"), text)
}

// tally waits until the register counts this many approvals and rejections.
func (f *fleet) tally(approve, reject int) register.Proposal {
	f.t.Helper()
	var proposal register.Proposal
	require.Eventually(f.t, func() bool {
		var err error
		proposal, err = f.API().Proposal(f.t.Context(), register.By{}, "P-1")
		return err == nil && proposal.Tally.Approve == approve && proposal.Tally.Reject == reject
	}, patience, 25*time.Millisecond, "the tally never became %d to %d", approve, reject)
	return proposal
}

func TestReactionsOfForeignClientsAreVotesUntilTakenBackAndPassAProposal(t *testing.T) {
	t.Parallel()
	f := setup(t, seat("ceo"), seat("cto"), seat("cfo"))
	f.work()
	proposal := f.refusedAndProposed()
	ceo, cto := f.others["ceo"], f.others["cto"]
	for _, voter := range []*person{ceo, cto} {
		read := voter.sees(client.Is(proposal.EventID))
		require.Equal(t, proposal.Body, read.Body)
		require.Empty(t, voter.view(proposal.EventID).Shield)
		voter.sees(client.From(f.bot), client.Reacts(proposal.EventID, "✅"))
	}
	mistaken := ceo.react(f.board, proposal.EventID, "❌")
	f.tally(0, 1)
	ceo.redact(f.board, mistaken)
	f.tally(0, 0)
	ceo.react(f.board, proposal.EventID, "👍🏽")
	require.Equal(t, register.ProposalStateOpen, f.tally(1, 0).State)
	cto.react(f.board, proposal.EventID, "✅")
	passed := f.tally(2, 0)
	require.Equal(t, register.ProposalStatePassed, passed.State)
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	f.others["cfo"].sees(client.From(f.bot), client.Edits(proposal.EventID), client.Contains("passed"))

	read, err := f.API().Dispatch(t.Context(), register.By{}, "D-1")
	require.NoError(t, err)
	require.Contains(t, f.finished(f.operator, id.EventID(read.Origin.Event)).Body, "did: Ship it")
}
