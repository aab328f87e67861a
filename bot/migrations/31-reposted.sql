-- v30 -> v31: Put open proposals again to the people of a room that replaces another

ALTER TABLE proposal_message ADD COLUMN replaced boolean NOT NULL DEFAULT false;
