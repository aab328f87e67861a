-- +goose Up

-- Where a running dispatch runs, as its worker said; host is the gateway's.
ALTER TABLE fleet.dispatches ADD COLUMN worker_host text NOT NULL DEFAULT '';
