-- A link that a session made lives no longer than that session.

-- +goose Up
ALTER TABLE links ADD COLUMN session {{.Blob}};

-- +goose Down
ALTER TABLE links DROP COLUMN session;
