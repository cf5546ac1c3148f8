-- Who did what to whose account, from where and when. See docs/decisions/0041-audit.md.

-- +goose Up

-- Rows are only added; one of each act, in the act's own transaction. They outlive
-- accounts and users. No column holds a secret.
CREATE TABLE audit (
    id         {{.Serial}},
    at_ms      BIGINT NOT NULL,
    role       {{.Text}} NOT NULL, -- user, admin, cli or system.
    actor      {{.Text}} NOT NULL, -- Who: an address; of cli, who runs the command; of system ''.
    client     TEXT NOT NULL,      -- From which address, or at which machine; '': none.
    action     {{.Text}} NOT NULL,
    owner      {{.Text}} NOT NULL, -- The user whom it concerns; '': everybody.
    account_id {{.Text}} NOT NULL, -- '': no account of theirs, or one that is not saved.
    changed    TEXT NOT NULL,      -- The names of the settings that changed, as JSON.
    details    TEXT NOT NULL       -- As JSON.
);
CREATE INDEX audit_by_time ON audit (at_ms, id);
CREATE INDEX audit_by_owner ON audit (owner, at_ms, id);
CREATE INDEX audit_by_account ON audit (account_id, at_ms, id) WHERE account_id <> '';
CREATE INDEX audit_by_actor ON audit (actor, at_ms, id);
CREATE INDEX audit_by_role ON audit (role, at_ms, id);
CREATE INDEX audit_by_action ON audit (action, at_ms, id);

-- Up to which moment rows may be forgotten, and were. It only moves on, and what
-- is younger cannot be deleted. The table outlives this step's way down: where it is
-- there, acts were dropped, and those from now on are all that are known.
CREATE TABLE IF NOT EXISTS audit_horizon (
    one       SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    before_ms BIGINT NOT NULL
);
UPDATE audit_horizon SET before_ms = {{.NowMillis}};
INSERT INTO audit_horizon (one, before_ms) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM audit_horizon);

-- How whoever gets a link has shown who it is: password, header or oidc; '': by the
-- link itself.
ALTER TABLE links ADD COLUMN way {{.Text}} NOT NULL DEFAULT '';
{{if .Postgres}}
-- +goose StatementBegin
CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit' THEN
        IF OLD.at_ms < (SELECT before_ms FROM audit_horizon) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit_horizon' THEN
        IF NEW.before_ms >= OLD.before_ms THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit is only added to: % is refused', TG_OP;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_keeps BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_horizon_keeps BEFORE UPDATE OR DELETE ON audit_horizon
    FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_horizon_stays BEFORE TRUNCATE ON audit_horizon
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
{{else}}
-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: UPDATE is refused');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.at_ms >= (SELECT before_ms FROM audit_horizon) BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: DELETE is refused');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_horizon_moves_on BEFORE UPDATE ON audit_horizon WHEN NEW.before_ms < OLD.before_ms BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: UPDATE is refused');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_horizon_no_delete BEFORE DELETE ON audit_horizon BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: DELETE is refused');
END;
-- +goose StatementEnd
{{end}}
-- +goose Down
ALTER TABLE links DROP COLUMN way;
DROP TABLE audit;
{{- if .Postgres}}
DROP TRIGGER audit_horizon_keeps ON audit_horizon;
DROP TRIGGER audit_horizon_stays ON audit_horizon;
DROP FUNCTION audit_refuses();
{{- else}}
DROP TRIGGER audit_horizon_moves_on;
DROP TRIGGER audit_horizon_no_delete;
{{- end}}
