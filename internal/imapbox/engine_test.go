package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/store"
)

// elsewhere is an account in memory that has one folder, and counts what is asked of it.
type elsewhere struct {
	bodies          []string
	logins, fetched int
}

func (r *elsewhere) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	r.logins++
	return r, nil
}

func (r *elsewhere) Folders(context.Context) ([]mail.Folder, error) {
	return []mail.Folder{{Wire: "INBOX", Selectable: true, Status: mail.Status{
		Known: true, Messages: uint32(len(r.bodies)), UIDNext: uint32(len(r.bodies) + 1), UIDValidity: 7,
	}}}, nil
}

func (r *elsewhere) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	for _, q := range qs {
		folders, _ := r.Folders(ctx)
		l := mail.Listing{Folder: q.Folder, Complete: true}
		l.Folder.Status = folders[0].Status
		for i, body := range r.bodies {
			if uid := uint32(i + 1); uid >= q.From {
				l.Items = append(l.Items, mail.Item{
					ID: mail.ID{UID: uid}, Number: uid, Size: int64(len(body)), Received: time.Unix(1e9, 0),
				})
			}
		}
		if err := yield(l, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *elsewhere) Fetch(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	_ func(mail.Folder, mail.Item, *fault.Error),
) error {
	for _, w := range ws {
		for _, it := range w.Items {
			r.fetched++
			if err := take(w.Folder, it, strings.NewReader(r.bodies[it.ID.UID-1])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *elsewhere) Headers(context.Context, []mail.Want, func(mail.Folder, mail.Item, []byte) error) error {
	return nil
}
func (r *elsewhere) Capabilities() string        { return "" }
func (r *elsewhere) Leave(context.Context) error { return nil }
func (r *elsewhere) Close() error                { return nil }

func (r *elsewhere) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{}, nil
}

// send adds messages of this size.
func (r *elsewhere) send(n, size int) {
	for range n {
		head := fmt.Sprintf("Subject: message %d\r\n\r\n", len(r.bodies))
		r.bodies = append(r.bodies, head+strings.Repeat("x", size-len(head)-2)+"\r\n")
	}
}

// asMailbox gives the engine a store.
type asMailbox struct{ *Store }

func (m asMailbox) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	d, err := m.Store.Open(ctx, r.Owner, r.Journal, epoch, l)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// visited is an account of a user whom the engine fetches for.
type visited struct {
	*elsewhere
	f  *office
	db *store.Store
	account.Account
}

func (f *office) visited(address string) *visited {
	f.t.Helper()
	ctx := f.t.Context()
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(mailtest.InMemory(f.t.(*testing.T)), "journal.db"), store.Options{})
	if err == nil {
		f.t.Cleanup(func() { _ = db.Close() })
		err = db.Migrate(ctx)
	}
	v := &visited{elsewhere: &elsewhere{}, f: f, db: db}
	if err == nil {
		v.Account, err = db.Accounts().Add(ctx, account.Account{
			ID: account.ID(uuid.NewString()), Owner: user(address), Email: "x@remote.test", Name: "Remote", Provider: "other",
			Protocol: remote.IMAP, Server: remote.Server{Host: "imap.remote.test", Port: 993, Security: remote.TLS},
			Username: "x", Auth: remote.Password, Folder: "Remote", PollInterval: time.Hour, Enabled: true,
			CreatedAt: time.Now(), UpdatedAt: time.Now(), Journal: uuid.NewString(),
		}, []byte("sealed"), 4)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// visit visits the account as a process of its own does, and returns how often it signed in at the
// provider, how much came of that, and what ended it.
func (v *visited) visit() (logins, fetched int, err error) {
	v.f.t.Helper()
	ctx := v.f.t.Context()
	l, err := v.db.Queue().ClaimOne(ctx, v.Owner, v.ID, schedule.Claim{
		Worker: uuid.NewString(), Now: time.Now(), Lease: time.Minute, Limit: 1,
	})
	if err != nil {
		v.f.t.Fatal(err)
	}
	logins, fetched = v.logins, v.fetched
	rep := fetch.New(fetch.Options{
		Source: v.elsewhere, Mailbox: asMailbox{v.f.Store}, Journal: v.db.Journal(), Credentials: v.elsewhere,
		TokenKey: []byte("key"), LocalName: fetch.InFolder(maildir.LocalName), BatchMessages: 2,
		Log: slog.New(slog.DiscardHandler),
	}).Visit(ctx, l.Lease)
	if err := v.db.Queue().Finish(ctx, l.Lease, schedule.Settlement{
		State: account.OK, DueAt: time.Now().Add(time.Hour), Success: true,
	}); err != nil {
		v.f.t.Fatal(err)
	}
	return v.logins - logins, v.fetched - fetched, rep.Err
}

// holds fails unless each of the messages is in the account folder, once.
func (v *visited) holds(n int) {
	v.f.t.Helper()
	inv, err := v.f.Inspect(v.f.t.Context(), v.Owner)
	if err != nil {
		v.f.t.Fatal(err)
	}
	seen := map[[16]byte]int{}
	for _, file := range inv.Files {
		seen[file.Header]++
	}
	if len(inv.Files) != n || len(seen) != n || len(inv.Spools) > 0 {
		v.f.t.Errorf("%d messages, %d of them different, want %d; staging folders: %v", len(inv.Files), len(seen), n,
			inv.Spools)
	}
}

// A visit during an outage, for a user who is not there, or for one whose mailbox is full ends before
// anything is asked for at the provider; what did not fit arrives once there is room.
func TestVisitsRest(t *testing.T) {
	t.Parallel()
	f := newOffice(t, counting)
	f.configure(rule("storage=100K"))
	v := f.visited("anna@firma.test")

	v.send(2, 2000)
	if _, fetched, err := v.visit(); err != nil || fetched != 2 {
		t.Fatal(fetched, err)
	}
	dialled := f.dialled.Load()
	if logins, _, err := v.visit(); err != nil || logins != 1 || f.dialled.Load() != dialled {
		t.Errorf("a visit without news asks the server: %v", err)
	}

	// An outage: the first who notices downloads nothing, the next does not even sign in.
	v.send(2, 2000)
	f.Stop()
	f.pass(time.Hour)
	_, fetched, err := v.visit()
	is(t, err, fault.LocalMailboxUnavailable)
	if fetched != 0 || f.Available() {
		t.Errorf("%d messages were downloaded for nothing", fetched)
	}
	logins, fetched, err := v.visit()
	is(t, err, fault.LocalMailboxUnavailable)
	if logins != 0 || fetched != 0 {
		t.Errorf("%d logins, %d messages during an outage", logins, fetched)
	}
	f.Start()
	f.pass(time.Hour)
	if _, fetched, err := v.visit(); err != nil || fetched != 2 {
		t.Fatal(fetched, err)
	}
	v.holds(4)

	// A full mailbox.
	v.send(4, 30_000)
	_, _, err = v.visit()
	is(t, err, fault.LocalOverQuota)
	logins, fetched, err = v.visit()
	is(t, err, fault.LocalOverQuota)
	if logins != 0 || fetched != 0 {
		t.Errorf("%d logins, %d messages for a mailbox that is full", logins, fetched)
	}
	f.configure(rule("storage=10M"))
	f.pass(time.Hour)
	if _, _, err := v.visit(); err != nil {
		t.Fatal(err)
	}
	v.holds(8)

	// A user who is not there.
	nobody := f.visited("nobody@firma.test")
	nobody.send(2, 2000)
	_, fetched, err = nobody.visit()
	is(t, err, fault.LocalMailboxUnavailable)
	if fetched != 0 || !errors.Is(err, owner.ErrNoMailbox) || !f.Available() {
		t.Errorf("%d messages for nobody: %v", fetched, err)
	}
}
