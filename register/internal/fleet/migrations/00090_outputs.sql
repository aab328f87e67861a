-- +goose Up

-- The whole result of a run, where the result kept with its dispatch holds only the end.
CREATE TABLE fleet.outputs (
    tenant_id   text NOT NULL,
    dispatch_id bigint NOT NULL,
    host        text NOT NULL,
    text        text NOT NULL CHECK (octet_length(text) BETWEEN 1 AND 1048576),
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, dispatch_id),
    FOREIGN KEY (tenant_id, dispatch_id) REFERENCES fleet.dispatches
);
