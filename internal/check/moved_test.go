package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// moves is a user whose mail was moved: one journal with one folder, Remote.
type moves struct {
	report   check.JournalReport
	old, now check.Inventory
	texts    map[string]mail.Fingerprint // By where they are at the server.
	read     int
}

var movesKey = []byte("key")

func newMoves() *moves {
	m := &moves{
		report: check.JournalReport{
			Journal: "j", Account: "a", Generation: 3, Folders: []fetch.Folder{{ID: 1, Wire: "INBOX", Local: "Remote"}},
		},
		old:   check.Inventory{Spools: map[string]map[string]int64{"j": {}}, Notes: map[string]int64{"j": 3}},
		now:   check.Inventory{ByContent: true, DirName: func(local string) string { return "INBOX." + local }},
		texts: map[string]mail.Fingerprint{},
	}
	return m
}

func (m *moves) JournalReports(context.Context, owner.Owner, bool) ([]check.JournalReport, error) {
	return []check.JournalReport{m.report}, nil
}
func (m *moves) MailboxSeen(context.Context, owner.Owner) (bool, error) { return true, nil }
func (m *moves) Inspect(context.Context, owner.Owner) (check.Inventory, error) {
	return m.now, nil
}

func (m *moves) Fingerprint(context.Context, owner.Owner, mail.Found) (mail.Fingerprint, error) {
	return mail.Fingerprint{}, errors.New("messages are read one by one")
}

func (m *moves) Fingerprints(_ context.Context, _ owner.Owner, all []mail.Found,
	yield func(mail.Found, mail.Fingerprint),
) error {
	for _, f := range all {
		m.read++
		yield(f, m.texts[f.Where])
	}
	return nil
}

// maildirOf are the Maildirs of the same user.
type maildirOf struct{ *moves }

func (m maildirOf) Inspect(context.Context, owner.Owner) (check.Inventory, error) { return m.old, nil }

func sumOf(text string) mail.Fingerprint {
	scan := mail.NewScanner()
	_, _ = scan.Write([]byte(text)) // It never fails.
	return scan.Sum()
}

func subject(name string) string {
	return "Message-ID: <same@x>\r\nSubject: one\r\n\r\n" + name + "\r\n"
}

func (m *moves) token(uid uint32) mail.Token {
	return mail.TokenFor(movesKey, "j", "INBOX", 0, mail.ID{UID: uid})
}

// delivered has the journal know a message; inMaildir says that it lies there.
func (m *moves) delivered(uid uint32, text string, inMaildir bool) {
	m.report.Messages = append(m.report.Messages, check.Message{Known: fetch.Known{
		Ref: fetch.Ref{FolderID: 1, ID: mail.ID{UID: uid}}, Fingerprint: sumOf(text),
	}})
	if inMaildir {
		m.old.Files = append(m.old.Files, check.LocalFile{Token: m.token(uid)})
	}
}

// staged has it know one that was on its way; inSpool says that it still is.
func (m *moves) staged(uid uint32, text string, inSpool bool) {
	m.delivered(uid, text, false)
	spool := fmt.Sprintf("%s.e1", m.token(uid))
	m.report.Open = append(m.report.Open, fetch.Batch{Members: []fetch.Member{{
		FolderID: 1, ID: mail.ID{UID: uid}, Fingerprint: sumOf(text),
		Placement: mail.Placement{Spool: spool, Token: m.token(uid), Folder: "Remote"},
	}}})
	if inSpool {
		m.old.Spools["j"][spool] = 1
	}
}

// at puts a message into a folder of the server.
func (m *moves) at(dir, text string) {
	where := fmt.Sprintf("%s/%d", dir, len(m.now.Files))
	m.texts[where] = sumOf(text)
	m.now.Files = append(m.now.Files, check.LocalFile{Found: mail.Found{Where: where}, Dir: dir, Size: int64(len(text))})
}

// Messages are compared by all octets, each once, in their own folder first; what is not at the server is missing where
// the Maildir has it, and else its user's business.
func TestWhatWasMovedIsFoundByAllOctets(t *testing.T) {
	t.Parallel()
	const remote, other = "INBOX.Remote", "INBOX.Other"
	for name, tc := range map[string]struct {
		is   func(m *moves)
		want check.MovedFolder
	}{
		"in its folder": {func(m *moves) {
			m.delivered(1, subject("a"), true)
			m.at(remote, subject("a"))
		}, check.MovedFolder{Found: 1}},
		"in another one": {func(m *moves) {
			m.delivered(1, subject("a"), true)
			m.at(other, subject("a"))
		}, check.MovedFolder{Elsewhere: 1}},
		"another with its Message-ID": {func(m *moves) {
			m.delivered(1, subject("a"), true)
			m.at(remote, subject("b"))
		}, check.MovedFolder{Missing: 1}},
		"in neither": {func(m *moves) { m.delivered(1, subject("a"), false) }, check.MovedFolder{Gone: 1}},
		"twins": {func(m *moves) {
			for uid := range uint32(3) {
				m.delivered(uid+1, subject("a"), true)
			}
			m.at(other, subject("a"))
			m.at(remote, subject("a"))
		}, check.MovedFolder{Found: 1, Elsewhere: 1, Missing: 1}},
		"bare line ends": {func(m *moves) {
			m.delivered(1, strings.ReplaceAll(subject("a"), "a\r\n", "a\n"), true)
			m.at(remote, subject("a"))
		}, check.MovedFolder{Found: 1}},
		"never read": {func(m *moves) {
			m.delivered(1, "", true)
			m.report.Messages[0].Fingerprint = mail.Fingerprint{Size: 9}
			m.at(remote, "")
		}, check.MovedFolder{Unread: 1}},
		"in the spool": {func(m *moves) {
			m.staged(1, subject("a"), true)
		}, check.MovedFolder{Staged: 1, Deliver: 1}},
		"gone from the spool": {func(m *moves) {
			m.staged(1, subject("a"), false)
		}, check.MovedFolder{Staged: 1, Known: 1}},
		"the spool was emptied": {func(m *moves) {
			m.staged(1, subject("a"), false)
			m.old.Notes = nil
		}, check.MovedFolder{Staged: 1, Release: 1}},
		"emptied, and it is there": {func(m *moves) {
			m.staged(1, subject("a"), false)
			m.old.Notes = nil
			m.at(remote, subject("a"))
		}, check.MovedFolder{Staged: 1, Known: 1}},
	} {
		m := newMoves()
		tc.is(m)
		tc.want.Local = "Remote"
		tc.want.Delivered = tc.want.Found + tc.want.Elsewhere + tc.want.Missing + tc.want.Gone + tc.want.Unread
		got, err := m.compare(true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]*check.MovedFolder{&tc.want}, got.Accounts[0].Folders); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func (m *moves) compare(from bool) (*check.Moved, error) {
	c := check.Mover{Journals: m, To: m, TokenKey: movesKey, Anothers: func(mail.Placement) bool { return true }}
	if from {
		c.From = maildirOf{m}
	}
	return c.Compare(context.Background(), owner.Owner{})
}

// Of other folders than those that mail was delivered into, no more is read than what may be it; a database that is
// older than the Maildir, files that nobody needs, and mailboxes that are not there are said.
func TestWhatIsSaidOfMovedMailboxes(t *testing.T) {
	t.Parallel()
	m := newMoves()
	m.delivered(1, subject("a"), true)
	m.at("INBOX.Other", subject("longer than it"))
	m.at("INBOX.Other", subject("b"))
	m.at("INBOX.Remote", subject("longer than it"))
	m.old.Spools["j"]["Fx.e1"] = 1
	m.old.Notes["j"] = 4
	got, err := m.compare(true)
	if err != nil || m.read != 2 || !got.Accounts[0].Older || got.Accounts[0].Stray != 1 {
		t.Errorf("%+v, %d messages read: %v", got.Accounts[0], m.read, err)
	}
	got, err = m.compare(false)
	if err != nil || got.Accounts[0].Older || got.Accounts[0].Sum().Gone != 1 {
		t.Errorf("without Maildirs: %+v (%v)", got.Accounts[0], err)
	}
	m.old = check.Inventory{Missing: true}
	if _, err := m.compare(true); !errors.Is(err, check.ErrNoMaildir) {
		t.Errorf("without a Maildir: %v", err)
	}
	m.now.Missing = true
	if _, err := m.compare(true); !errors.Is(err, check.ErrNoServerMailbox) {
		t.Errorf("without a mailbox: %v", err)
	}
}
