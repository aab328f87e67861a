-- +goose Up

-- How the board works, as it was set last; a tenant without a row has the rules it would begin with.
CREATE TABLE fleet.boards (
    tenant_id text PRIMARY KEY REFERENCES fleet.tenants,
    host      text NOT NULL,
    rules     jsonb NOT NULL CHECK (jsonb_typeof(rules) = 'object'),
    set_by    text NOT NULL,
    set_at    timestamptz NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    FOREIGN KEY (tenant_id, set_by) REFERENCES fleet.identities
);

ALTER TABLE fleet.seats
    ADD COLUMN deputy text CHECK (deputy <> identity),
    ADD FOREIGN KEY (tenant_id, deputy) REFERENCES fleet.identities;

-- What was opened before keeps what it had: no deputies, no chair, nobody recused.
ALTER TABLE fleet.roster
    ADD COLUMN deputy           text NOT NULL DEFAULT '',
    ADD COLUMN deputy_matrix_id text NOT NULL DEFAULT '',
    ADD COLUMN chair            boolean NOT NULL DEFAULT false,
    ADD COLUMN recused          text NOT NULL DEFAULT '';

-- A question may also come from the register itself (opened_by is then 'gateway'), once for each incident; an action may be more
-- than an override, and a proposal can be withdrawn. While it settles, votes may still change what it would close as.
ALTER TABLE fleet.proposals
    DROP CONSTRAINT proposals_action_check,
    DROP CONSTRAINT proposals_state_check,
    DROP CONSTRAINT proposals_check,
    DROP CONSTRAINT proposals_tenant_id_opened_by_fkey,
    ADD COLUMN details   jsonb,
    ADD COLUMN signed    boolean NOT NULL DEFAULT false,
    ADD COLUMN incident  text CHECK (incident <> ''),
    ADD COLUMN settling  text NOT NULL DEFAULT '' CHECK (settling IN ('', 'passed', 'rejected')),
    ADD COLUMN settles_at timestamptz,
    ADD COLUMN closed_by text NOT NULL DEFAULT '',
    ADD COLUMN unread    text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT proposals_action CHECK (action IN ('override', 'grant', 'pause', 'resume', 'dispatch')),
    ADD CONSTRAINT proposals_override CHECK ((action IS NOT DISTINCT FROM 'override') = (dispatch_id IS NOT NULL)),
    ADD CONSTRAINT proposals_state CHECK (state IN ('open', 'passed', 'rejected', 'expired', 'withdrawn')),
    ADD CONSTRAINT proposals_settling CHECK ((settling = '') = (settles_at IS NULL));
CREATE UNIQUE INDEX proposals_by_incident ON fleet.proposals (tenant_id, incident) WHERE incident IS NOT NULL;

-- A vote stands until it is withdrawn; which of those that stand counts is a rule, and no rule lives here. How it came says whether a
-- device or a token vouches for it.
DROP INDEX fleet.votes_live;
ALTER TABLE fleet.votes
    ADD COLUMN how         text NOT NULL DEFAULT 'reaction' CHECK (how IN ('reaction', 'signed', 'token')),
    ADD COLUMN accepted    boolean NOT NULL DEFAULT false CHECK (NOT accepted OR verdict = 'conditional'),
    ADD COLUMN review      jsonb,
    ADD COLUMN ended_event text NOT NULL DEFAULT '';
ALTER TABLE fleet.votes ALTER COLUMN how DROP DEFAULT;
CREATE INDEX votes_standing ON fleet.votes (tenant_id, proposal_id) WHERE ended_at IS NULL;
CREATE INDEX votes_by_event ON fleet.votes (tenant_id, proposal_id, event_id) WHERE event_id <> '';

-- A vote that was taken back before it arrived, so that it does not count when it does.
CREATE TABLE fleet.withdrawals (
    tenant_id   text NOT NULL,
    proposal_id bigint NOT NULL,
    event_id    text NOT NULL CHECK (event_id <> ''),
    actor       text NOT NULL,
    host        text NOT NULL,
    by_event    text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, event_id, actor),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals
);

-- The rooms in which a proposal is voted on, and up to which instant each was read.
CREATE TABLE fleet.readers (
    tenant_id   text NOT NULL,
    proposal_id bigint NOT NULL,
    room        text NOT NULL,
    host        text NOT NULL,
    caller      text NOT NULL,
    through     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, proposal_id, room),
    FOREIGN KEY (tenant_id, proposal_id) REFERENCES fleet.proposals
);
