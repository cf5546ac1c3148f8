-- What changed since the last poll, so that one query answers for all event streams.
-- See docs/decisions/0051-one-query-for-all-event-streams.md.

-- +goose Up

-- The number of the last change that affects what users are shown of an account while it
-- is not leased: on PostgreSQL the transaction's id, which can be compared with snapshots,
-- on SQLite the next integer, as there is one writer at a time. Triggers set it in the row that
-- is being written. Leased accounts are few and have an index: their changes are not numbered.
ALTER TABLE poll_schedule ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX poll_schedule_changed ON poll_schedule (changed);

-- Accounts that were deleted lately, sessions that ended before they expired, and removed
-- users, by owner. Numbered in the same way.
CREATE TABLE endings (
    id      {{.Serial}},
    owner   {{.Text}} NOT NULL,
    changed BIGINT NOT NULL,
    at_ms   BIGINT NOT NULL
);
CREATE INDEX endings_changed ON endings (changed);
CREATE INDEX endings_by_age ON endings (at_ms);
{{if .Postgres}}
-- +goose StatementBegin
CREATE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := CAST(CAST(pg_current_xact_id() AS text) AS bigint);
    RETURN NEW;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION note_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO endings (owner, changed, at_ms) VALUES (CASE WHEN TG_OP = 'DELETE' THEN OLD.owner ELSE NEW.owner END,
        CAST(CAST(pg_current_xact_id() AS text) AS bigint), {{.NowMillis}});
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER poll_schedule_added BEFORE INSERT ON poll_schedule FOR EACH ROW EXECUTE FUNCTION number_change();
CREATE TRIGGER poll_schedule_changes BEFORE UPDATE OF due_at_ms, hurried_ms, enabled, paused_ms, paused_by, state,
    failures, code, detail, since_ms, last_attempt_ms, last_success_ms, proven, slow, journal_id, circuit, host_key
    ON poll_schedule FOR EACH ROW WHEN (NEW.lease_owner = '') EXECUTE FUNCTION number_change();
CREATE TRIGGER poll_schedule_ends AFTER DELETE ON poll_schedule FOR EACH ROW EXECUTE FUNCTION note_ending();
CREATE TRIGGER sessions_end AFTER DELETE ON sessions FOR EACH ROW WHEN (OLD.expires_ms > {{.NowMillis}})
    EXECUTE FUNCTION note_ending();
CREATE TRIGGER removals_end AFTER INSERT OR UPDATE OF started_ms ON removals FOR EACH ROW EXECUTE FUNCTION note_ending();
{{else}}
-- +goose StatementBegin
CREATE TRIGGER poll_schedule_added AFTER INSERT ON poll_schedule BEGIN
    UPDATE poll_schedule SET changed = 1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule),
        (SELECT coalesce(max(changed), 0) FROM endings)) WHERE rowid = NEW.rowid;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER poll_schedule_changes AFTER UPDATE OF due_at_ms, hurried_ms, enabled, paused_ms, paused_by, state,
    failures, code, detail, since_ms, last_attempt_ms, last_success_ms, proven, slow, journal_id, circuit, host_key
    ON poll_schedule WHEN NEW.lease_owner = '' BEGIN
    UPDATE poll_schedule SET changed = 1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule),
        (SELECT coalesce(max(changed), 0) FROM endings)) WHERE rowid = NEW.rowid;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER poll_schedule_ends BEFORE DELETE ON poll_schedule BEGIN
    INSERT INTO endings (owner, changed, at_ms) VALUES (OLD.owner,
        1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule), (SELECT coalesce(max(changed), 0) FROM endings)),
        {{.NowMillis}});
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_end AFTER DELETE ON sessions WHEN OLD.expires_ms > {{.NowMillis}} BEGIN
    INSERT INTO endings (owner, changed, at_ms) VALUES (OLD.owner,
        1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule), (SELECT coalesce(max(changed), 0) FROM endings)),
        {{.NowMillis}});
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER removals_begin AFTER INSERT ON removals BEGIN
    INSERT INTO endings (owner, changed, at_ms) VALUES (NEW.owner,
        1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule), (SELECT coalesce(max(changed), 0) FROM endings)),
        {{.NowMillis}});
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER removals_go_on AFTER UPDATE OF started_ms ON removals BEGIN
    INSERT INTO endings (owner, changed, at_ms) VALUES (NEW.owner,
        1 + max((SELECT coalesce(max(changed), 0) FROM poll_schedule), (SELECT coalesce(max(changed), 0) FROM endings)),
        {{.NowMillis}});
END;
-- +goose StatementEnd
{{end}}
-- +goose Down
{{- if .Postgres}}
DROP TRIGGER removals_end ON removals;
DROP TRIGGER sessions_end ON sessions;
DROP TRIGGER poll_schedule_ends ON poll_schedule;
DROP TRIGGER poll_schedule_changes ON poll_schedule;
DROP TRIGGER poll_schedule_added ON poll_schedule;
DROP FUNCTION note_ending();
DROP FUNCTION number_change();
{{- else}}
DROP TRIGGER removals_go_on;
DROP TRIGGER removals_begin;
DROP TRIGGER sessions_end;
DROP TRIGGER poll_schedule_ends;
DROP TRIGGER poll_schedule_changes;
DROP TRIGGER poll_schedule_added;
{{- end}}
DROP TABLE endings;
DROP INDEX poll_schedule_changed;
ALTER TABLE poll_schedule DROP COLUMN changed;
