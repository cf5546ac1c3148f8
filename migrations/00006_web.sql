-- Links that sign in to the web pages, and what administrators look at.

-- +goose Up

-- A link works once: following it deletes its row. Only a hash of its token is
-- here, so that whoever reads the database cannot follow it.
CREATE TABLE links (
    hash       {{.Blob}} NOT NULL PRIMARY KEY,
    owner      {{.Text}} NOT NULL,
    admin      SMALLINT NOT NULL,
    return_to  TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
){{.WithoutRowid}};
CREATE INDEX links_by_age ON links (expires_ms);

-- For administrators who look at a million accounts by host, or for the few in
-- one state. The partial ones hold no row of an account that is fetched and well,
-- and only columns that change together with due_at_ms: visits pay nothing for them.
CREATE INDEX accounts_at_host ON accounts (host, owner, created_ms, id);
DROP INDEX accounts_by_host;
CREATE INDEX poll_schedule_troubled ON poll_schedule (owner) WHERE state > 3;
CREATE INDEX poll_schedule_paused ON poll_schedule (owner) WHERE enabled = 0;
CREATE INDEX poll_schedule_new ON poll_schedule (owner) WHERE last_attempt_ms = 0;

-- +goose Down
DROP INDEX poll_schedule_new;
DROP INDEX poll_schedule_paused;
DROP INDEX poll_schedule_troubled;
CREATE INDEX accounts_by_host ON accounts (host);
DROP INDEX accounts_at_host;
DROP TABLE links;
