package fleet

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

func (b *bundle) hold(t *testing.T) {
	t.Helper()
	localtest.Hold(t, b.pool)
}

// TestTheInvariantsAreSeenToBreak breaks each of them by hand, so that none of the queries above is blind.
func TestTheInvariantsAreSeenToBreak(t *testing.T) {
	t.Parallel()
	for invariant, fault := range map[string]string{
		"I1": `UPDATE fleet.windows SET limit_micros = 1`,
		"I2": `UPDATE fleet.windows SET reserved_micros = reserved_micros + 1`,
		"I3": `UPDATE fleet.dispatches SET state = 'cancelled', finished_at = now(), ready_at = NULL`,
		"I4": `UPDATE fleet.reservations SET state = 'released', settled_at = now() WHERE window_id = (SELECT max(window_id) FROM fleet.reservations)`,
		"I6": `INSERT INTO fleet.events (tenant_id, host, type, at, actor, cause, payload) SELECT tenant_id, host, 'budget.step', at, actor, '', json_build_object(
			'tenant_id', tenant_id, 'host', host, 'type', 'budget.step', 'actor', actor, 'at', at, 'step', json_build_object('from', 'queue', 'to', 'normal')) FROM fleet.events LIMIT 1`,
		"I7": `UPDATE fleet.reservations SET expected_micros = paced_micros + 1`,
		"I8": `UPDATE fleet.dispatches SET attempts = '[]'`,
	} {
		b := setup(t)
		b.budget(t)
		b.budget(t, func(s *BudgetSet) { s.Window = "weekly" })
		require.Equal(t, StateReady, b.dispatch(t, ask(1, exact)).State)
		b.hold(t)
		require.NoError(t, b.exec(t.Context(), fault), invariant)
		for name, query := range localtest.Invariants {
			if strings.HasPrefix(name, invariant+" ") {
				rows, err := b.pool.Query(t.Context(), query)
				require.NoError(t, err)
				broken, err := pgx.CollectRows(rows, pgx.RowToMap)
				require.NoError(t, err)
				require.NotEmpty(t, broken, name)
			}
		}
	}
}

// TestAtSaturationNineOfTenPromisedStartsAreKept plays a window that more is asked of than it has: runs of about 1 % of it that last
// a minute and cost other than was estimated.
func TestAtSaturationNineOfTenPromisedStartsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	random := rand.New(rand.NewPCG(4, 2))
	promised, started := make(map[DispatchID]time.Time), make(map[DispatchID]time.Time)
	running, ends := make(map[DispatchID]Claim), make(map[DispatchID]time.Time)
	see := func() {
		for {
			claim, err := b.ClaimDispatch(t.Context(), b.by("coder-1"), "coder", "coder-1", time.Hour)
			require.NoError(t, err)
			if claim == nil {
				return
			}
			id := claim.Dispatch.ID
			started[id], running[id], ends[id] = b.clock.now(), *claim, b.clock.now().Add(time.Minute)
		}
	}
	for minute := range 90 {
		for id, claim := range running {
			if b.clock.now().Before(ends[id]) {
				continue
			}
			cost := 5 * math.Exp(0.4*random.NormFloat64()-0.08) // 5 credits on the mean
			b.finish(t, claim, Completion{Outcome: StateDone, Actuals: []Amount{{coins, int64(cost * budget.Micro)}}})
			delete(running, id)
		}
		if minute < 60 && minute%2 == 0 { // 3 credits a minute more than the window has
			for range 3 {
				d := b.dispatch(t, ask(5, exact))
				if d.State == StateQueued {
					promised[d.ID] = d.PromisedStart
				}
			}
		}
		see()
		for end := b.clock.now().Add(time.Minute); b.clock.now().Before(end); {
			next, err := b.NextWake(t.Context())
			require.NoError(t, err)
			step := end.Sub(b.clock.now())
			if until := next.Sub(b.clock.now()); !next.IsZero() && until > 0 && until < step {
				step = until
			}
			b.clock.pass(step)
			_, err = b.Wake(t.Context())
			require.NoError(t, err)
			see()
		}
	}
	due, kept := 0, 0
	tolerance := 5 * time.Minute // the larger of 2 min and 5 % of 100 min
	for id, at := range promised {
		start, did := started[id]
		if !did && at.After(b.clock.now().Add(-tolerance)) {
			continue // it is not due yet
		}
		due++
		if did && start.Sub(at).Abs() <= tolerance {
			kept++
		}
	}
	t.Logf("%d of %d promised starts were kept within %s", kept, due, tolerance)
	require.Greater(t, due, 40, "the window is saturated")
	require.GreaterOrEqual(t, float64(kept), 0.9*float64(due), "%d of %d", kept, due)
	b.hold(t)
}
