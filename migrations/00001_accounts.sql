-- Who reads which external mailboxes. All times are Unix milliseconds in UTC,
-- 0 for "never": the two databases agree on integers and on little else about time.

-- +goose Up

-- What the installation is: "instance" is a random identity made once.
CREATE TABLE meta (
    name  {{.Text}} NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row per user who has an account, a limit or a known usage. It is also what
-- is locked while a user's accounts are added or edited, so that limits and
-- unique names hold between processes.
CREATE TABLE owners (
    owner          {{.Text}} NOT NULL PRIMARY KEY,
    limit_bytes    BIGINT NOT NULL DEFAULT 9223372036854775807, -- The largest integer: unlimited.
    limit_messages BIGINT NOT NULL DEFAULT 9223372036854775807,
    used_bytes     BIGINT NOT NULL DEFAULT 0, -- As last measured on disk.
    used_messages  BIGINT NOT NULL DEFAULT 0,
    used_ms        BIGINT NOT NULL DEFAULT 0, -- When that was.
    fill           BIGINT NOT NULL DEFAULT 0  -- The fuller of the two limits, in ten-thousandths; 0 without a limit.
);
-- One for each order in which administrators page through the users.
CREATE INDEX owners_by_used_bytes ON owners (used_bytes, owner);
CREATE INDEX owners_by_used_messages ON owners (used_messages, owner);
CREATE INDEX owners_by_limit_bytes ON owners (limit_bytes, owner);
CREATE INDEX owners_by_fill ON owners (fill, owner);

CREATE TABLE accounts (
    id               {{.UUID}} NOT NULL PRIMARY KEY,
    owner            {{.Text}} NOT NULL,
    email            TEXT NOT NULL,
    name             TEXT NOT NULL,
    name_key         {{.Text}} NOT NULL, -- In lower case: "Gmail" and "gmail" are one name.
    sender_name      TEXT NOT NULL,
    provider         TEXT NOT NULL,
    protocol         SMALLINT NOT NULL, -- 1 imap, 2 pop3.
    host             {{.Text}} NOT NULL,
    port             INTEGER NOT NULL,
    security         SMALLINT NOT NULL, -- 1 tls, 2 starttls, 3 none.
    username         {{.Text}} NOT NULL,
    auth             SMALLINT NOT NULL, -- 1 password, 2 oauth2.
    folder           TEXT NOT NULL,
    folder_key       {{.Text}} NOT NULL,
    rules            TEXT NOT NULL, -- Which remote folders, as JSON.
    poll_interval_ms BIGINT NOT NULL,
    created_ms       BIGINT NOT NULL,
    updated_ms       BIGINT NOT NULL,
    settings_epoch   BIGINT NOT NULL -- Counts edits: the later of two edits of one version is refused.
);
-- Under the owner's lock the program refuses these first, with a better word.
CREATE UNIQUE INDEX accounts_one_name ON accounts (owner, name_key);
CREATE UNIQUE INDEX accounts_one_folder ON accounts (owner, folder_key);
CREATE UNIQUE INDEX accounts_one_remote ON accounts (owner, protocol, host, port, username);
CREATE INDEX accounts_by_age ON accounts (owner, created_ms, id);
CREATE INDEX accounts_by_host ON accounts (host);

-- Apart from the settings, so that no listing of accounts can bring a secret along.
CREATE TABLE secrets (
    account_id {{.UUID}} NOT NULL PRIMARY KEY,
    sealed     {{.Blob}} NOT NULL
);

-- +goose Down
DROP TABLE secrets;
DROP TABLE accounts;
DROP TABLE owners;
DROP TABLE meta;
