-- +goose Up

-- The ladder, from position 1 down. It is replaced whole.
CREATE TABLE fleet.tiers (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    position  integer NOT NULL CHECK (position > 0),
    host      text NOT NULL,
    provider  text NOT NULL CHECK (provider <> ''),
    model     text NOT NULL CHECK (model <> ''),
    cost      bigint NOT NULL CHECK (cost > 0),
    set_by    text,
    set_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, position),
    FOREIGN KEY (tenant_id, set_by) REFERENCES fleet.identities
);
CREATE UNIQUE INDEX tiers_by_model ON fleet.tiers (tenant_id, lower(model));
