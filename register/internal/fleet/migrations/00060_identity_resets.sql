-- +goose Up

-- People who came back with other keys than those first seen of them. Until an admin accepts the new one, nothing of theirs is trusted.
CREATE TABLE fleet.identity_resets (
    tenant_id   text NOT NULL,
    identity    text NOT NULL,
    matrix_id   text NOT NULL,
    new_key     text NOT NULL,
    old_key     text NOT NULL,
    host        text NOT NULL,
    reported_at timestamptz NOT NULL,
    accepted_by text,
    accepted_at timestamptz,
    PRIMARY KEY (tenant_id, identity, matrix_id, new_key),
    FOREIGN KEY (tenant_id, identity) REFERENCES fleet.identities,
    FOREIGN KEY (tenant_id, accepted_by) REFERENCES fleet.identities,
    CHECK (old_key <> new_key),
    CHECK ((accepted_by IS NULL) = (accepted_at IS NULL))
);
