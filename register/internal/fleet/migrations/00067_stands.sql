-- +goose Up

-- Where work stands in every line it waits in, for budget and for a claim: when it was asked for, an hour earlier for each level of
-- its priority. In microseconds, as the rules count it.
ALTER TABLE fleet.dispatches ADD COLUMN stands bigint;
UPDATE fleet.dispatches SET stands = (extract(epoch FROM created_at) * 1000000)::bigint - priority * 3600000000;
ALTER TABLE fleet.dispatches ALTER COLUMN stands SET NOT NULL;
DROP INDEX fleet.dispatches_ready;
CREATE INDEX dispatches_ready ON fleet.dispatches (tenant_id, role, lifted DESC, stands, priority DESC, id) WHERE state = 'ready';
