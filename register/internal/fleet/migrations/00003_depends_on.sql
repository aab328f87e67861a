-- +goose Up

-- A dispatch can only wait for one that was there before it, so no circle can come about.
ALTER TABLE fleet.dispatches
    ADD COLUMN depends_on bigint[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT dispatch_after CHECK (id > ALL (depends_on));
CREATE INDEX dispatches_after ON fleet.dispatches USING gin (depends_on) WHERE state = 'queued' AND cardinality(depends_on) > 0;
