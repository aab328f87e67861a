package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Retry is what a dispatch that is asked for again is given anew.
type Retry struct {
	Reason   string
	Deadline time.Time // zero keeps what was asked for, unless it is over
	FinishBy time.Time // zero keeps what was asked for, unless it is over
	Takes    time.Duration
	Origin   json.RawMessage // nil keeps it
}

// RetryDispatch asks again for work that failed, was cancelled or was refused, as a new dispatch through the same gate. Each is
// retried once; what became of the retry is retried as that one.
func (s *Store) RetryDispatch(ctx context.Context, m Mutation, id DispatchID, retry Retry) (Dispatch, error) {
	return once(ctx, s, m, func(t *transaction) (Dispatch, error) {
		b, err := t.openBook(ctx)
		if err != nil {
			return Dispatch{}, err
		}
		row, err := t.lockDispatch(ctx, id)
		if err != nil {
			return Dispatch{}, err
		}
		if err := t.retryable(ctx, &row); err != nil {
			return Dispatch{}, err
		}
		ask, err := t.askAgain(ctx, &row, retry)
		if err != nil {
			return Dispatch{}, err
		}
		dispatch, err := t.admitOne(ctx, b, ask)
		if err != nil {
			return Dispatch{}, err
		}
		return dispatch, t.closeBook(ctx, b)
	})
}

func (t *transaction) retryable(ctx context.Context, row *query.Dispatch) error {
	id := DispatchID(row.ID)
	switch row.State {
	case StateFailed, StateCancelled, StateRefused:
	case StateDone:
		return &Error{
			Code: CodeNotRetryable, Detail: fmt.Sprintf("%s is done; only what failed, was cancelled or refused can be retried.", id),
			NextStep: "Dispatch the work anew if it is wanted twice.",
		}
	default:
		return &Error{
			Code: CodeNotRetryable, Detail: fmt.Sprintf("%s is %s; only what failed, was cancelled or refused can be retried.", id, row.State),
			NextStep: "Cancel it first, or wait until it has ended.",
		}
	}
	later, err := t.retriedAs(ctx, []int64{row.ID})
	if err != nil {
		return err
	}
	if as, retried := later[row.ID]; retried {
		return &Error{
			Code: CodeAlreadyRetried, Detail: fmt.Sprintf("%s was retried already, as %s.", id, DispatchID(as)),
			NextStep: fmt.Sprintf("Retry %s if that did not do either.", DispatchID(as)),
		}
	}
	return nil
}

// retriedAs is which dispatches were retried, each by the one that retries it.
func (t *transaction) retriedAs(ctx context.Context, ids []int64) (map[int64]int64, error) {
	rows, err := t.RetryOf(ctx, query.RetryOfParams{TenantID: t.Tenant, Dispatches: ids})
	if err != nil {
		return nil, fmt.Errorf("looking for retries: %w", err)
	}
	out := make(map[int64]int64, len(rows))
	for _, row := range rows {
		out[*row.RetryOf] = row.ID
	}
	return out, nil
}

// askAgain is what was asked, with what is given anew. A latest start or finish that is over is dropped: it would only refuse the
// retry at once, which nobody who retries wants.
func (t *transaction) askAgain(ctx context.Context, row *query.Dispatch, retry Retry) (Ask, error) {
	again := Ask{
		Role: row.Role, Brief: row.Brief, BriefClass: row.BriefClass, Project: row.Project, Mission: row.Mission,
		Model: row.ModelRequested, Exact: row.Exact, Priority: int(row.Priority), Origin: row.Origin,
		ContextTokens: row.ContextTokens, MaxAttempts: int(row.MaxAttempts), retryOf: row.ID, bare: row.Bare,
	}
	if err := json.Unmarshal(row.Estimate, &again.Estimate); err != nil {
		return Ask{}, fmt.Errorf("reading the estimate of %s: %w", DispatchID(row.ID), err)
	}
	if retry.Origin != nil {
		again.Origin = retry.Origin
	}
	dependsOn, err := t.newest(ctx, row.DependsOn)
	if err != nil {
		return Ask{}, err
	}
	again.DependsOn = identifiers(dependsOn)
	notes := []string{fmt.Sprintf("Retry of %s.", DispatchID(row.ID))}
	if retry.Reason != "" {
		notes[0] = stopped(fmt.Sprintf("Retry of %s: %s", DispatchID(row.ID), retry.Reason))
	}
	if dropped := again.keepTimes(row, retry, t.now); dropped != "" {
		notes = append(notes, dropped)
	}
	again.note = strings.Join(notes, " ")
	return again, nil
}

// keepTimes takes over when it has to start or be over, and says what of it was dropped.
func (a *Ask) keepTimes(row *query.Dispatch, retry Retry, now time.Time) (dropped string) {
	a.Deadline, a.FinishBy, a.Takes = retry.Deadline, retry.FinishBy, retry.Takes
	if !retry.Deadline.IsZero() || !retry.FinishBy.IsZero() {
		return ""
	}
	const over = "Its %s %s is over and was dropped."
	switch {
	case row.FinishBy != nil && now.Before(*row.FinishBy):
		a.FinishBy = instant(row.FinishBy)
		var expected Expected
		if json.Unmarshal(row.Expected, &expected) == nil && expected.From == takesGiven {
			a.Takes = expected.duration()
		}
	case row.FinishBy != nil:
		return fmt.Sprintf(over, "finish by", instant(row.FinishBy).Format("2006-01-02 15:04:05 UTC"))
	case row.Deadline != nil && !now.After(*row.Deadline):
		a.Deadline = instant(row.Deadline)
	case row.Deadline != nil:
		return fmt.Sprintf(over, "deadline", instant(row.Deadline).Format("2006-01-02 15:04:05 UTC"))
	}
	return ""
}

// newest replaces what was retried meanwhile by its newest retry, so that a chain of work can be retried from its first link on.
func (t *transaction) newest(ctx context.Context, ids []int64) ([]int64, error) {
	ids = slices.Clone(ids)
	for len(ids) > 0 {
		later, err := t.retriedAs(ctx, ids)
		if err != nil || len(later) == 0 {
			return ids, err
		}
		for i, id := range ids {
			if as, retried := later[id]; retried {
				ids[i] = as
			}
		}
	}
	return ids, nil
}
