-- +goose Up

-- An estimate came without a unit: it speaks of what meters the requested model, and says nothing of other units.
ALTER TABLE fleet.dispatches ADD COLUMN bare boolean NOT NULL DEFAULT false;
