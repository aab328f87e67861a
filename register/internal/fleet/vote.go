package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Ballot is one vote as it is cast.
type Ballot struct {
	Verdict string
	Reason  string
	EventID string // the event that carried it
}

// CastVote casts or changes a seat's one live vote; what it replaces is kept as history. The vote that decides closes the
// proposal and carries out its action in the same transaction.
func (s *Store) CastVote(ctx context.Context, m Mutation, id ProposalID, seat string, ballot Ballot) (Proposal, error) {
	return s.vote(ctx, m, id, seat, func(t *transaction, live *Vote) (bool, error) {
		if live != nil && live.Verdict == ballot.Verdict && live.Reason == ballot.Reason && live.EventID == ballot.EventID {
			return false, nil
		}
		if err := t.endVote(ctx, id, seat); err != nil {
			return false, err
		}
		err := t.InsertVote(ctx, query.InsertVoteParams{
			TenantID: t.Tenant, Host: t.Host, ProposalID: int64(id), Seat: seat, Verdict: ballot.Verdict,
			Reason: ballot.Reason, Actor: t.actor, EventID: ballot.EventID, CastAt: t.now,
		})
		if err != nil {
			return false, fmt.Errorf("recording the vote: %w", err)
		}
		return true, nil
	})
}

// WithdrawVote withdraws a seat's live vote, if there is one; with an event, only if the vote came from that event.
func (s *Store) WithdrawVote(ctx context.Context, m Mutation, id ProposalID, seat, eventID string) (Proposal, error) {
	return s.vote(ctx, m, id, seat, func(t *transaction, live *Vote) (bool, error) {
		if live == nil || eventID != "" && live.EventID != eventID {
			return false, nil
		}
		return true, t.endVote(ctx, id, seat)
	})
}

// vote lets change alter one seat's live vote under the proposal's lock and then sees what the tally calls for.
func (s *Store) vote(ctx context.Context, m Mutation, id ProposalID, seat string, change func(*transaction, *Vote) (bool, error)) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		if err := mayVote(&proposal, seat, t.actor); err != nil {
			return Proposal{}, err
		}
		changed, err := change(t, proposal.vote(seat))
		if err != nil || !changed {
			return proposal, err
		}
		if proposal, err = t.proposal(ctx, id); err != nil {
			return Proposal{}, err
		}
		if err := t.tell(ctx, Event{Type: "proposal.voted", Proposal: &proposal}); err != nil {
			return Proposal{}, err
		}
		state := proposal.Tally.decided(proposal.Quorum)
		if state == ProposalOpen {
			return proposal, nil
		}
		return t.closeProposal(ctx, &proposal, state)
	})
}

// lockProposal locks a proposal and reads it and the clock.
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
	if err == nil && proposal.State == ProposalOpen && !proposal.ClosesAt.After(t.now) {
		return Proposal{}, notOpen(&proposal, "closed at "+proposal.ClosesAt.Format("2006-01-02 15:04:05 UTC"))
	}
	return proposal, err
}

func mayVote(proposal *Proposal, seat, actor string) error {
	if proposal.State != ProposalOpen {
		return notOpen(proposal, "is "+proposal.State)
	}
	for _, seated := range proposal.Roster {
		if seated.Seat == seat && seated.Identity == actor {
			return nil
		}
	}
	return &Error{
		Code:     CodeNotSeated,
		Detail:   fmt.Sprintf("%s did not hold the seat %s when %s was opened.", actor, seat, proposal.ID),
		NextStep: "Only the seat's holder votes for it.",
	}
}

func notOpen(proposal *Proposal, state string) error {
	return &Error{
		Code:     CodeNotOpen,
		Detail:   fmt.Sprintf("%s %s; votes no longer change it.", proposal.ID, state),
		NextStep: "Open a new proposal if the question is still open.",
	}
}

func (p *Proposal) vote(seat string) *Vote {
	for i := range p.Votes {
		if p.Votes[i].Seat == seat {
			return &p.Votes[i]
		}
	}
	return nil
}

func (t *transaction) endVote(ctx context.Context, id ProposalID, seat string) error {
	err := t.EndVote(ctx, query.EndVoteParams{TenantID: t.Tenant, ProposalID: int64(id), Seat: seat, Now: t.now, EndedBy: t.actor})
	if err != nil {
		return fmt.Errorf("ending the former vote: %w", err)
	}
	return nil
}
