-- name: InsertEvent :exec
INSERT INTO fleet.events (tenant_id, host, type, at, actor, cause, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: NumberEvents :execrows
UPDATE fleet.events e SET seq = sqlc.arg(last)::bigint + n.rank
FROM (SELECT u.id, row_number() OVER (ORDER BY u.id) AS rank FROM fleet.events u
      WHERE u.tenant_id = sqlc.arg(tenant_id) AND u.seq IS NULL ORDER BY u.id LIMIT sqlc.arg(batch)) n
WHERE e.id = n.id;

-- name: AdvanceEventCounter :one
UPDATE fleet.counters SET value = value + sqlc.arg(numbered)
WHERE tenant_id = sqlc.arg(tenant_id) AND name = 'event' RETURNING value;

-- name: LastEvent :one
SELECT value FROM fleet.counters WHERE tenant_id = $1 AND name = 'event';

-- name: EventsUnnumbered :one
SELECT EXISTS (SELECT 1 FROM fleet.events WHERE tenant_id = $1 AND seq IS NULL);

-- name: EventsAfter :many
SELECT * FROM fleet.events WHERE tenant_id = sqlc.arg(tenant_id) AND seq > sqlc.arg(after)::bigint ORDER BY seq LIMIT sqlc.arg(page);
