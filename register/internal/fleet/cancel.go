package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// CancelDispatch ends an open dispatch and frees what it holds; a running worker learns it at its next heartbeat, and what
// it metered so far is committed.
func (s *Store) CancelDispatch(ctx context.Context, m Mutation, id DispatchID, reason string) (Dispatch, error) {
	return once(ctx, s, m, func(t *transaction) (Dispatch, error) {
		b, err := t.openBook(ctx)
		if err != nil {
			return Dispatch{}, err
		}
		row, err := t.lockDispatch(ctx, id)
		if err != nil {
			return Dispatch{}, err
		}
		switch row.State {
		case StateQueued, StateReady, StateRunning:
			return t.cancel(ctx, b, &row, reason)
		}
		return Dispatch{}, &Error{
			Code:     CodeNotOpen,
			Detail:   fmt.Sprintf("%s is already %s and cannot be cancelled.", id, row.State),
			NextStep: "How it ended stands in its record.",
		}
	})
}

func (t *transaction) cancel(ctx context.Context, b *book, row *query.Dispatch, reason string) (Dispatch, error) {
	t.change.Replan = true
	metered, err := meteredOf(row)
	if err != nil {
		return Dispatch{}, err
	}
	if err := t.settle(ctx, b, row, metered, kindMetered, false); err != nil {
		return Dispatch{}, err
	}
	b.leaveLines(row.ID)
	row.State, row.FinishedAt, row.ClaimExpiresAt = StateCancelled, &t.now, nil
	clearWait(row)
	row.Reason = fmt.Sprintf("Cancelled by %s.", t.actor)
	if reason != "" {
		row.Reason = fmt.Sprintf("Cancelled by %s: %s", t.actor, reason)
	}
	dispatch, err := t.putAndTell(ctx, row, "dispatch.cancelled")
	if err != nil {
		return Dispatch{}, err
	}
	if err := t.endDependents(ctx, b, row); err != nil {
		return Dispatch{}, err
	}
	return dispatch, t.closeBook(ctx, b)
}

func (b *book) leaveLines(id int64) {
	for s := range b.fleet.Subscriptions {
		for w := range b.fleet.Subscriptions[s].Windows {
			b.fleet.Subscriptions[s].Windows[w].Leave(id)
		}
	}
}
