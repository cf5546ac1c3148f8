-- A row of the schedule is a route's: of a mailbox at a server into one of ours. An account has one, of the same id.
-- See docs/decisions/0047-routes.md.

-- +goose Up
ALTER TABLE poll_schedule RENAME COLUMN account_id TO route_id;
ALTER TABLE poll_schedule ADD COLUMN kind SMALLINT NOT NULL DEFAULT 1; -- 1 keep: an account's.

-- +goose Down
ALTER TABLE poll_schedule DROP COLUMN kind;
ALTER TABLE poll_schedule RENAME COLUMN route_id TO account_id;
