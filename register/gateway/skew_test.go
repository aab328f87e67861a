package gateway

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// TestTwoGatewaysWithClocksNinetySecondsApartRollOverOnce has both judge work all through a reset, and wake by clocks of which one is
// far ahead of the database's and one far behind.
func TestTwoGatewaysWithClocksNinetySecondsApartRollOverOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var apart []*register.API
	for host, skew := range map[string]time.Duration{"ahead": 45 * time.Second, "behind": -45 * time.Second} {
		gateway := b.startWith(t, host, func(o *Options) {
			o.Now, o.Log = func() time.Time { return time.Now().Add(skew) }, zerolog.Nop()
		})
		apart = append(apart, register.NewAPI(gateway.URL(), b.tokens["olga"]))
	}
	db, err := pgx.Connect(t.Context(), b.superuser)
	require.NoError(t, err)
	defer func() { _ = db.Close(context.Background()) }()
	var reset, now time.Time
	for lead := 10 * time.Second; reset.Sub(now) < 4*time.Second; lead *= 2 { // a busy machine may take longer to set it
		require.NoError(t, db.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
		reset = now.Add(lead).UTC().Truncate(time.Second)
		err := b.admin.Send(t.Context(), register.By{Key: rand.Text()}, register.SetBudget(register.BudgetSetRequest{
			Provider: "claude", Unit: register.UnitCredits, LimitMicros: 100_000_000, UsedMicros: new(int64(97_000_000)),
			Recurrence: "rolling 1h", Since: reset.Add(-time.Hour), ResetAt: reset,
		}), nil)
		require.True(t, err == nil || register.CodeOf(err) == register.ProblemCodeInvalid, "%v", err)
		require.NoError(t, db.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
	}

	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for passed := false; !passed; {
				var asked register.Dispatch
				err := apart[i%2].Send(t.Context(), register.By{Key: rand.Text()}, register.CreateDispatch(register.DispatchRequest{
					Role: "coder", Brief: "Hold the line", Exact: true, Deadline: time.Now().Add(time.Second), // so that no line grows
					Estimate: []register.EstimateAmount{{Unit: register.UnitCredits, Micros: 1_000_000}},
				}), &asked)
				if err != nil {
					t.Errorf("asking across the reset: %v", err)
					return
				}
				passed = asked.CreatedAt.After(reset.Add(2 * time.Second))
			}
		})
	}
	writers.Wait()

	count := func(what, query string) int {
		t.Helper()
		var found int
		require.NoError(t, db.QueryRow(t.Context(), query, reset).Scan(&found), what)
		return found
	}
	require.Equal(t, 1, count("rollovers", `SELECT count(*) FROM fleet.events WHERE type = 'budget.rolled' AND at >= $1`))
	require.Equal(t, 2, count("epochs", `SELECT count(*) FROM fleet.windows WHERE $1::timestamptz IS NOT NULL`))
	require.Equal(t, 1, count("the epoch that ended", `SELECT count(*) FROM fleet.windows WHERE epoch = 1 AND ended_at = $1`))
	require.Equal(t, 1, count("the epoch that began", `SELECT count(*) FROM fleet.windows WHERE epoch = 2 AND since = $1 AND ended_at IS NULL`))
	require.Equal(t, 3, count("admitted before", `SELECT count(*) FROM fleet.reservations WHERE held_at < $1`), "what was left of the epoch")
	require.Equal(t, 2, count("admitted after", `SELECT count(*) FROM fleet.reservations WHERE held_at >= $1`), "the slack of the next one, beside what moved along")
	require.Zero(t, count("admissions in the epoch before", `SELECT count(*) FROM fleet.reservations r JOIN fleet.windows w ON w.id = r.window_id
		WHERE r.held_at >= $1 AND w.epoch <> 2`))
	require.Zero(t, count("admissions that were paced by another epoch", `SELECT count(*) FROM fleet.reservations r JOIN fleet.windows w ON w.epoch = CASE WHEN r.held_at < $1 THEN 1 ELSE 2 END
		WHERE r.paced_micros NOT BETWEEN 0 AND w.limit_micros * (extract(epoch FROM r.held_at - w.since) / extract(epoch FROM w.reset_at - w.since) + 0.051)`))
	for side, at := range map[string]string{"before": "<", "after": ">="} {
		require.Equal(t, 2, count(side, `SELECT count(DISTINCT host) FROM fleet.dispatches WHERE host IN ('ahead', 'behind') AND created_at `+at+` $1`), "both gateways judged %s the reset", side)
	}
	localtest.Hold(t, db)
}
