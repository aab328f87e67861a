package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// returnUnclaimed takes the hold back from ready work that nobody claims, and lets it wait outside of every line.
func (s *Store) returnUnclaimed(ctx context.Context) error {
	if s.options.UnclaimedAfter <= 0 {
		return nil
	}
	return s.sweepWork(ctx, dueWork{
		what: "unclaimed work",
		count: func(t *transaction) (int64, error) {
			return t.CountUnclaimed(ctx, query.CountUnclaimedParams{TenantID: t.Tenant, Since: t.now.Add(-t.UnclaimedAfter)})
		},
		lock: func(t *transaction) ([]query.Dispatch, error) {
			return t.LockUnclaimed(ctx, query.LockUnclaimedParams{TenantID: t.Tenant, Since: t.now.Add(-t.UnclaimedAfter)})
		},
		each: func(t *transaction, b *book, row *query.Dispatch) error { return t.giveBack(ctx, b, row) },
	})
}

// giveBack sends one ready dispatch back. While somebody lives who could run it, it is marked as returned: only such a worker who
// comes forth gets it judged again. If nobody does, it waits like all work that lacks a worker.
func (t *transaction) giveBack(ctx context.Context, b *book, row *query.Dispatch) error {
	t.change.Replan = true
	if err := t.settle(ctx, b, row, nil, kindMetered, false); err != nil {
		return err
	}
	subscription := budget.Label(row.Provider, row.Subscription)
	why := b.crew(row.Role).Missing(t.Ladder, row.Model, subscription)
	manned := why == ""
	if manned {
		var err error
		if why, err = t.occupied(ctx, b, row, subscription); err != nil {
			return err
		}
	}
	decision := budget.Decision{Outcome: budget.Queue}
	if _, err := t.place(ctx, b, row, &decision, fmt.Sprintf("Nobody claimed it for %s. %s", lasting(t.UnclaimedAfter), why)); err != nil {
		return err
	}
	if !manned {
		return nil
	}
	row.ReturnedAt = &t.now
	return t.putDispatch(ctx, row)
}

// occupied says what those do who could run a dispatch.
func (t *transaction) occupied(ctx context.Context, b *book, row *query.Dispatch, subscription string) (string, error) {
	const named = 5
	running, err := t.runningOf(ctx, b.agents)
	if err != nil {
		return "", err
	}
	var each []string
	for i := range b.agents {
		agent := &b.agents[i]
		worker := workerOf(agent)
		if agent.Role != row.Role || !worker.Serves(t.Ladder, row.Model, subscription) {
			continue
		}
		if busy := running[agent.Name]; len(busy) > 0 {
			each = append(each, fmt.Sprintf("%s runs %s", agent.Name, busy[0]))
		} else {
			each = append(each, agent.Name+" is live and did not ask for it")
		}
	}
	if len(each) > named {
		each = append(each[:named], fmt.Sprintf("and %d more", len(each)-named))
	}
	return strings.Join(each, ", ") + ".", nil
}

// lasting is a duration as people say it.
func lasting(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// offer gets the first returned dispatch judged again that a worker, who has joined or become free, can start.
func (t *transaction) offer(ctx context.Context, b *book, name string) error {
	agent, err := t.GetAgent(ctx, query.GetAgentParams{TenantID: t.Tenant, Name: name})
	if none(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the agent: %w", err)
	}
	if b.pause != nil || !live(&agent, b.now) {
		return nil
	}
	_, err = t.revive(ctx, b, &agent, nil)
	return err
}

// revive judges returned dispatches anew for one worker, in their order, until one is ready or what is ready goes before the
// rest. It answers what the worker may start.
func (t *transaction) revive(ctx context.Context, b *book, agent *query.Agent, ready *query.Dispatch) (*query.Dispatch, error) {
	rows, err := t.LockReturned(ctx, query.LockReturnedParams{TenantID: t.Tenant, Role: agent.Role})
	if err != nil {
		return nil, fmt.Errorf("reading the returned work: %w", err)
	}
	crew := &budget.Crew{Role: agent.Role, Workers: []budget.Worker{workerOf(agent)}}
	for i := range rows {
		row := &rows[i]
		if ready != nil && inLine(*ready, *row) < 0 {
			break
		}
		decision, reason, err := t.judgeFor(ctx, b, row, crew)
		if err != nil {
			return nil, err
		}
		if decision.Missing != "" {
			continue
		}
		t.change.Replan = true
		if _, err := t.place(ctx, b, row, &decision, reason); err != nil {
			return nil, err
		}
		if row.State == StateReady {
			return row, nil
		}
	}
	return ready, nil
}

// nextFor locks what a worker is given: the first in line that it may run, returned work included. What waits for a claim ages up like what
// waits for budget. Nil is nothing.
func (t *transaction) nextFor(ctx context.Context, agent *query.Agent) (*query.Dispatch, error) {
	returned, err := t.AnyReturned(ctx, query.AnyReturnedParams{TenantID: t.Tenant, Role: agent.Role})
	if err != nil {
		return nil, fmt.Errorf("looking for returned work: %w", err)
	}
	if !returned {
		return t.nextReady(ctx, agent)
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return nil, err
	}
	next, err := t.nextReady(ctx, agent)
	if err != nil {
		return nil, err
	}
	if next, err = t.revive(ctx, b, agent, next); err != nil {
		return nil, err
	}
	return next, t.closeBook(ctx, b)
}

func (t *transaction) nextReady(ctx context.Context, agent *query.Agent) (*query.Dispatch, error) {
	models := []string{}
	if agent.ModelCeiling != "" {
		below, err := t.Ladder.From(agent.ModelCeiling)
		if err != nil {
			return nil, nil //nolint:nilerr // its ceiling has left the ladder: it may run nothing
		}
		for _, tier := range below {
			models = append(models, tier.Model)
		}
	}
	row, err := t.LockNextReady(ctx, query.LockNextReadyParams{TenantID: t.Tenant, Role: agent.Role, Models: models, Subscriptions: agent.Subscriptions})
	if none(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for ready work: %w", err)
	}
	return &row, nil
}

// unfit says why a worker is given nothing although work for its role is ready; nil if none is.
func (t *transaction) unfit(ctx context.Context, agent *query.Agent) error {
	row, err := t.NextReady(ctx, query.NextReadyParams{TenantID: t.Tenant, Role: agent.Role})
	if none(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for ready work: %w", err)
	}
	worker, subscription := workerOf(agent), budget.Label(row.Provider, row.Subscription)
	if worker.Serves(t.Ladder, row.Model, subscription) {
		return nil // another worker is taking it
	}
	return &Withheld{fmt.Sprintf("%s is ready for %s on %s, which %s is not declared for.", DispatchID(row.ID), row.Model, subscription, agent.Name)}
}
