-- Browsers in which users have signed in by their password, whose failed attempts are
-- counted apart from everybody else's. See docs/decisions/0043-signing-in-without-a-webmail.md.

-- +goose Up

-- Only a hash of the browser's name is here, as of a session's. None signs anybody in.
CREATE TABLE known_browsers (
    hash       {{.Blob}} NOT NULL PRIMARY KEY,
    owner      {{.Text}} NOT NULL,
    expires_ms BIGINT NOT NULL
){{.WithoutRowid}};
CREATE INDEX known_browsers_by_owner ON known_browsers (owner, expires_ms);
CREATE INDEX known_browsers_by_age ON known_browsers (expires_ms);

-- +goose Down
DROP TABLE known_browsers;
