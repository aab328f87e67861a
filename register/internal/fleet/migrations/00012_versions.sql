-- +goose Up

-- How often each setting was changed; a setting without a row has not been since this was counted.
CREATE TABLE fleet.versions (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    kind      text NOT NULL CHECK (kind IN ('window', 'ladder', 'seat', 'room', 'identity', 'agent')),
    name      text NOT NULL,
    host      text NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, kind, name)
);

ALTER TABLE fleet.pauses ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0);
