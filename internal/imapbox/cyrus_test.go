package imapbox

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// What is asked for beside deliveries, at a server that is not Dovecot.
func TestManagingAtCyrus(t *testing.T) {
	t.Parallel()
	for name, alt := range map[string]bool{"beside INBOX": true, "below INBOX": false} {
		if mailtest.Leaves(t, name, "below INBOX") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manageAtCyrus(t, mailtest.StartCyrus(t, mailtest.CyrusOptions{Alt: alt}))
		})
	}
}

// officeAtCyrus is anna's mailbox at a Cyrus.
func officeAtCyrus(t *testing.T, server *mailtest.Cyrus) *office {
	f := &office{t: t, now: time.Now()}
	f.Store = New(Options{
		Server: remote.Server{Host: "127.0.0.1", Port: server.IMAP, Security: remote.None}, Key: []byte("key"),
		Login: func(context.Context, owner.Owner) (Login, error) {
			return Login{Credential: remote.Credential{Username: "anna", Secret: remote.NewSecret("sekret")}}, nil
		},
		Quiet: 20 * time.Millisecond, TempDir: t.TempDir(), Now: f.clock, Log: slog.New(slog.NewTextHandler(lines{f}, nil)),
	})
	f.dial = dialling(f, func() string { return server.Addr("imap") })
	return f
}

func manageAtCyrus(t *testing.T, server *mailtest.Cyrus) {
	f := officeAtCyrus(t, server)
	ctx := t.Context()
	mark := mail.MarkFor([]byte("key"), "journal")
	d := f.open(anna(), 1, owner.Limit{})
	for _, folder := range []string{"Gmail", "Empty"} {
		if err := d.Mark(ctx, folder, mark); err != nil {
			t.Fatal(err)
		}
	}
	f.deliver(d, "Gmail", 2, 2000)
	f.deliver(d, "Gmail/Wysłane", 1, 3000)
	f.deliver(d, "Other", 1, 500)
	_ = d.Close()

	f.pass(time.Hour)
	all, of, err := f.Shares(ctx, anna(), []string{"Gmail", "Other"})
	if err != nil || of[0] != (owner.Use{Bytes: 7000, Messages: 3}) || of[1] != (owner.Use{Bytes: 500, Messages: 1}) ||
		all.Bytes < 7500 || all.Messages != 4 {
		t.Errorf("%+v, of it %+v: %v", all, of, err)
	}
	if own, err := f.OwnLimit(ctx, anna(), owner.Limit{}); err != nil || own != (owner.Limit{}) {
		t.Errorf("%+v, %v", own, err)
	}
	if v, err := f.InboxValidity(ctx, anna()); err != nil || v == 0 {
		t.Error(v, err)
	}
	inv, err := f.Inspect(ctx, anna())
	if err != nil || inv.Missing || inv.Measured.Messages != 4 || len(inv.Files) != 4 {
		t.Fatalf("%+v: %v", inv, err)
	}
	for _, folder := range inv.Folders {
		if folder.Dir == inv.DirName("Gmail/Wysłane") && !folder.Subscribed {
			t.Error("not subscribed", folder)
		}
	}
	for _, file := range inv.Files {
		if sum, err := f.Fingerprint(ctx, anna(), file.Found); err != nil || sum.Size != file.Size ||
			sum.Header != file.Header {
			t.Errorf("%s: %+v, %v", file.Where, sum, err)
		}
	}
	name, remove, err := f.Challenge(ctx, anna())
	if err != nil || !mail.IsChallenge(name) || !f.has(name) {
		t.Error(name, err)
	} else if err := remove(); err != nil || f.has(name) {
		t.Error(name, err)
	}
	for _, folder := range []string{"Empty", "Gmail"} {
		if err := f.RemoveEmptyFolder(ctx, anna(), folder); err != nil {
			t.Error(err)
		}
	}
	if f.has("Empty") || f.has("Empty/"+mark) || !f.has("Gmail") || !f.has("Gmail/"+mark) {
		t.Error("what is empty is not what was removed")
	}
	if err := f.RemoveFolder(ctx, anna(), "Gmail"); err != nil {
		t.Error(err)
	}
	if f.has("Gmail") || f.has("Gmail/Wysłane") || f.has("Gmail/"+mark) || !f.has("Other") {
		t.Error("what was to be removed is not what was")
	}
	if err := f.Forget(ctx, anna()); err != nil {
		t.Error(err)
	}
	inv, err = f.Inspect(ctx, anna())
	if err != nil || len(inv.Spools) > 0 {
		t.Error(inv.Spools, err)
	}
}

// has reports whether anna has a folder, as the store sees it.
func (f *office) has(folder string) bool {
	f.t.Helper()
	inv, err := f.Inspect(f.t.Context(), anna())
	if err != nil {
		f.t.Fatal(err)
	}
	return slices.ContainsFunc(inv.Folders, func(l check.LocalFolder) bool { return l.Dir == inv.DirName(folder) })
}
