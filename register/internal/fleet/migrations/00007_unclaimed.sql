-- +goose Up

-- Since when a ready dispatch waits for a worker, and when one that nobody claimed went back to wait outside of every line.
ALTER TABLE fleet.dispatches ADD COLUMN ready_at timestamptz, ADD COLUMN returned_at timestamptz;
UPDATE fleet.dispatches SET ready_at = clock_timestamp() WHERE state = 'ready';
ALTER TABLE fleet.dispatches
    ADD CONSTRAINT dispatch_ready CHECK ((state = 'ready') = (ready_at IS NOT NULL)),
    ADD CONSTRAINT dispatch_returned CHECK (returned_at IS NULL OR (state = 'queued' AND cardinality(waits_on) = 0));
CREATE INDEX dispatches_returned ON fleet.dispatches (tenant_id, role) WHERE returned_at IS NOT NULL;
