-- From when on an account's mail is fetched, how large a message may be, and
-- what was passed over for it.

-- +goose Up
ALTER TABLE accounts ADD COLUMN start_days INTEGER NOT NULL DEFAULT 0; -- 0: everything, -1: what is new, else so many days back.
ALTER TABLE accounts ADD COLUMN max_message_bytes BIGINT NOT NULL DEFAULT 52428800;

ALTER TABLE folders ADD COLUMN since_ms BIGINT NOT NULL DEFAULT 0; -- For which start the cursor was computed; 0: everything.
ALTER TABLE folders ADD COLUMN first_uid BIGINT NOT NULL DEFAULT 0; -- UIDNEXT when the folder was first listed; 0: not yet.

-- POP3 messages that were there when the account began and are older than its
-- start: POP3 tells no dates. Not settled: a wider start has them fetched.
CREATE TABLE passed (
    folder_id BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    uidl      {{.Blob}} NOT NULL,
    ordinal   INTEGER NOT NULL,
    PRIMARY KEY (folder_id, epoch, uidl, ordinal)
){{.WithoutRowid}};

ALTER TABLE skipped ADD COLUMN sid {{.UUID}}; -- Its name in the API; never null.
UPDATE skipped SET sid = {{.NewUUID}};
CREATE UNIQUE INDEX skipped_by_sid ON skipped (sid);
ALTER TABLE skipped ADD COLUMN held SMALLINT NOT NULL DEFAULT 0; -- Larger than the account takes: never tried by itself.
ALTER TABLE skipped ADD COLUMN requested SMALLINT NOT NULL DEFAULT 0; -- Its owner wants it, whatever its size.

-- Nothing was noted beside the spools before: else every account would be taken
-- for one whose mailbox was restored.
UPDATE journals SET generation = 0;

-- +goose Down
ALTER TABLE skipped DROP COLUMN requested;
ALTER TABLE skipped DROP COLUMN held;
DROP INDEX skipped_by_sid;
ALTER TABLE skipped DROP COLUMN sid;
DROP TABLE passed;
ALTER TABLE folders DROP COLUMN first_uid;
ALTER TABLE folders DROP COLUMN since_ms;
ALTER TABLE accounts DROP COLUMN max_message_bytes;
ALTER TABLE accounts DROP COLUMN start_days;
