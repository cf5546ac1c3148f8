package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Checker compares journals, spools and mailboxes with each other.
type Checker struct {
	Journals  Journals
	Mailboxes Mailboxes
	TokenKey  []byte
	// DirName names a local folder's directory as an inventory does.
	DirName func(local string) string
	Now     func() time.Time // Defaults to time.Now.
}

// The kinds of a Finding. The first group is wrong; the rest are worth knowing.
const (
	DoubledToken = "doubled_token" // One message lies in the mailbox in two files that are no links of each other.
	UnknownToken = "unknown_token" // A message has a name of ours, and no journal knows it.
	// A staged message is neither in the spool nor in the mailbox, and was not delivered.
	LostInSpool = "lost_in_spool"
	WrongSize   = "wrong_size"     // A delivered message has another size than its name says.
	OldDatabase = "database_older" // The database was restored; the next visit reconciles it.
	OldMailbox  = "mailbox_older"  // The mailbox, or its spool, was restored or emptied.
	GoneMailbox = "mailbox_gone"   // The mailbox was there and is gone, with all that it held.
	// As UnknownToken, where a journal of the mailbox is forgotten that may have known it.
	Forgotten     = "forgotten_message"
	StraySpool    = "stray_spool_file"    // A spool file that no staged message needs; the next visit sweeps it.
	NoFolder      = "folder_missing"      // A chosen folder has no local folder; the next delivery makes it.
	NotSubscribed = "folder_unsubscribed" // The user does not see it in most mail programs.
	QuotaFile     = "quota_file_differs"  // maildirsize says something else than the files.
	ForeignSize   = "others_size_differs" // As WrongSize, for a message that somebody else delivered.
	BeingVisited  = "visit_under_way"     // What changes during a visit was not judged.
	Rewritten     = "rewritten"           // Messages were changed by the server that they were delivered to.
	SameContent   = "same_content"        // More messages are there than were delivered, and have their content.
)

// wrong are the kinds that make a check fail.
var wrong = map[string]bool{
	DoubledToken: true, UnknownToken: true, LostInSpool: true, WrongSize: true,
	OldDatabase: true, GoneMailbox: true,
}

// Finding is something that a check noticed.
type Finding struct {
	Kind    string     `json:"kind"`
	Wrong   bool       `json:"wrong"`
	Account account.ID `json:"account_id,omitempty"`
	Token   mail.Token `json:"token,omitempty"`
	Detail  string     `json:"detail"`
}

// Checked are the figures of one journal.
type Checked struct {
	Account   account.ID     `json:"account_id"` // "": removed, its journal kept.
	Email     string         `json:"email"`
	Visiting  bool           `json:"visiting"`
	Folders   int            `json:"folders"`
	Present   int            `json:"present"`    // Delivered, and in the mailbox.
	Gone      int            `json:"gone"`       // Delivered, and not there: moved out or deleted by the user.
	Elsewhere int            `json:"elsewhere"`  // Delivered from another folder: the same message by the server's word.
	Staged    int            `json:"staged"`     // In the spool, complete, not delivered yet.
	Intended  int            `json:"intended"`   // Batches that were about to be downloaded.
	Stray     int            `json:"stray"`      // Spool files that nobody needs.
	Skipped   map[string]int `json:"skipped"`    // By reason.
	ByContent int            `json:"by_content"` // Of those present, known by content: their identity has changed since.
	Rewritten int            `json:"rewritten"`  // Of those present, changed by the server that they were delivered to.
}

// Findings is what a check of one user says.
type Findings struct {
	User     string     `json:"user"`
	OK       bool       `json:"ok"`
	Messages int64      `json:"messages"` // In the mailbox, whoever delivered them.
	Bytes    int64      `json:"bytes"`
	Missing  bool       `json:"mailbox_missing"` // There is no mailbox: it is gone (GoneMailbox), or was never made.
	Foreign  int        `json:"foreign"`         // Of those, not delivered by us.
	Accounts []*Checked `json:"accounts"`
	Findings []Finding  `json:"findings"`

	now     time.Time
	mailbox Inventory
	entries map[mail.Token]*entry
	files   map[mail.Token][]LocalFile
	dirName func(local string) string

	delivered map[contentKey]string // Where messages are recognised by content: what was delivered, by journal.
	rewritten map[string]int        // By journal.
}

// unreadMailbox is the kind of what says that a mailbox could not be looked at.
const unreadMailbox = "mailbox_unread"

// Unread is what is said of a user whose mailbox could not be looked at, and why.
func Unread(o owner.Owner, why error) *Findings {
	return &Findings{
		User: o.String(), Accounts: []*Checked{},
		Findings: []Finding{{Kind: unreadMailbox, Wrong: true, Detail: why.Error()}},
	}
}

// Unread reports whether they say nothing but that.
func (f *Findings) Unread() bool { return len(f.Findings) > 0 && f.Findings[0].Kind == unreadMailbox }

// entry is one message of a journal.
type entry struct {
	journal *JournalReport
	folder  fetch.Folder
	message *Message // Nil: only skipped, or only staged.
	skipped *fetch.Skipped
	batch   *fetch.BatchKey
	member  *fetch.Member
	ref     fetch.Ref
	old     bool // It is older than the account's start.
	renamed bool // It is in the mailbox under the name of an earlier identity.
	state   string
}

// Check compares everything of one user. It may run while accounts are visited:
// the mailbox is read before the journals are, which know of every message
// before it is delivered.
func (c Checker) Check(ctx context.Context, o owner.Owner) (*Findings, error) {
	before, err := c.Journals.JournalReports(ctx, o, false)
	if err != nil {
		return nil, err
	}
	inv, err := c.Mailboxes.Inspect(ctx, o)
	if err != nil {
		return nil, err
	}
	reports, err := c.Journals.JournalReports(ctx, o, true)
	if err != nil {
		return nil, err
	}
	f := &Findings{
		User: o.String(), Messages: inv.Measured.Messages, Bytes: inv.Measured.Bytes, Missing: inv.Missing,
		Findings: []Finding{}, now: time.Now(),
		Accounts: []*Checked{}, mailbox: inv, entries: map[mail.Token]*entry{}, files: map[mail.Token][]LocalFile{},
		dirName: c.DirName, rewritten: map[string]int{},
	}
	if inv.DirName != nil {
		f.dirName = inv.DirName
	}
	if c.Now != nil {
		f.now = c.Now()
	}
	quiet := map[string]bool{}
	for _, l := range before {
		if !l.Visiting {
			quiet[l.Journal] = true
		}
	}
	if err := c.judgeMissing(ctx, o, f, reports); err != nil {
		return nil, err
	}
	if inv.ByContent {
		c.recognise(f, reports)
	}
	f.readFiles()
	rows := map[string]*Checked{}
	all := true
	for i := range reports {
		l := &reports[i]
		same := slices.ContainsFunc(before, func(b JournalReport) bool {
			return b.Journal == l.Journal && b.Generation == l.Generation
		})
		still := quiet[l.Journal] && !l.Visiting && same
		row := &Checked{Account: l.Account, Email: l.Email, Visiting: !still, Skipped: map[string]int{}}
		rows[l.Journal] = row
		f.Accounts = append(f.Accounts, row)
		if !still {
			all = false
			f.add(BeingVisited, l.Account, "", "It is being visited: what changes meanwhile is not judged.")
		}
		c.addJournal(f, l, row)
		f.judgeSpool(l, row, still)
		f.judgeFolders(l)
	}
	if inv.ByContent {
		f.judgeContent(reports, rows)
	}
	if err := c.judgeUnknown(ctx, o, f, reports, rows); err != nil {
		return nil, err
	}
	f.judgeFiles()
	if q := inv.Quota; q != nil && *q != inv.Measured && all {
		f.add(QuotaFile, "", "", fmt.Sprintf("maildirsize says %d octets in %d messages, the files are %d in %d.", q.Bytes,
			q.Messages, inv.Measured.Bytes, inv.Measured.Messages))
	}
	f.OK = !slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Wrong })
	return f, nil
}

func (f *Findings) add(kind string, a account.ID, t mail.Token, detail string) {
	f.Findings = append(f.Findings, Finding{Kind: kind, Wrong: wrong[kind], Account: a, Token: t, Detail: detail})
}

// readFiles sorts the mailbox's files by token. Links of one file, which is how
// mail servers copy, count once, as does a file that was moved while the
// mailbox was read.
func (f *Findings) readFiles() {
	for _, file := range f.mailbox.Files {
		if file.Token == "" {
			f.Foreign++
			if file.Named >= 0 && file.Named != file.Size {
				f.add(ForeignSize, "", "", path(file.Found)+fmt.Sprintf(" has %d octets.", file.Size))
			}
			continue
		}
		if !slices.ContainsFunc(f.files[file.Token], func(g LocalFile) bool { return g.Inode == file.Inode }) {
			f.files[file.Token] = append(f.files[file.Token], file)
		}
	}
}

func path(f mail.Found) string { return strings.TrimPrefix(f.Where, "./") }

// addJournal adds what a journal knows, and counts it by state.
func (c Checker) addJournal(f *Findings, l *JournalReport, row *Checked) {
	folders := map[int64]fetch.Folder{}
	for _, x := range l.Folders {
		folders[x.ID] = x
		if x.Selected {
			row.Folders++
		}
	}
	get := func(r fetch.Ref) (mail.Token, *entry) {
		folder := folders[r.FolderID]
		t := mail.TokenFor(c.TokenKey, l.Journal, folder.Wire, r.FolderEpoch, r.ID)
		e := f.entries[t]
		if e == nil {
			e = &entry{journal: l, folder: folder}
			f.entries[t] = e
		}
		return t, e
	}
	spool := f.mailbox.Spools[l.Journal]
	for i := range l.Open {
		b := &l.Open[i]
		if b.Members == nil {
			row.Intended++
		}
		for j := range b.Members {
			m := &b.Members[j]
			_, e := get(fetch.Ref{FolderID: m.FolderID, FolderEpoch: m.FolderEpoch, ID: m.ID})
			e.batch, e.member = &b.Key, m
		}
	}
	for i := range l.Messages {
		m := &l.Messages[i]
		t, e := get(m.Ref)
		e.message = m
		switch {
		case m.Alias:
			row.Elsewhere++
			e.state = "delivered from another folder"
			if m.ID.Ordinal > 0 {
				e.state = "another size of a message that was delivered"
			}
		case e.member != nil && has(spool, f.spoolName(e.member.Placement.Spool)):
			row.Staged++
			e.state = "staged, not delivered yet"
		case len(f.files[t]) > 0:
			row.Present++
			e.state = "delivered and present"
		default:
			row.Gone++
			e.state = "delivered and gone: moved out of the mailbox or deleted by its user"
			if f.mailbox.ByContent {
				e.state = "delivered, and not found by its size and header: deleted by its user, moved away, or changed"
			}
		}
	}
	for i := range l.Skipped {
		s := &l.Skipped[i]
		_, e := get(fetch.Ref{FolderID: s.FolderID, FolderEpoch: s.FolderEpoch, ID: s.ID})
		e.skipped = s
		if e.state == "" {
			e.state = "skipped"
		}
		row.Skipped[string(s.Code)]++
	}
	for _, r := range l.BeforeStart {
		if _, e := get(r); e.state == "" {
			e.old, e.ref, e.state = true, r, "left out: it is older than the account's start"
		}
	}
}

// Only leaves out what concerns other accounts.
func (f *Findings) Only(a account.ID) {
	f.Accounts = slices.DeleteFunc(f.Accounts, func(c *Checked) bool { return c.Account != a })
	f.Findings = slices.DeleteFunc(f.Findings, func(x Finding) bool { return x.Account != "" && x.Account != a })
	maps.DeleteFunc(f.entries, func(_ mail.Token, e *entry) bool { return e.journal.Account != a })
	f.OK = !slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Wrong })
}
