package fleet

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Ballot is one vote as it is cast.
type Ballot struct {
	Verdict string
	Reason  string
	EventID string    // the event that carried it
	At      time.Time // when it was cast, by the homeserver's clock; zero is now
	How     string    // HowReaction, HowSigned or HowToken
	Review  Review
}

// Withdrawal takes votes back.
type Withdrawal struct {
	EventID string    // only the vote that this event carried; empty is every vote of the actor for the seat
	By      string    // the event that took it back
	At      time.Time // zero is now
	How     string
}

// CastVote casts a vote for a seat. Every vote is kept until it is withdrawn, and the last one counts: a vote that comes late, twice
// or out of order changes nothing but what it would have changed in its time.
func (s *Store) CastVote(ctx context.Context, m Mutation, id ProposalID, seat string, ballot Ballot) (Proposal, error) {
	return s.vote(ctx, m, id, seat, ballot.At, func(t *transaction, proposal *Proposal, at time.Time) (string, error) {
		if ballot.Verdict == VerdictConditional && ballot.Reason == "" && (!proposal.Signed || ballot.How != HowReaction) {
			return "", &Error{
				Code: CodeInvalid, Field: "reason", Detail: "A conditional vote needs its condition as a reason.",
				Example: "after the freeze", NextStep: "Say the condition.",
			}
		}
		return t.cast(ctx, proposal, seat, ballot, at)
	})
}

func (t *transaction) cast(ctx context.Context, proposal *Proposal, seat string, ballot Ballot, at time.Time) (string, error) {
	params := query.InsertVoteParams{
		TenantID: t.Tenant, Host: t.Host, ProposalID: int64(proposal.ID), Seat: seat, Verdict: ballot.Verdict, Reason: ballot.Reason,
		Actor: t.actor, EventID: ballot.EventID, CastAt: at, How: ballot.How,
	}
	if !ballot.Review.empty() {
		params.Review = encode(ballot.Review)
	}
	cause := fmt.Sprintf("%s voted %s for the seat %s (%s).", t.actor, ballot.Verdict, seat, cameBy(ballot.How, ballot.EventID))
	if ballot.EventID == "" {
		if last := lastOf(proposal.standing, t.actor); last != nil && last.Seat == seat && last.same(&ballot) {
			return "", nil
		}
	} else {
		known, err := t.knows(ctx, proposal.ID, ballot.EventID)
		if err != nil || known {
			return "", err
		}
		back, err := t.GetWithdrawal(ctx, query.GetWithdrawalParams{TenantID: t.Tenant, ProposalID: int64(proposal.ID), EventID: ballot.EventID, Actor: t.actor})
		if err == nil {
			params.EndedAt, params.EndedBy, params.EndedEvent = &t.now, &t.actor, back.ByEvent
			cause = fmt.Sprintf("%s took the vote of the event %s for the seat %s back before it arrived.", t.actor, ballot.EventID, seat)
		} else if !none(err) {
			return "", fmt.Errorf("looking whether the vote was withdrawn: %w", err)
		}
	}
	if err := t.InsertVote(ctx, params); err != nil {
		return "", fmt.Errorf("recording the vote: %w", err)
	}
	return cause, nil
}

func (t *transaction) knows(ctx context.Context, id ProposalID, event string) (bool, error) {
	_, err := t.VoteOfEvent(ctx, query.VoteOfEventParams{TenantID: t.Tenant, ProposalID: int64(id), EventID: event, Actor: t.actor})
	if err != nil && !none(err) {
		return false, fmt.Errorf("looking for the vote's event: %w", err)
	}
	return err == nil, nil
}

func (v *Vote) same(ballot *Ballot) bool {
	return v.Verdict == ballot.Verdict && v.Reason == ballot.Reason && v.How == ballot.How && v.EventID == "" && ballot.Review.empty() && v.empty()
}

// WithdrawVote takes back the vote that an event carried, or every vote of the actor for the seat. One that has not arrived yet will not
// count when it does. What came signed is taken back only by what is signed too.
func (s *Store) WithdrawVote(ctx context.Context, m Mutation, id ProposalID, seat string, back Withdrawal) (Proposal, error) {
	return s.vote(ctx, m, id, seat, back.At, func(t *transaction, proposal *Proposal, at time.Time) (string, error) {
		var ids []int64
		for _, vote := range proposal.standing {
			named := back.EventID == "" || back.EventID == vote.EventID
			signed := proposal.Signed && vote.How != HowReaction && back.How == HowReaction
			if vote.Seat == seat && vote.Actor == t.actor && named && !signed && !vote.CastAt.After(at) {
				ids = append(ids, vote.id)
			}
		}
		if len(ids) > 0 {
			err := t.EndVote(ctx, query.EndVoteParams{TenantID: t.Tenant, Ids: ids, Now: t.now, EndedBy: t.actor, EndedEvent: back.By, Host: t.Host})
			if err != nil {
				return "", fmt.Errorf("withdrawing the vote: %w", err)
			}
			return fmt.Sprintf("%s took back %s for the seat %s (%s).", t.actor, which(back.EventID), seat, cameBy(back.How, back.By)), nil
		}
		if back.EventID == "" {
			return "", nil
		}
		known, err := t.knows(ctx, id, back.EventID)
		if err != nil || known {
			return "", err
		}
		err = t.InsertWithdrawal(ctx, query.InsertWithdrawalParams{
			TenantID: t.Tenant, ProposalID: int64(id), EventID: back.EventID, Actor: t.actor, Host: t.Host, ByEvent: back.By, At: at,
		})
		if err != nil {
			return "", fmt.Errorf("keeping a withdrawal for when its vote arrives: %w", err)
		}
		return fmt.Sprintf("%s took back the vote of the event %s for the seat %s, which has not arrived (%s).", t.actor, back.EventID, seat, cameBy(back.How, back.By)), nil
	})
}

// cameBy is what a vote or withdrawal came by, for the audit.
func cameBy(how, event string) string {
	if event == "" {
		return how
	}
	return how + ", event " + event
}

func which(event string) string {
	if event == "" {
		return "every vote"
	}
	return "the vote of the event " + event
}

// vote lets change alter what stands under the proposal's lock, says why, and then sees what the tally calls for.
func (s *Store) vote(ctx context.Context, m Mutation, id ProposalID, seat string, cast time.Time, change func(*transaction, *Proposal, time.Time) (string, error)) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		at, err := castAt(&proposal, cast, t.now)
		if err != nil {
			return Proposal{}, err
		}
		if err := mayVote(&proposal, seat, t.actor); err != nil {
			return Proposal{}, err
		}
		cause, err := change(t, &proposal, at)
		if err != nil || cause == "" {
			return proposal, err
		}
		return t.weigh(ctx, id, cause)
	})
}

// castAt is the instant that counts: the homeserver's, but never in the future and never before the question was there. It must
// not be past the end; what was cast in time counts as long as the proposal waits for the rooms to be read.
func castAt(proposal *Proposal, cast, now time.Time) (time.Time, error) {
	if cast.IsZero() || cast.After(now) {
		cast = now
	}
	cast = cast.UTC().Truncate(time.Microsecond)
	if cast.Before(proposal.OpenedAt) {
		cast = proposal.OpenedAt
	}
	if cast.After(proposal.ends()) {
		return cast, notOpen(proposal, "closed to votes at "+proposal.ends().Format("2006-01-02 15:04:05 UTC"))
	}
	return cast, nil
}

// weigh reads a proposal anew after a change and closes it, or lets it settle, if the seats that are still to vote cannot alter the result.
func (t *transaction) weigh(ctx context.Context, id ProposalID, cause string) (Proposal, error) {
	proposal, err := t.proposal(ctx, id)
	if err != nil {
		return Proposal{}, err
	}
	board, err := readBoard(ctx, t.Queries, t.Tenant)
	if err != nil {
		return Proposal{}, err
	}
	state := proposal.Tally.decided(proposal.Quorum)
	atOnce := state != ProposalOpen && board.SettleSeconds == 0
	if !atOnce {
		if err := t.settleOnState(ctx, &proposal, state, time.Duration(board.SettleSeconds)*time.Second); err != nil {
			return Proposal{}, err
		}
	}
	if err := t.tell(ctx, Event{Type: "proposal.voted", Cause: cause, Proposal: &proposal}); err != nil {
		return Proposal{}, err
	}
	if atOnce {
		return t.closeProposal(ctx, &proposal, state, nil)
	}
	return proposal, nil
}

// settleOnState starts the settling time when the result becomes certain, and ends it when it no longer is.
func (t *transaction) settleOnState(ctx context.Context, proposal *Proposal, state string, settle time.Duration) error {
	if state == ProposalOpen {
		state = ""
	}
	if state == proposal.Settling {
		return nil
	}
	proposal.Settling, proposal.SettlesAt = state, time.Time{}
	if state != "" {
		proposal.SettlesAt = t.now.Add(settle)
	}
	err := t.SettleProposal(ctx, query.SettleProposalParams{
		TenantID: t.Tenant, ID: int64(proposal.ID), Settling: state, SettlesAt: pointer(proposal.SettlesAt), Host: t.Host,
	})
	if err != nil {
		return fmt.Errorf("letting %s settle: %w", proposal.ID, err)
	}
	return nil
}

// lockProposal locks a proposal that is open and reads it and the clock.
func (t *transaction) lockProposal(ctx context.Context, id ProposalID) (Proposal, error) {
	if _, err := t.LockProposal(ctx, query.LockProposalParams{TenantID: t.Tenant, ID: int64(id)}); none(err) {
		return Proposal{}, noProposal(id)
	} else if err != nil {
		return Proposal{}, fmt.Errorf("locking the proposal: %w", err)
	}
	if err := t.readClock(ctx); err != nil {
		return Proposal{}, err
	}
	proposal, err := t.proposal(ctx, id)
	if err == nil && proposal.State != ProposalOpen {
		return Proposal{}, notOpen(&proposal, "is "+proposal.State)
	}
	return proposal, err
}

func mayVote(proposal *Proposal, seat, actor string) error {
	for _, seated := range proposal.Roster {
		if seated.Seat != seat || seated.Identity != actor && seated.Deputy != actor {
			continue
		}
		if seated.Recused == "" {
			return nil
		}
		return &Error{
			Code: CodeNotSeated, Detail: fmt.Sprintf("The seat %s does not vote on %s: %s.", seat, proposal.ID, seated.Recused),
			NextStep: "The other seats decide it.",
		}
	}
	return &Error{
		Code:     CodeNotSeated,
		Detail:   fmt.Sprintf("%s did not hold the seat %s when %s was opened.", actor, seat, proposal.ID),
		NextStep: "Only the seat's holder votes for it, or the deputy it had then.",
	}
}

func notOpen(proposal *Proposal, state string) error {
	return &Error{
		Code:     CodeNotOpen,
		Detail:   fmt.Sprintf("%s %s; votes no longer change it.", proposal.ID, state),
		NextStep: "Open a new proposal if the question is still open.",
	}
}
