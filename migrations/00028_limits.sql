-- Limits for all users of a domain, and for everybody; users are found by domain.

-- +goose Up

-- What users may hold of whom an administrator did not say anything else, by the
-- domain of their address; '*' is for those whose domain is not here.
CREATE TABLE default_limits (
    domain   {{.Text}} NOT NULL PRIMARY KEY,
    bytes    BIGINT NOT NULL,
    messages BIGINT NOT NULL
){{.WithoutRowid}};
-- Defaults that changed and do not stand in all their users' rows yet.
CREATE TABLE default_limits_changed (
    domain  {{.Text}} NOT NULL PRIMARY KEY,
    attempt {{.Text}} NOT NULL -- Of the change: another one begins anew.
){{.WithoutRowid}};

-- Who said what set_bytes and set_messages say: 0 nobody, 1 an administrator for
-- this user, also that there is no limit, 2 the domain's default, 3 everybody's.
ALTER TABLE owners ADD COLUMN set_by SMALLINT NOT NULL DEFAULT 0;
UPDATE owners SET set_by = 1 WHERE set_bytes <> 9223372036854775807 OR set_messages <> 9223372036854775807;

-- The domain is what follows the last @: all that is not one is taken off the end,
-- and what is left counted.
CREATE INDEX owners_by_domain ON owners (substr(owner, length(rtrim(owner, replace(owner, '@', ''))) + 1), owner);

-- +goose Down
-- What came from a default stays, as the user's own: nobody's mailbox may grow
-- without bounds because of a step back.
DROP INDEX owners_by_domain;
ALTER TABLE owners DROP COLUMN set_by;
DROP TABLE default_limits_changed;
DROP TABLE default_limits;
