package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// AcceptConditions makes the conditional votes that stand approvals. Only who proposed it can, since the conditions bind who proposed it;
// for what the register opened by itself, an admin or who asked for the work.
func (s *Store) AcceptConditions(ctx context.Context, m Mutation, id ProposalID) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		if _, err := castAt(&proposal, time.Time{}, t.now); err != nil {
			return Proposal{}, err
		}
		if err := t.mustBeProposer(ctx, &proposal, "accept conditions for"); err != nil {
			return Proposal{}, err
		}
		var ids []int64
		for _, vote := range proposal.Votes {
			if vote.Verdict == VerdictConditional && !vote.Accepted {
				ids = append(ids, vote.id)
			}
		}
		if len(ids) == 0 {
			return Proposal{}, &Error{
				Code: CodeInvalid, Detail: fmt.Sprintf("No vote on %s has a condition that is not accepted.", id),
				NextStep: "Look at the votes; there is nothing to accept.",
			}
		}
		if err := t.AcceptVotes(ctx, query.AcceptVotesParams{TenantID: t.Tenant, Ids: ids, Host: t.Host}); err != nil {
			return Proposal{}, fmt.Errorf("accepting the conditions: %w", err)
		}
		return t.weigh(ctx, id, fmt.Sprintf("%s accepted the conditions.", t.actor))
	})
}

// WithdrawProposal ends a proposal without a decision; nothing is carried out.
func (s *Store) WithdrawProposal(ctx context.Context, m Mutation, id ProposalID) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		if err := t.mustBeProposer(ctx, &proposal, "withdraw", "admin"); err != nil {
			return Proposal{}, err
		}
		return t.closeProposal(ctx, &proposal, ProposalWithdrawn, nil)
	})
}

// HastenProposal ends voting after the settling time instead of at the deadline: for the chair or an admin.
func (s *Store) HastenProposal(ctx context.Context, m Mutation, id ProposalID) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		proposal, err := t.lockProposal(ctx, id)
		if err != nil {
			return Proposal{}, err
		}
		chair := slices.ContainsFunc(proposal.Roster, func(seat Seat) bool { return seat.Chair && seat.Identity == t.actor })
		if admin, err := t.has(ctx, t.actor, "admin"); err != nil || !admin && !chair {
			return Proposal{}, orForbidden(err, fmt.Sprintf("%s may not close %s; that takes its chair or an admin.", t.actor, id))
		}
		board, err := readBoard(ctx, t.Queries, t.Tenant)
		if err != nil {
			return Proposal{}, err
		}
		ends := t.now.Add(time.Duration(board.SettleSeconds) * time.Second)
		if proposal.ends().After(ends) {
			proposal.ClosesAt = ends
			if err := t.Queries.HastenProposal(ctx, query.HastenProposalParams{TenantID: t.Tenant, ID: int64(id), ClosesAt: ends, Host: t.Host}); err != nil {
				return Proposal{}, fmt.Errorf("bringing the deadline of %s forward: %w", id, err)
			}
			err := t.tell(ctx, Event{Type: "proposal.voted", Cause: fmt.Sprintf("%s ends the voting early.", t.actor), Proposal: &proposal})
			if err != nil {
				return Proposal{}, err
			}
		}
		return t.closeIfDue(ctx, &proposal)
	})
}

// mustBeProposer refuses everybody but who proposed it and those with a role.
func (t *transaction) mustBeProposer(ctx context.Context, proposal *Proposal, verb string, roles ...string) error {
	proposer := proposal.OpenedBy
	if proposer == Time {
		roles = append(roles, "admin")
		if action := proposal.Action; action != nil && action.Kind == ActionOverride {
			row, err := t.GetDispatch(ctx, query.GetDispatchParams{TenantID: t.Tenant, ID: int64(action.Dispatch)})
			if err != nil {
				return fmt.Errorf("reading %s: %w", action.Dispatch, err)
			}
			proposer = row.CreatedBy
		}
	}
	if proposer == t.actor {
		return nil
	}
	allowed, err := t.has(ctx, t.actor, roles...)
	if err == nil && allowed {
		return nil
	}
	return orForbidden(err, fmt.Sprintf("%s may not %s %s; %s may.", t.actor, verb, proposal.ID, proposer))
}

func (t *transaction) has(ctx context.Context, name string, roles ...string) (bool, error) {
	row, err := t.GetIdentity(ctx, query.GetIdentityParams{TenantID: t.Tenant, Name: name})
	if none(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking up %s: %w", name, err)
	}
	return identityOf(row).Has(roles...), nil
}

func orForbidden(err error, detail string) error {
	if err != nil {
		return err
	}
	return &Error{Code: CodeForbidden, Detail: detail, NextStep: "Ask one who may."}
}
