-- name: GetVersion :one
SELECT version FROM fleet.versions WHERE tenant_id = $1 AND kind = $2 AND name = $3;

-- name: ListVersions :many
SELECT name, version FROM fleet.versions WHERE tenant_id = $1 AND kind = $2;

-- name: BumpVersion :one
INSERT INTO fleet.versions (tenant_id, kind, name, host, version) VALUES ($1, $2, $3, $4, 1)
ON CONFLICT (tenant_id, kind, name) DO UPDATE SET version = fleet.versions.version + 1, host = excluded.host
RETURNING version;

-- name: ListTiers :many
SELECT * FROM fleet.tiers WHERE tenant_id = $1 ORDER BY position;

-- name: DeleteTiers :exec
DELETE FROM fleet.tiers WHERE tenant_id = $1;

-- name: InsertTier :exec
INSERT INTO fleet.tiers (tenant_id, position, host, provider, model, cost, set_by, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
