-- name: EnsureSubscription :exec
INSERT INTO fleet.subscriptions (tenant_id, host, provider, name, created_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- name: GetSubscription :one
SELECT * FROM fleet.subscriptions WHERE tenant_id = $1 AND provider = $2 AND name = $3;

-- name: ListSubscriptions :many
SELECT * FROM fleet.subscriptions WHERE tenant_id = $1 ORDER BY id;

-- name: ShareWindowSet :exec
SELECT pg_advisory_xact_lock_shared(hashtextextended(sqlc.arg(tenant_id)::text || E'\nwindows', 0));

-- name: LockWindowSet :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(tenant_id)::text || E'\nwindows', 0));

-- name: LockDefinitions :exec
SELECT id FROM fleet.definitions WHERE tenant_id = $1 ORDER BY id FOR UPDATE;

-- name: ListWindows :many
SELECT sqlc.embed(w), sqlc.embed(d) FROM fleet.windows w
JOIN fleet.definitions d ON d.tenant_id = w.tenant_id AND d.id = w.definition_id
WHERE w.tenant_id = $1 AND w.ended_at IS NULL ORDER BY d.id;

-- name: InsertDefinition :one
INSERT INTO fleet.definitions (tenant_id, host, provider, subscription_id, name, scope_kind, scope_name, model, recurrence, hours, mine, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING id;

-- name: PutDefinition :exec
UPDATE fleet.definitions SET recurrence = $3, hours = $4, mine = $5, host = $6 WHERE tenant_id = $1 AND id = $2;

-- name: InsertWindow :one
INSERT INTO fleet.windows (tenant_id, host, definition_id, epoch, unit, limit_micros, floor_micros, committed_micros,
    reserved_micros, margin_micros, burst_ppm, since, reset_at, source, confidence, checked_at, step, step_held_at, lowered)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
RETURNING id;

-- name: PutWindow :exec
UPDATE fleet.windows
SET unit = $3, limit_micros = $4, floor_micros = $5, committed_micros = $6, reserved_micros = $7, since = $8, reset_at = $9,
    checked_at = $10, step = $11, step_held_at = $12, lowered = $13, ended_at = $14, host = $15, source = $16, confidence = $17,
    lapsed = $18, margin_micros = $19, late_since = $20, late_until = $21, late_micros = $22
WHERE tenant_id = $1 AND id = $2;

-- name: EpochBefore :one
SELECT least(reset_at, ended_at)::timestamptz AS ended FROM fleet.windows
WHERE tenant_id = $1 AND definition_id = $2 AND ended_at > since ORDER BY 1 DESC LIMIT 1;

-- name: InsertIdleEpochs :exec
INSERT INTO fleet.windows (tenant_id, host, definition_id, epoch, unit, limit_micros, floor_micros, committed_micros,
    reserved_micros, burst_ppm, since, reset_at, source, confidence, checked_at, step, step_held_at, lowered, ended_at)
SELECT w.tenant_id, sqlc.arg(host)::text, w.definition_id, w.epoch + i, w.unit, w.limit_micros, w.floor_micros, 0, 0, w.burst_ppm,
    (sqlc.arg(begun)::timestamptz[])[i], (sqlc.arg(resets)::timestamptz[])[i], w.source, w.confidence, w.checked_at, 'normal',
    (sqlc.arg(begun)::timestamptz[])[i], false, (sqlc.arg(resets)::timestamptz[])[i]
FROM fleet.windows w, generate_series(1, cardinality(sqlc.arg(begun)::timestamptz[])) AS i
WHERE w.tenant_id = sqlc.arg(tenant_id) AND w.id = sqlc.arg(id);

-- name: HeldOn :many
SELECT r.dispatch_id, r.micros, w.unit, d.name AS window_name, d.provider, coalesce(s.name, 'all') AS subscription
FROM fleet.reservations r
JOIN fleet.windows w ON w.tenant_id = r.tenant_id AND w.id = r.window_id
JOIN fleet.definitions d ON d.tenant_id = w.tenant_id AND d.id = w.definition_id
LEFT JOIN fleet.subscriptions s ON s.tenant_id = d.tenant_id AND s.id = d.subscription_id
WHERE r.tenant_id = $1 AND r.dispatch_id = ANY(sqlc.arg(dispatches)::bigint[]) AND r.state = 'active' ORDER BY w.definition_id;

-- name: InsertReservation :exec
INSERT INTO fleet.reservations (tenant_id, host, dispatch_id, window_id, micros, margin_micros, state, held_at,
    expected_micros, paced_micros)
VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $9);

-- name: ActiveReservations :many
SELECT id, dispatch_id, window_id, micros, margin_micros, held_at FROM fleet.reservations
WHERE tenant_id = $1 AND dispatch_id = ANY(sqlc.arg(dispatches)::bigint[]) AND state = 'active' ORDER BY window_id;

-- name: RaiseReservation :exec
UPDATE fleet.reservations SET micros = $3, host = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'active';

-- name: SettleReservation :exec
UPDATE fleet.reservations SET state = $3, settled_at = sqlc.arg(now)::timestamptz WHERE tenant_id = $1 AND id = $2;

-- name: MoveReservations :exec
UPDATE fleet.reservations SET window_id = sqlc.arg(into_window)
WHERE tenant_id = sqlc.arg(tenant_id) AND window_id = sqlc.arg(from_window) AND state = 'active';

-- name: MoveLine :exec
UPDATE fleet.dispatches SET waits_on = array_replace(waits_on, sqlc.arg(from_window)::bigint, sqlc.arg(into_window)::bigint)
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'queued' AND waits_on @> ARRAY[sqlc.arg(from_window)::bigint];

-- name: MoveRings :exec
UPDATE fleet.rings SET window_id = sqlc.arg(into_window)
WHERE tenant_id = sqlc.arg(tenant_id) AND window_id = sqlc.arg(from_window) AND ended_at IS NULL;

-- name: InsertLedger :exec
INSERT INTO fleet.ledger (tenant_id, host, window_id, dispatch_id, attempt, unit, micros, kind, actor, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: InsertGrant :one
INSERT INTO fleet.overrides (tenant_id, host, proposal_id, actor, at, provider, subscription, window_name, lifts, unit, micros, cycles,
    first_epoch, expires_at, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
RETURNING *;

-- name: LiveGrants :many
SELECT * FROM fleet.overrides WHERE tenant_id = $1 AND dispatch_id IS NULL AND ended_at IS NULL ORDER BY id;

-- name: ListGrants :many
SELECT * FROM fleet.overrides
WHERE tenant_id = sqlc.arg(tenant_id) AND dispatch_id IS NULL AND (sqlc.arg(ended)::boolean OR ended_at IS NULL)
  AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: LockGrant :one
SELECT * FROM fleet.overrides WHERE tenant_id = $1 AND id = $2 AND dispatch_id IS NULL FOR UPDATE;

-- name: EndGrant :exec
UPDATE fleet.overrides SET host = $3, ended_at = sqlc.arg(now)::timestamptz, ended_by = sqlc.arg(ended_by)::text, ended_why = sqlc.arg(why)
WHERE tenant_id = $1 AND id = $2;
