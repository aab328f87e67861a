-- +goose Up

-- An override lifts one dispatch past the pace, as before, or grants an amount in a window for so many epochs. The first epoch it
-- holds for says how many are left at any time, so that no reset has to count them down.
ALTER TABLE fleet.overrides
    ALTER COLUMN dispatch_id DROP NOT NULL,
    ADD COLUMN provider text NOT NULL DEFAULT '',
    ADD COLUMN subscription text NOT NULL DEFAULT '',
    ADD COLUMN window_name text NOT NULL DEFAULT '',
    ADD COLUMN lifts text CHECK (lifts IN ('pace', 'floor', 'limit')),
    ADD COLUMN unit text NOT NULL DEFAULT '',
    ADD COLUMN micros bigint CHECK (micros > 0),
    ADD COLUMN cycles integer CHECK (cycles > 0),
    ADD COLUMN first_epoch integer,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN ended_by text,
    ADD COLUMN ended_why text NOT NULL DEFAULT '',
    ADD CONSTRAINT override_of CHECK ((dispatch_id IS NULL) = (lifts IS NOT NULL AND micros IS NOT NULL AND cycles IS NOT NULL
        AND first_epoch IS NOT NULL AND provider <> '' AND subscription <> '' AND window_name <> '')),
    ADD CONSTRAINT override_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL));
CREATE INDEX overrides_live ON fleet.overrides (tenant_id, id) WHERE dispatch_id IS NULL AND ended_at IS NULL;
