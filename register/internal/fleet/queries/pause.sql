-- name: SharePause :exec
SELECT pg_advisory_xact_lock_shared(hashtextextended(sqlc.arg(tenant_id)::text || E'\npause', 0));

-- name: LockPause :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(tenant_id)::text || E'\npause', 0));

-- name: GetPause :one
SELECT * FROM fleet.pauses WHERE tenant_id = $1;

-- name: PutPause :exec
INSERT INTO fleet.pauses (tenant_id, host, paused, reason, actor, at, version)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id) DO UPDATE
SET host = excluded.host, version = excluded.version, paused = excluded.paused, reason = excluded.reason, actor = excluded.actor, at = excluded.at;
