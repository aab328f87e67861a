-- v31 -> v32: Say something that only one person's trusted devices can read

ALTER TABLE outbox ADD COLUMN only_for text NOT NULL DEFAULT '';
