-- name: InsertDispatch :exec
INSERT INTO fleet.dispatches (tenant_id, id, host, role, brief, brief_class, project, mission, model_requested, exact,
    estimate, priority, deadline, origin, created_by, created_at, state, reason, promised_start, model, provider,
    subscription_id, subscription, downgraded, lifted, attempts, waits_on, waits_micros, attempt, max_attempts, worker,
    claim, claim_expires_at, metered, progress, actuals, unmetered, result, started_at, finished_at, depends_on,
    context_tokens, finish_by, expected, retry_of, ready_at, waits_margins, learned, stands, bare)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50);

-- name: PutDispatch :exec
UPDATE fleet.dispatches
SET host = $3, state = $4, reason = $5, promised_start = $6, model = $7, provider = $8, subscription_id = $9,
    subscription = $10, downgraded = $11, lifted = $12, attempts = $13, waits_on = $14, waits_micros = $15, attempt = $16,
    worker = $17, claim = $18, claim_expires_at = $19, metered = $20, progress = $21, actuals = $22, unmetered = $23,
    result = $24, started_at = $25, finished_at = $26, worker_host = $27, failure = $28, ready_at = $29, returned_at = $30, waits_margins = $31, learned = $32
WHERE tenant_id = $1 AND id = $2;

-- name: GetDispatch :one
SELECT * FROM fleet.dispatches WHERE tenant_id = $1 AND id = $2;

-- name: LockDispatch :one
SELECT * FROM fleet.dispatches WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: ListDispatches :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (cardinality(sqlc.arg(states)::text[]) = 0 OR state = ANY(sqlc.arg(states)::text[]))
  AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: Line :many
SELECT id, priority, lifted, created_at, promised_start, waits_on, waits_micros, waits_margins FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'queued' ORDER BY id;

-- name: LockWaiting :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'queued' ORDER BY id FOR UPDATE;

-- name: LockNextReady :one
SELECT * FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id) AND role = sqlc.arg(role) AND state = 'ready'
  AND (cardinality(sqlc.arg(models)::text[]) = 0 OR model = ANY(sqlc.arg(models)::text[]))
  AND (cardinality(sqlc.arg(subscriptions)::text[]) = 0
    OR CASE WHEN subscription IN ('', provider) THEN provider ELSE provider || '/' || subscription END = ANY(sqlc.arg(subscriptions)::text[]))
ORDER BY lifted DESC, stands, priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: NextReady :one
SELECT * FROM fleet.dispatches
WHERE tenant_id = $1 AND role = $2 AND state = 'ready' ORDER BY lifted DESC, stands, priority DESC, id LIMIT 1;

-- name: CountUnclaimed :one
SELECT count(*) FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'ready' AND ready_at <= sqlc.arg(since)::timestamptz;

-- name: LockUnclaimed :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'ready' AND ready_at <= sqlc.arg(since)::timestamptz
ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED;

-- name: AnyReturned :one
SELECT EXISTS (SELECT 1 FROM fleet.dispatches WHERE tenant_id = $1 AND role = $2 AND returned_at IS NOT NULL);

-- name: LockReturned :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = $1 AND role = $2 AND returned_at IS NOT NULL ORDER BY lifted DESC, stands, priority DESC, id FOR UPDATE;

-- name: LockExpired :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'running' AND claim_expires_at <= sqlc.arg(now)::timestamptz
ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED;

-- name: CountExpired :one
SELECT count(*) FROM fleet.dispatches
WHERE tenant_id = sqlc.arg(tenant_id) AND state = 'running' AND claim_expires_at <= sqlc.arg(now)::timestamptz;

-- name: NextPromise :one
SELECT promised_start FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'queued' AND promised_start IS NOT NULL ORDER BY promised_start LIMIT 1;

-- name: CountDispatches :many
SELECT state, count(*) AS dispatches FROM fleet.dispatches WHERE tenant_id = $1 GROUP BY state;

-- name: LockReady :many
SELECT * FROM fleet.dispatches WHERE tenant_id = $1 AND state = 'ready' ORDER BY id FOR UPDATE;

-- name: ShareDispatches :many
SELECT id, state FROM fleet.dispatches
WHERE tenant_id = $1 AND id = ANY(sqlc.arg(dispatches)::bigint[]) ORDER BY id FOR SHARE;

-- name: NotDone :many
SELECT id, state FROM fleet.dispatches
WHERE tenant_id = $1 AND id = ANY(sqlc.arg(dispatches)::bigint[]) AND state <> 'done';

-- name: LockDependents :many
SELECT * FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'queued' AND cardinality(depends_on) > 0 AND depends_on @> ARRAY[sqlc.arg(dispatch)::bigint]
ORDER BY id FOR UPDATE;

-- name: LockRunning :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(tenant_id)::text || E'\nrunning\n' || sqlc.arg(role)::text || E'\n' || sqlc.arg(worker_host)::text, 0));

-- name: CountRunning :one
SELECT count(*) FROM fleet.dispatches
WHERE tenant_id = $1 AND state = 'running' AND role = $2 AND worker_host = $3;

-- name: RetryOf :many
SELECT id, retry_of FROM fleet.dispatches
WHERE tenant_id = $1 AND retry_of = ANY(sqlc.arg(dispatches)::bigint[]);

-- name: LastRuns :many
SELECT (extract(epoch FROM finished_at - started_at))::float8 AS seconds FROM fleet.dispatches
WHERE tenant_id = $1 AND role = $2 AND model = $3 AND state = 'done' AND attempt = 1
ORDER BY finished_at DESC LIMIT sqlc.arg(most);
