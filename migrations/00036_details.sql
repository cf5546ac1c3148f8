-- What is said of failures is kept as sentences with what is filled in, not in English.
-- See docs/decisions/0052-details.md.

-- +goose Up

-- Package store finds the sentences again in what is there.
SELECT 1;

-- +goose Down

-- Earlier versions would show the form itself. Package store has written the details in English; this is what came since.
UPDATE poll_schedule SET detail = '' WHERE detail LIKE '[1,%';
UPDATE poll_schedule SET run_detail = '' WHERE run_detail LIKE '[1,%';
UPDATE runs SET detail = '' WHERE detail LIKE '[1,%';
UPDATE skipped SET detail = '' WHERE detail LIKE '[1,%';
