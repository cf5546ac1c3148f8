package check_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/installation"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

// migrated are the databases that these tests begin with.
var migrated = mailtest.Migrated{Migrate: func(ctx context.Context, dsn string) error {
	db, err := store.Open(ctx, dsn, store.Options{Now: time.Now})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.Migrate(ctx)
}}

// stubbed is an installation whose mail is at a remoteStub.
type stubbed struct {
	*installation.Installation
	remote *remoteStub
}

func newStubbed(t *testing.T, postgres bool) *stubbed {
	t.Helper()
	r := &remoteStub{validity: map[string]uint32{}, bodies: map[string][]string{}, missing: map[string]string{}}
	return &stubbed{installation.New(t, &migrated, postgres, r), r}
}

// send adds messages to a folder of the remote.
func (o *stubbed) send(folder string, names ...string) {
	for _, n := range names {
		o.remote.bodies[folder] = append(o.remote.bodies[folder], installation.Text(n, len(o.remote.bodies[folder])))
	}
}

// remoteStub is an IMAP account in memory, source and session at once, with two folders
// whose n-th message has the UID n.
type remoteStub struct {
	validity map[string]uint32   // As far as it is not 7.
	bodies   map[string][]string // By folder.
	missing  map[string]string   // Bodies that cannot be read, and why.
}

func (r *remoteStub) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return r, nil
}

func (r *remoteStub) Folders(context.Context) (fs []mail.Folder, _ error) {
	for _, name := range []string{"INBOX", "Archive/2023"} {
		f := mail.Folder{Wire: name, Selectable: true, Status: mail.Status{
			Known: true, Messages: uint32(len(r.bodies[name])), UIDNext: uint32(len(r.bodies[name]) + 1),
			UIDValidity: max(7, r.validity[name]),
		}}
		if name != "INBOX" {
			f.Path = strings.Split(name, "/")
		}
		fs = append(fs, f)
	}
	return fs, nil
}

func (r *remoteStub) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	folders, err := r.Folders(ctx)
	if err != nil {
		return err
	}
	for _, q := range qs {
		l := mail.Listing{Folder: q.Folder, Complete: true}
		l.Folder.Status = folders[slices.IndexFunc(folders, func(f mail.Folder) bool {
			return f.Wire == q.Folder.Wire
		})].Status
		for i, body := range r.bodies[q.Folder.Wire] {
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

func (r *remoteStub) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	for _, w := range ws {
		for _, it := range w.Items {
			if err := ctx.Err(); err != nil {
				return err
			}
			body := r.bodies[w.Folder.Wire][it.ID.UID-1]
			if why, ok := r.missing[body]; ok {
				miss(w.Folder, it, fault.New(fault.MessageFailed, "fetching", words.Plain(why)...))
				continue
			}
			if err := take(w.Folder, it, strings.NewReader(body)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *remoteStub) Headers(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, []byte) error) error {
	for _, w := range ws {
		for _, it := range w.Items {
			head, _, _ := strings.Cut(r.bodies[w.Folder.Wire][it.ID.UID-1], "\r\n\r\n")
			if err := take(w.Folder, it, []byte(head+"\r\n\r\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *remoteStub) Capabilities() string        { return "" }
func (r *remoteStub) Leave(context.Context) error { return nil }
func (r *remoteStub) Close() error                { return nil }
