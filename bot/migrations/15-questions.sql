-- v14 -> v15: Ask back before what cannot be undone, and know which dispatch a message is about

CREATE TABLE question (
	number     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id   text        NOT NULL UNIQUE,
	room_id    text        NOT NULL,
	root       text        NOT NULL,
	asker      text        NOT NULL,
	call       text        NOT NULL,
	safer      boolean     NOT NULL,
	expires_at timestamptz NOT NULL,
	outbox     bigint      NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
	answered_by text        UNIQUE,
	answer     text        CHECK (answer IN ('yes', 'no')),
	CHECK ((answered_by IS NULL) = (answer IS NULL))
);
CREATE INDEX question_outbox ON question (outbox);

CREATE TABLE dispatch_message (
	dispatch text   NOT NULL,
	event_id text,
	outbox   bigint REFERENCES outbox (id) ON DELETE CASCADE,
	at       timestamptz NOT NULL,
	CHECK ((event_id IS NULL) <> (outbox IS NULL)),
	UNIQUE (event_id, dispatch),
	UNIQUE (outbox, dispatch)
);
