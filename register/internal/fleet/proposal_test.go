package fleet

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// seat seats ada, ben and cleo.
func (b *bundle) seat(t *testing.T) {
	t.Helper()
	b.rules(t, func(board *Board) { board.SettleSeconds = 0 })
	for seat, holder := range map[string]string{"ceo": "ada", "cto": "ben", "cfo": "cleo"} {
		_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: seat, Lens: "sense", Identity: holder})
		require.NoError(t, err)
	}
}

// rules changes how the board works.
func (b *bundle) rules(t *testing.T, change func(*Board)) Board {
	t.Helper()
	board, err := b.PutBoard(t.Context(), b.by("olga"), change)
	require.NoError(t, err)
	return board
}

func (b *bundle) propose(t *testing.T, question Question) Proposal {
	t.Helper()
	if question.Title == "" {
		question.Title = "Run the audit now"
	}
	proposal, err := b.OpenProposal(t.Context(), b.by("olga"), question)
	require.NoError(t, err)
	return proposal
}

func (b *bundle) votes(t *testing.T, id ProposalID, actor, seat, verdict string) Proposal {
	t.Helper()
	proposal, err := b.CastVote(t.Context(), b.by(actor), id, seat, Ballot{Verdict: verdict, EventID: "$" + actor + verdict, How: HowReaction})
	require.NoError(t, err)
	return proposal
}

// refused is a dispatch that pace cannot start in time.
func (b *bundle) refused(t *testing.T) Dispatch {
	t.Helper()
	refused := b.dispatch(t, ask(50, exact, func(a *Ask) { a.Deadline = b.clock.now().Add(time.Minute) }))
	require.Equal(t, StateRefused, refused.State)
	return refused
}

func TestAPassedOverrideRunsTheRefusedDispatchAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	refused := b.refused(t)
	proposal := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	require.Equal(t, "Lift the pace for D-1, olga's refused work for coder, estimated at 50 credits on opus: “Add a health check”. The cap still holds.", proposal.ActionText)
	require.Equal(t, 2, proposal.Quorum)
	require.Equal(t, Tally{Seats: 3, Needed: 2, Missing: []string{"ceo", "cfo", "cto"}}, proposal.Tally)

	open := b.votes(t, proposal.ID, "ada", "ceo", "approve")
	require.Equal(t, ProposalOpen, open.State)
	passed := b.votes(t, proposal.ID, "ben", "cto", "approve")
	require.Equal(t, ProposalPassed, passed.State)
	require.True(t, passed.Outcome.CarriedOut)
	require.Equal(t, "D-1 is ready. Admitted on opus; an override lifted the pace. Needs 50 credits.", passed.Outcome.Text)

	ready := b.show(t, refused.ID)
	require.Equal(t, StateReady, ready.State)
	require.True(t, ready.Lifted)
	require.Equal(t, int64(50*budget.Micro), b.window(t).ReservedMicros)
	require.Equal(t, []string{
		"budget.set", "dispatch.refused", "proposal.opened", "proposal.voted", "proposal.voted", "proposal.closed", "dispatch.ready", "budget.step",
	}, b.story(t))
	b.audit(t)

	_, err := b.CastVote(t.Context(), b.by("cleo"), proposal.ID, "cfo", Ballot{Verdict: "reject", How: HowToken})
	requireCode(t, CodeNotOpen, err)
}

func TestAnOverrideNeverLiftsTheCap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(480 * budget.Micro)) })
	b.seat(t)
	refused := b.refused(t)
	proposal := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	b.votes(t, proposal.ID, "ada", "ceo", "approve")
	passed := b.votes(t, proposal.ID, "ben", "cto", "approve")
	require.Equal(t, ProposalPassed, passed.State)
	require.False(t, passed.Outcome.CarriedOut)
	require.Contains(t, passed.Outcome.Text, "D-1 is refused. Cannot start by")
	require.Equal(t, int64(480*budget.Micro), b.window(t).UsedMicros)
	require.Equal(t, StateRefused, b.show(t, refused.ID).State)
	b.audit(t)
}

func TestTwoProposalsForOneDispatchCarryItOutOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	refused := b.refused(t)
	first := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	second := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	var wait sync.WaitGroup
	for _, id := range []ProposalID{first.ID, second.ID} {
		for actor, seat := range map[string]string{"ada": "ceo", "ben": "cto"} {
			wait.Go(func() {
				_, err := b.CastVote(t.Context(), b.by(actor), id, seat, Ballot{Verdict: "approve", How: HowToken})
				if err != nil {
					requireCode(t, CodeNotOpen, err)
				}
			})
		}
	}
	wait.Wait()
	carried := 0
	for _, id := range []ProposalID{first.ID, second.ID} {
		proposal, err := b.Proposal(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, ProposalPassed, proposal.State)
		if proposal.Outcome.CarriedOut {
			carried++
		} else {
			require.Contains(t, proposal.Outcome.Text, "D-1 is ready by now, not refused.")
		}
	}
	require.Equal(t, 1, carried)
	b.audit(t)
}

func TestOnlyARefusedDispatchCanBeOverridden(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	ready := b.dispatch(t, ask(1))
	_, err := b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: &Action{Kind: ActionOverride, Dispatch: ready.ID}})
	requireCode(t, CodeNotRefused, err)
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: &Action{Kind: ActionOverride, Dispatch: 99}})
	requireCode(t, CodeNotFound, err)
}

func TestAQuestionNoBoardCanDecideIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x"})
	require.Equal(t, "The board has no seats, so nobody could vote.", requireCode(t, CodeInvalid, err).Detail)
	b.seat(t)
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Quorum: 4})
	require.Equal(t, "A quorum of 4 is larger than the board, which has 3 seats.", requireCode(t, CodeInvalid, err).Detail)
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", ClosesAt: start})
	require.Equal(t, "closes_at", requireCode(t, CodeInvalid, err).Field)
}

func TestASeatHasOneLiveVoteAndOnlyItsHolderCastsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seat(t)
	proposal := b.propose(t, Question{})
	b.votes(t, proposal.ID, "ada", "ceo", "approve")
	b.clock.pass(time.Second)
	changed := b.votes(t, proposal.ID, "ada", "ceo", "reject")
	require.Len(t, changed.Votes, 1)
	require.Equal(t, 1, changed.Tally.Reject)
	require.Zero(t, changed.Tally.Approve)

	told := len(b.events(t))
	same := b.votes(t, proposal.ID, "ada", "ceo", "reject")
	require.Equal(t, changed.Votes, same.Votes)
	require.Len(t, b.events(t), told, "the same vote again changes nothing")

	_, err := b.CastVote(t.Context(), b.by("ben"), proposal.ID, "ceo", Ballot{Verdict: "approve", How: HowToken})
	requireCode(t, CodeNotSeated, err)
	_, err = b.CastVote(t.Context(), b.by("olga"), proposal.ID, "cio", Ballot{Verdict: "approve", How: HowToken})
	requireCode(t, CodeNotSeated, err)
	_, err = b.CastVote(t.Context(), b.by("ada"), 99, "ceo", Ballot{Verdict: "approve", How: HowToken})
	requireCode(t, CodeNotFound, err)

	var history int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM fleet.votes`).Scan(&history))
	require.Equal(t, 2, history, "the vote that was changed is kept")
}

func TestWithdrawingTakesBackOnlyTheVoteOfThatEventAndTheOneBeforeCountsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seat(t)
	proposal := b.propose(t, Question{})
	b.votes(t, proposal.ID, "ada", "ceo", "approve")
	b.clock.pass(time.Second)
	b.votes(t, proposal.ID, "ada", "ceo", "reject")
	back, err := b.WithdrawVote(t.Context(), b.by("ada"), proposal.ID, "ceo", Withdrawal{EventID: "$adareject", How: HowReaction})
	require.NoError(t, err)
	require.Equal(t, 1, back.Tally.Approve, "the other reaction still stands in the room")
	gone, err := b.WithdrawVote(t.Context(), b.by("ada"), proposal.ID, "ceo", Withdrawal{EventID: "$adaapprove", How: HowReaction})
	require.NoError(t, err)
	require.Empty(t, gone.Votes)
	gone = b.votes(t, proposal.ID, "ada", "ceo", "approve")
	require.Empty(t, gone.Votes, "an event that was taken back never counts again")
	gone, err = b.WithdrawVote(t.Context(), b.by("ada"), proposal.ID, "ceo", Withdrawal{How: HowToken})
	require.NoError(t, err)
	require.Empty(t, gone.Votes)
}

func TestAProposalClosesWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seat(t)
	lonely := b.propose(t, Question{ClosesAt: start.Add(time.Hour)})
	split := b.propose(t, Question{ClosesAt: start.Add(time.Hour)})
	b.votes(t, split.ID, "ada", "ceo", "approve")
	b.votes(t, split.ID, "ben", "cto", "abstain")
	b.clock.pass(time.Hour + time.Millisecond)
	_, err := b.CastVote(t.Context(), b.by("ada"), lonely.ID, "ceo", Ballot{Verdict: "approve", How: HowToken})
	requireCode(t, CodeNotOpen, err)
	b.sweep(t)
	for id, want := range map[ProposalID]string{lonely.ID: ProposalExpired, split.ID: ProposalRejected} {
		proposal, err := b.Proposal(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, proposal.State)
		require.Equal(t, b.clock.now(), proposal.ClosedAt)
	}
	open, err := b.Proposals(t.Context(), ProposalOpen, 0, 20)
	require.NoError(t, err)
	require.Empty(t, open.Proposals)
}

func TestAHandedOverSeatKeepsItsVoteInOpenProposals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seat(t)
	proposal := b.propose(t, Question{})
	_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "ceo", Lens: "sense", Identity: "olga"})
	require.NoError(t, err)
	_, err = b.CastVote(t.Context(), b.by("olga"), proposal.ID, "ceo", Ballot{Verdict: "approve", How: HowToken})
	requireCode(t, CodeNotSeated, err)
	b.votes(t, proposal.ID, "ada", "ceo", "approve")
	_, err = b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "ceo", Lens: "sense", Identity: "nobody"})
	requireCode(t, CodeNotFound, err)
}
