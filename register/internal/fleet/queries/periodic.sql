-- name: ListTenants :many
SELECT tenant_id FROM fleet.tenants ORDER BY tenant_id;

-- name: Floor :one
SELECT floor_seq FROM fleet.retention WHERE tenant_id = $1;

-- name: FirstEventSince :one
SELECT seq::bigint FROM fleet.events
WHERE tenant_id = sqlc.arg(tenant_id) AND seq > sqlc.arg(floor)::bigint AND at >= sqlc.arg(since)::timestamptz ORDER BY seq LIMIT 1;

-- name: RaiseFloor :exec
INSERT INTO fleet.retention (tenant_id, host, floor_seq, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id) DO UPDATE SET host = excluded.host, floor_seq = excluded.floor_seq, at = excluded.at
WHERE retention.floor_seq < excluded.floor_seq;

-- name: Accounts :many
SELECT w.id, w.reserved_micros, w.margin_micros, w.committed_micros,
       (SELECT coalesce(sum(r.micros), 0) FROM fleet.reservations r
        WHERE r.tenant_id = w.tenant_id AND r.window_id = w.id AND r.state = 'active')::bigint AS held_micros,
       (SELECT coalesce(sum(r.margin_micros), 0) FROM fleet.reservations r
        WHERE r.tenant_id = w.tenant_id AND r.window_id = w.id AND r.state = 'active')::bigint AS held_margin,
       (SELECT coalesce(sum(l.micros), 0) FROM fleet.ledger l WHERE l.tenant_id = w.tenant_id AND l.window_id = w.id)::bigint AS booked_micros
FROM fleet.windows w WHERE w.tenant_id = $1 ORDER BY w.id;

-- name: PutCheck :exec
INSERT INTO fleet.checks (tenant_id, host, windows, wrong, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id) DO UPDATE SET host = excluded.host, windows = excluded.windows, wrong = excluded.wrong, at = excluded.at;

-- name: GetCheck :one
SELECT * FROM fleet.checks WHERE tenant_id = $1;
