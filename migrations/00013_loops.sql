-- Mail that would lead back: which folders are left out for it, and by what the
-- inbox of a user is known again. See docs/decisions/0022-loops.md.

-- +goose Up
ALTER TABLE folders ADD COLUMN leads_back SMALLINT NOT NULL DEFAULT 0; -- Chosen, and left out: it holds what was fetched there.
ALTER TABLE journals ADD COLUMN inbox_validity BIGINT NOT NULL DEFAULT 0; -- UIDVALIDITY of the owner's inbox when mail was last fetched; 0: not known.
CREATE INDEX journals_by_inbox ON journals (inbox_validity) WHERE inbox_validity > 0;
CREATE INDEX journals_by_owner ON journals (owner);

-- +goose Down
DROP INDEX journals_by_owner;
DROP INDEX journals_by_inbox;
ALTER TABLE journals DROP COLUMN inbox_validity;
ALTER TABLE folders DROP COLUMN leads_back;
