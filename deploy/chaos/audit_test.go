package chaos

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// reader follows the event log and remembers the positions it saw, in the order it saw them.
type reader struct {
	mutex sync.Mutex
	seen  []int64
}

func (r *reader) last() int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.seen) == 0 {
		return 0
	}
	return r.seen[len(r.seen)-1]
}

// follow starts readers, each at its own gateway, that resume where they were whenever it is killed.
func (n *night) follow(count int) []*reader {
	readers := make([]*reader, count)
	for i := range readers {
		readers[i] = &reader{}
		go func() {
			for n.t.Context().Err() == nil {
				_ = n.api(i%2, "root").Events(n.t.Context(), readers[i].last(), func(event register.Event) error {
					readers[i].mutex.Lock()
					defer readers[i].mutex.Unlock()
					readers[i].seen = append(readers[i].seen, event.Seq)
					return nil
				})
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	return readers
}

// moves is the state diagram of a dispatch as register/README.md draws it; a first state comes from nothing.
var moves = map[string][]string{
	"":        {"queued", "ready", "refused"},
	"queued":  {"ready", "refused", "cancelled"},
	"ready":   {"running", "queued", "cancelled"},
	"running": {"done", "failed", "ready", "queued", "cancelled"},
}

// audit asks the database what is true now.
func (n *night) audit(readers []*reader) {
	n.t.Helper()
	ctx := n.t.Context()
	db, err := pgx.Connect(ctx, n.database.Gateway)
	require.NoError(n.t, err)
	defer func() { _ = db.Close(context.Background()) }()

	n.auditKeys(ctx, db)
	n.auditSums(ctx, db)
	n.auditSpend(ctx, db)
	n.auditHistory(ctx, db)
	n.auditReaders(ctx, db, readers)
	n.auditChain(ctx)
}

// auditChain computes the chain of hashes over the whole log, once all of it is sealed.
func (n *night) auditChain(ctx context.Context) {
	n.t.Helper()
	api := n.api(0, "root")
	var head register.AuditHead
	require.Eventually(n.t, func() bool {
		var err error
		head, err = api.AuditHead(ctx, register.By{})
		return err == nil && head.Unsealed == 0
	}, time.Minute, 50*time.Millisecond, "the log is not sealed")
	audited, err := api.VerifyAudit(ctx, register.By{}, head.Head)
	require.NoError(n.t, err)
	require.Equal(n.t, head.Head, audited.Head)
}

// nothing fails if a query that looks for a fault finds one.
func (n *night) nothing(ctx context.Context, db *pgx.Conn, fault, query string) {
	n.t.Helper()
	rows, err := db.Query(ctx, query)
	require.NoError(n.t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToMap)
	require.NoError(n.t, err)
	require.Empty(n.t, found, fault)
}

func (n *night) auditKeys(ctx context.Context, db *pgx.Conn) {
	n.t.Helper()
	named := map[string]string{}
	for key, dispatch := range n.answered {
		require.Empty(n.t, named[dispatch], "two keys were answered with %s", dispatch)
		named[dispatch] = key
	}
	var recorded int
	require.NoError(n.t, db.QueryRow(ctx, "SELECT count(*) FROM fleet.dispatches").Scan(&recorded))
	require.Len(n.t, named, recorded, "there are dispatches that no key was answered with")
}

func (n *night) auditSums(ctx context.Context, db *pgx.Conn) {
	n.t.Helper()
	n.nothing(ctx, db, "reserved is not the sum of the live holds", `
		SELECT w.id, w.reserved_micros, sum(r.micros) FROM fleet.windows w
		LEFT JOIN fleet.reservations r ON r.window_id = w.id AND r.state = 'active'
		GROUP BY w.id, w.reserved_micros HAVING w.reserved_micros <> coalesce(sum(r.micros), 0)`)
	n.nothing(ctx, db, "the margin is not the sum of the live holds' margins", `
		SELECT w.id, w.margin_micros, sum(r.margin_micros) FROM fleet.windows w
		LEFT JOIN fleet.reservations r ON r.window_id = w.id AND r.state = 'active'
		GROUP BY w.id, w.margin_micros HAVING w.margin_micros <> coalesce(sum(r.margin_micros), 0)`)
	n.nothing(ctx, db, "committed is not the sum of the ledger", `
		SELECT w.id, w.committed_micros, sum(l.micros) FROM fleet.windows w
		LEFT JOIN fleet.ledger l ON l.window_id = w.id
		GROUP BY w.id, w.committed_micros HAVING w.committed_micros <> coalesce(sum(l.micros), 0)`)
	n.nothing(ctx, db, "over the limit, although no run spent more than it held", `
		SELECT id FROM fleet.windows WHERE committed_micros + reserved_micros > limit_micros - floor_micros`)
	n.nothing(ctx, db, "something ended and still holds", `
		SELECT d.id, d.state FROM fleet.reservations r JOIN fleet.dispatches d ON d.id = r.dispatch_id
		WHERE r.state = 'active' AND d.state NOT IN ('ready', 'running')`)
}

// auditSpend compares what every completed run reported with what was booked for it.
func (n *night) auditSpend(ctx context.Context, db *pgx.Conn) {
	n.t.Helper()
	n.nothing(ctx, db, "an attempt was booked twice", `
		SELECT dispatch_id, attempt, unit FROM fleet.ledger WHERE dispatch_id IS NOT NULL AND kind IN ('actual', 'metered')
		GROUP BY dispatch_id, attempt, unit HAVING count(*) > 1 AND NOT bool_or(kind = 'metered')`)
	rows, err := db.Query(ctx, `SELECT 'D-' || d.id, d.attempt, l.unit, sum(l.micros) FROM fleet.dispatches d
		JOIN fleet.ledger l ON l.dispatch_id = d.id AND l.attempt = d.attempt GROUP BY d.id, d.attempt, l.unit`)
	require.NoError(n.t, err)
	booked := map[string]map[string]int64{}
	for rows.Next() {
		var dispatch, unit string
		var attempt int
		var micros int64
		require.NoError(n.t, rows.Scan(&dispatch, &attempt, &unit, &micros))
		if booked[dispatch] == nil {
			booked[dispatch] = map[string]int64{}
		}
		booked[dispatch][unit] = micros
	}
	require.NoError(n.t, rows.Err())
	var unexplained int64
	require.NoError(n.t, db.QueryRow(ctx, `SELECT coalesce(sum(micros), 0)::bigint FROM fleet.ledger WHERE kind = 'unattributed'`).Scan(&unexplained))
	require.Equal(n.t, n.seen, unexplained, "what no dispatch explains is booked once")
	for dispatch, spent := range n.reported {
		for _, amount := range spent {
			require.Equal(n.t, amount.Micros, booked[dispatch][string(amount.Unit)], "what %s reported is not what is booked", dispatch)
		}
	}
}

// auditHistory walks every dispatch's history by the state diagram.
func (n *night) auditHistory(ctx context.Context, db *pgx.Conn) {
	n.t.Helper()
	rows, err := db.Query(ctx, "SELECT type, payload FROM fleet.events WHERE type LIKE 'dispatch.%' ORDER BY seq")
	require.NoError(n.t, err)
	defer rows.Close()
	state, attempts := map[string]string{}, map[string]int{}
	for rows.Next() {
		var kind string
		var payload []byte
		require.NoError(n.t, rows.Scan(&kind, &payload))
		var event register.Event
		require.NoError(n.t, json.Unmarshal(payload, &event))
		dispatch := event.Dispatch
		from, to := state[dispatch.ID], string(dispatch.State)
		require.NotEmpty(n.t, event.Actor, "%s of %s has no actor", kind, dispatch.ID)
		require.NotEmpty(n.t, event.Cause, "%s of %s has no cause", kind, dispatch.ID)
		if kind == "dispatch.running" {
			require.Equal(n.t, attempts[dispatch.ID]+1, dispatch.Attempt, "%s skipped or repeated an attempt", dispatch.ID)
			attempts[dispatch.ID] = dispatch.Attempt
		}
		// A promise that moved, progress, and spend told after a cancellation are news without a move.
		if from != to {
			require.Contains(n.t, moves[from], to, "%s went from %q to %q", dispatch.ID, from, to)
		}
		state[dispatch.ID] = to
	}
	require.NoError(n.t, rows.Err())
	for dispatch, runs := range n.runs {
		require.LessOrEqual(n.t, len(runs), attempts[dispatch], "%s was given out more often than it was claimed", dispatch)
	}
	n.nothing(ctx, db, "an event was written for nothing", "SELECT seq FROM fleet.events WHERE seq IS NULL")
}

// auditReaders expects the log, and every reader's view of it, to be 1, 2, 3 and so on.
func (n *night) auditReaders(ctx context.Context, db *pgx.Conn, readers []*reader) {
	n.t.Helper()
	var first, last, count int64
	require.NoError(n.t, db.QueryRow(ctx, "SELECT min(seq), max(seq), count(*) FROM fleet.events").Scan(&first, &last, &count))
	require.Equal(n.t, []int64{1, last, last}, []int64{first, last, count}, "the log has gaps")
	for i, reader := range readers {
		require.Eventually(n.t, func() bool { return reader.last() == last }, time.Minute, 50*time.Millisecond, "reader %d never caught up", i)
		reader.mutex.Lock()
		seen := slices.Clone(reader.seen)
		reader.mutex.Unlock()
		for position, seq := range seen {
			require.Equal(n.t, int64(position+1), seq, "reader %d saw the wrong event", i)
		}
	}
}
