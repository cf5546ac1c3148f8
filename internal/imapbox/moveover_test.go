package imapbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/installation"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/store"
)

var migrated = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	db, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}}

// forgetful is an account elsewhere that removes messages.
type forgetful struct {
	*elsewhere
	gone map[uint32]bool
}

func (r forgetful) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return r, nil
}

func (r forgetful) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return r.elsewhere.List(ctx, qs, func(l mail.Listing, err error) error {
		l.Items = slices.DeleteFunc(l.Items, func(it mail.Item) bool { return r.gone[it.ID.UID] })
		return yield(l, err)
	})
}

// movingOver is a user whose mail was delivered into a Maildir, and is to be delivered to a Dovecot.
type movingOver struct {
	*installation.Installation
	t    *testing.T
	from forgetful
	d    *mailtest.Dovecot
	user string // By whose name the Dovecot has the mailbox.
}

// stores is one Dovecot for each way to keep mail.
func stores(t *testing.T) map[string]*mailtest.Dovecot {
	return map[string]*mailtest.Dovecot{
		"the same Maildir": mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}),
		"sdbox": mailtest.StartDovecot(t, mailtest.DovecotOptions{
			Separator: "/", Extra: []string{everybody, "mail_location = sdbox:~/sdbox"},
		}),
	}
}

// newMoving delivers six messages, of which the user moves and deletes one each, and then breaks a visit off: of four
// more two are in the mailbox, of which the user moves one and deletes the other, and two in the spool, of which
// one is gone elsewhere. Then the mail is at the Dovecot.
func newMoving(t *testing.T, postgres bool, d *mailtest.Dovecot, same bool) *movingOver {
	t.Helper()
	m := &movingOver{
		t: t, d: d, user: fmt.Sprintf("u%d@firma.test", users.Add(1)),
		from: forgetful{&elsewhere{}, map[uint32]bool{}},
	}
	m.Installation = installation.New(t, &migrated, postgres, m.from)
	m.send("a", "b", "c", "d", "e", "f")
	if n, err := m.visit(m.maildirs(nil)); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	m.Rename("a", ".Elsewhere", "S")
	m.Must(os.Remove(m.File("b")))
	m.send("g", "h", "i", "j")
	if _, err := m.visit(half{m.maildirs(nil)}); !errors.Is(err, errHalf) {
		t.Fatal(err)
	}
	m.Rename("h", ".Elsewhere", "S")
	m.Must(os.Remove(m.File("g")))
	m.from.gone[9] = true // i
	m.serve(same)
	return m
}

// serve has the Dovecot have what is in the Maildir.
func (m *movingOver) serve(same bool) {
	m.t.Helper()
	for dir := filepath.Dir(m.Home()); dir != "/" && dir != os.TempDir() && dir != "/dev/shm"; dir = filepath.Dir(dir) {
		m.Must(os.Chmod(dir, 0o755))
	}
	m.d.Own(m.Home())
	m.Must(os.MkdirAll(filepath.Dir(m.d.Store(m.user)), 0o755))
	if same {
		m.Must(os.Symlink(m.Home(), m.d.Store(m.user)))
	}
	m.d.Own(filepath.Dir(m.d.Store(m.user)))
	if !same {
		m.d.Adm("backup", "-R", "-u", m.user, "maildir:"+m.Home())
	}
}

func (m *movingOver) send(names ...string) {
	for _, n := range names {
		m.from.bodies = append(m.from.bodies, installation.Text(n, 3))
	}
}

func (m *movingOver) maildirs(step func(string)) formerBoxes {
	m.t.Helper()
	root := filepath.Dir(filepath.Dir(m.Home()))
	b, err := maildir.New(maildir.Options{Template: "maildir:" + root + "/{domain}/{local}", Existing: true, Step: step})
	m.Must(err)
	return formerBoxes{b}
}

// formerBoxes are the Maildirs, as they are delivered into and moved over.
type formerBoxes struct{ *maildir.Store }

func (b formerBoxes) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	if err := b.Make(ctx, r.Owner); err != nil {
		return nil, err
	}
	return b.Store.Open(ctx, r.Owner, r.Journal, epoch, l)
}

func (b formerBoxes) OpenFormer(ctx context.Context, o owner.Owner, journal string, epoch int64) (
	fetch.FormerDelivery, error,
) {
	return b.Store.Open(ctx, o, journal, epoch, owner.Limit{})
}

func (b formerBoxes) InboxValidity(context.Context, owner.Owner) (uint32, error) { return 0, nil }

// half publishes two messages of a batch and fails.
type half struct{ formerBoxes }

var errHalf = errors.New("broken off")

func (h half) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := h.formerBoxes.Open(ctx, r, epoch, l)
	return halfDelivery{d}, err
}

type halfDelivery struct{ fetch.Delivery }

func (d halfDelivery) Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error) {
	_, err := d.Delivery.Publish(ctx, ps[max(0, len(ps)-2):]) // The oldest: the newest are fetched first.
	return nil, errors.Join(errHalf, err)
}

// server is the Dovecot as mail is delivered to it.
func (m *movingOver) server(step func(string)) *Store {
	p := newPlace(m.t, m.d)
	p.login = func(owner.Owner) Login {
		return Login{Credential: remote.Credential{Username: m.user, Secret: remote.NewSecret("sekret")}}
	}
	if step == nil {
		step = func(string) {}
	}
	return p.store(step, func() error { return nil })
}

func (m *movingOver) engine(db *store.Store, into fetch.Mailbox, step func(string)) *fetch.Engine {
	return fetch.New(fetch.Options{
		Source: m.from, Mailbox: into, Journal: db.Journal(), Credentials: m.from, TokenKey: []byte("key"),
		LocalName: fetch.InFolder(maildir.LocalName), Log: slog.New(slog.DiscardHandler), Step: step,
	})
}

// visit visits the account once and returns how many bodies were downloaded.
func (m *movingOver) visit(into fetch.Mailbox) (bodies int, err error) {
	m.t.Helper()
	m.With(func(db *store.Store) {
		l, before := m.Lease(db), m.from.fetched
		err = m.engine(db, into, nil).Visit(m.t.Context(), l).Err
		bodies = m.from.fetched - before
		m.Must(db.Queue().Abandon(m.t.Context(), l))
	})
	return bodies, err
}

// over moves the account over; killed at the n-th step it is dead, unless n is 0. steps is how many it came to.
func (m *movingOver) over(n int, into func(*Store) fetch.Mailbox, gone bool) (
	done fetch.MovedOver, steps int, err error,
) {
	m.t.Helper()
	var at atomic.Int64
	step := func(string) {
		if at.Add(1) == int64(n) {
			runtime.Goexit() // What it holds is let go as the system does it.
		}
	}
	m.With(func(db *store.Store) {
		l := m.Lease(db)
		over := make(chan struct{})
		go func() {
			defer close(over)
			var former fetch.Former
			if !gone {
				former = m.maildirs(step)
			}
			done, err = m.engine(db, into(m.server(step)), step).MoveOver(m.t.Context(), l, former)
		}()
		<-over
		m.Must(db.Queue().Abandon(m.t.Context(), l))
	})
	return done, int(at.Load()), err
}

func directly(s *Store) fetch.Mailbox { return asMailbox{s} }

// lies returns where each message is, by a third client: folders by name.
func (m *movingOver) lies() map[string][]string {
	m.t.Helper()
	u := mailtest.DialUser(m.t, m.d.Addr("imap"), nil, m.user, "sekret")
	defer u.Close()
	all := map[string][]string{}
	for _, x := range u.Messages(nil) {
		_, rest, _ := strings.Cut(string(x.Body), "X-Canary: ")
		name, _, _ := strings.Cut(rest, ";")
		all[name] = append(all[name], x.Folder)
	}
	return all
}

var wantMoved = map[string][]string{
	"a": {"Elsewhere"}, "c": {"Remote"}, "d": {"Remote"}, "e": {"Remote"}, "f": {"Remote"}, "h": {"Elsewhere"},
	"i": {"Remote"}, "j": {"Remote"},
}

// arrived fails unless each message is once where its user left it, or where it was to go to.
func (m *movingOver) arrived(also ...string) {
	m.t.Helper()
	want := maps.Clone(wantMoved)
	for _, name := range also {
		want[name] = []string{"Remote"}
	}
	if got := m.lies(); !maps.EqualFunc(got, want, slices.Equal) {
		m.t.Errorf("the mailbox holds %v, want %v", got, want)
	}
}

// An account that was delivered into a Maildir continues at the server that has the mail: before it was moved over
// nothing is guessed; then nothing is fetched or delivered again, and what was on its way is there once, also what
// is gone elsewhere; what its user moved and deleted stays so; what comes new comes.
func TestAnAccountIsMovedOver(t *testing.T) {
	t.Parallel()
	all := stores(t)
	all["names that begin with INBOX"] = mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Separator: ".", Prefix: "INBOX.", Extra: []string{everybody},
	})
	for name, d := range all {
		installation.OnBothDatabases(t, func(t *testing.T, postgres bool) {
			m := newMoving(t, postgres, d, name != "sdbox")
			m.compared(check.MovedFolder{
				Local: "Remote", Delivered: 6, Found: 4, Elsewhere: 1, Gone: 1, Staged: 4, Known: 2, Deliver: 2,
			}, 0)
			before := m.lies()
			if n, err := m.visit(directly(m.server(nil))); n != 0 || fault.CodeOf(err) != fault.LocalMailboxUnavailable ||
				!strings.Contains(err.Error(), "migrate-destination") {
				t.Errorf("%s: a visit before that fetches %d messages: %v", name, n, err)
			}
			if !maps.EqualFunc(before, m.lies(), slices.Equal) {
				t.Errorf("%s: it delivers something", name)
			}
			done, _, err := m.over(0, directly, false)
			if err != nil || done != (fetch.MovedOver{Known: 2, Brought: 2}) {
				t.Errorf("%s: %+v, %v", name, done, err)
			}
			m.arrived()
			if again, _, err := m.over(0, directly, false); err != nil || again != (fetch.MovedOver{}) {
				t.Errorf("%s: a second time %+v, %v", name, again, err)
			}
			m.compared(check.MovedFolder{Local: "Remote", Delivered: 10, Found: 6, Elsewhere: 2, Gone: 2}, 0)
			m.send("k")
			if n, err := m.visit(directly(m.server(nil))); n != 1 || err != nil {
				t.Errorf("%s: the next visit fetches %d messages: %v", name, n, err)
			}
			m.arrived("k")
			if left, err := filepath.Glob(filepath.Join(m.Spool(), "F*")); err != nil || len(left) > 0 {
				t.Errorf("%s: the spool holds %q (%v)", name, left, err)
			}
		})
	}
}

// compared compares what the command shows of the account.
func (m *movingOver) compared(want check.MovedFolder, stray int) {
	m.t.Helper()
	m.With(func(db *store.Store) {
		got, err := check.Mover{
			Journals: db, From: m.maildirs(nil), To: m.server(nil), TokenKey: []byte("key"), Anothers: Anothers,
		}.Compare(m.t.Context(), m.Account.Owner)
		m.Must(err)
		if len(got.Accounts) != 1 || len(got.Accounts[0].Folders) != 1 || *got.Accounts[0].Folders[0] != want ||
			got.Accounts[0].Stray != stray || got.Accounts[0].Older || got.Accounts[0].Account != m.Account.ID {
			m.t.Errorf("%+v: %+v, want %+v", got.Accounts[0], got.Accounts[0].Folders[0], want)
		}
	})
}

// Killed at any step, and begun again, it ends in the same: nothing lost, nothing doubled.
func TestMovingOverIsKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	all := stores(t)
	by := int(mailtest.Stride(t, 3, 9))
	installation.OnBothDatabases(t, func(t *testing.T, postgres bool) {
		for name, d := range all {
			steps := 0
			for n := 0; n <= steps; n += by {
				m := newMoving(t, postgres, d, name == "the same Maildir")
				_, came, err := m.over(max(n, 0), directly, false)
				if n == 0 {
					steps = came
					m.Must(err)
				} else if _, _, err := m.over(0, directly, false); err != nil {
					t.Errorf("%s: after a kill at step %d: %v", name, n, err)
				}
				if bodies, err := m.visit(directly(m.server(nil))); bodies != 0 || err != nil {
					t.Errorf("%s: after a kill at step %d a visit fetches %d messages: %v", name, n, bodies, err)
				}
				m.arrived()
			}
			if steps < 15 {
				t.Errorf("%s: there are %d steps", name, steps)
			}
		}
	})
}

// guessing are mailboxes of which nobody knows that they were others before.
type guessing struct{ asMailbox }

func (g guessing) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := g.asMailbox.Open(ctx, r, epoch, l)
	return guess{d.(*Delivery)}, err
}

type guess struct{ *Delivery }

func (g guess) Find(ctx context.Context, ps []mail.Placement, _ bool) ([]mail.Fate, error) {
	return g.Search(ctx, ps)
}

// Without the command, by looking for what was on its way, mail that its user has moved or deleted comes again, and
// what lay in the spool alone is lost: that is what TestAnAccountIsMovedOver would notice.
func TestWithoutMovingOverMailIsDoubledAndLost(t *testing.T) {
	t.Parallel()
	m := newMoving(t, false, stores(t)["the same Maildir"], true)
	if _, err := m.visit(guessing{asMailbox{m.server(nil)}}); err != nil {
		t.Fatal(err)
	}
	got := m.lies()
	if len(got["h"]) != 2 || len(got["g"]) != 1 || len(got["i"]) != 0 {
		t.Errorf("moved mail is there %d times, deleted mail %d times, and mail of the spool %d times", len(got["h"]),
			len(got["g"]), len(got["i"]))
	}
}

// byMessageID takes messages for the same by their Message-ID.
type byMessageID struct {
	asMailbox
	m *movingOver
}

func (b byMessageID) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := b.asMailbox.Open(ctx, r, epoch, l)
	return sameID{d.(*Delivery), b.m}, err
}

type sameID struct {
	*Delivery
	m *movingOver
}

func (d sameID) Search(_ context.Context, ps []mail.Placement) ([]mail.Fate, error) {
	fates := slices.Repeat([]mail.Fate{mail.Lost}, len(ps))
	if len(d.m.lies()) > 0 { // All have the same.
		fates = slices.Repeat([]mail.Fate{mail.Delivered}, len(ps))
	}
	return fates, nil
}

// Where the Maildirs are gone, what was on its way and is not in its folder, by all its octets, is fetched again: also
// a message that shares its Message-ID with another. The control takes that for proof, and loses it.
func TestWhatIsMovedOverIsComparedByAllOctets(t *testing.T) {
	t.Parallel()
	d := stores(t)["the same Maildir"]
	text := func(name string) string {
		return fmt.Sprintf("Message-ID: <same@x>\r\nSubject: one\r\nX-Canary: %s;\r\n\r\n%s\r\n", name, name)
	}
	for _, control := range []bool{false, true} {
		m := &movingOver{
			t: t, d: d, user: fmt.Sprintf("u%d@firma.test", users.Add(1)),
			from: forgetful{&elsewhere{}, map[uint32]bool{}},
		}
		m.Installation = installation.New(t, &migrated, false, m.from)
		m.from.bodies = []string{text("a")}
		if n, err := m.visit(m.maildirs(nil)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		m.from.bodies = append(m.from.bodies, text("b"), text("c"), text("d"))
		if _, err := m.visit(half{m.maildirs(nil)}); !errors.Is(err, errHalf) {
			t.Fatal(err)
		}
		m.serve(true)
		into := directly
		if control {
			into = func(s *Store) fetch.Mailbox { return byMessageID{asMailbox{s}, m} }
		}
		done, _, err := m.over(0, into, true)
		m.Must(err)
		n, err := m.visit(directly(m.server(nil)))
		m.Must(err)
		got := m.lies()
		whole := len(got["a"]) == 1 && len(got["b"]) == 1 && len(got["c"]) == 1 && len(got["d"]) == 1
		if control == whole || !control && (done != fetch.MovedOver{Known: 2, Released: 1} || n != 1) {
			t.Errorf("control %v: %+v, %d fetched, the mailbox holds %v", control, done, n, got)
		}
	}
}

// A database that was restored is older than the Maildir: what it forgot is found there, not at the server.
func TestARestoredDatabaseIsNotMovedOver(t *testing.T) {
	t.Parallel()
	m := &movingOver{
		t: t, d: stores(t)["the same Maildir"], user: fmt.Sprintf("u%d@firma.test", users.Add(1)),
		from: forgetful{&elsewhere{}, map[uint32]bool{}},
	}
	m.Installation = installation.New(t, &migrated, false, m.from)
	restore := m.Backup()
	m.send("a", "b")
	if n, err := m.visit(m.maildirs(nil)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	restore()
	m.serve(true)
	if done, _, err := m.over(0, directly, false); !errors.Is(err, fetch.ErrOlder) || done != (fetch.MovedOver{}) {
		t.Errorf("%+v, %v", done, err)
	}
	m.With(func(db *store.Store) {
		got, err := check.Mover{
			Journals: db, From: m.maildirs(nil), To: m.server(nil), TokenKey: []byte("key"), Anothers: Anothers,
		}.Compare(t.Context(), m.Account.Owner)
		m.Must(err)
		if !got.Accounts[0].Older {
			t.Errorf("%+v", got.Accounts[0])
		}
	})
}

// A message that was sent with bare line ends is delivered out of the spool as a server takes it, and known by that.
func TestBareLineEndsAreMovedOver(t *testing.T) {
	t.Parallel()
	m := &movingOver{
		t: t, d: stores(t)["sdbox"], user: fmt.Sprintf("u%d@firma.test", users.Add(1)),
		from: forgetful{&elsewhere{}, map[uint32]bool{}},
	}
	m.Installation = installation.New(t, &migrated, false, m.from)
	for _, n := range []string{"a", "b", "c"} {
		m.from.bodies = append(m.from.bodies, strings.ReplaceAll(installation.Text(n, 3), "text\r\n", "text\n"))
	}
	if _, err := m.visit(half{m.maildirs(nil)}); !errors.Is(err, errHalf) {
		t.Fatal(err)
	}
	m.serve(false)
	done, _, err := m.over(0, directly, false)
	if err != nil || done != (fetch.MovedOver{Known: 2, Brought: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	m.compared(check.MovedFolder{Local: "Remote", Delivered: 3, Found: 3}, 0)
	if n, err := m.visit(directly(m.server(nil))); n != 0 || err != nil {
		t.Errorf("a visit fetches %d messages: %v", n, err)
	}
}
