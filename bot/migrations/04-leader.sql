-- v3 -> v4: One active bot, whose epoch every write checks

CREATE TABLE leader (
	single boolean     PRIMARY KEY DEFAULT true CHECK (single),
	epoch  bigint      NOT NULL,
	holder text        NOT NULL,
	since  timestamptz NOT NULL
);
INSERT INTO leader (epoch, holder, since) VALUES (0, '', now());

-- An election waits for the writes that began before it, and writes of an earlier epoch fail after it. Sessions without an
-- epoch are no bot's, but an administrator's.
CREATE FUNCTION fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	mine text := current_setting('mosaic.epoch', true);
BEGIN
	IF mine IS NULL OR mine = '' THEN
		RETURN NULL;
	END IF;
	PERFORM pg_advisory_xact_lock_shared(7885351518267664739);
	IF mine::bigint <> (SELECT epoch FROM leader) THEN
		RAISE EXCEPTION 'this bot no longer leads: its epoch is %', mine USING ERRCODE = 'MB001';
	END IF;
	RETURN NULL;
END
$$;
