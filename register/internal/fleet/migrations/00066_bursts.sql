-- +goose Up

-- What a window admitted of late, in slots that cost no reading of the holds: the burst rule counts them.
ALTER TABLE fleet.windows
    ADD COLUMN late_since timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN late_until timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN late_micros bigint[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT window_lately CHECK (cardinality(late_since) = cardinality(late_micros) AND cardinality(late_until) = cardinality(late_micros));

-- What an admission was judged by, so that anybody can look it up later, when the window has moved on.
ALTER TABLE fleet.reservations
    ADD COLUMN expected_micros bigint,
    ADD COLUMN paced_micros bigint;
COMMENT ON COLUMN fleet.reservations.expected_micros IS 'what the window had spent and held on means right after this was admitted';
COMMENT ON COLUMN fleet.reservations.paced_micros IS 'what pace allowed of it then; null where pace did not apply';
