-- +goose Up

-- Which levels had their notice in an epoch of a window: the steps of the ladder, and the warnings ahead of them.
CREATE TABLE fleet.posted (
    tenant_id text NOT NULL,
    window_id bigint NOT NULL,
    level     text NOT NULL CHECK (level IN ('downgrade', 'queue', 'refuse', 'burn-fast', 'burn-slow')),
    host      text NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, window_id, level),
    FOREIGN KEY (tenant_id, window_id) REFERENCES fleet.windows
);

-- A window at refuse rings the operators until one of them acknowledges it or it eases.
CREATE TABLE fleet.rings (
    tenant_id    text NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    host         text NOT NULL,
    window_id    bigint NOT NULL,
    provider     text NOT NULL,
    subscription text NOT NULL,
    window_name  text NOT NULL,
    first_at     timestamptz NOT NULL,
    rung         integer NOT NULL CHECK (rung > 0),
    next_at      timestamptz,
    acked_by     text,
    acked_at     timestamptz,
    ended_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, window_id) REFERENCES fleet.windows,
    FOREIGN KEY (tenant_id, acked_by) REFERENCES fleet.identities,
    CHECK ((acked_by IS NULL) = (acked_at IS NULL)),
    CHECK (next_at IS NULL OR acked_at IS NULL AND ended_at IS NULL)
);
CREATE UNIQUE INDEX rings_open ON fleet.rings (tenant_id, window_id) WHERE ended_at IS NULL;
CREATE INDEX rings_due ON fleet.rings (tenant_id, next_at) WHERE next_at IS NOT NULL;

-- How much a room bound for the budget is told.
ALTER TABLE fleet.rooms ADD COLUMN verbosity text NOT NULL DEFAULT 'medium' CHECK (verbosity IN ('low', 'medium', 'high'));
