-- v29 -> v30: Remember which rooms are bound, for when the gateway cannot be asked

CREATE TABLE binding (
	room_id  text PRIMARY KEY,
	purposes text NOT NULL CHECK (purposes <> '')
);
