-- +goose Up

-- Whether the bot hears and speaks in clear in a room.
ALTER TABLE fleet.rooms ADD COLUMN encrypted text NOT NULL DEFAULT 'required' CHECK (encrypted IN ('required', 'optional'));
