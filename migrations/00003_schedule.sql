-- Who is visited when, and by whom.

-- +goose Up

-- One narrow row per account, rewritten twice per visit. A claim sets due_at_ms to
-- the lease's end, so that a crash makes the account due again by itself; journal
-- writes push lease_until_ms alone, which no index holds. due_at_ms is 0 for
-- "hurried: before everybody else" and the largest integer for "never".
CREATE TABLE poll_schedule (
    account_id       {{.UUID}} NOT NULL PRIMARY KEY,
    journal_id       BIGINT NOT NULL,
    owner            {{.Text}} NOT NULL,
    host_key         {{.Text}} NOT NULL,
    enabled          SMALLINT NOT NULL,
    due_at_ms        BIGINT NOT NULL,
    hurried_ms       BIGINT NOT NULL DEFAULT 0, -- When it was hurried or edited since the last claim; 0: not.
    lease_owner      {{.Text}} NOT NULL DEFAULT '', -- '': nobody.
    lease_epoch      BIGINT NOT NULL, -- The fencing token: never shrinks.
    lease_until_ms   BIGINT NOT NULL DEFAULT 0,
    lease_ms         BIGINT NOT NULL DEFAULT 0, -- How long a journal write extends the lease.
    started_ms       BIGINT NOT NULL DEFAULT 0, -- When the visit under way began.
    failures         INTEGER NOT NULL DEFAULT 0,
    state            SMALLINT NOT NULL DEFAULT 1, -- 1 pending, 3 ok, 4 retrying, 5 needs_attention, 6 over_quota.
    code             TEXT NOT NULL DEFAULT '', -- The diagnosis; '': none.
    detail           TEXT NOT NULL DEFAULT '',
    since_ms         BIGINT NOT NULL DEFAULT 0,
    last_attempt_ms  BIGINT NOT NULL DEFAULT 0,
    last_success_ms  BIGINT NOT NULL DEFAULT 0,
    run_id           TEXT NOT NULL DEFAULT '', -- The last finished visit, so that one without news costs no row of its own.
    run_started_ms   BIGINT NOT NULL DEFAULT 0,
    run_finished_ms  BIGINT NOT NULL DEFAULT 0,
    run_ok           SMALLINT NOT NULL DEFAULT 0,
    run_messages     BIGINT NOT NULL DEFAULT 0,
    run_bytes        BIGINT NOT NULL DEFAULT 0,
    run_code         TEXT NOT NULL DEFAULT '',
    run_detail       TEXT NOT NULL DEFAULT '',
    run_since_ms     BIGINT NOT NULL DEFAULT 0,
    progress_folder  TEXT NOT NULL DEFAULT '',
    progress_done    BIGINT NOT NULL DEFAULT 0,
    progress_total   BIGINT NOT NULL DEFAULT 0,
    progress_bytes   BIGINT NOT NULL DEFAULT 0
){{.Churn}};
CREATE INDEX poll_schedule_due ON poll_schedule (due_at_ms);
-- As small as the number of visits under way: what the caps per host and user are counted from.
CREATE INDEX poll_schedule_leased ON poll_schedule (account_id) WHERE lease_owner <> '';

-- Visits worth remembering: with mail, failed, or the first good one after a failure.
CREATE TABLE runs (
    id          TEXT NOT NULL PRIMARY KEY,
    account_id  {{.UUID}} NOT NULL,
    started_ms  BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL,
    ok          SMALLINT NOT NULL,
    messages    BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    code        TEXT NOT NULL,
    detail      TEXT NOT NULL,
    since_ms    BIGINT NOT NULL
);
CREATE INDEX runs_by_account ON runs (account_id, started_ms);
CREATE INDEX runs_by_age ON runs (finished_ms);

-- Visits per minute and outcome, summed in memory first: what the figures of the
-- last hour and day are made of.
CREATE TABLE poll_counts (
    minute_ms BIGINT NOT NULL,
    code      {{.Text}} NOT NULL, -- '': went well.
    polls     BIGINT NOT NULL,
    messages  BIGINT NOT NULL,
    bytes     BIGINT NOT NULL,
    PRIMARY KEY (minute_ms, code)
){{.WithoutRowid}};

-- +goose Down
DROP TABLE poll_counts;
DROP TABLE runs;
DROP TABLE poll_schedule;
