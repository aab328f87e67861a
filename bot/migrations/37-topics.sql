-- v36 -> v37: Know what a message tells the present state of, so that under limits only the newest is said

ALTER TABLE outbox ADD COLUMN topic text NOT NULL DEFAULT '';

CREATE INDEX outbox_topic ON outbox (topic, room_id, id) WHERE topic <> '';
