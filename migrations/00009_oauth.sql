-- Signing in on providers' own pages: what is under way for minutes, from the
-- moment a browser is sent there until an account takes what was allowed; and
-- which process asks for an account's new token.

-- +goose Up

-- Only a hash of the name is here, and what it stands for is sealed, so that
-- whoever reads the database can neither finish nor use what others began.
CREATE TABLE oauth_pending (
    hash       {{.Blob}} NOT NULL PRIMARY KEY,
    owner      {{.Text}} NOT NULL,
    sealed     {{.Blob}} NOT NULL,
    expires_ms BIGINT NOT NULL
){{.WithoutRowid}};
CREATE INDEX oauth_pending_by_age ON oauth_pending (expires_ms);

-- +goose Down
DROP TABLE oauth_pending;
