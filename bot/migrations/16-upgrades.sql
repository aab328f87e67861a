-- v15 -> v16: Follow rooms that were replaced

CREATE TABLE room_upgrade (
	old        text        PRIMARY KEY,
	new        text        NOT NULL,
	sender     text        NOT NULL,
	at         timestamptz NOT NULL,
	entered_at timestamptz
);
CREATE INDEX room_upgrade_new ON room_upgrade (new);
