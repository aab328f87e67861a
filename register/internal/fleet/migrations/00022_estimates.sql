-- +goose Up

-- What runs cost, per role, kind of work and model, in one unit; an empty role or kind is all of them. The costs are kept as the
-- rules write them: the last 256, and how far the bound was moved to keep one miss in ten.
CREATE TABLE fleet.estimates (
    tenant_id    text NOT NULL REFERENCES fleet.tenants,
    role         text NOT NULL,
    kind         text NOT NULL,
    model        text NOT NULL CHECK (model <> ''),
    unit         text NOT NULL CHECK (unit <> ''),
    host         text NOT NULL,
    prior_micros bigint NOT NULL CHECK (prior_micros >= 0),
    runs         bigint NOT NULL CHECK (runs > 0),
    actuals      json NOT NULL,
    learned_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, role, kind, model, unit),
    CONSTRAINT estimate_key CHECK (role = '' OR kind <> '')
);

-- What earlier runs said when the dispatch was last judged.
ALTER TABLE fleet.dispatches ADD COLUMN learned jsonb NOT NULL DEFAULT '[]';
