package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// closeProposal closes a proposal and, when it passed, carries out its action.
func (t *transaction) closeProposal(ctx context.Context, proposal *Proposal, state string) (Proposal, error) {
	params := query.CloseProposalParams{TenantID: t.Tenant, ID: int64(proposal.ID), State: state, Host: t.Host, Now: t.now}
	if state == ProposalPassed && proposal.Action != nil {
		outcome, err := t.carryOut(ctx, proposal)
		if err != nil {
			return Proposal{}, err
		}
		params.CarriedOut, params.Outcome = &outcome.CarriedOut, outcome.Text
	}
	if err := t.CloseProposal(ctx, params); err != nil {
		return Proposal{}, fmt.Errorf("closing %s: %w", proposal.ID, err)
	}
	closed, err := t.proposal(ctx, proposal.ID)
	if err != nil {
		return Proposal{}, err
	}
	return closed, t.tell(ctx, Event{Type: "proposal.closed", Proposal: &closed})
}

// carryOut does what the board decided in a savepoint: if a rule refuses it, the proposal still closes as passed, with the reason.
func (t *transaction) carryOut(ctx context.Context, proposal *Proposal) (Outcome, error) {
	if err := t.writes.flush(ctx); err != nil { // what came before the savepoint must not go with it
		return Outcome{}, err
	}
	var outcome Outcome
	err := pgx.BeginFunc(ctx, t.writes.tx, func(savepoint pgx.Tx) error {
		inner := *t
		inner.on(savepoint)
		var err error
		if outcome, err = inner.override(ctx, proposal); err != nil {
			return err
		}
		t.change = inner.change
		return inner.writes.flush(ctx)
	})
	var refusal *Error
	if errors.As(err, &refusal) {
		return Outcome{Text: refusal.Detail + " " + refusal.NextStep}, nil
	}
	return outcome, err
}

// override lifts the pace for a refused dispatch and sends it through the gate.
func (t *transaction) override(ctx context.Context, proposal *Proposal) (Outcome, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return Outcome{}, err
	}
	row, err := t.lockDispatch(ctx, proposal.Action.Dispatch)
	if err != nil {
		return Outcome{}, err
	}
	if row.State != StateRefused {
		return Outcome{}, &Error{
			Code:     CodeNotRefused,
			Detail:   fmt.Sprintf("%s is %s by now, not refused.", proposal.Action.Dispatch, row.State),
			NextStep: "Nothing needs to be overridden.",
		}
	}
	later, err := t.retriedAs(ctx, []int64{row.ID})
	if err != nil {
		return Outcome{}, err
	}
	if as, retried := later[row.ID]; retried {
		return Outcome{}, &Error{
			Code: CodeNotRefused, Detail: fmt.Sprintf("%s was retried as %s by now.", proposal.Action.Dispatch, DispatchID(as)),
			NextStep: "Nothing needs to be overridden.",
		}
	}
	if err := t.learnUndone(ctx, b, row); err != nil {
		return Outcome{}, err
	}
	if err := b.neverAfter(row.DependsOn); err != nil {
		return Outcome{}, err
	}
	number := int64(proposal.ID)
	err = t.InsertOverride(ctx, query.InsertOverrideParams{
		TenantID: t.Tenant, Host: t.Host, DispatchID: &row.ID, ProposalID: &number, Actor: t.actor, At: t.now,
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("recording the override: %w", err)
	}
	t.change.Replan = true
	row.Lifted = true
	decision, reason, err := t.judge(b, &row)
	if err != nil {
		return Outcome{}, err
	}
	dispatch, err := t.place(ctx, b, &row, &decision, reason)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{
		CarriedOut: dispatch.State == StateReady || dispatch.State == StateQueued && (b.pause != nil || decision.Missing != ""),
		Text:       fmt.Sprintf("%s is %s. %s", dispatch.ID, dispatch.State, dispatch.Reason),
	}
	return outcome, t.closeBook(ctx, b)
}

// closeDueProposals closes what is past its time, each in a transaction of its own.
func (s *Store) closeDueProposals(ctx context.Context) error {
	var due []int64
	err := s.read(ctx, func(t *transaction) error {
		var err error
		due, err = t.DueProposals(ctx, query.DueProposalsParams{TenantID: t.Tenant, Now: t.now})
		if err != nil {
			return fmt.Errorf("looking for proposals past their time: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := s.within(ctx, func(t *transaction) error { return t.closeDue(ctx, ProposalID(id)) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) closeDue(ctx context.Context, id ProposalID) error {
	row, err := t.LockProposal(ctx, query.LockProposalParams{TenantID: t.Tenant, ID: int64(id)})
	if err != nil {
		return fmt.Errorf("locking the proposal: %w", err)
	}
	if row.State != ProposalOpen {
		return nil // another gateway closed it
	}
	if err := t.readClock(ctx); err != nil {
		return err
	}
	proposal, err := t.proposal(ctx, id)
	if err != nil {
		return err
	}
	_, err = t.closeProposal(ctx, &proposal, proposal.Tally.expired(proposal.Quorum))
	return err
}
