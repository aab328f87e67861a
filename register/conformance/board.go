package conformance

import (
	"context"
	"reflect"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func board() []promise {
	return []promise{
		{"board", "a seat is kept, and held by an identity that exists", seat},
		{"board", "a proposal opens with the roster of that moment", openProposal},
		{"board", "a seat has one live vote, that can be changed and withdrawn", vote},
		{"board", "only the seat's holder votes for it", voteForOthers},
		{"board", "a condition approves once who proposed it accepts it, and a withdrawn question is closed", conditions},
		{"board", "the vote that decides closes it, and later votes are not_open", decide},
		{"board", "only a refused dispatch can be overridden, and the outcome says what became of it", override},
	}
}

// seats answers the board, and seats someone where there is nobody. No seat can be taken away again, so one that is there is used.
func (t *trial) seats(ctx context.Context) ([]register.Seat, error) {
	var list register.SeatList
	if err := t.read(ctx, viewer, "/api/fleet/seats", &list); err != nil || len(list.Seats) > 0 {
		return list.Seats, err
	}
	var made register.Seat
	err := t.change(ctx, "", register.PutSeat(provider, register.SeatRequest{Lens: "conformance", Identity: member}), &made)
	return []register.Seat{made}, err
}

// open puts a question to the board that only all seats together can pass.
func (t *trial) open(ctx context.Context, action register.Action) (register.Proposal, error) {
	seats, err := t.seats(ctx)
	if err != nil {
		return register.Proposal{}, err
	}
	var opened register.Proposal
	return opened, t.change(ctx, operator, register.OpenProposal(register.ProposalRequest{
		Title: "Conformance run " + t.id, Body: "There is nothing to decide.", Action: action, Quorum: len(seats), Pass: register.PassRuleUnanimous,
	}), &opened)
}

func (t *trial) cast(ctx context.Context, on register.Proposal, seat register.Seat, ballot register.VoteRequest) (register.Proposal, error) {
	var after register.Proposal
	err := t.change(ctx, seat.Identity, register.CastVote(on.ID, seat.Seat, ballot), &after)
	return after, err
}

// longestSettling is how long a result is waited for; on a board where it settles for longer, what comes of it is not tried.
const longestSettling = 5 * time.Second

// settled waits until a result that nobody can alter is final, or withdraws the question again where that takes too long.
func (t *trial) settled(ctx context.Context, p register.Proposal) (register.Proposal, error) {
	if p.State != register.ProposalStateOpen {
		return p, nil
	}
	if p.Signed {
		if err := t.change(ctx, operator, register.WithdrawProposal(p.ID), &p); err != nil {
			return p, err
		}
		return p, notTried("this board takes signed votes for it, and a run has no voter's own token")
	}
	if p.Settling != register.ProposalSettlingPassed || p.SettlesAt.IsZero() {
		return p, seen("every seat approved, and %s is neither closed nor settling: %+v", p.ID, p)
	}
	if time.Until(p.SettlesAt) > longestSettling {
		if err := t.change(ctx, operator, register.WithdrawProposal(p.ID), &p); err != nil {
			return p, err
		}
		return p, notTried("a result settles for longer than " + longestSettling.String() + " on this board")
	}
	for p.State == register.ProposalStateOpen {
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		if err := t.read(ctx, viewer, "/api/fleet/proposals/"+p.ID, &p); err != nil {
			return p, err
		}
	}
	return p, nil
}

// pass lets every seat approve.
func (t *trial) pass(ctx context.Context, on register.Proposal) (register.Proposal, error) {
	after := on
	for i, seat := range on.Roster {
		if seat.Recused != "" {
			continue
		}
		if after.State != register.ProposalStateOpen {
			return after, seen("%s is %s after %d of %d votes, though all must approve", on.ID, after.State, i, len(on.Roster))
		}
		var err error
		if after, err = t.cast(ctx, on, seat, register.VoteRequest{Verdict: register.VerdictApprove}); err != nil {
			return after, err
		}
	}
	var err error
	if after, err = t.settled(ctx, after); err != nil {
		return after, err
	}
	if after.State != register.ProposalStatePassed || after.ClosedAt.IsZero() {
		return after, seen("%s is %s although every seat approved", on.ID, after.State)
	}
	return after, nil
}

func seat(ctx context.Context, t *trial) error {
	seats, err := t.seats(ctx)
	if err != nil {
		return err
	}
	var kept register.Seat
	again := register.PutSeat(seats[0].Seat, register.SeatRequest{Lens: seats[0].Lens, Identity: seats[0].Identity, Deputy: seats[0].Deputy})
	if err := t.change(ctx, "", again, &kept); err != nil {
		return err
	}
	kept.Version = seats[0].Version // kept again, it may count as a change
	if kept != seats[0] {
		return seen("seated as %+v, it is answered as %+v", seats[0], kept)
	}
	return t.refused(ctx, register.ProblemCodeNotFound, "", register.PutSeat(seats[0].Seat, register.SeatRequest{
		Lens: seats[0].Lens, Identity: "conformance-nobody-" + t.id,
	}))
}

// sameSeat compares who sits where; a roster is no setting and has no versions, but knows who is its chair.
func sameSeat(a, b register.Seat) bool {
	a.Version, b.Version, a.Chair, b.Chair = 0, 0, false, false
	return a == b
}

func openProposal(ctx context.Context, t *trial) error {
	seats, err := t.seats(ctx)
	if err != nil {
		return err
	}
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	switch {
	case opened.State != register.ProposalStateOpen || opened.OpenedBy != operator || opened.Title != "Conformance run "+t.id:
		return seen("it was opened as %+v", opened)
	case !slices.EqualFunc(opened.Roster, seats, sameSeat):
		return seen("the seats are %+v, the roster %+v", seats, opened.Roster)
	case opened.Tally.Seats != len(seats) || opened.Tally.Needed != len(seats) || len(opened.Tally.Missing) != len(seats):
		return seen("the tally is %+v", opened.Tally)
	}
	var shown register.Proposal
	if err := t.read(ctx, viewer, "/api/fleet/proposals/"+opened.ID, &shown); err != nil {
		return err
	}
	if !reflect.DeepEqual(shown, opened) {
		return seen("%s was answered as %+v and is shown as %+v", opened.ID, opened, shown)
	}
	for state, want := range map[string]bool{"open": true, "passed": false} {
		var list register.ProposalList
		if err := t.read(ctx, viewer, "/api/fleet/proposals?limit=200&state="+state, &list); err != nil {
			return err
		}
		if slices.ContainsFunc(list.Proposals, func(p register.Proposal) bool { return p.ID == opened.ID }) != want {
			return seen("%s is open, and in the list of those that are %s: %t", opened.ID, state, !want)
		}
	}
	_, err = t.pass(ctx, opened)
	return err
}

func vote(ctx context.Context, t *trial) error {
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	first := opened.Roster[0]
	live := func(after register.Proposal, err error, verdict register.Verdict) error {
		switch {
		case err != nil:
			return err
		case after.State != register.ProposalStateOpen:
			return seen("%s is %s after one conditional vote", after.ID, after.State)
		case verdict == "" && (len(after.Votes) > 0 || after.Tally.Conditional > 0 || len(after.Tally.Missing) != len(opened.Roster)):
			return seen("after the withdrawal the votes are %+v, the tally %+v", after.Votes, after.Tally)
		case verdict != "" && (len(after.Votes) != 1 || after.Votes[0].Verdict != verdict || after.Votes[0].Actor != first.Identity):
			return seen("after the vote %s the votes are %+v", verdict, after.Votes)
		}
		return nil
	}
	after, err := t.cast(ctx, opened, first, register.VoteRequest{Verdict: register.VerdictConditional, Reason: "if it rains", EventID: "$first"})
	if err := live(after, err, register.VerdictConditional); err != nil {
		return err
	}
	after, err = t.cast(ctx, opened, first, register.VoteRequest{Verdict: register.VerdictConditional, Reason: "if it snows", EventID: "$second"})
	if err := live(after, err, register.VerdictConditional); err != nil {
		return err
	}
	after = register.Proposal{}
	err = t.change(ctx, first.Identity, register.WithdrawVote(opened.ID, first.Seat, "$first"), &after)
	if err := live(after, err, register.VerdictConditional); err != nil {
		return seen("an earlier vote was withdrawn: %w", err)
	}
	after = register.Proposal{}
	err = t.change(ctx, first.Identity, register.WithdrawVote(opened.ID, first.Seat, "$second"), &after)
	if err := live(after, err, ""); err != nil {
		return err
	}
	_, err = t.pass(ctx, opened)
	return err
}

func conditions(ctx context.Context, t *trial) error {
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	first := opened.Roster[0]
	if err := t.refused(ctx, register.ProblemCodeInvalid, first.Identity, register.CastVote(opened.ID, first.Seat, register.VoteRequest{Verdict: register.VerdictConditional})); err != nil {
		return err
	}
	after, err := t.cast(ctx, opened, first, register.VoteRequest{Verdict: register.VerdictConditional, Reason: "if it rains"})
	if err != nil || after.Tally.Conditional != 1 || after.Tally.Approve != 0 {
		return orSeen(err, "after a conditional vote the tally is %+v", after.Tally)
	}
	after = register.Proposal{}
	err = t.change(ctx, operator, register.AcceptConditions(opened.ID), &after)
	if err != nil || after.Tally.Conditional != 0 || after.Tally.Approve != 1 {
		return orSeen(err, "after its condition was accepted the tally is %+v", after.Tally)
	}
	if after.State != register.ProposalStateOpen {
		return nil // a board of one seat has decided
	}
	after = register.Proposal{}
	err = t.change(ctx, operator, register.WithdrawProposal(opened.ID), &after)
	if err != nil || after.State != register.ProposalStateWithdrawn {
		return orSeen(err, "withdrawn, %s is %s", opened.ID, after.State)
	}
	ballot := register.VoteRequest{Verdict: register.VerdictReject}
	return t.refused(ctx, register.ProblemCodeNotOpen, first.Identity, register.CastVote(opened.ID, first.Seat, ballot))
}

// orSeen is the error, or what was seen instead of what was promised.
func orSeen(err error, format string, arguments ...any) error {
	if err != nil {
		return err
	}
	return seen(format, arguments...)
}

func voteForOthers(ctx context.Context, t *trial) error {
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	ballot := register.VoteRequest{Verdict: register.VerdictReject}
	if err := t.refused(ctx, register.ProblemCodeNotSeated, operator, register.CastVote(opened.ID, opened.Roster[0].Seat, ballot)); err != nil {
		return err
	}
	_, err = t.pass(ctx, opened)
	return err
}

func decide(ctx context.Context, t *trial) error {
	opened, err := t.open(ctx, register.Action{})
	if err != nil {
		return err
	}
	passed, err := t.pass(ctx, opened)
	if err != nil {
		return err
	}
	if passed.Tally.Approve != len(opened.Roster) || len(passed.Tally.Missing) != 0 {
		return seen("every seat approved, and the tally is %+v", passed.Tally)
	}
	late := opened.Roster[0]
	ballot := register.VoteRequest{Verdict: register.VerdictReject}
	return t.refused(ctx, register.ProblemCodeNotOpen, late.Identity, register.CastVote(opened.ID, late.Seat, ballot))
}

// override is carried out on a dispatch whose deadline is over, which an override cannot help: it must not become ready.
func override(ctx context.Context, t *trial) error {
	if _, err := t.seats(ctx); err != nil {
		return err
	}
	ready, err := t.ready(ctx, t.role("override"))
	if err != nil {
		return err
	}
	lift := func(id string) register.Action {
		return register.Action{Kind: register.ActionKindOverride, Dispatch: id}
	}
	err = t.refused(ctx, register.ProblemCodeNotRefused, operator, register.OpenProposal(register.ProposalRequest{Title: "Conformance run " + t.id, Action: lift(ready.ID)}))
	if err != nil {
		return err
	}
	late, err := t.late(ctx, t.role("override"))
	if err != nil {
		return err
	}
	opened, err := t.open(ctx, lift(late.ID))
	if err != nil {
		return err
	}
	if opened.Action.Dispatch != late.ID || opened.ActionText == "" {
		return seen("it was opened with the action %+v, in words %q", opened.Action, opened.ActionText)
	}
	passed, err := t.pass(ctx, opened)
	if err == nil && (passed.Outcome.Text == "" || passed.Outcome.CarriedOut) {
		err = seen("%s is past its deadline, and the outcome is %+v", late.ID, passed.Outcome)
	}
	return err
}
