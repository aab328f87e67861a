-- name: GetPolicy :one
SELECT * FROM fleet.policies WHERE tenant_id = $1;

-- name: PutPolicy :exec
INSERT INTO fleet.policies (tenant_id, host, route, sticky, lowest, set_by, set_at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id) DO UPDATE
SET host = excluded.host, route = excluded.route, sticky = excluded.sticky, lowest = excluded.lowest, set_by = excluded.set_by,
    set_at = excluded.set_at, version = excluded.version;

-- name: WarmAmong :one
SELECT subscription_id::bigint FROM fleet.dispatches
WHERE tenant_id = $1 AND id = ANY(sqlc.arg(dispatches)::bigint[]) AND subscription_id IS NOT NULL ORDER BY id DESC LIMIT 1;

-- name: WarmMission :one
SELECT subscription_id::bigint FROM fleet.dispatches
WHERE tenant_id = $1 AND mission = $2 AND mission <> '' AND id < sqlc.arg(before)::bigint AND subscription_id IS NOT NULL ORDER BY id DESC LIMIT 1;

-- name: Occupied :many
SELECT DISTINCT subscription_id::bigint FROM fleet.dispatches
WHERE tenant_id = $1 AND state IN ('ready', 'running') AND subscription_id = ANY(sqlc.arg(subscriptions)::bigint[]);
