-- v35 -> v36: Let an agent speak for itself where a room is not encrypted

ALTER TABLE outbox
	ADD COLUMN agent   text NOT NULL DEFAULT '', -- whose words they are; empty: the bot's own
	ADD COLUMN speaker text NOT NULL DEFAULT ''; -- the user who sends them, once begun; empty: the bot
