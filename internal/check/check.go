package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Ledger is one journal as a check reads it: an account's, or that of a removed
// account which is still kept.
type Ledger struct {
	Journal    string
	Account    account.ID // "": the account was removed.
	Email      string
	Visiting   bool // A worker holds the account at this moment.
	Generation int64
	Folders    []fetch.Folder
	Open       []fetch.Batch
	Skipped    []fetch.Skipped
	Messages   []Settled
}

// Settled is one message that a journal knows.
type Settled struct {
	fetch.Known
	Received time.Time
	Global   string
	Alias    bool // It was delivered from another folder.
}

// Ledgers reads journals, for checking.
type Ledgers interface {
	// Ledgers returns a user's journals as they are at one moment, without
	// their messages if those are not wanted.
	Ledgers(ctx context.Context, o account.Owner, messages bool) ([]Ledger, error)
	// MailboxSeen reports whether the user's mailbox was ever there.
	MailboxSeen(ctx context.Context, o account.Owner) (bool, error)
}

// Premises are the users' mailboxes, for checking. Nothing is changed there.
type Premises interface {
	Inspect(ctx context.Context, o account.Owner) (mail.Inventory, error)
	Fingerprint(ctx context.Context, o account.Owner, f mail.Found) (mail.Fingerprint, error)
}

// Checker compares journals, spools and mailboxes with each other.
type Checker struct {
	Ledgers  Ledgers
	Mailbox  Premises
	TokenKey []byte
	// DirName names a local folder's directory as an inventory does.
	DirName func(local string) string
}

// The kinds of a Finding. The first group is wrong; the rest are worth knowing.
const (
	DoubledToken = "doubled_token" // One message lies in the mailbox in two files that are no links of each other.
	UnknownToken = "unknown_token" // A message bears a name of ours, and no journal knows it.
	// A staged message is neither in the spool nor in the mailbox, and was not delivered.
	LostInSpool = "lost_in_spool"
	WrongSize   = "wrong_size"     // A delivered message has another size than its name tells.
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

	inv     mail.Inventory
	entries map[mail.Token]*entry
	files   map[mail.Token][]mail.LocalFile
}

// entry is one message of a ledger.
type entry struct {
	ledger  *Ledger
	folder  fetch.Folder
	message *Settled // Nil: only skipped, or only staged.
	skipped *fetch.Skipped
	batch   *fetch.BatchKey
	member  *fetch.Member
	state   string
}

// Check compares everything of one user. It may run while accounts are visited:
// the mailbox is read before the journals are, which know of every message
// before it is delivered.
func (c Checker) Check(ctx context.Context, o account.Owner) (*Findings, error) {
	before, err := c.Ledgers.Ledgers(ctx, o, false)
	if err != nil {
		return nil, err
	}
	inv, err := c.Mailbox.Inspect(ctx, o)
	if err != nil {
		return nil, err
	}
	ledgers, err := c.Ledgers.Ledgers(ctx, o, true)
	if err != nil {
		return nil, err
	}
	f := &Findings{
		User: o.String(), Messages: inv.Measured.Messages, Bytes: inv.Measured.Bytes, Missing: inv.Missing,
		Findings: []Finding{},
		Accounts: []*Checked{}, inv: inv, entries: map[mail.Token]*entry{}, files: map[mail.Token][]mail.LocalFile{},
	}
	quiet := map[string]bool{}
	for _, l := range before {
		if !l.Visiting {
			quiet[l.Journal] = true
		}
	}
	if err := c.judgeMissing(ctx, o, f, ledgers); err != nil {
		return nil, err
	}
	f.readFiles()
	rows := map[string]*Checked{}
	all := true
	for i := range ledgers {
		l := &ledgers[i]
		same := slices.ContainsFunc(before, func(b Ledger) bool {
			return b.Journal == l.Journal && b.Generation == l.Generation
		})
		still := quiet[l.Journal] && !l.Visiting && same
		row := &Checked{Account: l.Account, Email: l.Email, Visiting: !still, Skipped: map[string]int{}}
		rows[l.Journal] = row
		f.Accounts = append(f.Accounts, row)
		if !still {
			all = false
			f.note(BeingVisited, l.Account, "", "It is being visited: what changes meanwhile is not judged.")
		}
		c.enter(f, l, row)
		f.judgeSpool(l, row, still)
		c.judgeFolders(f, l)
	}
	if err := c.judgeUnknown(ctx, o, f, ledgers, rows); err != nil {
		return nil, err
	}
	f.judgeFiles()
	if q := inv.Quota; q != nil && *q != inv.Measured && all {
		f.note(QuotaFile, "", "", fmt.Sprintf("maildirsize says %d octets in %d messages, the files are %d in %d.", q.Bytes,
			q.Messages, inv.Measured.Bytes, inv.Measured.Messages))
	}
	f.OK = !slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Wrong })
	return f, nil
}

// judgeMissing tells a mailbox that is gone from one that was never there. A journal
// that knows of delivered messages is proof as good as what is noted.
func (c Checker) judgeMissing(ctx context.Context, o account.Owner, f *Findings, ledgers []Ledger) error {
	if !f.Missing {
		return nil
	}
	gone, err := c.Ledgers.MailboxSeen(ctx, o)
	if err != nil {
		return err
	}
	if gone || slices.ContainsFunc(ledgers, func(l Ledger) bool { return len(l.Messages) > 0 }) {
		f.note(GoneMailbox, "", "", "The mailbox was there and is gone: it has no cur and no new. Put it back, or "+
			"remove the user: until then nothing is fetched.")
	}
	return nil
}

func (f *Findings) note(kind string, a account.ID, t mail.Token, detail string) {
	f.Findings = append(f.Findings, Finding{Kind: kind, Wrong: wrong[kind], Account: a, Token: t, Detail: detail})
}

// readFiles sorts the mailbox's files by token. Links of one file, which is how
// mail servers copy, count once, as does a file that was moved while the
// mailbox was read.
func (f *Findings) readFiles() {
	for _, file := range f.inv.Files {
		if file.Token == "" {
			f.Foreign++
			if file.FileSize >= 0 && file.FileSize != file.Size {
				f.note(ForeignSize, "", "", path(file.Found)+fmt.Sprintf(" has %d octets.", file.Size))
			}
			continue
		}
		if !slices.ContainsFunc(f.files[file.Token], func(g mail.LocalFile) bool { return g.Inode == file.Inode }) {
			f.files[file.Token] = append(f.files[file.Token], file)
		}
	}
}

func path(f mail.Found) string { return strings.TrimPrefix(f.Folder+"/"+f.Sub+"/"+f.Name, "./") }

// enter takes up what a ledger knows and counts it by state.
func (c Checker) enter(f *Findings, l *Ledger, row *Checked) {
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
			e = &entry{ledger: l, folder: folder}
			f.entries[t] = e
		}
		return t, e
	}
	spool := f.inv.Spools[l.Journal]
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
		case e.member != nil && has(spool, e.member.Placement.Spool):
			row.Staged++
			e.state = "staged, not delivered yet"
		case len(f.files[t]) > 0:
			row.Present++
			e.state = "delivered and present"
		default:
			row.Gone++
			e.state = "delivered and gone: moved out of the mailbox or deleted by its user"
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
}

func has(m map[string]int64, key string) bool {
	_, ok := m[key]
	return ok
}

// judgeSpool compares open batches, the spool's note and its files.
func (f *Findings) judgeSpool(l *Ledger, row *Checked, still bool) {
	if !still {
		return
	}
	note, staged := f.inv.Notes[l.Journal], false
	needed := map[string]bool{}
	for _, b := range l.Open {
		for i := range b.Members {
			m := &b.Members[i]
			staged = true
			needed[m.Placement.Spool] = true
			if note < l.Generation && !has(f.inv.Spools[l.Journal], m.Placement.Spool) && len(f.files[m.Placement.Token]) == 0 {
				f.note(LostInSpool, l.Account, m.Placement.Token, "It was staged, its spool file is gone, and it was not "+
					"delivered; the next visit fetches it again.")
			}
		}
	}
	switch {
	case note > l.Generation:
		f.note(OldDatabase, l.Account, "", fmt.Sprintf("The spool has seen %d batches, the journal knows of %d: the "+
			"database was restored; the next visit finds what it forgot.", note, l.Generation))
	case note < l.Generation && !staged && !f.Missing:
		f.note(OldMailbox, l.Account, "", fmt.Sprintf("The journal knows of %d batches, the spool has seen %d: the mailbox "+
			"was restored or its spool emptied.", l.Generation, note))
	}
	for _, name := range slices.Sorted(maps.Keys(f.inv.Spools[l.Journal])) {
		if !needed[name] {
			row.Stray++
			f.note(StraySpool, l.Account, "", fmt.Sprintf("%s, %d octets.", name, f.inv.Spools[l.Journal][name]))
		}
	}
}

// judgeFolders looks for the chosen folders in the mailbox.
func (c Checker) judgeFolders(f *Findings, l *Ledger) {
	if l.Account == "" || f.Missing {
		return
	}
	dirs := map[string]mail.LocalFolder{}
	for _, d := range f.inv.Folders {
		dirs[d.Dir] = d
	}
	for _, x := range l.Folders {
		d, ok := dirs[c.DirName(x.Local)]
		switch {
		case !x.Selected:
		case !ok:
			f.note(NoFolder, l.Account, "", fmt.Sprintf("%s has no local folder %s.", x.Remote, x.Local))
		case !d.Subscribed:
			f.note(NotSubscribed, l.Account, "", fmt.Sprintf("%s is not subscribed.", x.Local))
		}
	}
}

// judgeUnknown looks for messages that bear names of ours which no journal
// explains. One whose content a journal knows, while it misses the name that
// belongs to it, was delivered before the remote gave it a new identity.
func (c Checker) judgeUnknown(ctx context.Context, o account.Owner, f *Findings, ledgers []Ledger,
	rows map[string]*Checked,
) error {
	var unknown []mail.Token
	for t := range f.files {
		if e := f.entries[t]; e == nil || e.message == nil && e.member == nil {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	known := map[string]bool{}
	for _, l := range ledgers {
		known[l.Journal] = true
	}
	kind, why := UnknownToken, "No journal knows it."
	for journal := range f.inv.Spools {
		if !known[journal] {
			kind, why = Forgotten, "No journal knows it; that of a removed account, which may have, is forgotten."
		}
	}
	var gone []fetch.Known
	owner := map[fetch.Ref]*entry{}
	for t, e := range f.entries {
		if e.message != nil && !e.message.Alias && e.member == nil && len(f.files[t]) == 0 {
			gone = append(gone, e.message.Known)
			owner[e.message.Ref] = e
		}
	}
	type text struct{ header, body [16]byte }
	byContent := map[text][]fetch.Known{} // The same octets are the same in these, too.
	for _, k := range gone {
		of := text{k.Fingerprint.Header, k.Fingerprint.Body}
		byContent[of] = append(byContent[of], k)
	}
	for _, t := range unknown {
		file := f.files[t][0].Found
		mark, err := c.Mailbox.Fingerprint(ctx, o, file)
		if err != nil && ctx.Err() != nil {
			return err
		}
		of := text{mark.Header, mark.Body}
		if err != nil || len(byContent[of]) == 0 {
			f.note(kind, "", t, path(file)+": "+why)
			continue
		}
		e := owner[byContent[of][0].Ref]
		byContent[of] = byContent[of][1:]
		row := rows[e.ledger.Journal]
		row.Gone--
		row.Present++
		row.ByContent++
		e.state = "delivered and present, under the name of an earlier identity"
		f.entries[t] = e
	}
	return nil
}

// judgeFiles looks at the files of delivered messages.
func (f *Findings) judgeFiles() {
	for _, t := range slices.Sorted(maps.Keys(f.files)) {
		files := f.files[t]
		var a account.ID
		if e := f.entries[t]; e != nil {
			a = e.ledger.Account
		}
		for i, file := range files {
			if i > 0 {
				f.note(DoubledToken, a, t, path(files[0].Found)+" and "+path(file.Found)+".")
			}
			if file.FileSize >= 0 && file.FileSize != file.Size {
				f.note(WrongSize, a, t, fmt.Sprintf("%s has %d octets.", path(file.Found), file.Size))
			}
		}
	}
}

// Explained is all that is known of one message.
type Explained struct {
	State       string          `json:"state"`
	Account     account.ID      `json:"account_id,omitempty"`
	Email       string          `json:"email,omitempty"`
	Journal     string          `json:"journal,omitempty"`
	Folder      string          `json:"folder,omitempty"` // At the remote.
	Local       string          `json:"local_folder,omitempty"`
	UIDValidity uint32          `json:"uidvalidity,omitempty"` // Of the folder now.
	Epoch       int64           `json:"epoch"`
	FolderEpoch int64           `json:"folder_epoch"` // Where the folder is now.
	Identity    string          `json:"identity,omitempty"`
	Token       mail.Token      `json:"token"`
	Global      string          `json:"global,omitempty"`
	Batch       string          `json:"batch,omitempty"` // While it is staged: lease epoch and number.
	Spool       string          `json:"spool_file,omitempty"`
	Size        int64           `json:"size,omitempty"`
	Digest      string          `json:"sha256,omitempty"`
	Body        string          `json:"body_hash,omitempty"`
	Header      string          `json:"header_hash,omitempty"`
	Received    *time.Time      `json:"received,omitempty"`
	Files       []string        `json:"files,omitempty"`
	Skipped     *SkippedMessage `json:"skipped,omitempty"`
}

// SkippedMessage is why a message was not fetched.
type SkippedMessage struct {
	Code     string    `json:"code"`
	Detail   string    `json:"detail"`
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first_at"`
	Last     time.Time `json:"last_at"`
	Next     time.Time `json:"next_at"`
}

// tokenIn finds the token in the name of a message's file, or in a part of it.
var tokenIn = regexp.MustCompile(`(?:^|[./])(F[a-z2-7]{26})(?:[.,:]|$)`)

// Explain returns what is known of the messages that a token, a file's name with
// one in it, a UID or a UIDL names; UIDs and UIDLs may name one in each folder and
// epoch.
func (f *Findings) Explain(what string) []Explained {
	if m := tokenIn.FindStringSubmatch(what); m != nil {
		what = m[1]
	}
	var out []Explained
	for t, e := range f.entries {
		id := e.id()
		if string(t) == what || id.UIDL == what && what != "" || id.UID != 0 && fmt.Sprint(id.UID) == what {
			out = append(out, f.explain(t, e))
		}
	}
	if t := mail.Token(what); len(f.files[t]) > 0 && f.entries[t] == nil {
		out = append(out, Explained{State: "in the mailbox, and no journal knows it", Token: t, Files: f.paths(t)})
	}
	slices.SortFunc(out, func(a, b Explained) int {
		return cmp.Or(cmp.Compare(a.Email, b.Email), cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.Epoch, b.Epoch),
			cmp.Compare(a.Token, b.Token))
	})
	return out
}

func (e *entry) id() mail.ID {
	switch {
	case e.message != nil:
		return e.message.ID
	case e.member != nil:
		return e.member.ID
	case e.skipped != nil:
		return e.skipped.ID
	}
	return mail.ID{}
}

func (f *Findings) paths(t mail.Token) (ps []string) {
	for _, file := range f.files[t] {
		ps = append(ps, path(file.Found))
	}
	return ps
}

func (f *Findings) explain(t mail.Token, e *entry) Explained {
	x := Explained{
		State: e.state, Account: e.ledger.Account, Email: e.ledger.Email, Journal: e.ledger.Journal, Folder: e.folder.Remote,
		Local:       e.folder.Local,
		UIDValidity: e.folder.UIDValidity, FolderEpoch: e.folder.Epoch, Identity: describe(e.id()), Token: t, Files: f.paths(
			t),
	}
	if m := e.message; m != nil {
		x.Epoch, x.Global, x.Size = m.FolderEpoch, m.Global, m.Fingerprint.Size
		if !m.Alias {
			x.Digest, x.Body, x.Header = fmt.Sprintf("%x", m.Fingerprint.Digest), fmt.Sprintf("%x", m.Fingerprint.Body),
				fmt.Sprintf("%x", m.Fingerprint.Header)
		}
		if !m.Received.IsZero() {
			x.Received = &m.Received
		}
	}
	if e.member != nil {
		x.Epoch, x.Batch, x.Spool = e.member.FolderEpoch, fmt.Sprintf("%d/%d", e.batch.Epoch, e.batch.Seq),
			e.member.Placement.Spool
	}
	if s := e.skipped; s != nil {
		x.Epoch, x.Size = s.FolderEpoch, cmp.Or(x.Size, s.Size)
		x.Skipped = &SkippedMessage{
			Code: string(s.Code), Detail: s.Detail, Attempts: s.Attempts, First: s.FirstAt,
			Last: s.LastAt, Next: s.NextAt,
		}
	}
	return x
}

// Only leaves out what concerns other accounts.
func (f *Findings) Only(a account.ID) {
	f.Accounts = slices.DeleteFunc(f.Accounts, func(c *Checked) bool { return c.Account != a })
	f.Findings = slices.DeleteFunc(f.Findings, func(x Finding) bool { return x.Account != "" && x.Account != a })
	maps.DeleteFunc(f.entries, func(_ mail.Token, e *entry) bool { return e.ledger.Account != a })
	f.OK = !slices.ContainsFunc(f.Findings, func(x Finding) bool { return x.Wrong })
}

// describe names a message for people.
func describe(id mail.ID) string {
	switch {
	case id.UID != 0:
		return fmt.Sprintf("UID %d", id.UID)
	case id.Ordinal > 0:
		return fmt.Sprintf("UIDL %q, number %d of that name", id.UIDL, id.Ordinal+1)
	}
	return fmt.Sprintf("UIDL %q", id.UIDL)
}
