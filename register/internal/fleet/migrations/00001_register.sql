-- +goose Up

CREATE TABLE fleet.tenants (
    tenant_id  text PRIMARY KEY CHECK (tenant_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    host       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Numbers that people read (D-12, P-7) and the position in the event log; each row is its own lock.
CREATE TABLE fleet.counters (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    host      text NOT NULL,
    name      text NOT NULL CHECK (name IN ('dispatch', 'proposal', 'event')),
    value     bigint NOT NULL DEFAULT 0 CHECK (value >= 0),
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE fleet.identities (
    tenant_id  text NOT NULL REFERENCES fleet.tenants,
    name       text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,64}$'),
    host       text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('human', 'agent', 'service')),
    matrix_id  text,
    roles      text[] NOT NULL CHECK (roles <@ ARRAY['viewer', 'operator', 'board', 'admin', 'worker']),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name),
    UNIQUE (tenant_id, matrix_id)
);

CREATE TABLE fleet.tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  text NOT NULL,
    host       text NOT NULL,
    identity   text NOT NULL,
    hash       bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scopes     text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'operate', 'worker', 'bot', 'admin'] AND cardinality(scopes) > 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    FOREIGN KEY (tenant_id, identity) REFERENCES fleet.identities
);

CREATE TABLE fleet.rooms (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    room      text NOT NULL,
    host      text NOT NULL,
    alias     text NOT NULL DEFAULT '',
    purposes  text[] NOT NULL CHECK (purposes <@ ARRAY['fleet', 'budget', 'board']),
    bound_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, room)
);

CREATE TABLE fleet.seats (
    tenant_id text NOT NULL,
    seat      text NOT NULL,
    host      text NOT NULL,
    lens      text NOT NULL,
    identity  text NOT NULL,
    set_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, seat),
    FOREIGN KEY (tenant_id, identity) REFERENCES fleet.identities
);

CREATE TABLE fleet.subscriptions (
    tenant_id  text NOT NULL REFERENCES fleet.tenants,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    host       text NOT NULL,
    provider   text NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, provider, name)
);

-- One row is one epoch of a window; the current one has not ended.
CREATE TABLE fleet.windows (
    tenant_id        text NOT NULL,
    id               bigint GENERATED ALWAYS AS IDENTITY,
    host             text NOT NULL,
    subscription_id  bigint NOT NULL,
    name             text NOT NULL,
    epoch            integer NOT NULL CHECK (epoch > 0),
    unit             text NOT NULL CHECK (unit IN ('messages', 'tokens', 'dollars', 'credits', 'compute-minutes', 'percent')),
    limit_micros     bigint NOT NULL CHECK (limit_micros > 0),
    floor_micros     bigint NOT NULL CHECK (floor_micros >= 0 AND floor_micros < limit_micros),
    committed_micros bigint NOT NULL CHECK (committed_micros >= 0),
    reserved_micros  bigint NOT NULL CHECK (reserved_micros >= 0),
    burst_ppm        bigint NOT NULL CHECK (burst_ppm BETWEEN 0 AND 1000000),
    since            timestamptz NOT NULL,
    reset_at         timestamptz NOT NULL CHECK (reset_at > since),
    source           text NOT NULL CHECK (source IN ('user-entered', 'provider-detected', 'estimated', 'unknown')),
    checked_at       timestamptz NOT NULL,
    step             text NOT NULL CHECK (step IN ('normal', 'downgrade', 'queue', 'refuse')),
    step_held_at     timestamptz NOT NULL,
    lowered          boolean NOT NULL,
    ended_at         timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, subscription_id, name, epoch),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES fleet.subscriptions,
    CHECK (ended_at IS NULL OR reserved_micros = 0)
);
CREATE UNIQUE INDEX windows_current ON fleet.windows (tenant_id, subscription_id, name) WHERE ended_at IS NULL;

CREATE TABLE fleet.dispatches (
    tenant_id        text NOT NULL,
    id               bigint NOT NULL CHECK (id > 0),
    host             text NOT NULL,
    role             text NOT NULL,
    brief            text NOT NULL,
    brief_class      text NOT NULL CHECK (brief_class IN ('strategic', 'technical', 'hotfix')),
    project          text NOT NULL,
    mission          text NOT NULL,
    model_requested  text NOT NULL,
    exact            boolean NOT NULL,
    estimate         jsonb NOT NULL,
    priority         integer NOT NULL CHECK (priority BETWEEN 0 AND 9),
    deadline         timestamptz,
    origin           jsonb,
    created_by       text NOT NULL,
    created_at       timestamptz NOT NULL,

    state            text NOT NULL,
    came_from        text,
    reason           text NOT NULL,
    promised_start   timestamptz,
    model            text NOT NULL,
    provider         text NOT NULL,
    subscription_id  bigint,
    subscription     text NOT NULL,
    downgraded       boolean NOT NULL,
    lifted           boolean NOT NULL,
    attempts         jsonb NOT NULL,
    waits_on         bigint[] NOT NULL,
    waits_micros     bigint[] NOT NULL,

    attempt          integer NOT NULL CHECK (attempt >= 0),
    max_attempts     integer NOT NULL CHECK (max_attempts > 0),
    worker           text NOT NULL,
    claim            text NOT NULL,
    claim_expires_at timestamptz,
    metered          jsonb NOT NULL,
    progress         text NOT NULL,
    actuals          jsonb NOT NULL,
    unmetered        text NOT NULL,
    result           jsonb,
    started_at       timestamptz,
    finished_at      timestamptz,

    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES fleet.identities,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES fleet.subscriptions,
    CONSTRAINT dispatch_moves CHECK (CASE coalesce(came_from, '')
        WHEN ''        THEN state IN ('queued', 'ready', 'refused')
        WHEN 'queued'  THEN state IN ('ready', 'refused', 'cancelled')
        WHEN 'ready'   THEN state IN ('running', 'queued', 'cancelled')
        WHEN 'running' THEN state IN ('done', 'failed', 'ready', 'cancelled')
        WHEN 'refused' THEN state = 'queued'
        ELSE false END),
    CONSTRAINT dispatch_admitted CHECK (state NOT IN ('ready', 'running', 'done', 'failed') OR (model <> '' AND provider <> '')),
    CONSTRAINT dispatch_waits CHECK (cardinality(waits_on) = cardinality(waits_micros) AND (state = 'queued' OR cardinality(waits_on) = 0)),
    CONSTRAINT dispatch_claimed CHECK (state <> 'running' OR (claim <> '' AND worker <> '' AND claim_expires_at IS NOT NULL AND started_at IS NOT NULL AND attempt > 0)),
    CONSTRAINT dispatch_unclaimed CHECK (state NOT IN ('queued', 'ready', 'refused') OR (claim = '' AND claim_expires_at IS NULL)),
    CONSTRAINT dispatch_finished CHECK ((state IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT dispatch_accounted CHECK (state <> 'done' OR jsonb_array_length(actuals) > 0 OR unmetered <> '')
);
CREATE INDEX dispatches_waiting ON fleet.dispatches (tenant_id, id) WHERE state = 'queued';
CREATE INDEX dispatches_ready ON fleet.dispatches (tenant_id, role, priority DESC, id) WHERE state = 'ready';
CREATE INDEX dispatches_running ON fleet.dispatches (tenant_id, claim_expires_at) WHERE state = 'running';

-- +goose StatementBegin
CREATE FUNCTION fleet.remember_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.came_from := OLD.state;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER dispatch_moved BEFORE UPDATE OF state ON fleet.dispatches
    FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state) EXECUTE FUNCTION fleet.remember_state();

CREATE TABLE fleet.reservations (
    tenant_id   text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    host        text NOT NULL,
    dispatch_id bigint NOT NULL,
    window_id   bigint NOT NULL,
    micros      bigint NOT NULL CHECK (micros >= 0),
    state       text NOT NULL CHECK (state IN ('active', 'committed', 'released')),
    held_at     timestamptz NOT NULL,
    settled_at  timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, dispatch_id) REFERENCES fleet.dispatches,
    FOREIGN KEY (tenant_id, window_id) REFERENCES fleet.windows,
    CHECK ((state = 'active') = (settled_at IS NULL))
);
CREATE UNIQUE INDEX reservations_active ON fleet.reservations (tenant_id, dispatch_id, window_id) WHERE state = 'active';
CREATE INDEX reservations_by_window ON fleet.reservations (tenant_id, window_id) WHERE state = 'active';

-- The sum of a window's entries is what it has committed. Without a window, the spend was on no known meter.
CREATE TABLE fleet.ledger (
    tenant_id   text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    host        text NOT NULL,
    window_id   bigint,
    dispatch_id bigint,
    attempt     integer,
    unit        text NOT NULL,
    micros      bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('actual', 'metered', 'estimate', 'entered')),
    actor       text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, window_id) REFERENCES fleet.windows,
    FOREIGN KEY (tenant_id, dispatch_id) REFERENCES fleet.dispatches,
    CHECK (micros >= 0 OR kind = 'entered')
);
CREATE INDEX ledger_by_window ON fleet.ledger (tenant_id, window_id);

CREATE TABLE fleet.proposals (
    tenant_id   text NOT NULL,
    id          bigint NOT NULL CHECK (id > 0),
    host        text NOT NULL,
    title       text NOT NULL CHECK (title <> ''),
    body        text NOT NULL,
    action      text CHECK (action IN ('override')),
    dispatch_id bigint,
    action_text text NOT NULL,
    state       text NOT NULL CHECK (state IN ('open', 'passed', 'rejected', 'expired')),
    quorum      integer NOT NULL CHECK (quorum > 0),
    pass        text NOT NULL CHECK (pass IN ('majority', 'two-thirds', 'unanimous')),
    closes_at   timestamptz NOT NULL,
    carried_out boolean,
    outcome     text NOT NULL,
    origin      jsonb,
    opened_by   text NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, opened_by) REFERENCES fleet.identities,
    FOREIGN KEY (tenant_id, dispatch_id) REFERENCES fleet.dispatches,
    CHECK ((action IS NULL) = (dispatch_id IS NULL)),
    CHECK ((state = 'open') = (closed_at IS NULL)),
    CHECK (carried_out IS NULL OR state = 'passed')
);
CREATE INDEX proposals_open ON fleet.proposals (tenant_id, closes_at) WHERE state = 'open';

CREATE TABLE fleet.roster (
    tenant_id   text NOT NULL,
    proposal_id bigint NOT NULL,
    seat        text NOT NULL,
    host        text NOT NULL,
    lens        text NOT NULL,
    identity    text NOT NULL,
    matrix_id   text NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, seat),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals
);

CREATE TABLE fleet.votes (
    tenant_id   text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    host        text NOT NULL,
    proposal_id bigint NOT NULL,
    seat        text NOT NULL,
    verdict     text NOT NULL CHECK (verdict IN ('approve', 'reject', 'conditional', 'abstain')),
    reason      text NOT NULL,
    actor       text NOT NULL,
    event_id    text NOT NULL,
    cast_at     timestamptz NOT NULL,
    ended_at    timestamptz,
    ended_by    text,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, proposal_id, seat) REFERENCES fleet.roster,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX votes_live ON fleet.votes (tenant_id, proposal_id, seat) WHERE ended_at IS NULL;

CREATE TABLE fleet.overrides (
    tenant_id   text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    host        text NOT NULL,
    dispatch_id bigint NOT NULL,
    proposal_id bigint,
    actor       text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, dispatch_id) REFERENCES fleet.dispatches,
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals
);

-- Written in the deciding transaction, numbered after it commits, so that readers see one order without gaps.
CREATE TABLE fleet.events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    host      text NOT NULL,
    seq       bigint,
    type      text NOT NULL,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    cause     text NOT NULL,
    payload   jsonb NOT NULL,
    UNIQUE (tenant_id, seq)
);
CREATE INDEX events_unnumbered ON fleet.events (tenant_id, id) WHERE seq IS NULL;

CREATE TABLE fleet.idempotency (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    caller    text NOT NULL,
    key       text NOT NULL,
    host      text NOT NULL,
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    status    integer NOT NULL,
    answer    jsonb NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, caller, key)
);
CREATE INDEX idempotency_by_age ON fleet.idempotency (tenant_id, at);

-- +goose StatementBegin
CREATE FUNCTION fleet.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON fleet.ledger
    FOR EACH ROW EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON fleet.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER events_append_only BEFORE DELETE ON fleet.events
    FOR EACH ROW EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON fleet.events
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER events_only_numbered BEFORE UPDATE ON fleet.events
    FOR EACH ROW WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL OR
        (OLD.id, OLD.tenant_id, OLD.host, OLD.type, OLD.at, OLD.actor, OLD.cause, OLD.payload)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.host, NEW.type, NEW.at, NEW.actor, NEW.cause, NEW.payload))
    EXECUTE FUNCTION fleet.append_only();
