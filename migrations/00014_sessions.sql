-- Which browsers are signed in. A session lives as long as its row, so that it
-- can be ended from anywhere; a cookie without a row is none.

-- +goose Up

-- Only a hash of the session's name is here, so that whoever reads the database
-- cannot be signed in by it.
CREATE TABLE sessions (
    hash       {{.Blob}} NOT NULL PRIMARY KEY,
    owner      {{.Text}} NOT NULL,
    expires_ms BIGINT NOT NULL
){{.WithoutRowid}};
CREATE INDEX sessions_by_owner ON sessions (owner);
CREATE INDEX sessions_by_age ON sessions (expires_ms);
CREATE INDEX links_by_owner ON links (owner);

-- +goose Down
DROP INDEX links_by_owner;
DROP TABLE sessions;
