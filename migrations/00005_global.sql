-- One message can be in many folders, as under Gmail's labels: its name over all
-- of them says that it was delivered, so that it is delivered once.

-- +goose Up
ALTER TABLE messages ADD COLUMN global {{.Text}} NOT NULL DEFAULT '';
-- Only servers that give such names fill it.
CREATE INDEX messages_by_global ON messages (global) WHERE global <> '';

-- +goose Down
DROP INDEX messages_by_global;
ALTER TABLE messages DROP COLUMN global;
