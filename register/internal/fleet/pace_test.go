package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

// bursts finds admissions that took what was admitted within D/24 beyond twice the even rate that remained at its beginning, from the
// holds and the ledger alone. A hold counts with its mean until it has ended, and then with what it cost.
const bursts = `
	WITH span AS (
		SELECT w.id, w.limit_micros - w.floor_micros AS capacity, w.burst_ppm, w.since, w.reset_at, (w.reset_at - w.since) / 24 AS h FROM fleet.windows w
	), admitted AS (
		SELECT r.id, r.window_id, r.held_at FROM fleet.reservations r
	), judged AS (
		SELECT a.id, s.capacity, s.burst_ppm, s.h, s.reset_at - greatest(s.since, a.held_at - s.h) AS remains,
			count(*) FILTER (WHERE x.held_at > a.held_at - s.h) AS together,
			sum(v.micros) FILTER (WHERE x.held_at > a.held_at - s.h) AS recent,
			coalesce(sum(v.micros) FILTER (WHERE x.held_at <= a.held_at - s.h), 0) AS before
		FROM admitted a JOIN span s ON s.id = a.window_id
		JOIN fleet.reservations x ON x.window_id = a.window_id AND (x.held_at, x.id) <= (a.held_at, a.id)
		CROSS JOIN LATERAL (SELECT CASE WHEN x.settled_at <= a.held_at
			THEN (SELECT coalesce(sum(l.micros), 0) FROM fleet.ledger l WHERE l.window_id = x.window_id AND l.dispatch_id = x.dispatch_id)
			ELSE x.micros - x.margin_micros END AS micros) v
		GROUP BY a.id, s.capacity, s.burst_ppm, s.h, s.reset_at, s.since, a.held_at
	)
	SELECT id, recent, together FROM judged WHERE together > 1 AND recent > greatest(floor(capacity * burst_ppm::numeric / 1000000),
		2 * (capacity - before) * extract(epoch FROM h) / extract(epoch FROM remains))`

func (b *bundle) burst(t *testing.T) []map[string]any {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), bursts)
	require.NoError(t, err)
	broken, err := pgx.CollectRows(rows, pgx.RowToMap)
	require.NoError(t, err)
	return broken
}

func TestAfterIdlenessABurstIsPaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.clock.pass(50 * time.Minute) // pace alone would admit 275 of 500 credits at once
	admitted := 0
	var waits Dispatch
	for waits.State == "" {
		switch d := b.dispatch(t, ask(5, exact)); d.State {
		case StateReady:
			admitted += 5
		default:
			waits = d
		}
	}
	require.Equal(t, 75, admitted, "2 h 500 / (50 min + h) with h = 100 min / 24, in whole dispatches")
	require.Equal(t, StateQueued, waits.State)
	require.Equal(t, string(budget.OverBurst), waits.Attempts[0].Verdict)
	require.Contains(t, waits.Reason, "twice the even rate")
	require.True(t, waits.PromisedStart.After(b.clock.now()))
	require.False(t, waits.PromisedStart.After(b.clock.now().Add(100*time.Minute/24)))

	other := b.open(t, "beta") // what was admitted of late is the register's, not a gateway's
	second, err := other.CreateDispatch(t.Context(), b.by("olga"), ask(5, exact))
	require.NoError(t, err)
	require.Equal(t, StateQueued, second.State)

	b.clock.pass(100*time.Minute/24 + time.Microsecond)
	moved, err := b.Wake(t.Context())
	require.NoError(t, err)
	require.Equal(t, []DispatchID{waits.ID, second.ID}, moved, "the next span has a burst of its own")
	require.Equal(t, StateReady, b.show(t, waits.ID).State)
	require.Empty(t, b.burst(t))
	b.hold(t)
}

func TestWhatIsCancelledBeforeItSpendsMakesRoomInTheBurst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.clock.pass(50 * time.Minute)
	first := b.dispatch(t, ask(70, exact))
	require.Equal(t, StateReady, first.State)
	require.Equal(t, StateQueued, b.dispatch(t, ask(70, exact)).State)
	_, err := b.CancelDispatch(t.Context(), b.by("olga"), first.ID, "not needed")
	require.NoError(t, err)
	moved, err := b.Wake(t.Context())
	require.NoError(t, err)
	require.Len(t, moved, 1)
	b.hold(t)
}

func TestAUseThatIsCorrectedToLessMakesRoomInTheBurst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.clock.pass(50 * time.Minute)
	require.Equal(t, StateReady, b.dispatch(t, ask(70, exact)).State)
	b.finish(t, b.claimed(t), Completion{Outcome: StateDone, Actuals: []Amount{{coins, 70 * budget.Micro}}})
	require.Equal(t, StateQueued, b.dispatch(t, ask(20, exact, func(a *Ask) { a.DryRun = true })).State)
	b.budget(t, func(s *BudgetSet) { s.UsedMicros = new(int64(0)) })
	require.Equal(t, StateReady, b.dispatch(t, ask(20, exact)).State, "what was not used was not used of late")
}

func TestAnEpochBeginsWithoutTheBurstOfTheLast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t, func(s *BudgetSet) { s.Recurrence, s.ResetAt = "every 2 hours", start.Add(time.Hour) })
	b.clock.pass(59*time.Minute + 59*time.Second)
	require.Equal(t, StateReady, b.dispatch(t, ask(20, exact)).State)
	b.clock.pass(time.Second)
	require.Equal(t, StateReady, b.dispatch(t, ask(5, exact)).State)
	var late []int64
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT late_micros FROM fleet.windows WHERE ended_at IS NULL`).Scan(&late))
	require.Equal(t, []int64{5 * budget.Micro}, late)
	b.hold(t)
}

// TestNoSpanOfAWindowSpendsMoreThanABurst plays idle and busy times in turn and then asks the holds and the ledger about every span.
func TestNoSpanOfAWindowSpendsMoreThanABurst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	random := rand.New(rand.NewPCG(9, 4))
	admitted := 0
	for _, idle := range []time.Duration{25 * time.Minute, 20 * time.Minute, 15 * time.Minute} {
		b.clock.pass(idle)
		for range 30 {
			switch d := b.dispatch(t, ask(2+random.Int64N(6), exact)); {
			case d.State == StateReady:
				admitted++
				if random.IntN(3) > 0 {
					b.clock.pass(time.Duration(1+random.IntN(10)) * time.Second)
					claim := b.claimed(t)
					b.finish(t, claim, Completion{Outcome: StateDone, Actuals: []Amount{{coins, 1 + random.Int64N(8*budget.Micro)}}})
				}
			default:
				_, err := b.CancelDispatch(t.Context(), b.by("olga"), d.ID, "it comes again")
				require.NoError(t, err)
			}
			b.clock.pass(time.Duration(1+random.IntN(15)) * time.Second)
		}
	}
	require.Greater(t, admitted, 30)
	require.Empty(t, b.burst(t))
	b.hold(t)

	require.NoError(t, b.exec(t.Context(), `UPDATE fleet.reservations SET held_at = (SELECT max(held_at) FROM fleet.reservations)`))
	require.NotEmpty(t, b.burst(t), "the query sees what is too much at once")
}
