-- Who sent a skipped message, what about and when, so that its owner knows which it is.

-- +goose Up
ALTER TABLE skipped ADD COLUMN sender TEXT NOT NULL DEFAULT ''; -- '': not known.
ALTER TABLE skipped ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE skipped ADD COLUMN sent_ms BIGINT NOT NULL DEFAULT 0; -- 0: not known.

-- +goose Down
ALTER TABLE skipped DROP COLUMN sent_ms;
ALTER TABLE skipped DROP COLUMN subject;
ALTER TABLE skipped DROP COLUMN sender;
