-- Who sent a skipped message, what about and when, so that its owner knows which it is.

-- +goose Up
ALTER TABLE skipped ADD COLUMN sender TEXT NOT NULL DEFAULT ''; -- '': not known.
ALTER TABLE skipped ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE skipped ADD COLUMN sent_ms BIGINT NOT NULL DEFAULT 0; -- 0: not known.

-- What lies in an account's folders, as last measured: octets on disk, as owners.used_bytes.
ALTER TABLE accounts ADD COLUMN held_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN held_messages BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE accounts DROP COLUMN held_messages;
ALTER TABLE accounts DROP COLUMN held_bytes;
ALTER TABLE skipped DROP COLUMN sent_ms;
ALTER TABLE skipped DROP COLUMN subject;
ALTER TABLE skipped DROP COLUMN sender;
