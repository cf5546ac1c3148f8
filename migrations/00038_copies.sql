-- Copies of whole mailboxes. A copy has a row of the schedule, and a journal, as an account has.
-- See docs/decisions/0056-copies.md.

-- +goose Up

CREATE TABLE copies (
    id              {{.UUID}} NOT NULL PRIMARY KEY,
    owner           {{.Text}} NOT NULL,
    source_email    {{.Text}} NOT NULL,
    source_provider TEXT NOT NULL,
    source_protocol SMALLINT NOT NULL, -- As in accounts.
    source_host     {{.Text}} NOT NULL,
    source_port     INTEGER NOT NULL,
    source_security SMALLINT NOT NULL,
    source_username {{.Text}} NOT NULL,
    source_auth     SMALLINT NOT NULL,
    target_email    {{.Text}} NOT NULL, -- The owner's own mailbox: ''.
    target_provider TEXT NOT NULL,
    target_host     {{.Text}} NOT NULL,
    target_port     INTEGER NOT NULL,
    target_security SMALLINT NOT NULL,
    target_username {{.Text}} NOT NULL,
    target_auth     SMALLINT NOT NULL,
    target_key      {{.Text}} NOT NULL, -- Which mailbox is written into: one copy at a time.
    options         TEXT NOT NULL, -- As JSON, with the folders' names at the target.
    code            {{.Blob}} NOT NULL, -- A digest of what shows its state to whoever is not signed in.
    phase           SMALLINT NOT NULL DEFAULT 1, -- 1 connecting, 2 listing, 3 copying, 4 verifying.
    outcome         SMALLINT NOT NULL DEFAULT 0, -- Of one that has ended: its state's number.
    pass            INTEGER NOT NULL DEFAULT 1, -- How often it was begun.
    created_ms      BIGINT NOT NULL,
    started_ms      BIGINT NOT NULL DEFAULT 0, -- 0: not yet.
    ended_ms        BIGINT NOT NULL DEFAULT 0, -- 0: it has not.
    erase_ms        BIGINT NOT NULL DEFAULT 0, -- When its passwords are erased; 0: it has not ended, or they are.
    worked_ms       BIGINT NOT NULL DEFAULT 0, -- How long it was at work.
    edits           BIGINT NOT NULL DEFAULT 0,
    already_there   BIGINT NOT NULL DEFAULT 0,
    ambiguous       BIGINT NOT NULL DEFAULT 0,
    keywords        BIGINT NOT NULL DEFAULT 0,
    moved           BIGINT NOT NULL DEFAULT 0, -- As the last verification found: so are the next three.
    missing         BIGINT NOT NULL DEFAULT 0,
    altered         BIGINT NOT NULL DEFAULT 0,
    digests         BIGINT NOT NULL DEFAULT 0,
    verified_ms     BIGINT NOT NULL DEFAULT 0, -- 0: it was not.
    verified_how    SMALLINT NOT NULL DEFAULT 0,
    rewritten       SMALLINT NOT NULL DEFAULT 0, -- The target does not keep messages as they are sent.
    grade           SMALLINT NOT NULL DEFAULT 0,
    looked_pass     INTEGER NOT NULL DEFAULT 0, -- In which pass it was compared last, as far as
    looked_folder   BIGINT NOT NULL DEFAULT 0 -- … this folder.
);
CREATE UNIQUE INDEX copies_one_writer ON copies (target_key) WHERE ended_ms = 0;
CREATE INDEX copies_by_owner ON copies (owner, created_ms, id);
CREATE INDEX copies_by_age ON copies (created_ms, id);
CREATE INDEX copies_by_source ON copies (source_email, created_ms);
CREATE INDEX copies_to_erase ON copies (erase_ms) WHERE erase_ms > 0;

-- Where a copied message lies at the target, as far as its server told, and what became of it there. The rows of
-- messages are as they were: accounts need nothing of this.
CREATE TABLE copied (
    folder_id       BIGINT NOT NULL,
    epoch           BIGINT NOT NULL,
    uid             BIGINT NOT NULL,
    uidl            {{.Blob}} NOT NULL,
    ordinal         INTEGER NOT NULL,
    target_validity BIGINT NOT NULL, -- 0: not told.
    target_uid      BIGINT NOT NULL,
    state           SMALLINT NOT NULL DEFAULT 1, -- 1 copied, 2 already_there, 4 missing, 5 altered, 6 moved_or_deleted.
    checked         INTEGER NOT NULL DEFAULT 0, -- The copy's pass in which its octets were compared last.
    PRIMARY KEY (folder_id, epoch, uid, uidl, ordinal)
){{.WithoutRowid}};

-- +goose Down
DROP TABLE copied;
DELETE FROM secrets WHERE subject IN (SELECT id FROM copies);
DELETE FROM poll_schedule WHERE kind = 2;
UPDATE journals SET retired_ms = 1 WHERE NOT EXISTS (SELECT 1 FROM poll_schedule p WHERE p.journal_id = journals.id)
    AND retired_ms = 0;
DROP TABLE copies;
