package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/words"
)

// keptSentences is the step of the schema from which on details are kept as words.Detail keeps them.
const keptSentences = 36

// detailColumns are the columns of details, each with its table.
var detailColumns = [][2]string{
	{"poll_schedule", "detail"}, {"poll_schedule", "run_detail"}, {"runs", "detail"}, {"skipped", "detail"},
}

// tellEarlier writes details as versions before that step have them, in English, if it is about to be taken back. What
// another process adds until then is emptied by the step itself.
func (s *Store) tellEarlier(ctx context.Context, p *goose.Provider, version int64) error {
	if !s.versioned(ctx) || version >= keptSentences {
		return nil
	}
	if applied, err := p.GetDBVersion(ctx); err != nil || applied < keptSentences {
		return err
	}
	return s.rewriteDetails(ctx, "LIKE '[1,%'", func(kept string) string {
		english := words.Kept(kept).String()
		if strings.HasPrefix(english, "[1,") { // The step takes it for one that is left.
			return kept
		}
		return english
	})
}

// keepEarlier finds the sentences again in details that versions before that step wrote.
func (s *Store) keepEarlier(ctx context.Context) error {
	return s.rewriteDetails(ctx, "NOT LIKE '[1,%' AND %[1]s <> ''", func(text string) string {
		return words.Earlier(text).Keep()
	})
}

// rewriteDetails writes the details in another form for which a condition holds.
func (s *Store) rewriteDetails(ctx context.Context, which string, as func(string) string) error {
	return s.write(ctx, "writing details in another form", func(tx *gorm.DB) error {
		for _, c := range detailColumns {
			if err := s.rewriteColumn(ctx, tx, c[0], c[1], which, as); err != nil {
				return err
			}
		}
		return nil
	})
}

// rewriteColumn goes by a table of all texts that there are: one look at the column for each would take hours where
// many accounts failed.
func (s *Store) rewriteColumn(ctx context.Context, tx *gorm.DB, table, column, which string,
	as func(string) string,
) error {
	var all []string
	err := s.on(tx).each(ctx, func(r rowScanner) error {
		var text string
		err := r.Scan(&text)
		all = append(all, text)
		return err
	}, fmt.Sprintf("SELECT DISTINCT %[1]s FROM %[2]s WHERE %[1]s ", column, table)+
		strings.ReplaceAll(which, "%[1]s", column))
	if err != nil || len(all) == 0 {
		return err
	}
	if _, err := s.on(tx).exec(ctx,
		"CREATE TEMPORARY TABLE rewritten (was TEXT NOT NULL, is_now TEXT NOT NULL)"); err != nil {
		return err
	}
	for _, was := range all {
		now := storable(as(was))
		if now == was {
			continue
		}
		if _, err := s.on(tx).exec(ctx, "INSERT INTO rewritten (was, is_now) VALUES (?, ?)", was, now); err != nil {
			return err
		}
	}
	update := fmt.Sprintf("UPDATE %s SET %s = rewritten.is_now FROM rewritten WHERE %[1]s.%[2]s = rewritten.was", table,
		column)
	if _, err := s.on(tx).exec(ctx, update); err != nil {
		return err
	}
	_, err = s.on(tx).exec(ctx, "DROP TABLE rewritten")
	return err
}
