-- v5 -> v6: Which messages ring for a refusal

CREATE TABLE ring_message (
	outbox  bigint PRIMARY KEY REFERENCES outbox (id) ON DELETE CASCADE,
	ring    text   NOT NULL,
	room_id text   NOT NULL
);
CREATE INDEX ring_message_ring ON ring_message (ring, room_id);
