-- name: InsertReading :one
INSERT INTO fleet.readings (tenant_id, host, provider, subscription, window_name, window_id, unit, used_micros, limit_micros,
    reset_at, every_seconds, source, confidence, reporter, actor, taken_at, recorded_at, verdict, doubt, cause, booked_micros)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
RETURNING id;

-- name: ListReadings :many
SELECT * FROM fleet.readings
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (sqlc.arg(provider)::text = '' OR provider = sqlc.arg(provider)::text)
  AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: LastBelieved :one
SELECT * FROM fleet.readings
WHERE tenant_id = $1 AND window_id = $2 AND verdict = 'believed' ORDER BY id DESC LIMIT 1;

-- name: LastReading :one
SELECT * FROM fleet.readings
WHERE tenant_id = $1 AND window_id = $2 ORDER BY id DESC LIMIT 1;

-- name: LastUnlikely :one
SELECT u.* FROM fleet.readings u
WHERE u.tenant_id = sqlc.arg(tenant_id) AND u.window_id = sqlc.arg(window_id) AND u.doubt = 'unlikely' AND u.id > (
    SELECT coalesce(max(r.id), 0) FROM fleet.readings r
    WHERE r.tenant_id = u.tenant_id AND r.window_id = u.window_id AND r.verdict = 'believed')
ORDER BY u.id DESC LIMIT 1;

-- name: StoodAt :one
SELECT (SELECT coalesce(sum(l.micros), 0)::bigint FROM fleet.ledger l
        WHERE l.tenant_id = sqlc.arg(tenant_id) AND l.window_id = sqlc.arg(window_id)::bigint AND l.at <= sqlc.arg(taken)::timestamptz) AS committed_micros,
       (SELECT coalesce(sum(r.micros), 0)::bigint FROM fleet.reservations r
        WHERE r.tenant_id = sqlc.arg(tenant_id) AND r.window_id = sqlc.arg(window_id)::bigint AND r.held_at <= sqlc.arg(taken)::timestamptz
          AND (r.settled_at IS NULL OR r.settled_at > sqlc.arg(taken)::timestamptz)) AS held_micros;

-- name: InsertUnexplained :exec
INSERT INTO fleet.ledger (tenant_id, host, window_id, dispatch_id, attempt, reading_id, reporter, unit, micros, kind, actor, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: AttemptLedger :many
SELECT window_id, sum(micros)::bigint AS micros FROM fleet.ledger
WHERE tenant_id = $1 AND dispatch_id = $2 AND attempt = $3 AND unit = $4 GROUP BY window_id;

-- name: Unexplained :many
SELECT l.window_id::bigint AS window_id,
       coalesce(sum(l.micros) FILTER (WHERE l.kind = 'unattributed'), 0)::bigint AS unattributed_micros,
       coalesce(sum(l.micros) FILTER (WHERE l.kind = 'estimate' AND l.at > coalesce(
           (SELECT max(r.taken_at) FROM fleet.readings r
            WHERE r.tenant_id = l.tenant_id AND r.window_id = l.window_id AND r.verdict = 'believed'), '-infinity')), 0)::bigint AS unsettled_micros
FROM fleet.ledger l JOIN fleet.windows w ON w.tenant_id = l.tenant_id AND w.id = l.window_id
WHERE l.tenant_id = $1 AND w.ended_at IS NULL AND l.kind IN ('unattributed', 'estimate')
GROUP BY l.window_id;

-- name: AnyDefinition :one
SELECT EXISTS (
    SELECT 1 FROM fleet.definitions d LEFT JOIN fleet.subscriptions s ON s.tenant_id = d.tenant_id AND s.id = d.subscription_id
    WHERE d.tenant_id = sqlc.arg(tenant_id) AND d.provider = sqlc.arg(provider) AND coalesce(s.name, 'all') = sqlc.arg(subscription)::text AND d.name = sqlc.arg(name)
);

-- name: LastEnd :one
SELECT coalesce(max(ended_at), '-infinity')::timestamptz AS ended FROM fleet.windows
WHERE tenant_id = $1 AND definition_id = $2 AND ended_at IS NOT NULL;

-- name: RatioPairs :many
-- What two believed readings in a row of one epoch of a window's definition moved by, the newest first; the tokens booked between them,
-- those of a run once however many windows count them; and whether anything ran.
WITH d AS (
    SELECT d.* FROM fleet.definitions d JOIN fleet.windows w ON w.tenant_id = d.tenant_id AND w.definition_id = d.id
    WHERE w.tenant_id = sqlc.arg(tenant_id) AND w.id = sqlc.arg(window_id)::bigint
), seen AS (
    SELECT r.id, r.window_id, r.taken_at, r.used_micros FROM fleet.readings r
    JOIN fleet.windows w ON w.tenant_id = r.tenant_id AND w.id = r.window_id JOIN d ON d.id = w.definition_id
    WHERE r.tenant_id = sqlc.arg(tenant_id) AND r.verdict = 'believed' AND r.unit = 'percent' ORDER BY r.id DESC LIMIT sqlc.arg(readings)
), pairs AS (
    SELECT seen.id, lag(taken_at) OVER epoch AS since, taken_at AS until, used_micros - lag(used_micros) OVER epoch AS points_micros
    FROM seen WINDOW epoch AS (PARTITION BY window_id ORDER BY id)
)
SELECT p.points_micros::bigint AS points_micros,
    (SELECT coalesce(sum(run.micros), 0)::bigint FROM (
        SELECT max(one.micros) AS micros FROM (
            SELECT l.dispatch_id, sum(l.micros) AS micros FROM fleet.ledger l
            LEFT JOIN fleet.dispatches r ON r.tenant_id = l.tenant_id AND r.id = l.dispatch_id
            LEFT JOIN fleet.windows w ON w.tenant_id = l.tenant_id AND w.id = l.window_id
            LEFT JOIN fleet.definitions o ON o.tenant_id = w.tenant_id AND o.id = w.definition_id
            WHERE l.tenant_id = sqlc.arg(tenant_id) AND l.unit = 'tokens' AND l.at > p.since AND l.at <= p.until
              AND CASE WHEN l.dispatch_id IS NULL THEN l.kind = 'unattributed' AND o.scope_kind = 'subscription'
                           AND (d.subscription_id IS NULL AND d.provider IN ('all', o.provider) OR o.subscription_id = d.subscription_id)
                       WHEN d.subscription_id IS NULL THEN d.provider IN ('all', r.provider) AND d.model IN ('', r.model)
                       ELSE r.subscription_id = d.subscription_id AND d.model IN ('', r.model) END
            GROUP BY l.dispatch_id, l.window_id) AS one
        GROUP BY one.dispatch_id) AS run)::bigint AS tokens_micros,
    EXISTS (SELECT 1 FROM fleet.dispatches r
        WHERE r.tenant_id = sqlc.arg(tenant_id) AND r.started_at < p.until AND coalesce(r.finished_at, 'infinity') > p.since
          AND CASE WHEN d.subscription_id IS NULL THEN d.provider IN ('all', r.provider) ELSE r.subscription_id = d.subscription_id END) AS busy
FROM pairs p CROSS JOIN d WHERE p.since IS NOT NULL ORDER BY p.id DESC;

-- name: PutRatio :exec
UPDATE fleet.definitions d SET ratio_points = sqlc.arg(points), ratio_tokens = sqlc.arg(tokens), ratio_pairs = sqlc.arg(pairs), host = sqlc.arg(host)
FROM fleet.windows w
WHERE w.tenant_id = sqlc.arg(tenant_id) AND w.id = sqlc.arg(window_id)::bigint AND d.tenant_id = w.tenant_id AND d.id = w.definition_id;
