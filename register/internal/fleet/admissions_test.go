package fleet

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// wide gives claude a window that 1,000 runs of a credit just fit into, with pace out of the way.
func (b *bundle) wide(t testing.TB, credits int64) {
	t.Helper()
	_, err := b.SetBudget(t.Context(), b.by("olga"), BudgetSet{
		Provider: "claude", Unit: "credits", LimitMicros: credits * budget.Micro, Since: b.clock.now().Add(-1000 * time.Hour), ResetAt: b.clock.now().Add(time.Hour),
	})
	require.NoError(t, err)
}

// crowd has writers ask at once, at both stores in turn, until asks are used up, and counts what was admitted.
func (b *bundle) crowd(t testing.TB, writers, asks int, stores ...*Store) int64 {
	t.Helper()
	var left, admitted atomic.Int64
	left.Store(int64(asks))
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				dispatch, err := stores[i%len(stores)].CreateDispatch(t.Context(), b.by("olga"), ask(1, exact))
				if err != nil {
					t.Errorf("asking: %v", err)
					return
				}
				if dispatch.State == StateReady {
					admitted.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return admitted.Load()
}

func TestManyWritersOnOneWindowAdmitExactlyWhatFits(t *testing.T) {
	t.Parallel()
	for _, writers := range []int{32, 64} {
		b := setup(t)
		b.wide(t, 1000)
		require.Equal(t, int64(1000), b.crowd(t, writers, 1100, b.Store, b.open(t, "beta")), "%d writers", writers)
		b.hold(t)
	}
}

func TestWhatIsWrongWithOneAskLeavesThoseBesideItAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 1000)
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			request := ask(1, exact)
			if i%4 == 0 {
				request.Model = "gpt-99"
			}
			dispatch, err := b.CreateDispatch(t.Context(), b.by("olga"), request)
			if i%4 == 0 {
				refused := refusal(err)
				if refused == nil || refused.Field != "model" {
					t.Errorf("a model nobody knows was answered with %v", err)
				}
				return
			}
			if err != nil || dispatch.State != StateReady {
				t.Errorf("a good ask beside it was answered with %s, %v", dispatch.State, err)
			}
		})
	}
	wait.Wait()
	page, err := b.Dispatches(t.Context(), nil, 0, 100)
	require.NoError(t, err)
	require.Len(t, page.Dispatches, 30)
	require.Equal(t, DispatchID(30), page.Dispatches[0].ID, "no number is left out")
	b.audit(t)
}

func TestOneKeyAskedForByManyAtOnceIsOneDispatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 1000)
	stores := []*Store{b.Store, b.open(t, "beta")}
	m := b.by("olga")
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			dispatch, err := stores[i%2].CreateDispatch(t.Context(), m, ask(1))
			if err != nil || dispatch.ID != 1 {
				t.Errorf("it was answered with %s, %v", dispatch.ID, err)
			}
		})
	}
	wait.Wait()
	b.audit(t)
}

// BenchmarkAdmissions compares durable decisions with the least a database can do for one: a single-row UPDATE, at its own best
// number of clients. Both run on the same Postgres in the same run; ratio is decisions to updates.
func BenchmarkAdmissions(b *testing.B) {
	f := setup(b)
	f.wide(b, 1_000_000_000)
	updates := 0.0
	for _, clients := range []int{1, 2, 8} {
		updates = max(updates, updatesPerSecond(b, f, clients))
	}
	for _, writers := range []int{1, 64, 256} {
		b.Run(map[int]string{1: "1 writer", 64: "64 writers", 256: "256 writers"}[writers], func(b *testing.B) {
			began := time.Now()
			admitted := f.crowd(b, writers, b.N, f.Store)
			require.Equal(b, int64(b.N), admitted)
			each := float64(b.N) / time.Since(began).Seconds()
			b.ReportMetric(each, "decisions/s")
			b.ReportMetric(each/updates, "ratio")
		})
	}
}

// updatesPerSecond is how often one row can be updated durably.
func updatesPerSecond(b *testing.B, f *bundle, clients int) float64 {
	b.Helper()
	config, err := pgxpool.ParseConfig(f.database.Gateway)
	require.NoError(b, err)
	config.MaxConns = int32(clients)
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), "CREATE TABLE IF NOT EXISTS fleet.baseline (id integer PRIMARY KEY, value bigint NOT NULL)")
	require.NoError(b, err)
	_, err = pool.Exec(b.Context(), "INSERT INTO fleet.baseline VALUES (1, 0) ON CONFLICT DO NOTHING")
	require.NoError(b, err)
	const long = 2 * time.Second
	var done atomic.Int64
	var wait sync.WaitGroup
	began := time.Now()
	for range clients {
		wait.Go(func() {
			for time.Since(began) < long {
				err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(b.Context(), "UPDATE fleet.baseline SET value = value + 1 WHERE id = 1")
					return err
				})
				if err != nil {
					b.Errorf("updating: %v", err)
					return
				}
				done.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}
