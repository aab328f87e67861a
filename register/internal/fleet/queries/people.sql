-- name: EnsureTenant :exec
INSERT INTO fleet.tenants (tenant_id, host) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: EnsureCounters :exec
INSERT INTO fleet.counters (tenant_id, host, name)
SELECT sqlc.arg(tenant_id)::text, sqlc.arg(host)::text, unnest(ARRAY['dispatch', 'proposal', 'event'])
ON CONFLICT DO NOTHING;

-- name: NextNumber :one
UPDATE fleet.counters SET value = value + 1 WHERE tenant_id = $1 AND name = $2 RETURNING value;

-- name: LockCounter :one
SELECT value FROM fleet.counters WHERE tenant_id = $1 AND name = $2 FOR UPDATE;

-- name: SetCounter :exec
UPDATE fleet.counters SET value = $3 WHERE tenant_id = $1 AND name = $2;

-- name: DatabaseClock :one
SELECT clock_timestamp()::timestamptz AS now;

-- name: PutIdentity :one
INSERT INTO fleet.identities (tenant_id, name, host, kind, matrix_id, roles, created_at, changed_at)
VALUES (sqlc.arg(tenant_id), sqlc.arg(name), sqlc.arg(host), sqlc.arg(kind), nullif(sqlc.arg(matrix_id)::text, ''), sqlc.arg(roles), sqlc.arg(now), sqlc.arg(now))
ON CONFLICT (tenant_id, name) DO UPDATE
SET host = excluded.host, kind = excluded.kind, matrix_id = excluded.matrix_id, roles = excluded.roles, changed_at = excluded.changed_at
RETURNING *;

-- name: GetIdentity :one
SELECT * FROM fleet.identities WHERE tenant_id = $1 AND name = $2;

-- name: GetIdentityByMatrixID :one
SELECT * FROM fleet.identities WHERE tenant_id = sqlc.arg(tenant_id) AND matrix_id = sqlc.arg(matrix_id)::text;

-- name: ListIdentities :many
SELECT * FROM fleet.identities WHERE tenant_id = sqlc.arg(tenant_id) AND name > sqlc.arg(after)::text ORDER BY name LIMIT sqlc.arg(page);

-- name: InsertToken :one
INSERT INTO fleet.tokens (tenant_id, host, identity, hash, scopes, created_at, expires_at, replaces)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *;

-- name: ListTokens :many
SELECT * FROM fleet.tokens
WHERE tenant_id = sqlc.arg(tenant_id) AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: LockToken :one
SELECT * FROM fleet.tokens WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: EndToken :one
UPDATE fleet.tokens SET host = $3, expires_at = $4, revoked_at = $5 WHERE tenant_id = $1 AND id = $2 RETURNING *;

-- name: TouchToken :exec
UPDATE fleet.tokens SET last_used_at = date_trunc('hour', clock_timestamp(), 'UTC')
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < date_trunc('hour', clock_timestamp(), 'UTC'));

-- name: RevokeTokens :many
UPDATE fleet.tokens SET host = sqlc.arg(host), revoked_at = sqlc.arg(now)::timestamptz
WHERE tenant_id = sqlc.arg(tenant_id) AND identity = sqlc.arg(identity) AND revoked_at IS NULL RETURNING *;

-- name: GetCaller :one
SELECT t.id, t.hash, t.scopes, i.name, i.kind, i.matrix_id, i.roles,
    (t.last_used_at IS NULL OR t.last_used_at < date_trunc('hour', clock_timestamp(), 'UTC'))::boolean AS untouched
FROM fleet.tokens t JOIN fleet.identities i ON i.tenant_id = t.tenant_id AND i.name = t.identity
WHERE t.tenant_id = $1 AND t.hash = $2 AND t.revoked_at IS NULL
  AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp());

-- name: PutRoom :one
INSERT INTO fleet.rooms (tenant_id, room, host, alias, purposes, bound_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, room) DO UPDATE
SET host = excluded.host, alias = coalesce(nullif(excluded.alias, ''), rooms.alias), purposes = excluded.purposes, bound_at = excluded.bound_at
RETURNING alias;

-- name: ListRooms :many
SELECT * FROM fleet.rooms WHERE tenant_id = sqlc.arg(tenant_id) AND room > sqlc.arg(after)::text ORDER BY room LIMIT sqlc.arg(page);

-- name: GetRoom :one
SELECT * FROM fleet.rooms WHERE tenant_id = $1 AND room = $2;
