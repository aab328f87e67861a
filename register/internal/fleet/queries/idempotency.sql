-- name: LockKey :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(name)::text, 0));

-- name: GetAnswer :one
SELECT hash, status, answer FROM fleet.idempotency WHERE tenant_id = $1 AND caller = $2 AND key = $3;

-- name: InsertAnswer :exec
INSERT INTO fleet.idempotency (tenant_id, caller, key, host, hash, status, answer, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: DeleteAnswers :execrows
DELETE FROM fleet.idempotency WHERE tenant_id = sqlc.arg(tenant_id) AND at < sqlc.arg(before)::timestamptz;
