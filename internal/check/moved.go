package check

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Mover compares what was delivered into Maildirs with the mailboxes of the same users at a server, where it is
// to be delivered from now on.
type Mover struct {
	Journals Journals
	From     Mailboxes // Nil: it is gone.
	To       Contents
	TokenKey []byte
	// Anothers reports whether a message was staged for From.
	Anothers func(mail.Placement) bool
}

// Contents are mailboxes whose messages can be read many at a time.
type Contents interface {
	Mailboxes
	// Fingerprints calls yield for those of all that are still there.
	Fingerprints(ctx context.Context, o owner.Owner, all []mail.Found,
		yield func(f mail.Found, sum mail.Fingerprint)) error
}

// Moved is what a comparison of one user says.
type Moved struct {
	User     string          `json:"user"`
	Messages int64           `json:"messages"` // At the server, whoever delivered them.
	Accounts []*MovedAccount `json:"accounts"`
}

// MovedAccount are the figures of one journal.
type MovedAccount struct {
	Account  account.ID     `json:"account_id"` // "": removed, its journal kept.
	Email    string         `json:"email"`
	Visiting bool           `json:"visiting"`
	Folders  []*MovedFolder `json:"folders"`
	// Older says that the database is older than the Maildir: it was restored from a backup.
	Older bool `json:"database_older"`
	// Stray are files in the Maildir's spool that no staged message needs.
	Stray int `json:"stray"`
}

// MovedFolder are the figures of one folder of the local mailbox. What was delivered is Found, Moved, Missing, Gone or
// Unread; what was staged and not confirmed is Staged, and is planned to stay as delivered (Known), to be delivered
// out of the spool (Deliver) or to be fetched again (Release).
type MovedFolder struct {
	Local     string `json:"local"`
	Delivered int    `json:"delivered"` // By the journal.
	Found     int    `json:"found"`     // Of these, in this folder of the server's, by all their octets.
	Elsewhere int    `json:"elsewhere"` // In another one: their user moved them.
	Missing   int    `json:"missing"`   // In the Maildir, and not at the server.
	Gone      int    `json:"gone"`      // In neither: their user deleted them.
	Unread    int    `json:"unread"`    // Their octets were never known: they were found again after a restore.
	Staged    int    `json:"staged"`
	Known     int    `json:"known"`
	Deliver   int    `json:"deliver"`
	Release   int    `json:"release"`
}

// Sum adds up an account's folders.
func (a *MovedAccount) Sum() (s MovedFolder) {
	for _, f := range a.Folders {
		s.Delivered, s.Found, s.Elsewhere = s.Delivered+f.Delivered, s.Found+f.Found, s.Elsewhere+f.Elsewhere
		s.Missing, s.Gone, s.Unread = s.Missing+f.Missing, s.Gone+f.Gone, s.Unread+f.Unread
		s.Staged, s.Known, s.Deliver, s.Release = s.Staged+f.Staged, s.Known+f.Known, s.Deliver+f.Deliver, s.Release+f.Release
	}
	return s
}

// ErrNoMaildir says that a user has no Maildir, though mail was delivered into one; ErrNoServerMailbox, that the
// server does not let us into the user's mailbox.
var (
	ErrNoMaildir       = errors.New("there is no Maildir of this user")
	ErrNoServerMailbox = errors.New("the server has no mailbox of this user")
)

// Compare compares everything of one user. It changes nothing.
func (c Mover) Compare(ctx context.Context, o owner.Owner) (*Moved, error) {
	var old Inventory
	if c.From != nil {
		var err error
		if old, err = c.From.Inspect(ctx, o); err != nil {
			return nil, err
		}
	}
	now, err := c.To.Inspect(ctx, o)
	if err != nil {
		return nil, err
	}
	if now.Missing {
		return nil, ErrNoServerMailbox
	}
	reports, err := c.Journals.JournalReports(ctx, o, true)
	if err != nil {
		return nil, err
	}
	m := &comparing{Mover: c, now: now, old: old, tokens: map[mail.Token]bool{}, staged: map[mail.Token]bool{}}
	for _, f := range old.Files {
		m.tokens[f.Token] = true
	}
	all := m.remembered(reports)
	if err := m.read(ctx, o, all); err != nil {
		return nil, err
	}
	m.match(all)
	if old.Missing && len(all) > 0 {
		return nil, ErrNoMaildir
	}
	out := &Moved{User: o.String(), Messages: now.Measured.Messages, Accounts: []*MovedAccount{}}
	for i := range reports {
		out.Accounts = append(out.Accounts, m.account(&reports[i], all))
	}
	return out, nil
}

// comparing is the state of one comparison.
type comparing struct {
	Mover
	now, old Inventory
	tokens   map[mail.Token]bool // Of what lies in the Maildir.
	staged   map[mail.Token]bool // Of what was on its way into it.
	there    []*atServer
}

// atServer is a message at the server, as far as it was read.
type atServer struct {
	dir   string
	sum   mail.Fingerprint
	taken bool
}

// remembered is a message of a journal.
type remembered struct {
	journal, local, dir string
	token               mail.Token
	sum                 mail.Fingerprint
	member              *fetch.Member // Nil: it is delivered.
	at                  *atServer     // Nil: it was not found.
}

// remembered lists what the journals say was delivered, and what was on its way.
func (m *comparing) remembered(reports []JournalReport) (all []*remembered) {
	for i := range reports {
		l := &reports[i]
		folders := map[int64]fetch.Folder{}
		for _, f := range l.Folders {
			folders[f.ID] = f
		}
		for _, b := range l.Open {
			for j := range b.Members {
				x := &b.Members[j]
				m.staged[x.Placement.Token] = true
				if m.Anothers(x.Placement) {
					all = append(all, &remembered{
						l.Journal, x.Placement.Folder, m.now.DirName(x.Placement.Folder), x.Placement.Token, x.Fingerprint, x, nil,
					})
				}
			}
		}
		for j := range l.Messages {
			x := &l.Messages[j]
			f := folders[x.FolderID]
			t := mail.TokenFor(m.TokenKey, l.Journal, f.Wire, x.FolderEpoch, x.ID)
			if !x.Alias && !m.staged[t] {
				all = append(all, &remembered{l.Journal, f.Local, m.now.DirName(f.Local), t, x.Fingerprint, nil, nil})
			}
		}
	}
	return all
}

// read reads the server's messages: all of the folders that mail was delivered into, and of the others those that have
// the size of one that was.
func (m *comparing) read(ctx context.Context, o owner.Owner, all []*remembered) error {
	dirs, sizes := map[string]bool{}, map[int64]bool{}
	for _, r := range all {
		dirs[r.dir], sizes[r.sum.Size] = true, true
	}
	var wanted []mail.Found
	in := map[mail.Found]string{}
	for _, f := range m.now.Files {
		if dirs[f.Dir] || sizes[f.Size] {
			wanted = append(wanted, f.Found)
			in[f.Found] = f.Dir
		}
	}
	return m.To.Fingerprints(ctx, o, wanted, func(f mail.Found, sum mail.Fingerprint) {
		m.there = append(m.there, &atServer{dir: in[f], sum: sum})
	})
}

// sameness is what messages are compared by.
type sameness struct {
	digest       [32]byte
	body, header [16]byte
	dir          string
}

// match finds each message at most once, in its own folder first; by all its octets, and then by those that a
// server leaves as they are where bare line ends were sent.
func (m *comparing) match(all []*remembered) {
	for _, by := range []struct{ octets, folder bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		key := func(f mail.Fingerprint, dir string) sameness {
			k := sameness{digest: f.Digest, dir: dir}
			if !by.octets {
				k = sameness{body: f.Body, header: f.Header, dir: dir}
			}
			if !by.folder {
				k.dir = ""
			}
			return k
		}
		free := map[sameness][]*atServer{}
		for _, x := range m.there {
			if !x.taken {
				k := key(x.sum, x.dir)
				free[k] = append(free[k], x)
			}
		}
		for _, r := range all {
			if r.at != nil || r.sum.Digest == [32]byte{} {
				continue
			}
			if k := key(r.sum, r.dir); len(free[k]) > 0 {
				r.at, free[k] = free[k][0], free[k][1:]
				r.at.taken = true
			}
		}
	}
}

// account counts what became of one journal's messages.
func (m *comparing) account(l *JournalReport, all []*remembered) *MovedAccount {
	a := &MovedAccount{Account: l.Account, Email: l.Email, Visiting: l.Visiting, Folders: []*MovedFolder{}}
	a.Older = m.old.Notes[l.Journal] > l.Generation
	needed := map[string]bool{}
	rows := map[string]*MovedFolder{}
	for _, r := range all {
		if r.journal != l.Journal {
			continue
		}
		row := rows[r.local]
		if row == nil {
			row = &MovedFolder{Local: r.local}
			rows[r.local] = row
			a.Folders = append(a.Folders, row)
		}
		if r.member != nil {
			needed[r.member.Placement.Spool] = true
			m.plan(row, r, l)
			continue
		}
		row.Delivered++
		switch {
		case r.at != nil && r.at.dir == r.dir:
			row.Found++
		case r.at != nil:
			row.Elsewhere++
		case r.sum.Digest == [32]byte{}:
			row.Unread++
		case m.tokens[r.token]:
			row.Missing++
		default:
			row.Gone++
		}
	}
	for name := range m.old.Spools[l.Journal] {
		if !needed[name] {
			a.Stray++
		}
	}
	slices.SortFunc(a.Folders, func(x, y *MovedFolder) int { return cmp.Compare(x.Local, y.Local) })
	return a
}

// plan counts what is to be done with a message that was on its way.
func (m *comparing) plan(row *MovedFolder, r *remembered, l *JournalReport) {
	row.Staged++
	noted := m.old.Notes[l.Journal] >= l.Generation
	switch {
	case has(m.old.Spools[l.Journal], r.member.Placement.Spool):
		row.Deliver++
	case m.From != nil && (noted || m.tokens[r.token]), r.at != nil && r.at.dir == r.dir:
		row.Known++
	default:
		row.Release++
	}
}
