-- v2 -> v3: Offer what came too late to be run unasked

CREATE TABLE offer (
	number   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id text        NOT NULL UNIQUE,
	asker    text        NOT NULL,
	call     text        NOT NULL,
	at       timestamptz NOT NULL,
	used_by  text        UNIQUE
);

ALTER TABLE journal ADD COLUMN waited boolean NOT NULL DEFAULT false;
