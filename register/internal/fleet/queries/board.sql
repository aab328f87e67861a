-- name: LockBoard :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(tenant_id)::text || E'\nboard', 0));

-- name: GetBoard :one
SELECT * FROM fleet.boards WHERE tenant_id = $1;

-- name: PutBoard :exec
INSERT INTO fleet.boards (tenant_id, host, rules, set_by, set_at, version)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id) DO UPDATE
SET host = excluded.host, rules = excluded.rules, set_by = excluded.set_by, set_at = excluded.set_at, version = excluded.version;

-- name: PutSeat :exec
INSERT INTO fleet.seats (tenant_id, seat, host, lens, identity, deputy, set_at)
VALUES ($1, $2, $3, $4, $5, sqlc.narg(deputy), $6)
ON CONFLICT (tenant_id, seat) DO UPDATE
SET host = excluded.host, lens = excluded.lens, identity = excluded.identity, deputy = excluded.deputy, set_at = excluded.set_at;

-- name: DeleteSeat :exec
DELETE FROM fleet.seats WHERE tenant_id = $1 AND seat = $2;

-- name: ListSeats :many
SELECT s.seat, s.lens, s.identity, coalesce(i.matrix_id, '')::text AS matrix_id,
    coalesce(s.deputy, '')::text AS deputy, coalesce(d.matrix_id, '')::text AS deputy_matrix_id
FROM fleet.seats s JOIN fleet.identities i ON i.tenant_id = s.tenant_id AND i.name = s.identity
LEFT JOIN fleet.identities d ON d.tenant_id = s.tenant_id AND d.name = s.deputy
WHERE s.tenant_id = sqlc.arg(tenant_id) AND s.seat > sqlc.arg(after)::text ORDER BY s.seat LIMIT sqlc.arg(page);

-- name: GetSeat :one
SELECT s.seat, s.lens, s.identity, coalesce(i.matrix_id, '')::text AS matrix_id,
    coalesce(s.deputy, '')::text AS deputy, coalesce(d.matrix_id, '')::text AS deputy_matrix_id
FROM fleet.seats s JOIN fleet.identities i ON i.tenant_id = s.tenant_id AND i.name = s.identity
LEFT JOIN fleet.identities d ON d.tenant_id = s.tenant_id AND d.name = s.deputy
WHERE s.tenant_id = $1 AND s.seat = $2;

-- name: Runners :many
SELECT DISTINCT identity FROM fleet.agents
WHERE tenant_id = sqlc.arg(tenant_id) AND role = sqlc.arg(role) AND state = 'live' AND live_until > sqlc.arg(now)::timestamptz ORDER BY identity;
