-- +goose Up

-- One switch a tenant; without a row it was never used.
CREATE TABLE fleet.pauses (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    host      text NOT NULL,
    paused    boolean NOT NULL,
    reason    text NOT NULL,
    actor     text NOT NULL,
    at        timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, actor) REFERENCES fleet.identities
);
