-- +goose Up

-- A room may be bound for those who run the fleet: what is wrong with bot and gateway is told there.
ALTER TABLE fleet.rooms DROP CONSTRAINT rooms_purposes_check,
    ADD CONSTRAINT rooms_purposes_check CHECK (purposes <@ ARRAY['fleet', 'budget', 'board', 'admin']);
