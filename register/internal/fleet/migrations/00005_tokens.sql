-- +goose Up

-- When a token was last used, to the hour, so that its use costs one write an hour; and which one it was rotated from.
ALTER TABLE fleet.tokens
    ADD COLUMN last_used_at timestamptz CHECK (last_used_at = date_trunc('hour', last_used_at, 'UTC')),
    ADD COLUMN replaces bigint REFERENCES fleet.tokens;
CREATE INDEX tokens_by_tenant ON fleet.tokens (tenant_id, id);
