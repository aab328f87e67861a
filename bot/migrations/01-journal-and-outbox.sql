-- v0 -> v1: What the bot heard, what it says, and what it told whom

CREATE TABLE account (
	single       boolean     PRIMARY KEY DEFAULT true CHECK (single),
	user_id      text        NOT NULL,
	device_id    text        NOT NULL,
	access_token text        NOT NULL,
	sync_token   text        NOT NULL DEFAULT '',
	created_at   timestamptz NOT NULL
);

CREATE TABLE position (
	single boolean PRIMARY KEY DEFAULT true CHECK (single),
	seq    bigint  NOT NULL
);

CREATE TABLE room (
	room_id       text    PRIMARY KEY,
	last_event_id text    NOT NULL DEFAULT '',
	direct        boolean NOT NULL DEFAULT false
);

CREATE TABLE journal (
	seq        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	room_id    text        NOT NULL,
	event_id   text        NOT NULL UNIQUE,
	sender     text        NOT NULL,
	type       text        NOT NULL,
	redacts    text,
	raw        text        NOT NULL,
	arrived_at timestamptz NOT NULL,
	state      text        NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'waiting', 'prepared', 'done', 'dropped', 'aside')),
	session_id text,
	key_asked  boolean     NOT NULL DEFAULT false,
	call       text,
	attempts   int         NOT NULL DEFAULT 0,
	failures   int         NOT NULL DEFAULT 0,
	retry_at   timestamptz,
	told       boolean     NOT NULL DEFAULT false,
	reason     text,
	ended_at   timestamptz,
	CHECK ((state = 'prepared') <= (call IS NOT NULL)),
	CHECK ((state IN ('done', 'dropped', 'aside')) = (ended_at IS NOT NULL))
);
CREATE INDEX journal_open ON journal (room_id, seq) WHERE state IN ('new', 'waiting', 'prepared');
CREATE INDEX journal_redacts ON journal (redacts) WHERE redacts IS NOT NULL;
CREATE INDEX journal_ended ON journal (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE outbox (
	id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	txn_id       text        NOT NULL UNIQUE,
	room_id      text        NOT NULL,
	rank         smallint    NOT NULL CHECK (rank BETWEEN 1 AND 4),
	type         text        NOT NULL CHECK (type IN ('m.room.message', 'm.reaction', 'm.room.redaction')),
	content      text        NOT NULL,
	about        bigint      REFERENCES outbox (id),
	ref          text        NOT NULL DEFAULT '',
	ciphertext   text,
	state        text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'dropped', 'failed')),
	attempts     int         NOT NULL DEFAULT 0,
	not_before   timestamptz NOT NULL,
	attempted_at timestamptz,
	event_id     text,
	sent_at      timestamptz,
	reason       text,
	created_at   timestamptz NOT NULL,
	CHECK ((state = 'sent') = (event_id IS NOT NULL)),
	CHECK (state <> 'sending' OR attempted_at IS NOT NULL)
);
CREATE INDEX outbox_open ON outbox (room_id, rank, id) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_event ON outbox (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX outbox_about ON outbox (about) WHERE about IS NOT NULL;
CREATE INDEX outbox_ref ON outbox (ref, room_id, id) WHERE ref <> '';

CREATE TABLE proposal_message (
	proposal text   NOT NULL,
	room_id  text   NOT NULL,
	outbox   bigint NOT NULL REFERENCES outbox (id),
	PRIMARY KEY (proposal, room_id)
);
CREATE INDEX proposal_message_outbox ON proposal_message (outbox);

CREATE TABLE known_sender (
	user_id text        PRIMARY KEY,
	seen_at timestamptz NOT NULL
);

CREATE TABLE told (
	user_id text        NOT NULL,
	what    text        NOT NULL,
	at      timestamptz NOT NULL,
	PRIMARY KEY (user_id, what)
);
