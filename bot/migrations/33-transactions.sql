-- v32 -> v33: Know again what the homeserver pushed to an application service

CREATE TABLE homeserver_transaction (
	txn_id   text        NOT NULL,
	events   bytea       NOT NULL, -- a digest of the event IDs: a homeserver set up anew counts from 1 again
	taken_at timestamptz NOT NULL,
	PRIMARY KEY (txn_id, events)
);
