-- The operator's users and quotas: the limits in the mailboxes themselves, which
-- mailboxes there were, who had an address before, and users who are being removed.

-- +goose Up

-- limit_bytes and limit_messages are the limits that count: the tighter of what was
-- set here and of what the mail server wrote into the mailbox, as last read.
ALTER TABLE owners ADD COLUMN set_bytes BIGINT NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE owners ADD COLUMN set_messages BIGINT NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE owners ADD COLUMN own_bytes BIGINT NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE owners ADD COLUMN own_messages BIGINT NOT NULL DEFAULT 9223372036854775807;
UPDATE owners SET set_bytes = limit_bytes, set_messages = limit_messages;

-- When the user's mailbox was first seen by a delivery; 0: not yet. One that was
-- there is never made again.
ALTER TABLE owners ADD COLUMN mailbox_ms BIGINT NOT NULL DEFAULT 0;
UPDATE owners SET mailbox_ms = 1 WHERE EXISTS (
    SELECT 1 FROM journals j WHERE j.owner = owners.owner AND (j.generation > 0 OR j.messages > 0));

-- Users who are removed: what is left to do outside of the database. A finished
-- removal is kept for as long as a request may last that was made before it.
CREATE TABLE removals (
    owner       {{.Text}} NOT NULL PRIMARY KEY,
    delete_mail SMALLINT NOT NULL,
    folders     TEXT NOT NULL, -- The account folders, as JSON.
    accounts    TEXT NOT NULL, -- Their ids, as JSON.
    started_ms  BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL DEFAULT 0, -- 0: not yet.
    worker      {{.Text}} NOT NULL DEFAULT '', -- Who is at it, until then: one at a time.
    until_ms    BIGINT NOT NULL DEFAULT 0
);
-- Visits that have not ended yet although their account is gone; until_ms is the
-- end of the lease, by which they have.
CREATE TABLE ending_visits (
    account_id {{.UUID}} NOT NULL PRIMARY KEY,
    owner      {{.Text}} NOT NULL,
    worker     {{.Text}} NOT NULL,
    until_ms   BIGINT NOT NULL
);

-- Whose an address is, where tokens say that by an id of its user.
CREATE TABLE user_ids (
    owner   {{.Text}} NOT NULL,
    user_id {{.Text}} NOT NULL,
    left_ms BIGINT NOT NULL, -- When somebody else got the address; 0: it is the present user's.
    PRIMARY KEY (owner, user_id)
){{.WithoutRowid}};

-- +goose Down
DROP TABLE user_ids;
DROP TABLE ending_visits;
DROP TABLE removals;
ALTER TABLE owners DROP COLUMN mailbox_ms;
UPDATE owners SET limit_bytes = set_bytes, limit_messages = set_messages;
ALTER TABLE owners DROP COLUMN own_messages;
ALTER TABLE owners DROP COLUMN own_bytes;
ALTER TABLE owners DROP COLUMN set_messages;
ALTER TABLE owners DROP COLUMN set_bytes;
