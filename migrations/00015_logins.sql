-- Logins that failed, so that nobody guesses a password through us whichever way
-- the login comes about, and over all processes.

-- +goose Up

-- A login takes its row before it is made, and loses it when it was accepted or
-- came to nothing. Names and mailboxes are digests: see package logins.
CREATE TABLE failed_logins (
    id       {{.Text}} NOT NULL PRIMARY KEY,
    owner    {{.Text}} NOT NULL,
    name     {{.Text}} NOT NULL, -- The login's name, whatever its spelling and server.
    mailbox  {{.Text}} NOT NULL, -- The same at its server's address.
    pending  SMALLINT NOT NULL,  -- 1: it has not ended yet.
    until_ms BIGINT NOT NULL     -- It counts until then.
){{.WithoutRowid}};
CREATE INDEX failed_logins_by_owner ON failed_logins (owner, until_ms);
CREATE INDEX failed_logins_by_mailbox ON failed_logins (mailbox, until_ms);
CREATE INDEX failed_logins_by_age ON failed_logins (until_ms);

-- What shows that the last login with the account's settings and secret as they
-- are was accepted, and at which mailbox a login of the account last was.
ALTER TABLE poll_schedule ADD COLUMN login_proof {{.Text}} NOT NULL DEFAULT '';
ALTER TABLE poll_schedule ADD COLUMN login_home {{.Text}} NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE poll_schedule DROP COLUMN login_home;
ALTER TABLE poll_schedule DROP COLUMN login_proof;
DROP TABLE failed_logins;
