-- What a journal's server was last seen to offer, so that a visit can send its
-- questions right behind the login.

-- +goose Up
ALTER TABLE journals ADD COLUMN capabilities TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE journals DROP COLUMN capabilities;
