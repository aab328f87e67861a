package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// refusedAndProposed brings a fleet to the point where the board is asked about D-1.
func refusedAndProposed(t *testing.T) (f *fleet, command, proposal id.EventID) {
	t.Helper()
	f = setup(t, true)
	f.work(quick)
	f.setBudget(500, time.Time{})
	command, _ = f.ask(f.fleet, `!mosaic dispatch coder "Ship it" --estimate 300 --deadline +5m`)
	require.Equal(t, register.DispatchStateRefused, f.dispatches()[0].State)
	f.ask(f.board, `!mosaic board propose "Ship it now" --for D-1`)
	seen, err := f.operator.WaitFor(t.Context(), client.In(f.board), client.From(f.bot), client.Contains("P-1"), rings(f.seats["ceo"], f.seats["cto"], f.seats["cfo"]))
	require.NoError(t, err, "an opened proposal rings exactly the seats")
	return f, command, seen.EventID
}

// taps has a seat react to the proposal on its own client and returns the reaction.
func (f *fleet) taps(seat string, proposal id.EventID, key string) id.EventID {
	f.t.Helper()
	person := f.seats[seat]
	_, err := person.WaitFor(f.t.Context(), client.From(f.bot), client.Reacts(proposal, "✅"))
	require.NoError(f.t, err, "the seed is there to be tapped")
	reaction, err := person.React(f.t.Context(), f.board, proposal, key)
	require.NoError(f.t, err)
	return reaction
}

// tally waits until the register counts this many approvals and rejections.
func (f *fleet) tally(approve, reject int) register.Proposal {
	f.t.Helper()
	var proposal register.Proposal
	require.Eventually(f.t, func() bool {
		var err error
		proposal, err = f.API().Proposal(f.t.Context(), register.By{}, "P-1")
		return err == nil && proposal.Tally.Approve == approve && proposal.Tally.Reject == reject
	}, 2*time.Minute, 25*time.Millisecond, "the tally never became %d to %d", approve, reject)
	return proposal
}

func TestTheBoardOverridesARefusalByReactionAndTheDispatchRunsOnce(t *testing.T) {
	t.Parallel()
	f, command, proposal := refusedAndProposed(t)
	f.taps("cfo", proposal, "❌")
	f.tally(0, 1)
	f.taps("ceo", proposal, "👍")
	require.Equal(t, register.ProposalStateOpen, f.tally(1, 1).State)
	f.taps("cto", proposal, "✅")
	closed := f.tally(2, 1)
	require.Equal(t, register.ProposalStatePassed, closed.State)
	require.True(t, closed.Outcome.CarriedOut, closed.Outcome.Text)

	ran := f.reaches("D-1", register.DispatchStateDone)
	require.True(t, ran.Lifted)
	require.Equal(t, 1, ran.Attempt)
	_, err := f.operator.WaitFor(t.Context(), client.From(f.bot), client.InThread(command), rings(f.operator))
	require.NoError(t, err, "the command's thread tells that it ran")
	_, err = f.operator.WaitFor(t.Context(), client.In(f.board), client.From(f.bot), client.Edits(proposal), client.Contains("passed"))
	require.NoError(t, err, "the proposal's message shows the result")
}

func TestAWithdrawnReactionIsAWithdrawnVote(t *testing.T) {
	t.Parallel()
	f, _, proposal := refusedAndProposed(t)
	reaction := f.taps("ceo", proposal, "✅")
	f.tally(1, 0)
	_, err := f.seats["ceo"].Redact(t.Context(), f.board, reaction, "mistap")
	require.NoError(t, err)
	f.tally(0, 0)
	f.taps("ceo", proposal, "❌")
	f.tally(0, 1)
}

func TestSeedsAndThoseWithoutASeatAreNotCounted(t *testing.T) {
	t.Parallel()
	f, _, proposal := refusedAndProposed(t)
	_, err := f.operator.React(t.Context(), f.board, proposal, "✅")
	require.NoError(t, err)
	f.taps("ceo", proposal, "✅")
	open := f.tally(1, 0)
	require.Len(t, open.Votes, 1)
	require.Equal(t, "ceo", open.Votes[0].Actor)
	require.Equal(t, register.ProposalStateOpen, open.State)
	require.Equal(t, register.DispatchStateRefused, f.dispatches()[0].State)
}

func TestARejectedProposalLeavesTheRefusalStanding(t *testing.T) {
	t.Parallel()
	f, _, proposal := refusedAndProposed(t)
	f.taps("ceo", proposal, "❌")
	f.taps("cto", proposal, "👎")
	require.Equal(t, register.ProposalStateRejected, f.tally(0, 2).State)
	require.Equal(t, register.DispatchStateRefused, f.dispatches()[0].State)
}
