package localtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Invariants are what holds in the register at any time, each as a query that finds where it does not. I7 holds when work is admitted
// and not later, so each hold keeps what it was admitted by; the query works out anew what that could be at most.
var Invariants = map[string]string{
	"I1 what is spent and held stays within the limit, but for what runs spent beyond their holds": `
		SELECT w.id FROM fleet.windows w WHERE w.ended_at IS NULL AND w.committed_micros + w.reserved_micros > w.limit_micros - w.floor_micros
		+ (SELECT coalesce(sum(greatest(0, l.micros - r.micros)), 0) FROM fleet.ledger l
		   JOIN fleet.reservations r ON r.dispatch_id = l.dispatch_id AND r.window_id = l.window_id AND r.state = 'committed' WHERE l.window_id = w.id)`,
	"I2 reserved, margin and committed are the sums of the holds and of the ledger": `
		SELECT w.id FROM fleet.windows w
		WHERE (w.reserved_micros, w.margin_micros) <> (SELECT coalesce(sum(r.micros), 0)::bigint, coalesce(sum(r.margin_micros), 0)::bigint
			FROM fleet.reservations r WHERE r.window_id = w.id AND r.state = 'active')
		   OR w.committed_micros <> (SELECT coalesce(sum(l.micros), 0) FROM fleet.ledger l WHERE l.window_id = w.id)`,
	"I3 a dispatch ends once, and a hold of what has ended has ended": `
		SELECT payload->'dispatch'->>'id' FROM fleet.events WHERE type IN ('dispatch.done', 'dispatch.failed') GROUP BY 1 HAVING count(*) > 1
		UNION ALL SELECT 'D-' || d.id FROM fleet.reservations r JOIN fleet.dispatches d ON d.tenant_id = r.tenant_id AND d.id = r.dispatch_id
		WHERE r.state = 'active' AND d.state NOT IN ('ready', 'running')`,
	"I4 what is admitted holds on every window of its subscription, or on none": `
		SELECT d.id FROM fleet.dispatches d WHERE d.state IN ('ready', 'running') AND
			(SELECT count(*) FROM fleet.reservations r WHERE r.dispatch_id = d.id AND r.state = 'active') NOT IN
			(0, (SELECT count(*) FROM fleet.windows w JOIN fleet.definitions n ON n.tenant_id = w.tenant_id AND n.id = w.definition_id
			     WHERE w.ended_at IS NULL AND n.subscription_id = d.subscription_id))`,
	"I5 the epochs of a window do not overlap": `
		SELECT a.id FROM fleet.windows a JOIN fleet.windows b ON a.definition_id = b.definition_id AND a.id < b.id AND
			tstzrange(a.since, least(a.reset_at, a.ended_at)) && tstzrange(b.since, least(b.reset_at, b.ended_at))`,
	"I6 each change of a step is told once, from where the last one led": `
		SELECT id FROM (SELECT e.id, payload->'step'->>'from' AS origin, lag(payload->'step'->>'to', 1, 'normal') OVER
			(PARTITION BY payload->'step'->'window'->>'provider', payload->'step'->'window'->>'subscription', payload->'step'->'window'->>'window' ORDER BY e.id) AS before
			FROM fleet.events e WHERE type = 'budget.step') s WHERE origin <> before`,
	"I7 what was admitted stayed within the even spread and its slack, unless it was lifted or no meter was known": `
		SELECT r.id FROM fleet.reservations r
		JOIN fleet.dispatches d ON d.tenant_id = r.tenant_id AND d.id = r.dispatch_id
		JOIN fleet.windows w ON w.tenant_id = r.tenant_id AND w.id = r.window_id
		JOIN fleet.definitions n ON n.tenant_id = w.tenant_id AND n.id = w.definition_id
		WHERE r.expected_micros > r.paced_micros
		OR (r.expected_micros IS NOT NULL AND n.hours = '' AND n.recurrence !~ '^rolling' AND w.source = 'user-entered'
			AND r.held_at >= w.since AND r.held_at < w.reset_at AND NOT d.lifted AND (r.paced_micros IS NULL OR r.paced_micros >
			floor((w.limit_micros - w.floor_micros) * extract(epoch FROM r.held_at - w.since) / extract(epoch FROM w.reset_at - w.since))
			+ floor((w.limit_micros - w.floor_micros) * w.burst_ppm::numeric / 1000000)
			+ (SELECT coalesce(sum(o.micros), 0) FROM fleet.overrides o WHERE o.lifts IS NOT NULL AND o.window_name = n.name AND o.provider = n.provider)))`,
	"I8 whatever was admitted went through the gate, which kept why": `
		SELECT d.id FROM fleet.dispatches d WHERE d.state IN ('ready', 'running', 'done') AND NOT jsonb_path_exists(d.attempts, '$[*] ? (@.verdict == "admitted")')`,
}

// Hold fails for every invariant that does not hold in a register.
func Hold(t testing.TB, db interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
},
) {
	t.Helper()
	for invariant, query := range Invariants {
		rows, err := db.Query(t.Context(), query)
		require.NoError(t, err, invariant)
		broken, err := pgx.CollectRows(rows, pgx.RowToMap)
		require.NoError(t, err, invariant)
		require.Empty(t, broken, invariant)
	}
}
