package fleet

import (
	"context"
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Sweep does what only time asks for: lost workers' claims end, silent agents are gone, work that nobody claims returns its hold,
// what nobody acknowledged rings again, and proposals past their time close. Any gateway may call it at any time.
func (s *Store) Sweep(ctx context.Context) error {
	for _, sweep := range []func(context.Context) error{s.expireClaims, s.loseAgents, s.returnUnclaimed, s.endOverrides, s.ringAgain} {
		if err := sweep(ctx); err != nil {
			return err
		}
	}
	return s.closeDueProposals(ctx)
}

// Forget deletes answers that are past AnswerRetention.
func (s *Store) Forget(ctx context.Context) error {
	return s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		_, err := t.DeleteAnswers(ctx, query.DeleteAnswersParams{TenantID: t.Tenant, Before: t.now.Add(-AnswerRetention)})
		if err != nil {
			return fmt.Errorf("deleting old answers: %w", err)
		}
		return nil
	})
}

// due looks for something that is due, without any lock: most sweeps find nothing.
func (s *Store) due(ctx context.Context, what string, count func(*transaction) (int64, error)) (bool, error) {
	var found int64
	err := s.read(ctx, func(t *transaction) error {
		var err error
		if found, err = count(t); err != nil {
			return fmt.Errorf("looking for %s: %w", what, err)
		}
		return nil
	})
	return found > 0, err
}

// dueWork are dispatches whose time is over, and what becomes of each.
type dueWork struct {
	what  string
	count func(t *transaction) (int64, error)
	lock  func(t *transaction) ([]query.Dispatch, error)
	each  func(t *transaction, b *book, row *query.Dispatch) error
}

// sweepWork takes the windows' locks only when there is something to do.
func (s *Store) sweepWork(ctx context.Context, work dueWork) error {
	due, err := s.due(ctx, work.what, work.count)
	if err != nil || !due {
		return err
	}
	return s.within(ctx, func(t *transaction) error {
		b, err := t.openBook(ctx)
		if err != nil {
			return err
		}
		rows, err := work.lock(t)
		if err != nil {
			return fmt.Errorf("locking %s: %w", work.what, err)
		}
		for i := range rows {
			if err := work.each(t, b, &rows[i]); err != nil {
				return err
			}
		}
		return t.closeBook(ctx, b)
	})
}

func (s *Store) expireClaims(ctx context.Context) error {
	return s.sweepWork(ctx, dueWork{
		what: "expired claims",
		count: func(t *transaction) (int64, error) {
			return t.CountExpired(ctx, query.CountExpiredParams{TenantID: t.Tenant, Now: t.now})
		},
		lock: func(t *transaction) ([]query.Dispatch, error) {
			return t.LockExpired(ctx, query.LockExpiredParams{TenantID: t.Tenant, Now: t.now})
		},
		each: func(t *transaction, b *book, row *query.Dispatch) error { return t.expire(ctx, b, row) },
	})
}

// expire commits what a lost worker had metered, or what its run was expected to spend, and sends its dispatch through the gate again, or fails it after its last attempt.
func (t *transaction) expire(ctx context.Context, b *book, row *query.Dispatch) error {
	t.change.Replan = true
	metered, err := meteredOf(row)
	if err != nil {
		return err
	}
	if err := t.settle(ctx, b, row, metered, kindMetered, true); err != nil {
		return err
	}
	if row.Attempt >= row.MaxAttempts {
		row.State, row.FinishedAt, row.ClaimExpiresAt = StateFailed, &t.now, nil
		row.Reason = fmt.Sprintf("%s was lost on attempt %d of %d.", row.Worker, row.Attempt, row.MaxAttempts)
		row.Claim, row.Actuals = "", row.Metered
		if len(metered) == 0 {
			row.Unmetered = fmt.Sprintf("%s was lost before it had metered anything", row.Worker)
		}
		if _, err := t.putAndTell(ctx, row, "dispatch.failed"); err != nil {
			return err
		}
		return t.endDependents(ctx, b, row)
	}
	lost := row.Worker
	decision, reason, err := t.judge(ctx, b, row)
	if err != nil {
		return err
	}
	_, err = t.place(ctx, b, row, &decision, fmt.Sprintf("%s was lost. %s", lost, reason))
	return err
}
