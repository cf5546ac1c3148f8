package fetch_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/store"
)

// How an operator replaces a mailbox.
const (
	byCopy  = "a copy comes into its place"
	byFresh = "an empty one comes into its place"
	byNone  = "it is moved away for a while"
	byTree  = "it is removed, and a copy comes back later"
)

// replace replaces the mailbox. shelved is the mail that was in it, back puts an end
// to a while without one.
func replace(home, how string) (shelved oracle, back func() error, err error) {
	back = func() error { return nil }
	if _, err := os.Stat(home); err != nil {
		return nil, back, nil // There is nothing to replace yet.
	}
	aside := home + ".aside"
	if err := os.Rename(home, aside); err != nil {
		return nil, back, err
	}
	if shelved, err = seen(aside, nil); err != nil {
		return nil, back, err
	}
	switch how {
	case byCopy:
		err = copyTree(aside, home)
	case byFresh:
		for _, dir := range []string{"cur", "new", "tmp"} {
			err = errors.Join(err, os.MkdirAll(filepath.Join(home, dir), 0o700))
		}
	case byNone:
		back = func() error { return os.Rename(aside, home) }
	case byTree:
		err = copyTree(aside, home+".copy")
		for removed := false; err == nil && !removed; {
			err = os.RemoveAll(aside)
			if removed = err == nil; errors.Is(err, syscall.ENOTEMPTY) {
				err = nil // Somebody put a file into it at that moment.
			}
		}
		back = func() error { return os.Rename(home+".copy", home) }
	}
	return shelved, back, err
}

// copyTree copies directories and files while somebody writes there.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		there := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(there, 0o700)
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(there, text, 0o600)
	})
}

// reappeared says what is wrong with the mailbox that is there in the end.
func (p proof) reappeared(ctx context.Context, db *store.Store, how string, shelved oracle,
	held ...fetch.Lease,
) string {
	if how != byFresh || shelved == nil {
		return killOracle().verdict(p.home(), oracle{}) + p.inconsistent(ctx, db, held...)
	}
	// What had come before stays in the one that was put aside, or comes again once.
	got, err := seen(p.home(), nil)
	if err != nil {
		return err.Error()
	}
	for text, n := range killOracle() {
		if got[text] == 0 && shelved[text] > 0 {
			got[text] = n
		}
	}
	there := oracle{}
	for text, n := range got {
		if there[text] = n; killOracle()[text] != n {
			return "lost or doubled: " + firstLine(text)
		}
	}
	return killOracle().verdict(filepath.Join(p.home(), "fetch-spool", "none"), there)
}

// replacers are killers, one for each database.
func replacers(t *testing.T) map[string]*killer {
	t.Helper()
	all := map[string]*killer{}
	for name, dsn := range databases(t) {
		all[name] = newKiller(t, dsn)
	}
	return all
}

// replaced runs visits during whose n-th step the mailbox is replaced, for all n or
// every so many, and returns how many ended for that, and what went wrong.
func (k *killer) replaced(t *testing.T, how string, every int64,
	boxes func(fetch.Mailbox) fetch.Mailbox,
) (ended int, bad []string) {
	t.Helper()
	for n := int64(1); ; n += every {
		p, err := enrol(t.Context(), k.db, k.root, k.dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
		if err != nil {
			t.Fatal(err)
		}
		p.boxes = boxes
		var steps atomic.Int64
		var shelved oracle
		var failed error
		back := func() error { return nil }
		r, _, err := p.visit(t.Context(), k.db, k.db.Journal(), killRemote(), func(string) {
			if steps.Add(1) == n {
				shelved, back, failed = replace(p.home(), how)
			}
		})
		if err := errors.Join(err, failed, back()); err != nil {
			t.Fatalf("%s at step %d: %v", how, n, err)
		}
		if fault.CodeOf(r.Err) == fault.LocalMailboxUnavailable {
			ended++
		} else if r.Err != nil {
			t.Errorf("%s at step %d: the visit ends with %v", how, n, r.Err)
		}
		p.boxes = nil
		r, lease, err := p.visit(t.Context(), k.db, k.db.Journal(), killRemote(), func(string) {})
		if err := errors.Join(err, r.Err); err != nil {
			t.Fatalf("%s at step %d: the next visit: %v", how, n, err)
		}
		if what := p.reappeared(t.Context(), k.db, how, shelved, lease); what != "" {
			bad = append(bad, what)
			if boxes == nil {
				t.Errorf("%s at step %d: %s", how, n, what)
			}
		}
		if steps.Load() < n {
			return ended, bad
		}
	}
}

func TestAMailboxThatIsReplacedAtAnyStepTakesNoMailWithIt(t *testing.T) {
	t.Parallel()
	for name, k := range replacers(t) {
		t.Run(name, func(t *testing.T) {
			for i, how := range []string{byCopy, byFresh, byNone, byTree} {
				by := mailtest.Stride(t, 2+int64(i), 13+int64(i))
				ended, _ := k.replaced(t, how, by, nil)
				if ended < killMessages*(2+i)/int(max(2+int64(i), by)) {
					t.Errorf("%s: only %d visits end for it: the suite does not bite", how, ended)
				}
				t.Logf("%s: %d visits ended for it", how, ended)
			}
		})
	}
}

// The same, and the process dies at that step.
func TestAMailboxThatIsReplacedAsTheProcessDiesTakesNoMailWithIt(t *testing.T) {
	t.Parallel()
	for name, k := range replacers(t) {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			by := mailtest.Stride(t, 3, 17)
			each(t, 4, func(n int64) (bool, error) {
				mu.Lock()
				p, err := enrol(t.Context(), k.db, k.root, k.dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
				mu.Unlock()
				if err != nil {
					return false, err
				}
				p.At, p.Replace = 1+(n-1)*by, byCopy
				if n%2 == 0 {
					p.Replace = byFresh
				}
				_, err = p.run()
				died := errors.Is(err, errHappened)
				if err != nil && !died {
					return false, err
				}
				var shelved oracle
				if aside := p.home() + ".aside"; p.Replace == byFresh && exists(aside) {
					if shelved, err = seen(aside, nil); err != nil {
						return false, err
					}
				}
				how, at := p.Replace, p.At
				p.At, p.Replace = 0, ""
				if _, err = p.run(); err != nil {
					return false, err
				}
				if what := p.reappeared(t.Context(), k.db, how, shelved); what != "" {
					t.Errorf("%s and the process dies at step %d: %s", how, at, what)
				}
				return died, nil
			})
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The control: a visit that does not look where its mailbox is.
type blindBoxes struct{ fetch.Mailbox }

func (b blindBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	return blindDelivery{d}, err
}

type blindDelivery struct{ fetch.Delivery }

func (blindDelivery) Present(context.Context) error { return nil }

func TestAVisitThatDoesNotLookForItsMailboxIsNoticed(t *testing.T) {
	t.Parallel()
	k := newKiller(t, migrated.SQLite(t, filepath.Join(mailtest.InMemory(t), "journal.db")))
	_, bad := k.replaced(t, byCopy, 1, func(b fetch.Mailbox) fetch.Mailbox { return blindBoxes{b} })
	if len(bad) == 0 {
		t.Error("nothing was lost")
	}
	t.Logf("lost or doubled in %d visits", len(bad))
}

// credulous takes any spool for the one that it was.
type credulousBoxes struct {
	fetch.Mailbox
	home string
}

func (b credulousBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.Mailbox.Open(ctx, r, epoch, l)
	return credulousDelivery{d, filepath.Join(b.home, "fetch-spool", r.Journal)}, err
}

type credulousDelivery struct {
	fetch.Delivery
	spool string
}

func (d credulousDelivery) Find(_ context.Context, ps []mail.Placement, _ bool) ([]mail.Fate, error) {
	fates := make([]mail.Fate, len(ps))
	for i, p := range ps {
		if _, err := os.Stat(filepath.Join(d.spool, p.Spool)); err != nil {
			fates[i] = mail.Delivered // Gone from the spool, whosever that is.
		}
	}
	return fates, nil
}

// A copy that is made while mail is delivered may have the folders as they were
// before, and the spool as it is after; or a spool file that is not written to its
// end. The control takes its spool for the one that it was.
func TestACopyThatWasMadeDuringADeliveryIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, k := range replacers(t) {
		t.Run(name, func(t *testing.T) {
			for _, credulous := range []bool{false, true} {
				for what, spoil := range map[string]func(old, home string) error{
					"the spool is newer": func(old, home string) error {
						return errors.Join(os.RemoveAll(filepath.Join(home, "fetch-spool")),
							copyTree(filepath.Join(old, "fetch-spool"), filepath.Join(home, "fetch-spool")))
					},
					"a file is cut short": func(_, home string) error {
						files, err := filepath.Glob(filepath.Join(home, "fetch-spool", "*", "F*"))
						for _, f := range files {
							err = errors.Join(err, os.Truncate(f, 40))
						}
						return err
					},
				} {
					p, err := enrol(t.Context(), k.db, k.root, k.dsn, k.cycles.Add(1), remote.IMAP, nowhere, "x")
					if err != nil {
						t.Fatal(err)
					}
					old := p.home() + ".aside"
					var failed error
					var mu sync.Mutex // Steps are reported by several goroutines.
					renames, done := 0, false
					r, _, err := p.visit(t.Context(), k.db, k.db.Journal(), killRemote(), func(step string) {
						mu.Lock()
						defer mu.Unlock()
						switch {
						case done:
						case step == "publish.rename": // Of three messages of the batch, the first …
							if renames++; renames == 1 {
								failed = copyTree(p.home(), p.home()+".copy")
							}
						case step == "publish.synced":
							done = true
							failed = errors.Join(failed, os.Rename(p.home(), old), os.Rename(p.home()+".copy", p.home()),
								spoil(old, p.home()))
						}
					})
					if err := errors.Join(err, failed); err != nil {
						t.Fatal(err)
					}
					if fault.CodeOf(r.Err) != fault.LocalMailboxUnavailable {
						t.Errorf("%s: the visit ends with %v", what, r.Err)
					}
					if credulous {
						p.boxes = func(b fetch.Mailbox) fetch.Mailbox { return credulousBoxes{b, p.home()} }
					}
					r, lease, err := p.visit(t.Context(), k.db, k.db.Journal(), killRemote(), func(string) {})
					if err := errors.Join(err, r.Err); err != nil {
						t.Fatalf("%s: the next visit: %v", what, err)
					}
					bad := killOracle().verdict(p.home(), oracle{}) + p.inconsistent(t.Context(), k.db, lease)
					if (bad != "") != credulous {
						t.Errorf("%s, credulous=%v: %q", what, credulous, bad)
					}
				}
			}
		})
	}
}
