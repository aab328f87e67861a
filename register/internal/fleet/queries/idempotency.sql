-- name: LockKeys :exec
SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(sqlc.arg(names)::text[]) AS name;

-- name: GetAnswers :many
SELECT caller, key, hash, answer FROM fleet.idempotency
WHERE tenant_id = sqlc.arg(tenant_id)
  AND (caller, key) IN (SELECT unnest(sqlc.arg(callers)::text[]), unnest(sqlc.arg(keys)::text[]));

-- name: InsertAnswer :exec
INSERT INTO fleet.idempotency (tenant_id, caller, key, host, hash, status, answer, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: DeleteAnswers :execrows
DELETE FROM fleet.idempotency WHERE tenant_id = sqlc.arg(tenant_id) AND at < sqlc.arg(before)::timestamptz;
