-- name: ListMatrixIDs :many
SELECT name, matrix_id::text AS matrix_id FROM fleet.identities WHERE tenant_id = $1 AND matrix_id IS NOT NULL ORDER BY name;

-- name: LockIdentity :one
SELECT * FROM fleet.identities WHERE tenant_id = $1 AND name = $2 FOR UPDATE;

-- name: CountOtherAdmins :one
SELECT count(*) FROM fleet.identities WHERE tenant_id = sqlc.arg(tenant_id) AND name <> sqlc.arg(name) AND 'admin' = ANY (roles);

-- name: PutIdentityReset :execrows
INSERT INTO fleet.identity_resets (tenant_id, identity, matrix_id, new_key, old_key, host, reported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING;

-- name: LatestIdentityReset :one
SELECT * FROM fleet.identity_resets WHERE tenant_id = $1 AND identity = $2 ORDER BY reported_at DESC LIMIT 1;

-- name: AcceptIdentityReset :exec
UPDATE fleet.identity_resets SET host = $5, accepted_by = $6, accepted_at = $7
WHERE tenant_id = $1 AND identity = $2 AND matrix_id = $3 AND new_key = $4 AND accepted_at IS NULL;

-- name: SetRoomEncryption :one
INSERT INTO fleet.rooms (tenant_id, room, host, purposes, bound_at, encrypted)
VALUES (sqlc.arg(tenant_id), sqlc.arg(room), sqlc.arg(host), '{}', sqlc.arg(now), sqlc.arg(encrypted))
ON CONFLICT (tenant_id, room) DO UPDATE SET host = excluded.host, encrypted = excluded.encrypted RETURNING *;

-- name: RoomEncryption :one
SELECT encrypted FROM fleet.rooms WHERE tenant_id = $1 AND room = $2;
