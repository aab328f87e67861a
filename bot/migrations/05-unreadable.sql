-- v4 -> v5: Show what cannot be read

ALTER TABLE journal ADD COLUMN key_shown boolean NOT NULL DEFAULT false;
