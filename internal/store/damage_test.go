package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mailbrook/mailbrook/internal/account"
)

// unwatched ends what looks a damaged database through, for tests that do so by
// themselves.
func (w *world) unwatched() *world {
	w.watching()
	w.watching = nil
	return w
}

// onSQLite runs a test on a database in one file, all of it in the file.
func onSQLite(t *testing.T, test func(w *world)) {
	t.Helper()
	w := &world{T: t, dsn: "sqlite:" + filepath.Join(t.TempDir(), "mailbrook.db"), clock: &clock{at: time.Now()}}
	w.Store = w.another()
	w.must(w.Migrate(t.Context()))
	w.filed()
	test(w.unwatched())
}

// filed carries the log into the file.
func (w *world) filed() {
	w.Helper()
	w.must(w.w.Exec("PRAGMA wal_checkpoint(TRUNCATE)").Error)
}

func (w *world) size() int64 {
	w.Helper()
	info, err := os.Stat(w.path)
	w.must(err)
	return info.Size()
}

// What a database says of its own state holds from then on: it does not verify,
// nothing is written to it, whoever watches is woken, until it was looked through
// and nothing is wrong. The control is what says nothing about it.
func TestADatabaseThatSaysItIsDamagedIsNotUsed(t *testing.T) {
	onBoth(t, func(w *world) {
		w.unwatched()
		ctx := w.Context()
		for _, harmless := range []error{
			coded(sqliteBusy), coded(sqliteIOErr), coded(sqliteFull), &pgconn.PgError{Code: "XX000"},
			&pgconn.PgError{Code: "57P01"}, context.DeadlineExceeded, account.ErrNotFound,
		} {
			if err := w.wrap(ctx, "asking", harmless); errors.Is(err, ErrDamaged) {
				w.Errorf("%v is reported as %v", harmless, err)
			}
			w.must(w.Verify(ctx))
		}
		for _, word := range []error{
			coded(sqliteCorrupt), coded(sqliteCorrupt | 1<<8), coded(sqliteNotADB), &pgconn.PgError{Code: "XX001"},
			&pgconn.PgError{Code: "XX002"},
		} {
			if err := w.wrap(ctx, "asking", word); !errors.Is(err, ErrDamaged) || !errors.Is(err, account.ErrUnavailable) {
				w.Errorf("%v is reported as %v", word, err)
			}
			<-w.Alarm()
			if err := w.Verify(ctx); !errors.Is(err, ErrDamaged) {
				w.Errorf("after %v it verifies with %v", word, err)
			}
			if err := w.Probe(ctx); !errors.Is(err, ErrDamaged) {
				w.Errorf("after %v it is written to, with %v", word, err)
			}
			_, err := w.Accounts().Add(ctx, draft(w, "anna@firma.test", 1), []byte("sealed"), 4)
			if !errors.Is(err, ErrDamaged) {
				w.Errorf("after %v an account is added, with %v", word, err)
			}
			if !w.recheck(ctx) {
				w.Errorf("nothing is wrong, and it is not forgotten that it said %v", word)
			}
			w.must(errors.Join(w.Verify(ctx), w.Probe(ctx)))
		}
	})
}

// By itself it is looked through, and used again.
func TestADatabaseIsLookedThroughAfterItSaidThatItIsDamaged(t *testing.T) {
	onBoth(t, func(w *world) {
		w.must(w.Verify(w.Context()))
		if err := w.wrap(w.Context(), "asking", coded(sqliteCorrupt)); !errors.Is(err, ErrDamaged) {
			w.Errorf("it is reported as %v", err)
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for w.Verify(w.Context()) != nil {
			<-tick.C
		}
	})
}

// A look through finds pages that were lost, and so does any call that comes upon
// one; put back, the file is right. What the connections remember does not hide it.
func TestLostPagesAreFoundUntilTheyArePutBack(t *testing.T) {
	onSQLite(t, func(w *world) {
		ctx := w.Context()
		w.must(w.LookThrough(ctx))
		whole, err := os.ReadFile(w.path)
		w.must(err)
		w.must(errors.Join(os.Truncate(w.path, 4096), os.Truncate(w.path, int64(len(whole)))))
		if err := w.Verify(ctx); err != nil {
			w.Fatalf("the file is as long as before, and a look at it says %v: this shows nothing", err)
		}
		if err := w.LookThrough(ctx); !errors.Is(err, ErrDamaged) {
			w.Errorf("looked through, it is found %v", err)
		}
		if err := w.Verify(ctx); !errors.Is(err, ErrDamaged) {
			w.Errorf("it verifies with %v", err)
		}
		if w.recheck(ctx) {
			w.Error("its pages are lost, and it is used again")
		}
		f, err := os.OpenFile(w.path, os.O_RDWR, 0)
		w.must(err)
		_, err = f.WriteAt(whole, 0)
		w.must(errors.Join(err, f.Close()))
		if !w.recheck(ctx) {
			w.Error("its pages are put back, and it is not used")
		}
		w.must(w.Verify(ctx))
	})
}

// A file that was cut is found so by whoever is about to write, before that makes
// it as long as it was. The control writes without a look.
func TestACutFileIsNotWrittenTo(t *testing.T) {
	onSQLite(t, func(w *world) {
		ctx := w.Context()
		w.must(w.SetNote(ctx, noteProbe, "before"))
		w.filed()
		was := w.size()
		w.must(os.Truncate(w.path, was/2))
		if err := w.SetNote(ctx, noteProbe, "after"); !errors.Is(err, ErrDamaged) {
			w.Errorf("it is written to, with %v", err)
		}
		if now := w.size(); now != was/2 {
			w.Errorf("it has %d bytes, it was cut to %d", now, was/2)
		}
		if err := w.Verify(ctx); !errors.Is(err, ErrDamaged) {
			w.Errorf("it verifies with %v", err)
		}
		w.must(os.Truncate(w.path, was)) // As a checkpoint leaves it.
		if err := w.Verify(ctx); !errors.Is(err, ErrDamaged) {
			w.Errorf("as long as before, it verifies with %v", err)
		}
		w.damage = newDamage()
		if err := w.Verify(ctx); err != nil {
			w.Errorf("a look at its length alone says %v: so it matters not to forget", err)
		}
	})
}

// However much is written and carried into the file, by whatever process, it is
// never taken for one that was cut. The control cuts it at the end.
func TestAFileThatGrowsIsNotTakenForCut(t *testing.T) {
	onSQLite(t, func(w *world) {
		ctx, now := w.Context(), time.Now()
		w.must(w.w.Exec("CREATE TABLE filler (x BLOB)").Error)
		var writers sync.WaitGroup
		for _, s := range []*Store{w.Store, w.another()} {
			writers.Go(func() {
				for range 60 {
					if err := errors.Join(s.w.Exec("INSERT INTO filler VALUES (randomblob(100000))").Error,
						s.w.Exec("PRAGMA wal_checkpoint(PASSIVE)").Error); err != nil {
						w.Error(err)
						return
					}
				}
				if err := s.w.Exec("VACUUM").Error; err != nil {
					w.Error(err)
				}
			})
		}
		over := make(chan struct{})
		go func() { writers.Wait(); close(over) }()
		looks := 0
		for done := false; !done; looks++ {
			select {
			case <-over:
				done = true
			default:
			}
			if err := w.verifyLength(ctx, now); err != nil {
				w.Fatalf("at look %d: %v", looks, err)
			}
		}
		w.must(w.w.Exec("DELETE FROM filler").Error)
		w.must(w.w.Exec("VACUUM").Error)
		w.filed()
		w.must(w.verifyLength(ctx, now)) // Much shorter, and right.
		w.must(os.Truncate(w.path, w.size()-4096))
		if err := w.verifyLength(ctx, now); !errors.Is(err, ErrDamaged) {
			w.Errorf("a page was cut off, and after %d looks that found nothing one says %v", looks, err)
		}
	})
}
