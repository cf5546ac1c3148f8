-- Requests that may be repeated under their names (Idempotency-Key).

-- +goose Up

-- Only a hash of the name is here, and what was asked and answered is sealed: an
-- answer may hold a link that signs in, a request a password.
CREATE TABLE repeatable (
    hash     {{.Blob}} NOT NULL PRIMARY KEY,
    owner    {{.Text}} NOT NULL,
    attempt  {{.Text}} NOT NULL, -- Who may finish it.
    sealed   {{.Blob}} NOT NULL,
    done     SMALLINT NOT NULL,
    made_ms  BIGINT NOT NULL,
    until_ms BIGINT NOT NULL -- It is remembered, or taken to be under way, until then.
);
CREATE INDEX repeatable_by_owner ON repeatable (owner, made_ms);
CREATE INDEX repeatable_by_age ON repeatable (until_ms);

-- +goose Down
DROP TABLE repeatable;
