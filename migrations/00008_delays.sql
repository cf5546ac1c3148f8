-- What holds up an account's next visit, who waits longest, and how full all are.

-- +goose Up

-- Who switched an account off, and when: a user is told of an administrator's hand.
ALTER TABLE poll_schedule ADD COLUMN paused_ms BIGINT NOT NULL DEFAULT 0; -- 0: it is on, or nobody noted it.
ALTER TABLE poll_schedule ADD COLUMN paused_by SMALLINT NOT NULL DEFAULT 0; -- 1 the user, 2 an administrator.

-- Remote hosts that a poller leaves in peace because many accounts failed there at
-- once. A poller says so here only for others to read; its own memory is what it goes by.
CREATE TABLE host_outages (
    host_key {{.Text}} NOT NULL,
    worker   {{.Text}} NOT NULL, -- The process that found it out.
    since_ms BIGINT NOT NULL,
    probe_ms BIGINT NOT NULL, -- When the host is tried next.
    PRIMARY KEY (host_key, worker)
){{.WithoutRowid}};

-- The longest due first, beside poll_schedule_due: those that were asked for have
-- a due time of 0, which is before everybody and tells nothing.
CREATE INDEX poll_schedule_hurried ON poll_schedule (hurried_ms, account_id) WHERE due_at_ms = 0;

-- With the limits, so that all users are counted by how full they are without
-- reading their rows.
DROP INDEX owners_by_fill;
CREATE INDEX owners_by_fill ON owners (fill, owner, limit_bytes, limit_messages);

-- +goose Down
DROP INDEX owners_by_fill;
CREATE INDEX owners_by_fill ON owners (fill, owner);
DROP INDEX poll_schedule_hurried;
DROP TABLE host_outages;
ALTER TABLE poll_schedule DROP COLUMN paused_by;
ALTER TABLE poll_schedule DROP COLUMN paused_ms;
