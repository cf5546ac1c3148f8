-- How users' own mailboxes are signed in to where their server knows no master: imap.login = "per-user".
-- See docs/decisions/0054-delivery-by-imap.md.

-- +goose Up

CREATE TABLE mailbox_logins (
    owner    {{.Text}} NOT NULL PRIMARY KEY,
    username {{.Text}} NOT NULL,
    sealed   {{.Blob}} NOT NULL -- The password; bound to the owner, the subject "mailbox" and its field.
){{.WithoutRowid}};

-- +goose Down
DROP TABLE mailbox_logins;
