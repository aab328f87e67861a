-- name: TryAuditLock :one
SELECT pg_try_advisory_xact_lock(hashtextextended('mosaic-audit ' || sqlc.arg(tenant_id)::text, 0));

-- name: LastSeal :one
SELECT * FROM fleet.seals WHERE tenant_id = $1 ORDER BY last_seq DESC LIMIT 1;

-- name: InsertSeal :exec
INSERT INTO fleet.seals (tenant_id, host, first_seq, last_seq, previous, hash, at) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: SealsAfter :many
SELECT * FROM fleet.seals WHERE tenant_id = sqlc.arg(tenant_id) AND last_seq > sqlc.arg(after)::bigint ORDER BY last_seq LIMIT sqlc.arg(page);

-- name: EntriesAfter :many
SELECT seq::bigint AS seq, payload FROM fleet.events
WHERE tenant_id = sqlc.arg(tenant_id) AND seq > sqlc.arg(after)::bigint ORDER BY seq LIMIT sqlc.arg(page);

-- name: Unsealed :one
SELECT (c.value - sqlc.arg(sealed)::bigint + (SELECT count(*) FROM fleet.events e WHERE e.tenant_id = c.tenant_id AND e.seq IS NULL))::bigint AS entries,
       coalesce(least((SELECT e.at FROM fleet.events e WHERE e.tenant_id = c.tenant_id AND e.seq = sqlc.arg(sealed)::bigint + 1),
                      (SELECT min(e.at) FROM fleet.events e WHERE e.tenant_id = c.tenant_id AND e.seq IS NULL)),
                clock_timestamp())::timestamptz AS oldest
FROM fleet.counters c WHERE c.tenant_id = sqlc.arg(tenant_id) AND c.name = 'event';

-- name: InsertHead :execrows
INSERT INTO fleet.heads (tenant_id, day, host, last_seq, hash, at)
VALUES (sqlc.arg(tenant_id), (sqlc.arg(at)::timestamptz AT TIME ZONE 'UTC')::date, sqlc.arg(host), sqlc.arg(last_seq), sqlc.arg(hash), sqlc.arg(at))
ON CONFLICT (tenant_id, day) DO NOTHING;
