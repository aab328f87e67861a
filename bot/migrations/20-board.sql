-- v19 -> v20: Follow each proposal to its end, and remember who was asked for a condition

CREATE TABLE ballot (
	proposal  text        PRIMARY KEY,
	opened_at timestamptz NOT NULL,
	closes_at timestamptz NOT NULL,
	ends_at   timestamptz NOT NULL,
	open      boolean     NOT NULL
);
CREATE INDEX ballot_open ON ballot (ends_at) WHERE open;

-- A conditional reaction that waits for its condition; the first thing its sender says in the thread after it is one.
CREATE TABLE condition (
	event_id text        PRIMARY KEY,
	proposal text        NOT NULL,
	seat     text        NOT NULL,
	sender   text        NOT NULL,
	message  text        NOT NULL,
	at       timestamptz NOT NULL
);
CREATE INDEX condition_of ON condition (sender, message);
