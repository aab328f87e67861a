-- v16 -> v17: Tell of keys that were reset, once

CREATE TABLE identity_reset (
	user_id text        NOT NULL,
	new_key text        NOT NULL,
	at      timestamptz NOT NULL,
	PRIMARY KEY (user_id, new_key)
);
