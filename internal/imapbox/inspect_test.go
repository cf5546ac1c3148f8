package imapbox

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// journal is one that knows of what a test delivered.
type journal struct {
	check.JournalReport
	seen bool
}

func (j journal) JournalReports(context.Context, owner.Owner, bool) ([]check.JournalReport, error) {
	return []check.JournalReport{j.JournalReport}, nil
}

func (j journal) MailboxSeen(context.Context, owner.Owner) (bool, error) { return j.seen, nil }

// knows adds messages that were delivered from a folder into one.
func (j *journal) knows(folder int64, ps []mail.Placement) {
	for i, p := range ps {
		j.Messages = append(j.Messages, check.Message{Known: fetch.Known{
			Ref:         fetch.Ref{FolderID: folder, FolderEpoch: 1, ID: mail.ID{UID: uint32(i + 1)}},
			Fingerprint: p.Fingerprint,
		}})
	}
}

// check compares the journal with anna's mailbox.
func (f *office) check(j journal) *check.Findings {
	f.t.Helper()
	found, err := check.Checker{Journals: j, Mailboxes: f.Store, TokenKey: []byte("key")}.Check(f.t.Context(), anna())
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

func kinds(f *check.Findings) (all []string) {
	for _, x := range f.Findings {
		all = append(all, x.Kind)
	}
	slices.Sort(all)
	return all
}

// A check tells what is there by content, and takes nothing for lost that its user moved or deleted.
func TestCheckByContent(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()
	j := journal{JournalReport: check.JournalReport{
		Journal: "journal", Account: "a", Email: "x@there.test", Generation: 7,
		Folders: []fetch.Folder{
			{ID: 1, Wire: "INBOX", Remote: "INBOX", Local: "Gmail", Selected: true, Epoch: 1},
			{ID: 2, Wire: "Sent", Remote: "Sent", Local: "Gmail/Wysłane", Selected: true, Epoch: 1},
		},
	}, seen: true}
	d := f.open(anna(), 1, owner.Limit{})
	deliver := func(folder int64, local string, n, size int) {
		t.Helper()
		ps := f.stage(d, local, n, size)
		sealed, err := d.Seal(ctx, ps)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ps {
			ps[i].Spool = sealed[i].Spool
		}
		if _, err := d.Publish(ctx, ps); err != nil {
			t.Fatal(err)
		}
		j.knows(folder, ps)
	}
	deliver(1, "Gmail", 4, 500)
	deliver(2, "Gmail/Wysłane", 2, 500) // The same messages as in Gmail, two of them.
	f.append(anna(), "INBOX", "Subject: from elsewhere\r\n\r\nx\r\n")

	row := func(found *check.Findings, present, gone, staged, stray, rewritten int) {
		t.Helper()
		r := found.Accounts[0]
		if r.Present != present || r.Gone != gone || r.Staged != staged || r.Stray != stray || r.Rewritten != rewritten {
			t.Errorf("%+v %+v", r, found.Findings)
		}
	}
	found := f.check(j)
	row(found, 6, 0, 0, 0, 0)
	if !found.OK || len(found.Findings) > 0 || found.Foreign != 1 || found.Messages != 7 {
		t.Errorf("%+v", found)
	}

	// Two on their way: one that the journal knows of.
	ps := f.stage(d, "Gmail", 2, 900)
	sealed, err := d.Seal(ctx, ps)
	if err != nil {
		t.Fatal(err)
	}
	ps[0].Spool = sealed[0].Spool
	with := j
	with.Open = []fetch.Batch{{Key: fetch.BatchKey{Epoch: 1, Seq: 1}, Members: []fetch.Member{{
		FolderID: 1, FolderEpoch: 1, ID: mail.ID{UID: 77}, Fingerprint: ps[0].Fingerprint, Placement: ps[0],
	}}}}
	with.Messages = append(slices.Clone(j.Messages), check.Message{Known: fetch.Known{
		Ref: fetch.Ref{FolderID: 1, FolderEpoch: 1, ID: mail.ID{UID: 77}}, Fingerprint: ps[0].Fingerprint,
	}})
	found = f.check(with)
	row(found, 6, 0, 1, 1, 0)
	if got := kinds(found); !found.OK || !slices.Equal(got, []string{check.StraySpool}) {
		t.Error(got)
	}
	ps[1].Spool = sealed[1].Spool
	if _, err := d.Publish(ctx, ps); err != nil {
		t.Fatal(err)
	}
	found = f.check(with)
	row(found, 7, 0, 0, 0, 0)

	// The user moves one, deletes one, copies one, and takes a folder off the subscriptions. The server changes one.
	a := anna().String()
	f.Adm("mailbox", "create", "-u", a, "Mine")
	f.Adm("move", "-u", a, "Mine", "mailbox", "Gmail", "subject", "message 3")
	f.Adm("expunge", "-u", a, "mailbox", "Gmail/Wysłane", "subject", "message 1")
	f.Adm("copy", "-u", a, "Gmail", "mailbox", "Gmail", "subject", "message 2")
	f.Adm("mailbox", "unsubscribe", "-u", a, "Gmail/Wysłane")
	changed := j.Messages[0]
	changed.Fingerprint.Size += 40
	changed.Fingerprint.Digest[0]++
	j.Messages[0] = changed
	found = f.check(j)
	row(found, 5, 1, 0, 0, 1)
	want := []string{check.NotSubscribed, check.Rewritten, check.SameContent}
	if got := kinds(found); !found.OK || !slices.Equal(got, want) {
		t.Errorf("%q, want %q: %+v", got, want, found.Findings)
	}
	for _, x := range found.Explain("1") {
		if strings.Contains(x.State, "not found by its size") != (x.Local != "Gmail" && x.State != "delivered and present") {
			t.Errorf("%+v", x)
		}
	}
	x := found.Explain("4")
	if len(x) != 1 || len(x[0].Files) != 1 || !strings.HasPrefix(x[0].Files[0], "Mine;UIDVALIDITY=") {
		t.Fatalf("%+v", x)
	}
	sum, err := f.Fingerprint(ctx, anna(), mail.Found{Where: x[0].Files[0]})
	if err != nil || sum != j.Messages[3].Fingerprint {
		t.Errorf("%+v: %v", sum, err)
	}
	for _, at := range []string{"Mine;UIDVALIDITY=1/;UID=1", "Mine", "Nowhere;UIDVALIDITY=1/;UID=1", ";UID=1", ""} {
		if _, err := f.Fingerprint(ctx, anna(), mail.Found{Where: at}); err == nil {
			t.Errorf("%q is read", at)
		}
	}
	if seen := f.Adm("fetch", "-u", a, "flags", "all"); strings.Contains(seen, "Seen") {
		t.Error("a check marks mail as read")
	}
}

// A mailbox that is gone is distinguished from one that was never there, and from a server that is gone.
func TestCheckOfAMailboxThatIsGone(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	inv, err := f.Inspect(t.Context(), user("nobody@firma.test"))
	if err != nil || !inv.Missing {
		t.Error(inv, err)
	}
	c := check.Checker{Journals: journal{seen: true}, Mailboxes: f.Store, TokenKey: []byte("key")}
	found, err := c.Check(t.Context(), user("nobody@firma.test"))
	if err != nil || found.OK || !slices.Equal(kinds(found), []string{check.GoneMailbox}) {
		t.Error(found, err)
	}
	f.Stop()
	if _, err := c.Check(t.Context(), anna()); err == nil {
		t.Error("a server that is gone is taken for an empty mailbox")
	}
}
