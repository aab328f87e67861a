-- name: GetAgent :one
SELECT * FROM fleet.agents WHERE tenant_id = $1 AND name = $2;

-- name: LockAgent :one
SELECT * FROM fleet.agents WHERE tenant_id = $1 AND name = $2 FOR UPDATE;

-- name: PutAgent :exec
INSERT INTO fleet.agents (tenant_id, name, host, role, worker_host, runtime, model_ceiling, subscriptions, identity, state,
    declared_at, heard_at, liveness_seconds, live_until, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (tenant_id, name) DO UPDATE
SET host = excluded.host, worker_host = excluded.worker_host, runtime = excluded.runtime, model_ceiling = excluded.model_ceiling,
    subscriptions = excluded.subscriptions, identity = excluded.identity, state = excluded.state, declared_at = excluded.declared_at,
    heard_at = excluded.heard_at, liveness_seconds = excluded.liveness_seconds, live_until = excluded.live_until,
    ended_at = excluded.ended_at;

-- name: HearAgent :execrows
UPDATE fleet.agents
SET heard_at = sqlc.arg(now)::timestamptz, host = sqlc.arg(host),
    live_until = greatest(live_until, sqlc.arg(now)::timestamptz + make_interval(secs => liveness_seconds))
WHERE tenant_id = sqlc.arg(tenant_id) AND name = sqlc.arg(name) AND state = 'live' AND live_until > sqlc.arg(now)::timestamptz;

-- name: RunnerOf :one
SELECT a.* FROM fleet.dispatches d JOIN fleet.agents a ON a.tenant_id = d.tenant_id AND a.name = d.worker
WHERE d.tenant_id = sqlc.arg(tenant_id) AND d.id = sqlc.arg(dispatch) AND d.claim = sqlc.arg(claim) AND d.state = 'running';

-- name: LiveAgents :many
SELECT * FROM fleet.agents
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'live' AND live_until > sqlc.arg(now)::timestamptz ORDER BY name;

-- name: ListAgents :many
SELECT * FROM fleet.agents
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (cardinality(sqlc.arg(states)::text[]) = 0 OR state = ANY(sqlc.arg(states)::text[]))
  AND name > sqlc.arg(after)::text
ORDER BY name LIMIT sqlc.arg(page);

-- name: CountSilent :one
SELECT count(*) FROM fleet.agents
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'live' AND live_until <= sqlc.arg(now)::timestamptz;

-- name: LockSilent :many
SELECT * FROM fleet.agents
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'live' AND live_until <= sqlc.arg(now)::timestamptz
ORDER BY name LIMIT 100 FOR UPDATE SKIP LOCKED;

-- name: RunningOf :many
SELECT id, worker FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'running' AND worker = ANY(sqlc.arg(workers)::text[]) ORDER BY id;

-- name: EndAgent :exec
UPDATE fleet.agents SET state = $3, host = $4, ended_at = sqlc.arg(now)::timestamptz WHERE tenant_id = $1 AND name = $2;
