-- name: LockEstimates :exec
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(tenant_id)::text || E'\nestimates', 0));

-- name: EstimateMarks :many
SELECT role, kind, model, unit, runs, learned_at FROM fleet.estimates
WHERE tenant_id = $1 AND ((role = $2 AND kind = $3) OR (role = '' AND kind = $3) OR (role = '' AND kind = ''));

-- name: GetEstimates :many
SELECT * FROM fleet.estimates
WHERE tenant_id = $1 AND ((role = $2 AND kind = $3) OR (role = '' AND kind = $3) OR (role = '' AND kind = ''));

-- name: ListEstimates :many
SELECT role, kind, model, unit, learned_at FROM fleet.estimates
WHERE tenant_id = sqlc.arg(tenant_id) AND (sqlc.arg(role)::text = '' OR role = sqlc.arg(role)::text)
  AND (role, kind, model, unit) > (sqlc.arg(after_role)::text, sqlc.arg(after_kind)::text, sqlc.arg(after_model)::text, sqlc.arg(after_unit)::text)
ORDER BY role, kind, model, unit LIMIT sqlc.arg(page);

-- name: PutEstimate :exec
INSERT INTO fleet.estimates (tenant_id, role, kind, model, unit, host, prior_micros, runs, actuals, learned_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, role, kind, model, unit) DO UPDATE
SET host = excluded.host, runs = excluded.runs, actuals = excluded.actuals, learned_at = excluded.learned_at;
