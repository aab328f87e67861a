-- +goose Up

-- Who runs work: <role>-<n>, on a machine that is logged in to some subscriptions, or, if it names none, to all.
CREATE TABLE fleet.agents (
    tenant_id        text NOT NULL REFERENCES fleet.tenants,
    name             text NOT NULL CHECK (char_length(name) <= 128),
    host             text NOT NULL,
    role             text NOT NULL CHECK (role ~ '^[A-Za-z0-9_.-]{1,64}$'),
    worker_host      text NOT NULL,
    runtime          text NOT NULL,
    model_ceiling    text NOT NULL,
    subscriptions    text[] NOT NULL,
    identity         text NOT NULL,
    state            text NOT NULL,
    came_from        text,
    declared_at      timestamptz NOT NULL,
    heard_at         timestamptz NOT NULL,
    liveness_seconds integer NOT NULL CHECK (liveness_seconds > 0),
    live_until       timestamptz NOT NULL CHECK (live_until > heard_at),
    ended_at         timestamptz,
    PRIMARY KEY (tenant_id, name),
    FOREIGN KEY (tenant_id, identity) REFERENCES fleet.identities,
    CONSTRAINT agent_named CHECK (name ~ '-[1-9][0-9]*$' AND role = regexp_replace(name, '-[1-9][0-9]*$', '')),
    CONSTRAINT agent_moves CHECK (CASE coalesce(came_from, '')
        WHEN ''     THEN state = 'live'
        WHEN 'live' THEN state IN ('gone', 'retired')
        WHEN 'gone' THEN state IN ('live', 'retired')
        ELSE false END),
    CONSTRAINT agent_ended CHECK ((state = 'live') = (ended_at IS NULL))
);
CREATE INDEX agents_live ON fleet.agents (tenant_id, role) WHERE state = 'live';
CREATE TRIGGER agent_moved BEFORE UPDATE OF state ON fleet.agents
    FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state) EXECUTE FUNCTION fleet.remember_state();
