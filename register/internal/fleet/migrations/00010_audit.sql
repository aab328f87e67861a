-- +goose Up

-- An event is an entry of the audit, and its payload is kept byte for byte as it was written, since its hash is taken over those
-- bytes; jsonb would keep the meaning only. What stands in columns stands in the payload, so that neither can be changed alone.
DROP TRIGGER events_only_numbered ON fleet.events;
ALTER TABLE fleet.events
    ALTER COLUMN payload TYPE json,
    ADD CONSTRAINT event_as_told CHECK (payload ->> 'tenant_id' = tenant_id AND payload ->> 'host' = host AND payload ->> 'type' = type
        AND payload ->> 'actor' = actor AND coalesce(payload ->> 'cause', '') = cause AND (payload ->> 'at')::timestamptz = at);
CREATE TRIGGER events_only_numbered BEFORE UPDATE ON fleet.events
    FOR EACH ROW WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL OR
        (OLD.id, OLD.tenant_id, OLD.host, OLD.type, OLD.at, OLD.actor, OLD.cause, OLD.payload::text)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.host, NEW.type, NEW.at, NEW.actor, NEW.cause, NEW.payload::text))
    EXECUTE FUNCTION fleet.append_only();

-- One row closes a run of entries with a hash over them and over the seal before it.
CREATE TABLE fleet.seals (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    last_seq  bigint NOT NULL,
    first_seq bigint NOT NULL,
    host      text NOT NULL,
    previous  bytea NOT NULL CHECK (octet_length(previous) = 32),
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, last_seq),
    UNIQUE (tenant_id, first_seq),
    CHECK (first_seq BETWEEN 1 AND last_seq)
);

-- The head of the chain as it was told, once a day.
CREATE TABLE fleet.heads (
    tenant_id text NOT NULL REFERENCES fleet.tenants,
    day       date NOT NULL,
    host      text NOT NULL,
    last_seq  bigint NOT NULL,
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, day)
);

-- +goose StatementBegin
DO $$
DECLARE kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['seals', 'heads'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON fleet.%I FOR EACH ROW EXECUTE FUNCTION fleet.append_only()', kept || '_append_only', kept);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON fleet.%I FOR EACH STATEMENT EXECUTE FUNCTION fleet.append_only()', kept || '_no_truncate', kept);
    END LOOP;
END $$;
-- +goose StatementEnd

-- The owner takes from itself what it never needs: grants are the first wall and the triggers the second.
REVOKE UPDATE, DELETE, TRUNCATE ON fleet.ledger, fleet.events, fleet.seals, fleet.heads FROM CURRENT_USER;
GRANT UPDATE (seq) ON fleet.events TO CURRENT_USER;

-- Events up to the floor are no longer replayed to readers; as entries of the audit they stay.
CREATE TABLE fleet.retention (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    host      text NOT NULL,
    floor_seq bigint NOT NULL CHECK (floor_seq >= 0),
    at        timestamptz NOT NULL
);

-- What the last comparison of the accounts found: how many windows do not show what their holds and entries add up to.
CREATE TABLE fleet.checks (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    host      text NOT NULL,
    windows   bigint NOT NULL,
    wrong     bigint NOT NULL CHECK (wrong BETWEEN 0 AND windows),
    at        timestamptz NOT NULL
);
