package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/store"
)

// Power cuts: a worker makes a file system forget, at its n-th named step, all
// that was not made durable, and dies. The file system is mounted again, the
// user acts, and a second worker continues.

// site is where a database and mailboxes lie, and what loses power.
type site struct {
	dsn, root string
	volumes   []*volume
	n         int64
}

// The places that can lose power. Only where the journal survives the mail
// does a missing fsync of a directory show.
const (
	everything   = "mail and journal on one disk"
	mailsDisk    = "the mail's disk, the journal on another"
	journalsDisk = "the journal's disk, the mail on another"
	bothDisks    = "the mail's disk and the journal's at once"
	postgresMail = "the mail's disk, the journal in PostgreSQL"
)

func newSite(t *testing.T, place string) *site {
	t.Helper()
	var vs []*volume
	volume := func() string {
		v, err := newVolume(t)
		if err != nil {
			mailtest.NotRun(t, "loop mounts: "+err.Error())
		}
		vs = append(vs, v)
		return v.dir
	}
	s := &site{}
	journal := ""
	switch place {
	case everything:
		s.root = volume()
		journal = s.root
	case mailsDisk:
		s.root, journal = volume(), t.TempDir()
	case journalsDisk:
		s.root, journal = t.TempDir(), volume()
	case bothDisks:
		s.root, journal = volume(), volume()
	case postgresMail:
		s.root, s.dsn = volume(), migrated.Postgres(t)
	}
	if s.dsn == "" {
		s.dsn = "sqlite:" + filepath.Join(journal, "journal.db")
	}
	s.root = filepath.Join(s.root, "mail")
	s.volumes = vs
	err := os.Mkdir(s.root, 0o700)
	if err == nil {
		err = s.with(t.Context(), func(db *store.Store) error { return db.Migrate(t.Context()) })
	}
	if err = errors.Join(err, s.sync()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) sync() (err error) {
	for _, v := range s.volumes {
		err = errors.Join(err, v.sync())
	}
	return err
}

// with opens the database for a moment: an open file keeps a volume mounted.
func (s *site) with(ctx context.Context, f func(*store.Store) error) error {
	db, err := store.Open(ctx, s.dsn, store.Options{Conns: 1})
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

// cycle is one user's history, with power cuts at these steps. It returns what
// is wrong, and whether the first of them came to pass.
func (s *site) cycle(ctx context.Context, broken, user string, cuts ...int64) (bad string, happened bool, err error) {
	s.n++
	var p proof
	if err := s.with(ctx, func(db *store.Store) (err error) {
		p, err = enrol(ctx, db, s.root, s.dsn, s.n, remote.IMAP, nowhere, "x")
		return err
	}); err != nil {
		return "", false, err
	}
	p.Broken = broken
	p.Together = []int{2, -1}[s.n%2] // A batch has three files: they are synced as one, or each by itself.
	for _, v := range s.volumes {
		p.Power = append(p.Power, v.dir)
	}
	deleted := oracle{}
	for i, at := range cuts {
		p.At = at
		_, err := p.run()
		if i == 0 {
			happened = errors.Is(err, errHappened)
		}
		if err != nil && !errors.Is(err, errHappened) {
			return err.Error(), happened, nil
		}
		for _, v := range s.volumes {
			if err := v.restart(); err != nil {
				return "", happened, err
			}
		}
		if err := acts(p.home(), user, deleted); err != nil {
			return "", happened, err
		}
		if err := s.sync(); err != nil {
			return "", happened, err
		}
	}
	p.At, p.Power, p.Broken = 0, nil, ""
	if _, err := p.run(); err != nil {
		return err.Error(), happened, nil
	}
	bad = killOracle().verdict(p.home(), deleted)
	err = s.with(ctx, func(db *store.Store) error {
		bad += p.inconsistent(ctx, db)
		return nil
	})
	return bad, happened, errors.Join(err, os.RemoveAll(p.home()))
}

// steps is how many steps a visit has that nothing happens to.
func (s *site) steps(ctx context.Context, broken string) (steps int64, err error) {
	s.n++
	err = s.with(ctx, func(db *store.Store) error {
		p, err := enrol(ctx, db, s.root, s.dsn, s.n, remote.IMAP, nowhere, "x")
		if p.Broken = broken; err == nil {
			steps, err = p.run()
		}
		return err
	})
	return steps, err
}

// F04, F05 and F06 of the fault matrix.
func TestAPowerCutAtAnyStepLosesAndDoublesNothing(t *testing.T) {
	places := []string{everything, mailsDisk, journalsDisk, bothDisks, postgresMail}
	t.Parallel()
	stride := int(mailtest.Stride(t, 20, 60)) // Each place begins elsewhere.
	least := 9 * 20 / max(20, stride)
	thrice := int(mailtest.Stride(t, 1, int64(len(users)))) // Each user's mailbox at another place.
	for i, place := range places {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, place)
			cuts := 0
			for u, user := range users {
				from, by := int64(1+(i*len(users)+u)*stride/(len(places)*len(users))), int64(stride)
				for n := from; ; n += by {
					bad, happened, err := s.cycle(t.Context(), "", user, n)
					if err != nil {
						t.Fatal(err)
					}
					if bad != "" {
						t.Errorf("power cut at step %d, the user %s: %s", n, user, bad)
					}
					if !happened {
						break
					}
					cuts++
				}
				if u%thrice != i%thrice {
					continue
				}
				bad, _, err := s.cycle(t.Context(), "", user, 7+int64(i)*5, 3+int64(u), 12)
				if err != nil || bad != "" {
					t.Errorf("three power cuts in a row, the user %s: %s, %v", user, bad, err)
				}
			}
			if cuts < least {
				t.Errorf("only %d power cuts: the suite does not bite", cuts)
			}
			t.Logf("%d power cuts, and three in a row %d times", cuts, len(users)/thrice)
		})
	}
}

// F25: what a disk loses after it reported it to the database as durable is
// noticed by the spool's note, and reconciled with the mailbox.
func TestAJournalThatForgotWhatItAcknowledgedDoublesNothingThatIsStillThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, journalsDisk)
	steps, err := s.steps(t.Context(), lyingDisk)
	if err != nil {
		t.Fatal(err)
	}
	by := mailtest.Stride(t, 10, 40)
	cuts := 0
	for n := steps; n > 0; n -= by {
		bad, _, err := s.cycle(t.Context(), lyingDisk, users[n%2], n)
		if err != nil {
			t.Fatal(err)
		}
		if bad != "" {
			t.Errorf("power cut at step %d, the user %s: %s", n, users[n%2], bad)
		}
		cuts++
	}
	t.Logf("%d power cuts", cuts)
}

// The controls: each rule of durability, broken, has to be noticed.
func TestAMissingSyncIsNoticedByAPowerCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, place, user string }{
		{fileSync, mailsDisk, "does nothing"},
		{fileSync, everything, "does nothing"},
		{directorySync, mailsDisk, "does nothing"},
		{lyingDisk, mailsDisk, "does nothing"},
		{lyingDisk, journalsDisk, "deletes"}, // As SQLite's synchronous=NORMAL would be.
	} {
		t.Run(c.rule+", "+c.place, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.place)
			steps, err := s.steps(t.Context(), c.rule)
			if err != nil {
				t.Fatal(err)
			}
			var caught, cuts int64
			example := ""
			for n := steps; n > 0 && (mailtest.Long() || caught == 0); n-- {
				bad, _, err := s.cycle(t.Context(), c.rule, c.user, n)
				if err != nil {
					t.Fatal(err)
				}
				cuts++
				if bad != "" {
					caught++
					example = bad
				}
			}
			if caught == 0 {
				t.Error("nothing was lost or doubled although the rule was broken")
			}
			t.Logf("caught by %d of %d power cuts, such as: %.120s", caught, cuts, example)
		})
	}
}

func TestSQLiteThatAnswersBeforeItsDiskIsRefused(t *testing.T) {
	var refused atomic.Int64
	for _, level := range []string{"OFF", "NORMAL"} {
		db, err := store.Open(t.Context(), fmt.Sprintf("sqlite:%s?_pragma=synchronous(%s)", filepath.Join(t.TempDir(),
			"journal.db"), level), store.Options{})
		if err == nil {
			t.Errorf("synchronous=%s is taken (%v)", level, db.Close())
		} else if strings.Contains(err.Error(), "synchronous") {
			refused.Add(1)
		}
	}
	if refused.Load() != 2 {
		t.Errorf("%d of 2 were refused for that reason", refused.Load())
	}
}
