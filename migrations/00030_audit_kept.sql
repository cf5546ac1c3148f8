-- What a user did to nobody's account is read by a key of its own, and SQLite refuses what goes round the triggers of
-- 00027. See docs/decisions/0041-audit.md.

-- +goose Up
CREATE INDEX audit_by_actor_alone ON audit (actor, at_ms, id) WHERE owner = '';
{{if not .Postgres}}
-- INSERT OR REPLACE takes the row away that is in its way, and asks no trigger of DELETE. An id that is not given is
-- -1 before the row is there; so none may stay below 1.
-- +goose StatementBegin
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
    WHEN NEW.id > 0 AND EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: REPLACE is refused');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_is_whole AFTER INSERT ON audit WHEN NEW.id < 1 OR typeof(NEW.at_ms) <> 'integer' BEGIN
    SELECT RAISE(ABORT, 'an act has a number from 1 on, and a time');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_horizon_no_replace BEFORE INSERT ON audit_horizon
    WHEN EXISTS (SELECT 1 FROM audit_horizon) BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: REPLACE is refused');
END;
-- +goose StatementEnd
-- Text is larger than any number here. What may have been deleted below it, nobody knows.
DROP TRIGGER audit_horizon_moves_on;
UPDATE audit_horizon SET before_ms = {{.NowMillis}} WHERE typeof(before_ms) <> 'integer';
-- +goose StatementBegin
CREATE TRIGGER audit_horizon_moves_on BEFORE UPDATE ON audit_horizon
    WHEN typeof(NEW.before_ms) <> 'integer' OR NEW.before_ms < OLD.before_ms BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: UPDATE is refused');
END;
-- +goose StatementEnd
{{end}}
-- +goose Down
{{if not .Postgres -}}
DROP TRIGGER audit_horizon_moves_on;
-- +goose StatementBegin
CREATE TRIGGER audit_horizon_moves_on BEFORE UPDATE ON audit_horizon WHEN NEW.before_ms < OLD.before_ms BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to: UPDATE is refused');
END;
-- +goose StatementEnd
DROP TRIGGER audit_horizon_no_replace;
DROP TRIGGER audit_is_whole;
DROP TRIGGER audit_no_replace;
{{end -}}
DROP INDEX audit_by_actor_alone;
