-- v20 -> v21: Vote signed by answering a poll

ALTER TABLE outbox DROP CONSTRAINT outbox_type_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_type_check CHECK (type IN ('m.room.message', 'm.reaction', 'm.room.redaction', 'org.matrix.msc3381.poll.start'));

-- An answer's random ID is what names the proposal and the verdict: it stands in the ciphertext, while what an event relates to does not.
CREATE TABLE poll_answer (
	answer   text PRIMARY KEY,
	proposal text NOT NULL,
	room_id  text NOT NULL,
	verdict  text NOT NULL CHECK (verdict IN ('approve', 'reject', 'abstain')),
	UNIQUE (proposal, room_id, verdict)
);
