-- +goose Up

-- What tokens take of a window of percent, as its readings have shown; nothing until there were some.
ALTER TABLE fleet.definitions
    ADD COLUMN ratio_points bigint NOT NULL DEFAULT 0 CHECK (ratio_points >= 0),
    ADD COLUMN ratio_tokens bigint NOT NULL DEFAULT 0 CHECK (ratio_tokens >= 0),
    ADD COLUMN ratio_pairs integer NOT NULL DEFAULT 0 CHECK (ratio_pairs >= 0);
CREATE INDEX ledger_tokens ON fleet.ledger (tenant_id, at) WHERE unit = 'tokens';
CREATE INDEX dispatches_by_run ON fleet.dispatches (tenant_id, started_at) WHERE started_at IS NOT NULL;
