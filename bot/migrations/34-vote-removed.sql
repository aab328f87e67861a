-- v33 -> v34: Let a reaction take the place of one that somebody else removed before it was read

CREATE TABLE vote_removed (
	event_id text        NOT NULL,
	proposal text        NOT NULL,
	seat     text        NOT NULL,
	sender   text        NOT NULL,
	at       timestamptz NOT NULL,
	again    text,
	PRIMARY KEY (event_id, proposal)
);
CREATE INDEX vote_removed_of ON vote_removed (proposal);
