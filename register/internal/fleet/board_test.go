package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// settling seats ada, ben and cleo on a board where a result settles for a minute.
func (b *bundle) settling(t *testing.T) {
	t.Helper()
	b.seat(t)
	b.rules(t, func(board *Board) { board.SettleSeconds = 60 })
}

// reacts casts a vote by a reaction at the instant of the test's clock.
func (b *bundle) reacts(t *testing.T, id ProposalID, actor, seat, verdict, event string) Proposal {
	t.Helper()
	proposal, err := b.CastVote(t.Context(), b.by(actor), id, seat, Ballot{Verdict: verdict, EventID: event, At: b.clock.now(), How: HowReaction})
	require.NoError(t, err)
	return proposal
}

func (b *bundle) now(t *testing.T, id ProposalID) Proposal {
	t.Helper()
	proposal, err := b.Proposal(t.Context(), id)
	require.NoError(t, err)
	return proposal
}

func TestAMistapInTheSettlingTimeSpendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.SettleSeconds = 10 })
	refused := b.refused(t)
	p := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$1")
	certain := b.reacts(t, p.ID, "ben", "cto", VerdictApprove, "$2")
	require.Equal(t, ProposalOpen, certain.State)
	require.Equal(t, ProposalPassed, certain.Settling)
	require.Equal(t, b.clock.now().Add(10*time.Second), certain.SettlesAt)

	b.clock.pass(9 * time.Second)
	mended := b.reacts(t, p.ID, "ben", "cto", VerdictReject, "$3")
	require.Empty(t, mended.Settling)
	b.clock.pass(20 * time.Second)
	b.sweep(t)
	require.Equal(t, ProposalOpen, b.now(t, p.ID).State)
	require.Equal(t, StateRefused, b.show(t, refused.ID).State)

	b.reacts(t, p.ID, "cleo", "cfo", VerdictApprove, "$4")
	b.clock.pass(9 * time.Second)
	b.sweep(t)
	require.Equal(t, ProposalOpen, b.now(t, p.ID).State, "the settling time began anew")
	b.clock.pass(time.Second)
	b.sweep(t)
	passed := b.now(t, p.ID)
	require.Equal(t, ProposalPassed, passed.State)
	require.True(t, passed.Outcome.CarriedOut)
	require.Equal(t, StateReady, b.show(t, refused.ID).State)
	b.audit(t)
}

func TestAConditionCountsOnceTheProposerAcceptsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{})
	_, err := b.CastVote(t.Context(), b.by("ada"), p.ID, "ceo", Ballot{Verdict: VerdictConditional, How: HowToken})
	require.Equal(t, "reason", requireCode(t, CodeInvalid, err).Field)
	_, err = b.AcceptConditions(t.Context(), b.by("olga"), p.ID)
	requireCode(t, CodeInvalid, err)
	for actor, seat := range map[string]string{"ada": "ceo", "ben": "cto"} {
		_, err = b.CastVote(t.Context(), b.by(actor), p.ID, seat, Ballot{Verdict: VerdictConditional, Reason: "after the freeze", How: HowToken})
		require.NoError(t, err)
	}
	open := b.now(t, p.ID)
	require.Equal(t, 2, open.Tally.Conditional)
	require.Equal(t, []string{"cfo"}, open.Tally.Missing, "it counts for the quorum")
	require.Empty(t, open.Settling)
	_, err = b.AcceptConditions(t.Context(), b.by("ada"), p.ID)
	require.Equal(t, "ada may not accept conditions for P-1; olga may.", requireCode(t, CodeForbidden, err).Detail)
	accepted, err := b.AcceptConditions(t.Context(), b.by("olga"), p.ID)
	require.NoError(t, err)
	require.Equal(t, 2, accepted.Tally.Approve)
	require.Equal(t, ProposalPassed, accepted.Settling)
	b.clock.pass(time.Second)
	_, err = b.CastVote(t.Context(), b.by("ben"), p.ID, "cto", Ballot{Verdict: VerdictConditional, Reason: "and only by night", How: HowToken})
	require.NoError(t, err)
	require.Equal(t, 1, b.now(t, p.ID).Tally.Conditional, "a new condition is not accepted")
}

func TestADeputysVoteCountsOnlyWhileTheHolderHasNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "ceo", Lens: "sense", Identity: "ada", Deputy: "olga"})
	require.NoError(t, err)
	p := b.propose(t, Question{})
	deputy := b.reacts(t, p.ID, "olga", "ceo", VerdictReject, "$1")
	require.Equal(t, 1, deputy.Tally.Reject)
	require.True(t, deputy.Votes[0].Deputy)
	holder := b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$2")
	require.Equal(t, 1, holder.Tally.Approve)
	b.clock.pass(time.Second)
	require.Equal(t, 1, b.reacts(t, p.ID, "olga", "ceo", VerdictReject, "$3").Tally.Approve)
	back, err := b.WithdrawVote(t.Context(), b.by("ada"), p.ID, "ceo", Withdrawal{EventID: "$2", How: HowReaction})
	require.NoError(t, err)
	require.Equal(t, 1, back.Tally.Reject, "the deputy's vote counts again")
}

func TestWhoAskedForTheWorkOrWouldRunItIsRecused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.settling(t)
	for seat, holder := range map[string]string{"coo": "olga", "cxo": "coder-1"} {
		_, err := b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: seat, Lens: "sense", Identity: holder})
		require.NoError(t, err)
	}
	refused := b.refused(t)
	p := b.propose(t, Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	why := map[string]string{}
	for _, seat := range p.Roster {
		why[seat.Seat] = seat.Recused
	}
	require.Equal(t, map[string]string{"ceo": "", "cto": "", "cfo": "", "coo": "olga asked for D-1", "cxo": "coder-1 would run D-1"}, why)
	require.Equal(t, 3, p.Tally.Seats)
	_, err := b.CastVote(t.Context(), b.by("olga"), p.ID, "coo", Ballot{Verdict: VerdictApprove, How: HowToken})
	require.Equal(t, "The seat coo does not vote on P-1: olga asked for D-1.", requireCode(t, CodeNotSeated, err).Detail)
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Quorum: 4, Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}})
	require.Contains(t, requireCode(t, CodeInvalid, err).Detail, "3 seats that may vote on this")
}

func TestOnePersonHoldsOneSeatUnlessTheBoardAllowsMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	second := Seat{Seat: "coo", Lens: "time", Identity: "ada"}
	_, err := b.PutSeat(t.Context(), b.by("olga"), second)
	require.Equal(t, "ada already votes for the seat ceo, and one person has one vote.", requireCode(t, CodeInvalid, err).Detail)
	_, err = b.PutSeat(t.Context(), b.by("olga"), Seat{Seat: "coo", Lens: "time", Identity: "olga", Deputy: "ada"})
	require.Equal(t, "deputy", requireCode(t, CodeInvalid, err).Field)
	b.rules(t, func(board *Board) { board.SeveralSeats = true })
	_, err = b.PutSeat(t.Context(), b.by("olga"), second)
	require.NoError(t, err)
	gone, err := b.RemoveSeat(t.Context(), b.by("olga"), "coo")
	require.NoError(t, err)
	require.Equal(t, "ada", gone.Identity)
	_, err = b.RemoveSeat(t.Context(), b.by("olga"), "coo")
	requireCode(t, CodeNotFound, err)
	_, err = b.PutBoard(t.Context(), b.by("olga"), func(board *Board) { board.Chair = "coo" })
	require.Equal(t, "chair", requireCode(t, CodeInvalid, err).Field)
	_, err = b.PutBoard(t.Context(), b.by("olga"), func(board *Board) { board.Keys.Reject = []string{"👍🏽\uFE0F"} })
	require.Equal(t, "keys", requireCode(t, CodeInvalid, err).Field, "it is the same reaction in another skin")
	_, err = b.PutBoard(t.Context(), b.by("olga"), func(board *Board) { board.Keys.Reject = board.Keys.Approve })
	require.Equal(t, "keys", requireCode(t, CodeInvalid, err).Field)
}

func TestOnASignedProposalAReactionIsNoMoreThanAnIntent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{Signed: true})
	for actor, seat := range map[string]string{"ada": "ceo", "ben": "cto", "cleo": "cfo"} {
		b.reacts(t, p.ID, actor, seat, VerdictApprove, "$forged"+actor)
	}
	forged := b.now(t, p.ID)
	require.Zero(t, forged.Tally.Approve)
	require.Len(t, forged.Tally.Missing, 3)
	require.Len(t, forged.Intents, 3)
	require.Empty(t, forged.Settling)
	signed, err := b.CastVote(t.Context(), b.by("ada"), p.ID, "ceo", Ballot{Verdict: VerdictReject, EventID: "$signed", At: b.clock.now(), How: HowSigned})
	require.NoError(t, err)
	require.Equal(t, 1, signed.Tally.Reject)
	kept, err := b.WithdrawVote(t.Context(), b.by("ada"), p.ID, "ceo", Withdrawal{EventID: "$signed", By: "$forged", How: HowReaction})
	require.NoError(t, err)
	require.Equal(t, 1, kept.Tally.Reject, "a redaction carries no signature either")
	back, err := b.WithdrawVote(t.Context(), b.by("ada"), p.ID, "ceo", Withdrawal{How: HowSigned})
	require.NoError(t, err)
	require.Zero(t, back.Tally.Reject)
}

func TestAnOverrideOverTheConfiguredAmountIsVotedOnWithSignedVotes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.settling(t)
	refused := b.refused(t)
	question := Question{Action: &Action{Kind: ActionOverride, Dispatch: refused.ID}}
	require.False(t, b.propose(t, question).Signed)
	b.rules(t, func(board *Board) { board.SignOver = []Amount{{Unit: "credits", Micros: 49 * budget.Micro}} })
	require.True(t, b.propose(t, question).Signed)
	b.rules(t, func(board *Board) { board.SignOver = []Amount{{Unit: "credits", Micros: 50 * budget.Micro}} })
	require.False(t, b.propose(t, question).Signed)
	require.True(t, (&Board{SignOver: []Amount{{Unit: "credits"}}}).signs(nil), "nobody knows how much it is")
}

func TestADeadlineWaitsForTheRoomsToBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{ClosesAt: start.Add(time.Hour)})
	read := func(room string, through time.Time) Proposal {
		after, err := b.ReadRoom(t.Context(), b.by("olga"), p.ID, Reading{Room: room, Through: through})
		require.NoError(t, err)
		return after
	}
	read("!a", time.Time{})
	read("!b", time.Time{})
	b.clock.pass(time.Hour + time.Minute)
	b.sweep(t)
	require.Equal(t, ProposalOpen, b.now(t, p.ID).State)

	in, err := b.CastVote(t.Context(), b.by("ada"), p.ID, "ceo", Ballot{Verdict: VerdictApprove, EventID: "$1", At: p.ClosesAt, How: HowReaction})
	require.NoError(t, err, "it was cast at the deadline's very instant")
	require.Equal(t, 1, in.Tally.Approve)
	_, err = b.CastVote(t.Context(), b.by("ben"), p.ID, "cto", Ballot{Verdict: VerdictApprove, EventID: "$2", At: p.ClosesAt.Add(time.Millisecond), How: HowReaction})
	requireCode(t, CodeNotOpen, err)
	_, err = b.WithdrawVote(t.Context(), b.by("ada"), p.ID, "ceo", Withdrawal{EventID: "$1", At: p.ClosesAt.Add(time.Millisecond), How: HowReaction})
	requireCode(t, CodeNotOpen, err)
	b.reactsAt(t, p.ID, "cleo", "cfo", VerdictApprove, "$3", p.ClosesAt.Add(-time.Minute))

	require.Equal(t, ProposalOpen, read("!a", p.ClosesAt).State)
	closed := read("!b", p.ClosesAt.Add(time.Second))
	require.Equal(t, ProposalPassed, closed.State)
	require.Empty(t, closed.Unread)
}

func (b *bundle) reactsAt(t *testing.T, id ProposalID, actor, seat, verdict, event string, at time.Time) Proposal {
	t.Helper()
	proposal, err := b.CastVote(t.Context(), b.by(actor), id, seat, Ballot{Verdict: verdict, EventID: event, At: at, How: HowReaction})
	require.NoError(t, err)
	return proposal
}

func TestADeadlineDoesNotWaitForEverAndSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{ClosesAt: start.Add(time.Hour)})
	_, err := b.ReadRoom(t.Context(), b.by("olga"), p.ID, Reading{Room: "!a"})
	require.NoError(t, err)
	b.clock.pass(time.Hour + 10*time.Minute - time.Second)
	b.sweep(t)
	require.Equal(t, ProposalOpen, b.now(t, p.ID).State)
	b.clock.pass(time.Second)
	b.sweep(t)
	closed := b.now(t, p.ID)
	require.Equal(t, ProposalExpired, closed.State)
	require.Equal(t, []string{"!a"}, closed.Unread)
	events := b.events(t)
	require.Equal(t, "P-1 closed although !a was not known to be read to the end.", events[len(events)-1].Cause)
}

func TestARefusedDispatchAndAWindowAtItsCapArePutToTheBoardOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.refused(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.OpenOnRefusal, board.OpenOnCap = true, true })
	refused := b.refused(t)
	list, err := b.Proposals(t.Context(), "", 0, 20)
	require.NoError(t, err)
	require.Len(t, list.Proposals, 1)
	p := list.Proposals[0]
	require.Equal(t, "Override the refusal of D-2 for coder?", p.Title)
	require.Equal(t, refused.ID, p.Action.Dispatch)
	require.Equal(t, "refused:D-2", p.Incident)
	require.Equal(t, Time, p.OpenedBy)

	b.rules(t, func(board *Board) { board.SettleSeconds = 0 })
	used := int64(500 * budget.Micro)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = &used })
	b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$1")
	passed := b.reacts(t, p.ID, "ben", "cto", VerdictApprove, "$2")
	require.Equal(t, ProposalPassed, passed.State)
	require.False(t, passed.Outcome.CarriedOut, "the cap holds, so it is refused again")
	used = 0
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = &used })
	used = int64(500 * budget.Micro)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = &used })
	list, err = b.Proposals(t.Context(), "", 0, 20)
	require.NoError(t, err)
	require.Len(t, list.Proposals, 2, "one for the refusal, one for the cap in this epoch")
	require.Equal(t, "claude/claude/main has reached its cap: what now?", list.Proposals[0].Title)
}

func TestAnOwnLimitAtItsCapIsPutToTheBoardWithTheLiftThatWhatWaitsNeeds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.SettleSeconds, board.OpenOnCap = 0, true })
	waiting := b.dispatch(t, ask(60, exact))
	require.Equal(t, StateQueued, waiting.State)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(500 * budget.Micro)) })
	p := b.now(t, 1)
	require.Equal(t, "cap:claude/claude/main@", p.Incident[:len("cap:claude/claude/main@")])
	require.Equal(t, "Lift the limit of claude/claude/main by 60 credits in the current cycle. Work still passes the same gate.", p.ActionText)
	b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$1")
	passed := b.reacts(t, p.ID, "ben", "cto", VerdictApprove, "$2")
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	require.Equal(t, int64(560*budget.Micro), b.window(t).LimitMicros)
	b.audit(t)
}

func TestAProvidersLimitAtItsCapIsPutToTheBoardWithoutALiftAndSaysWhy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.Mine = new(false) })
	b.settling(t)
	b.rules(t, func(board *Board) { board.OpenOnCap = true })
	b.dispatch(t, ask(60, exact))
	b.budget(t, func(s *BudgetSet) { s.UsedMicros, s.Mine = new(int64(500*budget.Micro)), new(false) })
	p := b.now(t, 1)
	require.Nil(t, p.Action)
	require.Contains(t, p.Body, "The limit is the provider's, so no decision lifts it")
}

func TestACapOnWhichNothingWaitsIsPutToTheBoardWithoutAnAmountAndSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.OpenOnCap = true })
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(500 * budget.Micro)) })
	p := b.now(t, 1)
	require.Nil(t, p.Action)
	require.Contains(t, p.Body, "Nothing waits on it now, so there is no amount to lift it by.")
}

func TestThePauseAndWorkOfAPassedProposalAreCarriedOutInTheProposersName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	pass := func(action Action) Proposal {
		p := b.propose(t, Question{Action: &action})
		require.NotEmpty(t, p.ActionText)
		b.votes(t, p.ID, "ada", "ceo", "approve")
		return b.votes(t, p.ID, "ben", "cto", "approve")
	}
	work := ask(1)
	done := pass(Action{Kind: ActionDispatch, Ask: &work})
	require.True(t, done.Outcome.CarriedOut, done.Outcome.Text)
	require.Equal(t, "olga", b.show(t, 1).CreatedBy)
	require.Equal(t, "The fleet is paused.", pass(Action{Kind: ActionPause}).Outcome.Text)
	pause, err := b.Pause(t.Context())
	require.NoError(t, err)
	require.Equal(t, "olga", pause.By)
	require.Equal(t, "The board decided so in P-2.", pause.Reason)
	require.Equal(t, "The fleet runs.", pass(Action{Kind: ActionResume}).Outcome.Text)

	_, err = b.OpenProposal(t.Context(), b.by("ada"), Question{Title: "x", Action: &Action{Kind: ActionPause}})
	require.Equal(t, "ada may not ask the board for a pause; that takes the role operator or admin.", requireCode(t, CodeForbidden, err).Detail)
	unknown := ask(1, func(a *Ask) { a.Model = "opsu" })
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: &Action{Kind: ActionDispatch, Ask: &unknown}})
	requireCode(t, CodeInvalid, err)

	p := b.propose(t, Question{Action: &Action{Kind: ActionPause}})
	_, err = b.PutIdentity(t.Context(), b.by("olga"), Identity{Name: "olga", Kind: "human", Roles: []string{"viewer"}})
	require.NoError(t, err)
	b.votes(t, p.ID, "ada", "ceo", "approve")
	stale := b.votes(t, p.ID, "ben", "cto", "approve")
	require.Equal(t, ProposalPassed, stale.State)
	require.False(t, stale.Outcome.CarriedOut)
	require.Contains(t, stale.Outcome.Text, "olga may not ask the board for a pause")
	pause, err = b.Pause(t.Context())
	require.NoError(t, err)
	require.False(t, pause.Paused)
}

func TestAProposalIsWithdrawnByWhoOpenedItAndHastenedByTheChair(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	b.rules(t, func(board *Board) { board.Chair = "ceo" })
	p := b.propose(t, Question{})
	_, err := b.WithdrawProposal(t.Context(), b.by("ben"), p.ID)
	requireCode(t, CodeForbidden, err)
	gone, err := b.WithdrawProposal(t.Context(), b.by("olga"), p.ID)
	require.NoError(t, err)
	require.Equal(t, ProposalWithdrawn, gone.State)
	_, err = b.CastVote(t.Context(), b.by("ada"), p.ID, "ceo", Ballot{Verdict: VerdictApprove, How: HowToken})
	requireCode(t, CodeNotOpen, err)

	p = b.propose(t, Question{})
	_, err = b.HastenProposal(t.Context(), b.by("ben"), p.ID)
	requireCode(t, CodeForbidden, err)
	soon, err := b.HastenProposal(t.Context(), b.by("ada"), p.ID)
	require.NoError(t, err)
	require.Equal(t, b.clock.now().Add(time.Minute), soon.ClosesAt, "votes may still change for the settling time")
	b.clock.pass(time.Minute)
	b.sweep(t)
	require.Equal(t, ProposalExpired, b.now(t, p.ID).State)
}

func TestAVoteKeepsWhatAPersonaSaysAndWeighsNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{})
	sure := 1.0
	review := Review{Persona: "CTO", Confidence: &sure, Concerns: []string{"load"}, Recommendations: []string{"test"}, KeyRisks: []string{"time"}}
	voted, err := b.CastVote(t.Context(), b.by("ben"), p.ID, "cto", Ballot{Verdict: VerdictReject, How: HowToken, Review: review})
	require.NoError(t, err)
	require.Equal(t, review, voted.Votes[0].Review)
	require.Equal(t, 1, voted.Tally.Reject)
}

func TestAPassedGrantLiftsTheWindowAndAStaleOneIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	grant := func(micros int64) *Action {
		return &Action{Kind: ActionGrant, Grant: &OverrideGrant{Provider: "claude", Micros: micros, Cycles: 2}}
	}
	p := b.propose(t, Question{Action: grant(40 * budget.Micro)})
	require.Equal(t, "Lift the pace of claude/claude/main by 40 credits in each of 2 cycles, the current one included. Work still passes the same gate.", p.ActionText)
	require.False(t, p.Signed)
	require.True(t, b.propose(t, Question{Action: grant(501 * budget.Micro)}).Signed, "two epochs of it are over a thousand credits")
	waiting := b.dispatch(t, ask(50, exact))
	require.Equal(t, StateQueued, waiting.State)
	b.votes(t, p.ID, "ada", "ceo", "approve")
	passed := b.votes(t, p.ID, "ben", "cto", "approve")
	require.True(t, passed.Outcome.CarriedOut, passed.Outcome.Text)
	require.Equal(t, "O-1 is granted. Waiting work was planned anew: 1.", passed.Outcome.Text)
	require.Equal(t, StateReady, b.show(t, waiting.ID).State)
	b.audit(t)

	stale := b.propose(t, Question{Action: grant(40 * budget.Micro)})
	b.clock.pass(200 * time.Minute)
	_, err := b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: grant(1)})
	requireCode(t, CodeWindowLapsed, err)
	b.votes(t, stale.ID, "ada", "ceo", "approve")
	closed := b.votes(t, stale.ID, "ben", "cto", "approve")
	require.Equal(t, ProposalPassed, closed.State)
	require.False(t, closed.Outcome.CarriedOut)
	require.Contains(t, closed.Outcome.Text, "lapsed")
	_, err = b.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: &Action{Kind: ActionGrant, Grant: &OverrideGrant{Provider: "nobody", Micros: 1}}})
	requireCode(t, CodeNotFound, err)
}

func TestWhatTheBoardIsAskedCannotChangeOnceItIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{Action: &Action{Kind: ActionPause}})
	b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$1")
	for _, sql := range []string{
		`UPDATE fleet.proposals SET action = 'resume', details = '{"kind": "resume"}'`, `UPDATE fleet.proposals SET action_text = 'x'`,
		`UPDATE fleet.proposals SET quorum = 1`, `UPDATE fleet.proposals SET pass = 'unanimous'`, `UPDATE fleet.proposals SET signed = true`,
		`UPDATE fleet.roster SET identity = 'ben'`, `DELETE FROM fleet.roster`, `UPDATE fleet.votes SET verdict = 'reject'`,
		`UPDATE fleet.votes SET actor = 'ben'`,
	} {
		requireState(t, restrictViolation, b.exec(t.Context(), sql))
	}
	_, err := b.WithdrawProposal(t.Context(), b.by("olga"), p.ID)
	require.NoError(t, err)
	requireState(t, restrictViolation, b.exec(t.Context(), `UPDATE fleet.proposals SET state = 'passed'`))
}

func TestEveryVoteChangeAndWithdrawalNamesItsEventInTheAudit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	p := b.propose(t, Question{})
	b.reacts(t, p.ID, "ada", "ceo", VerdictApprove, "$first")
	b.clock.pass(time.Second)
	b.reacts(t, p.ID, "ada", "ceo", VerdictReject, "$second")
	_, err := b.WithdrawVote(t.Context(), b.by("ada"), p.ID, "ceo", Withdrawal{EventID: "$second", By: "$redaction", How: HowReaction})
	require.NoError(t, err)
	var causes []string
	for _, event := range b.events(t) {
		if event.Type == "proposal.voted" {
			require.Equal(t, "ada", event.Actor)
			causes = append(causes, event.Cause)
		}
	}
	require.Equal(t, []string{
		"ada voted approve for the seat ceo (reaction, event $first).", "ada voted reject for the seat ceo (reaction, event $second).",
		"ada took back the vote of the event $second for the seat ceo (reaction, event $redaction).",
	}, causes)
}

func TestTwoVotesOfOneInstantCountAlikeInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.settling(t)
	at := b.clock.now()
	for _, order := range [][]string{{"$a", "$b"}, {"$b", "$a"}} {
		p := b.propose(t, Question{})
		for _, event := range order {
			verdict := map[string]string{"$a": VerdictApprove, "$b": VerdictReject}[event]
			b.reactsAt(t, p.ID, "ada", "ceo", verdict, event, at)
			b.reactsAt(t, p.ID, "ada", "ceo", verdict, event, at) // a double tap that the homeserver told twice
		}
		now := b.now(t, p.ID)
		require.Len(t, now.Votes, 1)
		require.Equal(t, 1, now.Tally.Reject, "%v", order)
	}
}
