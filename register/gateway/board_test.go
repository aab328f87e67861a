package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// seated seats three people and answers clients that act for them through the bot.
func (b *bundle) seated(t *testing.T) {
	t.Helper()
	b.send(t, b.admin, register.PutBoard(register.BoardRequest{SettleSeconds: new(int)}), nil)
	for seat, holder := range map[string]string{"ceo": "ada", "cto": "ben", "cfo": "cleo"} {
		b.send(t, b.admin, register.PutIdentity(holder, register.IdentityRequest{
			Kind: register.IdentityRequestKindHuman, MatrixID: "@" + holder + ":localhost", Roles: []register.FleetRole{register.FleetRoleBoard},
		}), nil)
		b.send(t, b.admin, register.PutSeat(seat, register.SeatRequest{Lens: "sense", Identity: holder}), nil)
	}
}

func (b *bundle) vote(t *testing.T, proposal, seat, matrixID string, verdict register.Verdict) (register.Proposal, error) {
	t.Helper()
	var after register.Proposal
	by := register.By{Actor: matrixID, Key: proposal + seat + string(verdict)}
	err := b.bot.Send(t.Context(), by, register.CastVote(proposal, seat, register.VoteRequest{Verdict: verdict, EventID: "$" + seat}), &after)
	return after, err
}

func TestTheBoardOverridesARefusalByVoting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seated(t)
	events := follow(t, b.reader, 0)
	refused := ask(50)
	refused.Exact, refused.Deadline = true, time.Now().Add(time.Minute)
	dispatch := b.dispatch(t, refused)
	require.Equal(t, register.DispatchStateRefused, dispatch.State)

	var proposal register.Proposal
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{
		Title: "Run the audit now", Action: register.Action{Kind: register.ActionKindOverride, Dispatch: "d-1"},
	}), &proposal)
	require.Equal(t, "P-1", proposal.ID)
	require.Len(t, proposal.Roster, 3)
	require.Equal(t, "@ada:localhost", proposal.Roster[0].MatrixID)

	_, err := b.vote(t, "P-1", "ceo", "@ada:localhost", register.VerdictApprove)
	require.NoError(t, err)
	_, err = b.vote(t, "P-1", "cto", "@ada:localhost", register.VerdictApprove)
	requireCode(t, register.ProblemCodeNotSeated, err)
	passed, err := b.vote(t, "p-1", "cfo", "@cleo:localhost", register.VerdictApprove)
	require.NoError(t, err)
	require.Equal(t, register.ProposalStatePassed, passed.State)
	require.True(t, passed.Outcome.CarriedOut)

	require.Equal(t, passed, await(t, events, register.EventTypeProposalClosed).Proposal)
	require.Equal(t, dispatch.ID, await(t, events, register.EventTypeDispatchReady).Dispatch.ID)
	claim := b.claim(t)
	require.True(t, claim.Dispatch.Lifted)

	_, err = b.vote(t, "P-1", "cto", "@ben:localhost", register.VerdictReject)
	requireCode(t, register.ProblemCodeNotOpen, err)
	b.refused(t, register.ProblemCodeNotRefused, b.olga, register.OpenProposal(register.ProposalRequest{
		Title: "Again", Action: register.Action{Kind: register.ActionKindOverride, Dispatch: "D-1"},
	}))
	list, err := b.reader.Proposals(t.Context(), register.By{}, register.ProposalStatePassed, "", 0)
	require.NoError(t, err)
	require.Equal(t, []register.Proposal{passed}, list.Proposals)
	seats, err := b.reader.Seats(t.Context(), register.By{})
	require.NoError(t, err)
	require.Len(t, seats.Seats, 3)
}

func TestAProposalClosesByItselfWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seated(t)
	events := follow(t, b.reader, 0)
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "Soon", ClosesAt: time.Now().Add(5 * time.Second)}), nil)
	closed := await(t, events, register.EventTypeProposalClosed)
	require.Equal(t, register.ProposalStateExpired, closed.Proposal.State)
	require.Equal(t, "gateway", closed.Actor)
}

func TestRoomsAndIdentitiesAreKeptAsTheyWereSet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	binding := register.RoomBinding{Room: "!r:localhost", Alias: "#fleet:localhost", Purposes: []register.RoomPurpose{register.RoomPurposeBudget, register.RoomPurposeFleet}}
	b.send(t, b.admin, register.BindRoom(binding), nil)
	binding.Purposes = []register.RoomPurpose{register.RoomPurposeBoard}
	b.send(t, b.admin, register.BindRoom(binding), nil)
	rooms, err := b.reader.Rooms(t.Context(), register.By{})
	require.NoError(t, err)
	binding.Version, binding.Verbosity, binding.Encrypted = 2, register.VerbosityMedium, register.RoomEncryptionRequired
	require.Equal(t, []register.RoomBinding{binding}, rooms.Rooms)
	identities, err := b.reader.Identities(t.Context(), register.By{})
	require.NoError(t, err)
	require.Len(t, identities.Identities, 5)
}
