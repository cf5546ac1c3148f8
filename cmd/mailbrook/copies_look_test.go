package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// looked is a program that copies from one Dovecot to another, and to its user's own Maildir.
type looked struct {
	*app
	t        *testing.T
	from, to *mailtest.Dovecot
	ca       *mailtest.CA
	owner    owner.Owner
}

func newLooked(t *testing.T) *looked {
	t.Helper()
	l := &looked{t: t, ca: mailtest.NewCA(t)}
	l.from = mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: l.ca})
	l.to = mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"nowa": canary, "pelna": canary}, CA: l.ca, Separator: "/",
	})
	cfg, err := loadConfig(t.Context(), "", []string{
		"MAILBROOK_DATA_DIR=" + t.TempDir() + "/data", "MAILBROOK_REMOTE_ALLOW_NETWORKS=127.0.0.0/8,::1/128",
		"MAILBROOK_REMOTE_ALLOW_PORTS=*", "MAILBROOK_REMOTE_CA_FILE=" + l.ca.File, "MAILBROOK_COPIES_ANY_TARGET=true",
		"MAILBROOK_COPIES_MAX_PER_USER=5",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.makeDataDir(); err != nil {
		t.Fatal(err)
	}
	cfg.May = founds
	if l.app, err = newApp(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if l.owner, err = owner.Parse(anna); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *looked) side(d *mailtest.Dovecot, user string) transfer.SideDraft {
	host, tls, email := "localhost", remote.TLS, user+"@firma.test"
	return transfer.SideDraft{Settings: account.Settings{
		Email: &email, Host: &host, Port: &d.IMAPS, Security: &tls, Username: &user,
	}, Password: remote.NewSecret(canary)}
}

// ends waits for the end of a copy's pass.
func (l *looked) ends(id transfer.ID) transfer.Copy {
	l.t.Helper()
	for {
		c, err := l.copies.Copy(l.t.Context(), l.owner, id)
		if err != nil {
			l.t.Fatal(err)
		}
		if c.Status.State.Ended() {
			return c
		}
		if c.Status.State == transfer.NeedsAttention || c.Status.State == transfer.Waiting {
			l.t.Fatalf("%+v", c.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lists says how many messages are in which state.
func (l *looked) lists(id transfer.ID) string {
	l.t.Helper()
	n := map[transfer.MessageState]int{}
	err := l.copies.EachMessage(l.t.Context(), l.owner, id, nil, func(m transfer.Message) error {
		n[m.State]++
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	var all []string
	for _, state := range slices.Sorted(maps.Keys(n)) {
		all = append(all, fmt.Sprintf("%s %d", state, n[state]))
	}
	return strings.Join(all, ", ")
}

// What was copied is compared with what lies at the target, octet for octet if that is asked for; what somebody did
// there since, and what was changed behind everybody's back, is found.
func TestACopyIsVerifiedAtItsTarget(t *testing.T) {
	t.Parallel()
	l := newLooked(t)
	mailtest.Fill(t, l.from, "anna", mailtest.Corpus(42, 120, true))
	run, cancel := context.WithCancel(t.Context())
	defer cancel()
	go l.copyRunner.Run(run)
	for name, target := range map[string]transfer.SideDraft{
		"server": l.side(l.to, "nowa"), "Maildir": {Local: true},
	} {
		c, _, err := l.copies.Start(t.Context(), l.owner, transfer.Draft{
			Source: l.side(l.from, "anna"), Target: target,
			Options: transfer.OptionsDraft{Options: transfer.Options{Verify: transfer.VerifyFull}},
		})
		if err != nil {
			t.Fatal(name, err)
		}
		c = l.ends(c.ID)
		st := c.Status.Totals
		if st.Messages != 120 || st.VerifiedByDigest != st.Messages || st.Missing+st.MovedOrDeleted > 0 {
			t.Errorf("%s: %+v; %s", name, st, l.lists(c.ID))
		}
		if name != "server" {
			l.tamper()
			if _, err := l.copies.Verify(t.Context(), l.owner, c.ID, transfer.VerifyFull); err != nil {
				t.Fatal(err)
			}
			if is := l.ends(c.ID); is.Status.Totals.Altered != 1 || is.Status.Totals.MovedOrDeleted != 1 ||
				is.Status.Grade != transfer.Good {
				t.Errorf("one changed and one deleted: %+v; %s", is.Status, l.lists(c.ID))
			}
			continue
		}
		altered := l.altered()
		if st.Altered != altered || (altered == 0) != (c.Status.Grade == transfer.Perfect) {
			t.Errorf("of %d the octets differ: %+v, %s", altered, st, c.Status.Grade)
		}
		l.to.Adm("mailbox", "create", "-u", "nowa", "Mine")
		l.to.Adm("move", "-u", "nowa", "Mine", "mailbox", "INBOX", "1:2")
		l.to.Adm("expunge", "-u", "nowa", "mailbox", "INBOX", "1")
		if _, err := l.copies.Verify(t.Context(), l.owner, c.ID, transfer.VerifyQuick); err != nil {
			t.Fatal(err)
		}
		c = l.ends(c.ID)
		if now := c.Status.Totals; now.MovedOrDeleted != 3 || now.Missing != 0 || now.VerifiedByDigest > altered {
			t.Errorf("moved two and deleted one: %+v; %s", now, l.lists(c.ID))
		}
	}
}

// tamper changes an octet of a message in the owner's own Maildir, of which the size stays, and removes another.
func (l *looked) tamper() {
	l.t.Helper()
	var files []string
	err := filepath.WalkDir(l.cfg.DataDir, func(path string, _ fs.DirEntry, err error) error {
		dir := filepath.Base(filepath.Dir(path))
		if err != nil || dir != "cur" && dir != "new" {
			return err
		}
		text, err := os.ReadFile(path)
		if !bytes.Contains(text, []byte("\nAuto-Submitted: auto-generated\n")) { // It is no report.
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 120 {
		l.t.Fatal(len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err == nil {
		text[len(text)-2] ^= 1
		err = errors.Join(os.WriteFile(files[0], text, 0o600), os.Remove(files[1]))
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// altered is how many messages lie at the target with other octets than at the source, as any client reads them: this
// server changes a few that no standard allows.
func (l *looked) altered() (n int64) {
	left := map[[32]byte]int{}
	for _, m := range mailtest.ReadIMAP(l.t, l.to.Addr("imaps"), l.ca.Client(), "nowa", canary) {
		left[m.SHA]++
	}
	for _, m := range mailtest.ReadIMAP(l.t, l.from.Addr("imaps"), l.ca.Client(), "anna", canary) {
		if left[m.SHA]--; left[m.SHA] < 0 {
			n++
		}
	}
	return n
}

// A plan says what a copy would do, and nothing is written at either end.
func TestAPlanTellsWhatACopyWouldDo(t *testing.T) {
	t.Parallel()
	l := newLooked(t)
	mailtest.Fill(t, l.from, "anna", mailtest.Corpus(43, 80, true))
	before := l.snapshot()
	draft := transfer.Draft{Source: l.side(l.from, "anna"), Target: l.side(l.to, "nowa"), SkipTest: true}
	p, err := l.copies.Plan(t.Context(), l.owner, draft)
	if err != nil {
		t.Fatal(err)
	}
	want := mailtest.ReadIMAP(t, l.from.Addr("imaps"), l.ca.Client(), "anna", canary)
	if p.Messages != int64(len(want)) || p.Bytes == 0 || !p.Writable || p.Duration == 0 || len(p.RefusedFlags) > 0 {
		t.Errorf("%d messages: %+v", len(want), p)
	}
	for _, f := range p.Folders {
		if f.Selected && f.Messages > 0 && f.Target == "" {
			t.Errorf("%+v has no name", f)
		}
	}
	draft.Options.MaxBytes = 2048
	if p, err = l.copies.Plan(t.Context(), l.owner, draft); err != nil {
		t.Fatal(err)
	}
	if p.TooLargeCount == 0 || len(p.TooLarge) != int(min(p.TooLargeCount, transfer.MostTooLarge)) ||
		p.LimitSource != transfer.LimitByOptions || p.Messages+p.TooLargeCount != int64(len(want)) {
		t.Errorf("%d too large, %d named, of %s: %+v", p.TooLargeCount, len(p.TooLarge), p.LimitSource, p.Messages)
	}
	described := 0
	for _, x := range p.TooLarge {
		if x.About.Subject != "" || x.About.Sender != "" {
			described++
		}
	}
	if described == 0 {
		t.Error("of none is said what it is")
	}
	// By POP3, which has the inbox alone, and no dates.
	pop := l.side(l.from, "anna")
	protocol := remote.POP3
	pop.Protocol, pop.Port = &protocol, &l.from.POP3S
	if p, err = l.copies.Plan(t.Context(), l.owner, transfer.Draft{
		Source: pop, Target: transfer.SideDraft{Local: true}, SkipTest: true,
	}); err != nil {
		t.Fatal(err)
	}
	inbox := int64(0)
	for _, m := range want {
		if m.Folder == "INBOX" {
			inbox++
		}
	}
	if p.Messages != inbox || p.Bytes == 0 || len(p.Folders) != 1 || p.Folders[0].Target != "INBOX" || !p.Room.Fits {
		t.Errorf("by POP3, of %d: %+v", inbox, p)
	}
	// The same mailbox by another name of its host.
	other := l.side(l.from, "anna")
	host := "127.0.0.1"
	other.Host = &host
	draft.Target = other
	if _, err := l.copies.Plan(t.Context(), l.owner, draft); !errors.Is(err, transfer.ErrSameMailbox) {
		t.Errorf("the same mailbox by another name: %v", err)
	}
	if now := l.snapshot(); now != before {
		t.Errorf("something was written:\n%s\n%s", before, now)
	}
}

// snapshot is all that lies at both ends.
func (l *looked) snapshot() string {
	fields := "mailbox uid guid flags date.received size.physical"
	return l.from.Adm("fetch", "-u", "anna", fields, "all") + l.to.Adm("mailbox", "list", "-u", "nowa") +
		l.to.Adm("fetch", "-u", "nowa", fields, "all")
}
