package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// TestReadersSeeOneOrderWithoutGaps writes from many sides while two gateways number and a reader follows.
func TestReadersSeeOneOrderWithoutGaps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stores := []*Store{b.Store, b.open(t, "beta")}
	ctx, stop := context.WithCancel(t.Context())
	var background, writers sync.WaitGroup
	for _, store := range stores {
		background.Go(func() {
			for ctx.Err() == nil {
				_, _ = store.NumberEvents(ctx)
			}
		})
	}
	var seen []Event
	background.Go(func() {
		for ctx.Err() == nil {
			events, err := stores[1].EventsAfter(ctx, int64(len(seen)), 7)
			if err == nil {
				seen = append(seen, events...)
			}
		}
	})
	for i := range 8 {
		writers.Go(func() {
			for range 20 {
				_, _ = stores[i%2].CreateDispatch(ctx, b.by("olga"), ask(1))
			}
		})
	}
	writers.Wait()
	want := len(b.events(t))
	require.Equal(t, 160, len(b.story(t)))
	require.Eventually(t, func() bool {
		last, err := b.LastEvent(t.Context())
		return err == nil && last == int64(want)
	}, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		events, err := b.EventsAfter(t.Context(), 0, want+1)
		return err == nil && len(events) == want
	}, time.Minute, 10*time.Millisecond)
	stop()
	background.Wait()
	rest, err := b.EventsAfter(t.Context(), int64(len(seen)), want)
	require.NoError(t, err)
	seen = append(seen, rest...)
	require.Len(t, seen, want)
	for i, event := range seen {
		require.Equal(t, int64(i+1), event.Seq)
	}
}

// TestABusyFleetKeepsItsBooks lets everyone do everything at once on two gateways, and then audits.
func TestABusyFleetKeepsItsBooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seat(t)
	stores := []*Store{b.Store, b.open(t, "beta")}
	var wait sync.WaitGroup
	failures := make(chan error, 1000)
	must := func(err error) {
		var refusal *Error
		if err != nil && !errors.As(err, &refusal) {
			failures <- err
		}
	}
	for i := range 6 {
		store := stores[i%2]
		wait.Go(func() {
			for n := range 25 {
				dispatch, err := store.CreateDispatch(t.Context(), b.by("olga"), ask(int64(1+n%40), func(a *Ask) { a.Priority = n % 3 }))
				must(err)
				if n%5 == 0 && err == nil {
					_, err := store.CancelDispatch(t.Context(), b.by("olga"), dispatch.ID, "")
					must(err)
				}
				if err == nil && dispatch.State == StateRefused {
					_, err := store.OpenProposal(t.Context(), b.by("olga"), Question{Title: "x", Action: &Action{Kind: ActionOverride, Dispatch: dispatch.ID}})
					must(err)
				}
			}
		})
		wait.Go(func() {
			for n := range 25 {
				claim, err := store.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Minute)
				must(err)
				if claim == nil || n%6 == 0 {
					continue
				}
				_, err = store.CompleteDispatch(t.Context(), b.by("coder-1"), claim.Dispatch.ID, Completion{
					Claim: claim.ID, Outcome: StateDone, Actuals: []Amount{{"credits", int64(n) * budget.Micro / 2}},
				})
				must(err)
			}
		})
	}
	wait.Go(func() {
		for range 30 {
			b.clock.pass(20 * time.Second)
			_, err := stores[0].Wake(t.Context())
			must(err)
			must(stores[1].Sweep(t.Context()))
		}
	})
	wait.Go(func() {
		for n := range 10 {
			_, err := stores[1].SetBudget(t.Context(), b.by("olga"), BudgetSet{
				Provider: "claude", Unit: "credits", LimitMicros: int64(400+n*20) * budget.Micro, ResetAt: start.Add(time.Hour),
			})
			must(err)
			_, err = stores[0].ResetBudget(t.Context(), b.by("olga"), BudgetReset{Provider: "claude", ResetAt: start.Add(2 * time.Hour), Zero: n%4 == 0})
			must(err)
		}
	})
	wait.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	b.audit(t)
	b.events(t)
	var orphans int
	require.NoError(t, b.pool.QueryRow(t.Context(), `
		SELECT count(*) FROM fleet.reservations r JOIN fleet.dispatches d ON d.tenant_id = r.tenant_id AND d.id = r.dispatch_id
		WHERE r.state = 'active' AND d.state NOT IN ('ready', 'running')`).Scan(&orphans))
	require.Zero(t, orphans, "only admitted work holds anything")
	var deadlocks int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks))
	require.Zero(t, deadlocks, "every writer takes its locks in one order")
}
