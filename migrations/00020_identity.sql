-- Whose a folder is, and which folders use UIDs again. See
-- docs/decisions/0032-identity-from-the-field.md.

-- +goose Up
ALTER TABLE folders ADD COLUMN shared SMALLINT NOT NULL DEFAULT 0; -- Another user's, or shared with others.
-- When a UID was last seen to be used again for another message; 0: never.
ALTER TABLE folders ADD COLUMN renumbered_ms BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE folders DROP COLUMN renumbered_ms;
ALTER TABLE folders DROP COLUMN shared;
