package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Explained is all that is known of one message.
type Explained struct {
	State       string          `json:"state"`
	Verdict     string          `json:"verdict,omitempty"` // What a visit makes of it now: see fetch.Verdict.
	Says        string          `json:"-"`                 // The verdict in words.
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
	return e.ref.ID
}

func (f *Findings) paths(t mail.Token) (ps []string) {
	for _, file := range f.files[t] {
		ps = append(ps, path(file.Found))
	}
	return ps
}

func (f *Findings) explain(t mail.Token, e *entry) Explained {
	x := Explained{
		State: e.state, Account: e.journal.Account, Email: e.journal.Email, Journal: e.journal.Journal,
		Folder: e.folder.Remote, Local: e.folder.Local, UIDValidity: e.folder.UIDValidity, FolderEpoch: e.folder.Epoch,
		Identity: describe(e.id()), Token: t, Files: f.paths(t),
	}
	if v, ok := e.verdict(f.now); ok {
		x.Verdict, x.Says = v.String(), verdictSays[v]
	}
	if e.old {
		x.Epoch = e.ref.FolderEpoch
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
			Code: string(s.Code), Detail: s.Detail.String(), Attempts: s.Attempts, First: s.FirstAt,
			Last: s.LastAt, Next: s.NextAt,
		}
	}
	return x
}

// verdictSays are the verdicts in words, as far as a journal alone shows them.
var verdictSays = map[fetch.Verdict]string{
	fetch.VerdictSettled:     "the journal has it, and no visit fetches it",
	fetch.VerdictTwin:        "the server says that it is one with a message of another folder, which was delivered",
	fetch.VerdictRematched:   "it was delivered under another name, by which the journal knew it before",
	fetch.VerdictFetch:       "the next visit fetches it",
	fetch.VerdictWaiting:     "it could not be fetched, and is tried again later",
	fetch.VerdictHeld:        "it is not fetched unless its owner asks for it",
	fetch.VerdictBeforeStart: "it is older than the account's start; an earlier start has it fetched",
}

// verdict is what a visit at now makes of a message if its server lists it. false: no
// visit does, since its account was removed.
func (e *entry) verdict(now time.Time) (fetch.Verdict, bool) {
	switch m := e.message; {
	case e.journal.Account == "":
		return 0, false
	case e.renamed:
		return fetch.VerdictRematched, true
	case m != nil && m.Alias && m.Global != "":
		return fetch.VerdictTwin, true
	case m != nil || e.member != nil:
		return fetch.VerdictSettled, true
	case e.old:
		return fetch.VerdictBeforeStart, true
	}
	return e.skipped.Verdict(now), true
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
