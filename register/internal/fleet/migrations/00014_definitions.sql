-- +goose Up

-- A window as it is set: what it is called, whose work it meters and how its epochs follow one another. Without a subscription it is
-- shared by every subscription of its provider, and with the provider 'all' by those of every provider. Whoever judges locks these
-- rows first, in the order of their ids, and reads the epochs after that: an epoch that began while it waited is then seen.
CREATE TABLE fleet.definitions (
    tenant_id       text NOT NULL REFERENCES fleet.tenants,
    id              bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    host            text NOT NULL,
    provider        text NOT NULL CHECK (provider <> ''),
    subscription_id bigint,
    name            text NOT NULL CHECK (name <> ''),
    scope_kind      text NOT NULL DEFAULT 'subscription' CHECK (scope_kind IN ('subscription', 'role', 'project', 'mission')),
    scope_name      text NOT NULL DEFAULT '',
    model           text NOT NULL DEFAULT '',
    recurrence      text NOT NULL DEFAULT 'once' CHECK (recurrence ~ '^(once|provider|(rolling|every) .+)$'),
    hours           text NOT NULL DEFAULT '',
    mine            boolean NOT NULL DEFAULT true,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES fleet.subscriptions,
    CHECK ((scope_kind = 'subscription') = (scope_name = ''))
);
COMMENT ON COLUMN fleet.definitions.mine IS 'the limit is one we set ourselves, and not one that the provider sets';
CREATE UNIQUE INDEX definitions_by_name ON fleet.definitions (tenant_id, subscription_id, name) WHERE subscription_id IS NOT NULL;
CREATE UNIQUE INDEX definitions_shared ON fleet.definitions (tenant_id, provider, name) WHERE subscription_id IS NULL;

INSERT INTO fleet.definitions (tenant_id, host, provider, subscription_id, name, created_at)
SELECT w.tenant_id, (array_agg(w.host ORDER BY w.epoch DESC))[1], s.provider, w.subscription_id, w.name, min(w.since)
FROM fleet.windows w JOIN fleet.subscriptions s ON s.tenant_id = w.tenant_id AND s.id = w.subscription_id
GROUP BY w.tenant_id, w.subscription_id, w.name, s.provider ORDER BY min(w.id);

ALTER TABLE fleet.windows ADD COLUMN definition_id bigint;
UPDATE fleet.windows w SET definition_id = d.id FROM fleet.definitions d
WHERE d.tenant_id = w.tenant_id AND d.subscription_id = w.subscription_id AND d.name = w.name;

-- An epoch ends where a later one begins, whenever that was noticed.
UPDATE fleet.windows w SET ended_at = greatest(w.since, least(w.ended_at, (
    SELECT min(n.since) FROM fleet.windows n WHERE n.tenant_id = w.tenant_id AND n.definition_id = w.definition_id AND n.epoch > w.epoch)))
WHERE w.ended_at IS NOT NULL;

DROP INDEX fleet.windows_current;
ALTER TABLE fleet.windows
    DROP COLUMN subscription_id,
    DROP COLUMN name,
    ALTER COLUMN definition_id SET NOT NULL,
    ALTER COLUMN since DROP NOT NULL,
    ALTER COLUMN reset_at DROP NOT NULL,
    ADD COLUMN confidence double precision NOT NULL DEFAULT 1 CHECK (confidence BETWEEN 0 AND 1),
    ADD COLUMN lapsed boolean NOT NULL DEFAULT false,
    ADD FOREIGN KEY (tenant_id, definition_id) REFERENCES fleet.definitions,
    ADD UNIQUE (tenant_id, definition_id, epoch),
    ADD CONSTRAINT window_closed CHECK ((since IS NULL) = (reset_at IS NULL)),
    ADD CONSTRAINT window_ended CHECK (ended_at >= since);
CREATE UNIQUE INDEX windows_current ON fleet.windows (tenant_id, definition_id) WHERE ended_at IS NULL;
COMMENT ON COLUMN fleet.windows.since IS 'null while a rolling window waits for its first admission';
COMMENT ON COLUMN fleet.windows.lapsed IS 'it was said that it is past its reset';

-- Epochs of a window never overlap. The ids of definitions are of one sequence, so that a tenant need not stand beside them.
ALTER TABLE fleet.windows ADD CONSTRAINT windows_apart EXCLUDE USING gist (
    int8range(definition_id, definition_id, '[]') WITH &&,
    tstzrange(since, least(reset_at, ended_at)) WITH &&
) WHERE (since IS NOT NULL);
