-- +goose Up

-- How work is routed. Without a row the fleet keeps its subscriptions on pace and its contexts warm, and no role is held to a tier.
CREATE TABLE fleet.policies (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    host      text NOT NULL,
    route     text NOT NULL CHECK (route IN ('pace', 'drain')),
    sticky    boolean NOT NULL,
    lowest    jsonb NOT NULL CHECK (jsonb_typeof(lowest) = 'object'),
    set_by    text NOT NULL,
    set_at    timestamptz NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    FOREIGN KEY (tenant_id, set_by) REFERENCES fleet.identities
);
CREATE INDEX dispatches_by_mission ON fleet.dispatches (tenant_id, mission, id DESC) WHERE mission <> '' AND subscription_id IS NOT NULL;
