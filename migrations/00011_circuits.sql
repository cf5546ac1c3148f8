-- Which server an account is at, to the port, whether it ever worked there, and
-- whether its visits hold their slots for long.

-- +goose Up
ALTER TABLE poll_schedule ADD COLUMN circuit {{.Text}} NOT NULL DEFAULT ''; -- See schedule.CircuitKey.
ALTER TABLE poll_schedule ADD COLUMN proven SMALLINT NOT NULL DEFAULT 0; -- A visit has succeeded with the server's settings as they are.
-- How many quick visits in a row an account is away from counting as quick; 0: it does.
ALTER TABLE poll_schedule ADD COLUMN slow SMALLINT NOT NULL DEFAULT 1;

-- Addresses are spelled as schedule.HostKey spells them, but for rare forms of
-- IPv6, which the next edit mends: until then a closed circuit does not hold them.
UPDATE poll_schedule SET host_key = trim(host_key, '[]') WHERE host_key LIKE '[%';
UPDATE poll_schedule SET host_key = substr(host_key, 8) WHERE host_key LIKE '::ffff:%.%';
UPDATE poll_schedule SET
    circuit = CASE WHEN host_key LIKE '%:%' THEN '[' || host_key || ']' ELSE host_key END || coalesce((
        SELECT ':' || a.port || '/' || CASE a.security WHEN 1 THEN 'tls' WHEN 2 THEN 'starttls' ELSE 'none' END
        FROM accounts a WHERE a.id = poll_schedule.account_id), ''),
    proven = CASE WHEN last_success_ms > 0 AND EXISTS (
        SELECT 1 FROM accounts a WHERE a.id = poll_schedule.account_id AND a.updated_ms <= poll_schedule.last_success_ms) THEN 1 ELSE 0 END,
    slow = CASE WHEN run_finished_ms > 0 AND run_finished_ms - run_started_ms < 15000 THEN 0 ELSE 1 END;

-- What is there is forgotten: it was told of hosts, and is told again within seconds.
DROP TABLE host_outages;
CREATE TABLE host_outages (
    circuit  {{.Text}} NOT NULL,
    worker   {{.Text}} NOT NULL, -- The process that found it out.
    since_ms BIGINT NOT NULL,
    probe_ms BIGINT NOT NULL, -- When the server is tried next.
    code     TEXT NOT NULL, -- What the accounts failed with.
    PRIMARY KEY (circuit, worker)
){{.WithoutRowid}};

-- +goose Down
DROP TABLE host_outages;
CREATE TABLE host_outages (
    host_key {{.Text}} NOT NULL,
    worker   {{.Text}} NOT NULL,
    since_ms BIGINT NOT NULL,
    probe_ms BIGINT NOT NULL,
    PRIMARY KEY (host_key, worker)
){{.WithoutRowid}};
ALTER TABLE poll_schedule DROP COLUMN slow;
ALTER TABLE poll_schedule DROP COLUMN proven;
ALTER TABLE poll_schedule DROP COLUMN circuit;
