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
	return s.write(ctx, "writing details as earlier versions do", func(tx *gorm.DB) error {
		for _, c := range detailColumns {
			if err := s.tellColumn(ctx, tx, c[0], c[1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// tellColumn goes by a table of all texts that there are: one look at the column for each would take hours where many
// accounts failed.
func (s *Store) tellColumn(ctx context.Context, tx *gorm.DB, table, column string) error {
	var all []string
	err := s.on(tx).each(ctx, func(r rowScanner) error {
		var kept string
		err := r.Scan(&kept)
		all = append(all, kept)
		return err
	}, fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %[1]s LIKE '[1,%%'", column, table))
	if err != nil {
		return err
	}
	if _, err := s.on(tx).exec(ctx,
		"CREATE TEMPORARY TABLE told (kept TEXT NOT NULL, english TEXT NOT NULL)"); err != nil {
		return err
	}
	for _, kept := range all {
		english := storable(words.Kept(kept).String())
		if strings.HasPrefix(english, "[1,") { // The step takes it for one that is left.
			continue
		}
		if _, err := s.on(tx).exec(ctx, "INSERT INTO told (kept, english) VALUES (?, ?)", kept, english); err != nil {
			return err
		}
	}
	update := fmt.Sprintf("UPDATE %s SET %s = told.english FROM told WHERE %[1]s.%[2]s = told.kept", table, column)
	if _, err := s.on(tx).exec(ctx, update); err != nil {
		return err
	}
	_, err = s.on(tx).exec(ctx, "DROP TABLE told")
	return err
}
