-- name: PutOutput :exec
INSERT INTO fleet.outputs (tenant_id, dispatch_id, host, text, at) VALUES ($1, $2, $3, $4, $5);

-- name: GetOutput :one
SELECT text FROM fleet.outputs WHERE tenant_id = $1 AND dispatch_id = $2;
