-- One subject may have several secrets, each under the name of a field: what signs in, from where, to where.
-- See docs/decisions/0047-routes.md.

-- +goose Up

-- Apart from the settings, so that no listing of accounts can bring a secret along. What was sealed before has the
-- field to which its seal is bound.
CREATE TABLE secrets_by_field (
    subject {{.UUID}} NOT NULL, -- An account's id.
    field   {{.Text}} NOT NULL,
    sealed  {{.Blob}} NOT NULL,
    PRIMARY KEY (subject, field)
);
INSERT INTO secrets_by_field (subject, field, sealed) SELECT account_id, 'password', sealed FROM secrets;
DROP TABLE secrets;
ALTER TABLE secrets_by_field RENAME TO secrets;

-- +goose Down
CREATE TABLE secrets_of_accounts (
    account_id {{.UUID}} NOT NULL PRIMARY KEY,
    sealed     {{.Blob}} NOT NULL
);
INSERT INTO secrets_of_accounts (account_id, sealed) SELECT subject, sealed FROM secrets WHERE field = 'password';
DROP TABLE secrets;
ALTER TABLE secrets_of_accounts RENAME TO secrets;
