-- name: ListPosted :many
SELECT level FROM fleet.posted WHERE tenant_id = $1 AND window_id = $2;

-- name: InsertPosted :exec
INSERT INTO fleet.posted (tenant_id, window_id, level, host, at) VALUES ($1, $2, $3, $4, $5);

-- name: InsertPostedOnce :execrows
INSERT INTO fleet.posted (tenant_id, window_id, level, host, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- name: InsertRing :one
INSERT INTO fleet.rings (tenant_id, host, window_id, provider, subscription, window_name, first_at, rung, next_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id;

-- name: EndRing :exec
UPDATE fleet.rings SET host = sqlc.arg(host), next_at = NULL, ended_at = sqlc.arg(now)::timestamptz
WHERE tenant_id = sqlc.arg(tenant_id) AND window_id = sqlc.arg(window_id) AND ended_at IS NULL;

-- name: ListOpenRings :many
SELECT * FROM fleet.rings WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY id;

-- name: LockRings :many
SELECT * FROM fleet.rings
WHERE tenant_id = sqlc.arg(tenant_id) AND (id = ANY(sqlc.arg(ids)::bigint[]) OR cardinality(sqlc.arg(ids)::bigint[]) = 0 AND ended_at IS NULL)
ORDER BY id FOR UPDATE;

-- name: CountRingsDue :one
SELECT count(*) FROM fleet.rings WHERE tenant_id = sqlc.arg(tenant_id) AND next_at <= sqlc.arg(now)::timestamptz;

-- name: LockRingsDue :many
SELECT * FROM fleet.rings WHERE tenant_id = sqlc.arg(tenant_id) AND next_at <= sqlc.arg(now)::timestamptz ORDER BY id FOR UPDATE;

-- name: PutRing :exec
UPDATE fleet.rings SET host = $3, rung = $4, next_at = $5, acked_by = $6, acked_at = $7, ended_at = $8 WHERE tenant_id = $1 AND id = $2;

-- name: SetRoomVerbosity :exec
UPDATE fleet.rooms SET verbosity = $3, host = $4 WHERE tenant_id = $1 AND room = $2;

-- name: WindowMoves :many
-- What changed a window's use, summed over spans of so many seconds: entries, and the means of holds as they came and went.
SELECT date_bin(make_interval(secs => sqlc.arg(seconds)::float8), moves.at, sqlc.arg(since)::timestamptz)::timestamptz AS at,
       moves.entered, sum(moves.micros)::bigint AS micros
FROM (
    SELECT l.at, l.kind = 'entered' AS entered, l.micros FROM fleet.ledger l WHERE l.tenant_id = sqlc.arg(tenant_id) AND l.window_id = sqlc.arg(window_id)::bigint
    UNION ALL
    SELECT r.held_at, false, r.micros - r.margin_micros FROM fleet.reservations r WHERE r.tenant_id = sqlc.arg(tenant_id) AND r.window_id = sqlc.arg(window_id)::bigint
    UNION ALL
    SELECT r.settled_at, false, r.margin_micros - r.micros FROM fleet.reservations r
    WHERE r.tenant_id = sqlc.arg(tenant_id) AND r.window_id = sqlc.arg(window_id)::bigint AND r.settled_at IS NOT NULL
) moves
GROUP BY 1, 2 ORDER BY 1;

-- name: ListEpochs :many
-- The epochs of a window's definition, newest first, with what happened in them.
SELECT sqlc.embed(w),
    (SELECT count(DISTINCT l.dispatch_id) FROM fleet.ledger l
     JOIN fleet.dispatches d ON d.tenant_id = l.tenant_id AND d.id = l.dispatch_id
     WHERE l.tenant_id = w.tenant_id AND l.window_id = w.id AND d.downgraded) AS lowered,
    (SELECT count(*) FROM fleet.dispatches d
     WHERE d.tenant_id = w.tenant_id AND d.state = 'refused' AND d.created_at >= w.since AND d.created_at < coalesce(w.ended_at, w.reset_at)
       AND (sqlc.arg(provider)::text = 'all' OR d.attempts @> jsonb_build_array(jsonb_build_object('provider', sqlc.arg(provider)::text)))) AS refused,
    (SELECT coalesce(sum(l.micros), 0)::bigint FROM fleet.ledger l
     WHERE l.tenant_id = w.tenant_id AND l.window_id = w.id AND l.kind = 'unattributed')::bigint AS unattributed_micros,
    (SELECT coalesce(array_agg(p.level), '{}')::text[] FROM fleet.posted p WHERE p.tenant_id = w.tenant_id AND p.window_id = w.id) AS levels
FROM fleet.windows w
WHERE w.tenant_id = sqlc.arg(tenant_id) AND w.since IS NOT NULL
  AND w.definition_id = (SELECT c.definition_id FROM fleet.windows c WHERE c.tenant_id = sqlc.arg(tenant_id) AND c.id = sqlc.arg(id)::bigint)
ORDER BY w.epoch DESC LIMIT sqlc.arg(cycles);
