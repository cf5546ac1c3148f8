-- What was delivered: the only memory of it. See docs/decisions/0002-exactly-once.md.

-- +goose Up

-- A journal outlives its account for 30 days, so that adding the same remote
-- mailbox again delivers nothing twice; hence the remote's identity here.
CREATE TABLE journals (
    id          {{.Serial}},
    uuid        {{.UUID}} NOT NULL UNIQUE,
    owner       {{.Text}} NOT NULL,
    protocol    SMALLINT NOT NULL,
    host        {{.Text}} NOT NULL,
    port        INTEGER NOT NULL,
    username    {{.Text}} NOT NULL,
    lease_epoch BIGINT NOT NULL DEFAULT 0, -- The last one used, while retired: spool files and batches are named by it.
    generation  BIGINT NOT NULL DEFAULT 0, -- Grows with each delivery: tells a restored database from the present one.
    messages    BIGINT NOT NULL DEFAULT 0, -- Sums over the folders, for lists of accounts.
    bytes       BIGINT NOT NULL DEFAULT 0,
    retired_ms  BIGINT NOT NULL DEFAULT 0 -- 0: in use. 1: to be forgotten.
);
CREATE INDEX journals_retired ON journals (owner, retired_ms) WHERE retired_ms > 0;

CREATE TABLE folders (
    id            {{.Serial}},
    journal_id    BIGINT NOT NULL,
    wire          {{.Blob}} NOT NULL, -- The name as the server writes it: bytes, not always text.
    remote        TEXT NOT NULL,
    local         {{.Text}} NOT NULL,
    special_use   TEXT NOT NULL,
    selected      SMALLINT NOT NULL,
    epoch         BIGINT NOT NULL,
    uidvalidity   BIGINT NOT NULL,
    next_uid      BIGINT NOT NULL, -- The cursor: see fetch.Cursor.
    counted       BIGINT NOT NULL,
    listing       {{.Blob}} NOT NULL,
    full_scan_ms  BIGINT NOT NULL,
    remaining     BIGINT NOT NULL,
    fetched       BIGINT NOT NULL DEFAULT 0,
    bytes         BIGINT NOT NULL DEFAULT 0
);
-- Two remote folders never share a local one.
CREATE UNIQUE INDEX folders_one_local ON folders (journal_id, local);

-- One row per message that is staged or delivered; the key is its identity, and
-- the reason that nothing is delivered twice. No foreign key: each would cost a
-- look-up per message, and only commits that hold the lease write here.
CREATE TABLE messages (
    folder_id   BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    uid         BIGINT NOT NULL, -- 0 for POP3.
    uidl        {{.Blob}} NOT NULL, -- Empty for IMAP.
    ordinal     INTEGER NOT NULL,
    size        BIGINT NOT NULL,
    digest      {{.Blob}} NOT NULL,
    body        {{.Blob}} NOT NULL,
    header      {{.Blob}} NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (folder_id, epoch, uid, uidl, ordinal)
){{.WithoutRowid}};

-- Messages on their way; a delivered batch is deleted.
CREATE TABLE batches (
    journal_id  BIGINT NOT NULL,
    lease_epoch BIGINT NOT NULL,
    seq         INTEGER NOT NULL,
    state       SMALLINT NOT NULL, -- 1 intended, 2 staged.
    members     {{.Blob}} NOT NULL, -- What recovery needs to deliver a staged batch.
    PRIMARY KEY (journal_id, lease_epoch, seq)
);

-- Messages that could not be fetched, each with a reason its owner can see.
CREATE TABLE skipped (
    folder_id BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    uid       BIGINT NOT NULL,
    uidl      {{.Blob}} NOT NULL,
    ordinal   INTEGER NOT NULL,
    size      BIGINT NOT NULL,
    code      TEXT NOT NULL,
    detail    TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    first_ms  BIGINT NOT NULL,
    last_ms   BIGINT NOT NULL,
    next_ms   BIGINT NOT NULL,
    PRIMARY KEY (folder_id, epoch, uid, uidl, ordinal)
){{.WithoutRowid}};

-- +goose Down
DROP TABLE skipped;
DROP TABLE batches;
DROP TABLE messages;
DROP TABLE folders;
DROP TABLE journals;
