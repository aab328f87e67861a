-- +goose Up

-- What somebody read of what a provider says, append-only, also what was not believed.
CREATE TABLE fleet.readings (
    tenant_id     text NOT NULL REFERENCES fleet.tenants,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    host          text NOT NULL,
    provider      text NOT NULL CHECK (provider <> ''),
    subscription  text NOT NULL CHECK (subscription <> ''),
    window_name   text NOT NULL CHECK (window_name <> ''),
    window_id     bigint NOT NULL,
    unit          text NOT NULL CHECK (unit IN ('messages', 'tokens', 'dollars', 'credits', 'compute-minutes', 'percent')),
    used_micros   bigint NOT NULL CHECK (used_micros >= 0),
    limit_micros  bigint CHECK (limit_micros > 0),
    reset_at      timestamptz,
    every_seconds bigint CHECK (every_seconds > 0),
    source        text NOT NULL CHECK (source IN ('user-entered', 'provider-detected', 'estimated')),
    confidence    double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    reporter      text NOT NULL CHECK (reporter <> ''),
    actor         text NOT NULL,
    taken_at      timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('believed', 'doubted')),
    doubt         text NOT NULL CHECK (doubt IN ('', 'future', 'stale', 'older', 'reset-past', 'lapsed', 'unlikely')),
    cause         text NOT NULL,
    booked_micros bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, window_id) REFERENCES fleet.windows,
    CHECK ((verdict = 'doubted') = (doubt <> '')),
    CHECK (verdict = 'believed' OR booked_micros = 0)
);
COMMENT ON COLUMN fleet.readings.window_id IS 'the epoch it was read in; of one that began an epoch, that one';
CREATE INDEX readings_by_window ON fleet.readings (tenant_id, window_id, id);
CREATE TRIGGER readings_append_only BEFORE UPDATE OR DELETE ON fleet.readings
    FOR EACH ROW EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER readings_no_truncate BEFORE TRUNCATE ON fleet.readings
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.append_only();

-- Use that no dispatch explains, and what a run turned out to have used after it had ended. Both may be below zero.
ALTER TABLE fleet.ledger
    ADD COLUMN reading_id bigint,
    ADD COLUMN reporter text NOT NULL DEFAULT '',
    ADD FOREIGN KEY (tenant_id, reading_id) REFERENCES fleet.readings,
    DROP CONSTRAINT ledger_kind_check,
    DROP CONSTRAINT ledger_check,
    ADD CONSTRAINT ledger_kind_check CHECK (kind IN ('actual', 'metered', 'estimate', 'entered', 'unattributed', 'correction')),
    ADD CONSTRAINT ledger_check CHECK (micros >= 0 OR kind IN ('entered', 'unattributed', 'correction')),
    ADD CONSTRAINT ledger_unattributed CHECK (kind <> 'unattributed' OR dispatch_id IS NULL),
    ADD CONSTRAINT ledger_correction CHECK (kind <> 'correction' OR dispatch_id IS NOT NULL);
CREATE INDEX ledger_by_dispatch ON fleet.ledger (tenant_id, dispatch_id, attempt);
