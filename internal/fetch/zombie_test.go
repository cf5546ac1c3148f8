package fetch_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Two workers on one account: the first is stopped at its n-th step until its
// lease is another's, who does all the work; then it continues.

// zombie is one such history. fenced says that the first worker noticed.
func (k *killer) zombie(t *testing.T, broken, user string, n int64,
	second int64,
) (bad string, stopped, fenced bool, err error) {
	ctx := t.Context()
	p, err := enrol(ctx, k.db, k.root, k.dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
	if err != nil {
		return "", false, false, err
	}
	first := p
	first.At, first.Stop, first.Broken = n, true, broken
	w, err := first.start()
	if err != nil {
		return "", false, false, err
	}
	status, said, err := w.wait()
	if err != nil || !status.Stopped() {
		if err == nil && status.ExitStatus() != 0 {
			err = fmt.Errorf("the first worker: %v: %s", status, said)
		}
		return "", false, false, err
	}
	deleted := oracle{}
	// From here on the stopped worker is continued whatever happens.
	p.At = second // Perhaps the second is killed, and a third comes.
	_, err = p.run()
	if errors.Is(err, errHappened) {
		p.At = 0
		_, err = p.run()
	}
	before, err1 := k.written(ctx, p)
	err = errors.Join(err, err1, acts(p.home(), user, deleted), syscall.Kill(w.pid, syscall.SIGCONT))
	status, said, err2 := w.wait()
	after, err3 := k.written(ctx, p)
	if err = errors.Join(err, err2, err3); err != nil {
		return "", true, false, err
	}
	fenced = status.ExitStatus() == exitFenced
	if !fenced && status.ExitStatus() != 0 && broken == "" && !strings.Contains(said, "lease") {
		// Whoever is behind the times may fail otherwise, as when its spool file was swept.
		t.Logf("step %d: the first worker ended with %d: %s", n, status.ExitStatus(), strings.TrimSpace(said))
	}
	p.At = 0
	if err := acts(p.home(), user, deleted); err != nil {
		return "", true, fenced, err
	}
	if _, err := p.run(); err != nil {
		return "", true, fenced, err
	}
	bad = killOracle().verdict(p.home(), deleted) + p.inconsistent(ctx, k.db)
	if after != before {
		bad = strings.TrimPrefix(bad+"; who had lost the lease wrote to the journal", "; ")
	}
	return bad, true, fenced, nil
}

// written is what the database holds about an account, row by row.
func (k *killer) written(ctx context.Context, p proof) (text string, err error) {
	db, err := p.rows()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	schedule := fmt.Sprintf("FROM poll_schedule WHERE route_id = '%s'", p.Account)
	folders := "FROM folders WHERE journal_id IN (SELECT journal_id " + schedule + ")"
	for _, query := range []string{
		"SELECT * " + schedule, "SELECT * " + folders + " ORDER BY id", "SELECT * FROM journals WHERE id IN (SELECT " +
			"journal_id " + schedule + ")",
		"SELECT * FROM batches WHERE journal_id IN (SELECT journal_id " + schedule + ") ORDER BY lease_epoch, seq",
		"SELECT * FROM messages WHERE folder_id IN (SELECT id " + folders + ") ORDER BY folder_id, epoch, uid",
		"SELECT * FROM skipped WHERE folder_id IN (SELECT id " + folders + ") ORDER BY folder_id, epoch, uid",
		"SELECT * FROM runs WHERE account_id = '" + string(p.Account) + "' ORDER BY id",
	} {
		more, err := lines(ctx, db, query)
		if err != nil {
			return "", fmt.Errorf("%s: %w", query, err)
		}
		text += more
	}
	return text, nil
}

// rows opens the database beside the store.
func (p proof) rows() (*sql.DB, error) {
	if path, ok := strings.CutPrefix(p.DSN, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(15000)")
	}
	return sql.Open("pgx", p.DSN)
}

// lines are a query's rows, one on each line.
func lines(ctx context.Context, db *sql.DB, query string) (string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		fmt.Fprintln(&b, values...)
	}
	return b.String(), rows.Err()
}

// F28 and F29 of the fault matrix.
func TestAStoppedWorkerThatContinuesIsFencedAndDoublesNothing(t *testing.T) {
	t.Parallel()
	by := mailtest.Stride(t, 6, 54)
	for name, dsn := range databases(t) {
		t.Run(name, func(t *testing.T) {
			k := newKiller(t, dsn)
			var stops, fences atomic.Int64
			for u, user := range users {
				each(t, 4, func(i int64) (bool, error) {
					n := 1 + (i-1)*by + int64(u)%by
					var second int64
					if i%3 == 0 {
						second = 5 + n%23
					}
					bad, stopped, fenced, err := k.zombie(t, "", user, n, second)
					if bad != "" {
						t.Errorf("stopped at step %d, the user %s: %s", n, user, bad)
					}
					if stopped {
						stops.Add(1)
					}
					if fenced {
						fences.Add(1)
					}
					return stopped, err
				})
			}
			if fences.Load() == 0 || stops.Load() < killMessages*6/max(6, by) {
				t.Errorf("%d stops, %d fences: the suite does not bite", stops.Load(), fences.Load())
			}
			t.Logf("%d workers were stopped and went on, %d of them were fenced", stops.Load(), fences.Load())
		})
	}
}

// The controls: a worker that writes what it is not allowed to, and continues; and
// a database that lets it.
func TestAWorkerThatDoesNotHeedItsFenceIsNoticed(t *testing.T) {
	t.Parallel()
	for name, dsn := range databases(t) {
		k := newKiller(t, dsn)
		enough := int64(mailtest.Few(t, 3, 1))
		for _, rule := range []string{heedless, unfenced} {
			t.Run(name+", "+rule, func(t *testing.T) {
				var caught atomic.Int64
				var example atomic.Value
				for _, steps := range mailtest.Search(13) {
					each(t, 4, func(i int64) (bool, error) {
						n := steps.From + i - 1
						if n >= steps.To || !mailtest.Long() && caught.Load() >= enough {
							return false, nil
						}
						bad, stopped, _, err := k.zombie(t, rule, "deletes", n, 0)
						if bad != "" {
							caught.Add(1)
							example.Store(bad)
						}
						return stopped, err
					})
				}
				if caught.Load() == 0 {
					t.Error("nothing was lost, doubled or written although the fence was ignored")
				}
				t.Logf("caught %d times, such as: %.120s", caught.Load(), example.Load())
			})
		}
	}
}
