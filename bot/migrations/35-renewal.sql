-- v34 -> v35: Keep the refresh token, which is used once and gives the next

CREATE TABLE renewal (
	single       boolean     PRIMARY KEY DEFAULT true CHECK (single),
	token        text        NOT NULL, -- the refresh token; empty if a password gives the next access token
	access_token text        NOT NULL,
	renew_at     timestamptz           -- null: the access token says nothing of an end
);
