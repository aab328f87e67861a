package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// closeProposal closes a proposal and, when it passed, carries out its action. Unread are the rooms it no longer waited for.
func (t *transaction) closeProposal(ctx context.Context, proposal *Proposal, state string, unread []string) (Proposal, error) {
	params := query.CloseProposalParams{
		TenantID: t.Tenant, ID: int64(proposal.ID), State: state, Host: t.Host, Now: t.now, ClosedBy: t.actor, Unread: append([]string{}, unread...),
	}
	var caused []Event
	if state == ProposalPassed && proposal.Action != nil {
		var outcome Outcome
		var err error
		if outcome, caused, err = t.carryOut(ctx, proposal); err != nil {
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
	cause := ""
	if len(unread) > 0 {
		cause = fmt.Sprintf("%s closed although %s was not known to be read to the end.", proposal.ID, strings.Join(unread, ", "))
	}
	for _, event := range append([]Event{{Type: "proposal.closed", Cause: cause, Proposal: &closed}}, caused...) {
		if err := t.tell(ctx, event); err != nil {
			return Proposal{}, err
		}
	}
	return closed, nil
}

// carryOut does what the board decided in a savepoint: if a rule refuses it, the proposal still closes as passed, with the reason.
// The events it causes are the caller's to tell, after the one of the decision.
func (t *transaction) carryOut(ctx context.Context, proposal *Proposal) (Outcome, []Event, error) {
	if err := t.writes.flush(ctx); err != nil { // what came before the savepoint must not go with it
		return Outcome{}, nil, err
	}
	var caused []Event
	var outcome Outcome
	err := pgx.BeginFunc(ctx, t.writes.tx, func(savepoint pgx.Tx) error {
		inner := *t
		inner.on(savepoint)
		inner.untold = &caused
		var err error
		if outcome, err = inner.act(ctx, proposal); err != nil {
			return err
		}
		if err := inner.writes.flush(ctx); err != nil {
			return err
		}
		t.change, t.spoke, t.incidents = inner.change, inner.spoke, inner.incidents
		return nil
	})
	var refusal *Error
	if errors.As(err, &refusal) {
		return Outcome{Text: refusal.Detail + " " + refusal.NextStep}, nil, nil
	}
	return outcome, caused, err
}

// act carries the action out in the name of who asked for it, with the board's decision behind it.
func (t *transaction) act(ctx context.Context, proposal *Proposal) (Outcome, error) {
	action := proposal.Action
	if action.Kind == ActionOverride {
		return t.override(ctx, proposal)
	}
	t.actor = proposal.OpenedBy
	if action.Kind == ActionGrant {
		return t.grantFor(ctx, proposal)
	}
	if err := t.mayAskFor(ctx, action.Kind, proposal.OpenedBy); err != nil {
		return Outcome{}, err
	}
	switch action.Kind {
	case ActionPause, ActionResume:
		reason := action.Reason
		if reason == "" {
			reason = fmt.Sprintf("The board decided so in %s.", proposal.ID)
		}
		now, err := t.switchPause(ctx, action.Kind == ActionPause, reason)
		text := "The fleet runs."
		if now.Paused {
			text = "The fleet is paused."
		}
		return Outcome{CarriedOut: err == nil, Text: text}, err
	case ActionDispatch:
		return t.dispatchFor(ctx, proposal)
	}
	return Outcome{}, &Error{Code: CodeInvalid, Detail: action.Kind + " is nothing this gateway can carry out.", NextStep: "Do it by hand."}
}

// grantFor lifts a window as the board decided.
func (t *transaction) grantFor(ctx context.Context, proposal *Proposal) (Outcome, error) {
	wanted := *proposal.Action.Grant
	wanted.Proposal = &proposal.ID
	if wanted.Reason == "" {
		wanted.Reason = fmt.Sprintf("The board decided so in %s.", proposal.ID)
	}
	change, err := t.grantOverride(ctx, wanted)
	if err != nil {
		return Outcome{}, err
	}
	text := fmt.Sprintf("%s is granted.", change.Override.ID)
	if len(change.Replanned) > 0 {
		text += fmt.Sprintf(" Waiting work was planned anew: %d.", len(change.Replanned))
	}
	return Outcome{CarriedOut: true, Text: text}, nil
}

// dispatchFor asks for the work; that the ladder refuses it is an outcome, and what would be refused for itself was so at opening.
func (t *transaction) dispatchFor(ctx context.Context, proposal *Proposal) (Outcome, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return Outcome{}, err
	}
	dispatch, err := t.admitOne(ctx, b, *proposal.Action.Ask)
	if err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{CarriedOut: dispatch.State != StateRefused, Text: fmt.Sprintf("%s is %s. %s", dispatch.ID, dispatch.State, dispatch.Reason)}
	return outcome, t.closeBook(ctx, b)
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
	decision, reason, err := t.judge(ctx, b, &row)
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
	_, err = t.closeIfDue(ctx, &proposal)
	return err
}

// closeIfDue closes a proposal whose voting has ended, once every room it is voted on in was read to that end, or was waited for long enough.
func (t *transaction) closeIfDue(ctx context.Context, proposal *Proposal) (Proposal, error) {
	ends := proposal.ends()
	if ends.After(t.now) {
		return *proposal, nil
	}
	unread, err := t.unread(ctx, proposal.ID, ends)
	if err != nil {
		return Proposal{}, err
	}
	if len(unread) > 0 {
		board, err := readBoard(ctx, t.Queries, t.Tenant)
		if err != nil {
			return Proposal{}, err
		}
		if t.now.Before(ends.Add(time.Duration(board.ReadWithinSeconds) * time.Second)) {
			return *proposal, nil
		}
	}
	return t.closeProposal(ctx, proposal, proposal.Tally.expired(proposal.Quorum), unread)
}
