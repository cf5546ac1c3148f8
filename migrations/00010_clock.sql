-- Due times that cannot be, and visits that began and never ended.

-- +goose Up

-- How long after the visit the account was to be due: a due time that is further
-- away than this was written by a clock that was ahead. 0: not known.
ALTER TABLE poll_schedule ADD COLUMN pause_ms BIGINT NOT NULL DEFAULT 0;
UPDATE poll_schedule SET pause_ms = due_at_ms - run_finished_ms
    WHERE lease_owner = '' AND run_finished_ms > 0 AND due_at_ms > run_finished_ms AND due_at_ms < 9223372036854775807;

-- How many visits in a row began and never ended, as their process died, and
-- whether the one before the visit under way is one of them.
ALTER TABLE poll_schedule ADD COLUMN aborted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE poll_schedule ADD COLUMN lost SMALLINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE poll_schedule DROP COLUMN lost;
ALTER TABLE poll_schedule DROP COLUMN aborted;
ALTER TABLE poll_schedule DROP COLUMN pause_ms;
