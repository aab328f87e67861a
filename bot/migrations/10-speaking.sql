-- v9 -> v10: Keep the order of a thread, and what is known of the homeserver's limits

-- thread is the root of the thread a message stands in; what stands in one goes out in the order it was queued.
ALTER TABLE outbox ADD COLUMN thread text NOT NULL DEFAULT '';
UPDATE outbox SET thread = content::jsonb #>> '{m.relates_to,event_id}'
	WHERE state = 'queued' AND type = 'm.room.message' AND content::jsonb #>> '{m.relates_to,rel_type}' = 'm.thread'
	  AND content::jsonb #>> '{m.relates_to,event_id}' IS NOT NULL;
CREATE INDEX outbox_thread ON outbox (thread, id) WHERE state = 'queued' AND thread <> '';

-- What the homeserver's refusals taught: spacing is the time between messages once burst of them went at once.
CREATE TABLE limits (
	single     boolean     PRIMARY KEY DEFAULT true CHECK (single),
	refusals   bigint      NOT NULL,
	spacing_ms bigint      NOT NULL CHECK (spacing_ms >= 0),
	burst      int         NOT NULL CHECK (burst >= 1),
	first_at   timestamptz NOT NULL,
	last_at    timestamptz NOT NULL
);
