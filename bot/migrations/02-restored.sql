-- v1 -> v2: Notice a database that is older than what the homeserver saw of this device, and tell people of it

ALTER TABLE account ADD COLUMN generation bigint NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN stale text NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN next_device text NOT NULL DEFAULT '';

ALTER TABLE journal ADD COLUMN doubted boolean NOT NULL DEFAULT false;

CREATE TABLE alert (
	key       text        PRIMARY KEY,
	markdown  text        NOT NULL,
	at        timestamptz NOT NULL,
	queued_at timestamptz
);
