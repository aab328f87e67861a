-- +goose Up

-- A hold is an upper bound; its margin is how far that lies above the mean, which is what pace counts. What was held before had
-- one number for both.
ALTER TABLE fleet.windows
    ADD COLUMN margin_micros bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT window_margin CHECK (margin_micros BETWEEN 0 AND reserved_micros);
ALTER TABLE fleet.reservations
    ADD COLUMN margin_micros bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT reservation_margin CHECK (margin_micros BETWEEN 0 AND micros);
ALTER TABLE fleet.dispatches ADD COLUMN waits_margins bigint[] NOT NULL DEFAULT '{}';
UPDATE fleet.dispatches SET waits_margins = array_fill(0::bigint, ARRAY[cardinality(waits_micros)]) WHERE cardinality(waits_micros) > 0;
ALTER TABLE fleet.dispatches
    ADD CONSTRAINT dispatch_margins CHECK (cardinality(waits_margins) = cardinality(waits_micros));
