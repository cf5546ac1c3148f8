package fetch_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// judgement is one message of a listing after a visit.
type judgement struct {
	folder  string
	id      mail.ID
	verdict fetch.Verdict
}

// judged makes a visit and returns what it made of each listed message, in the order of
// the listings.
func (w *world) judged(t *testing.T) (all []judgement, r fetch.Report) {
	t.Helper()
	w.journal.epoch++
	r = w.engine.VisitJudged(t.Context(), fetch.Lease{
		Route: w.route, Worker: "w", Epoch: w.journal.epoch, Requested: w.requested,
	}, func(folder string, id mail.ID, v fetch.Verdict) {
		all = append(all, judgement{folder, id, v})
	})
	return all, r
}

// said is the verdicts as text: "INBOX: 1 delivered, 2 too_large; Archive: 1 twin".
func said(all []judgement) string {
	var folders []string
	byFolder := map[string][]string{}
	for _, j := range all {
		if !slices.Contains(folders, j.folder) {
			folders = append(folders, j.folder)
		}
		name := cmp.Or(j.id.UIDL, fmt.Sprint(j.id.UID))
		if j.id.Ordinal > 0 {
			name += fmt.Sprintf("#%d", j.id.Ordinal)
		}
		byFolder[j.folder] = append(byFolder[j.folder], name+" "+j.verdict.String())
	}
	for i, f := range folders {
		folders[i] = f + ": " + strings.Join(byFolder[f], ", ")
	}
	return strings.Join(folders, "; ")
}

// verdictCases are worlds before a visit, the verdict on each message after it, and what
// the visit counts.
var verdictCases = []struct {
	name    string
	world   func(t *testing.T) *world
	want    string
	came    int64
	skipped int
}{
	{"everything is new", func(t *testing.T) *world {
		return filled(t, 3)
	}, "INBOX: 1 delivered, 2 delivered, 3 delivered", 3, 0},
	{"the folder is compared as a whole", func(t *testing.T) *world {
		w := filled(t, 2).after(t, day)
		w.remote.find("INBOX").add(letters(1, "new")...)
		return w
	}, "INBOX: 1 settled, 2 settled, 3 delivered", 1, 0},
	{"one is too large, by the server's word", func(t *testing.T) *world {
		w := filled(t, 2)
		w.remote.find("INBOX").add("Subject: long\r\n\r\n" + strings.Repeat("x", 2000))
		return w
	}, "INBOX: 1 delivered, 2 delivered, 3 too_large", 2, 1},
	{"one is too large, as it comes", func(t *testing.T) *world {
		w := filled(t, 1)
		w.remote.find("INBOX").add("Subject: long\r\n\r\n" + strings.Repeat("x", 2000))
		w.remote.sizes = map[uint32]int64{2: 10}
		return w
	}, "INBOX: 1 delivered, 2 too_large", 1, 1},
	{"what is too large is held", func(t *testing.T) *world {
		w := filled(t, 1)
		w.remote.find("INBOX").add("Subject: long\r\n\r\n" + strings.Repeat("x", 2000))
		return w.after(t, day)
	}, "INBOX: 1 settled, 2 held", 0, 0},
	{"one cannot be read", func(t *testing.T) *world {
		return filled(t, 3).without(2)
	}, "INBOX: 1 delivered, 2 skipped, 3 delivered", 2, 1},
	{"nor a second time", func(t *testing.T) *world {
		return filled(t, 3).without(2).after(t, 30*time.Minute)
	}, "INBOX: 2 retried, 3 settled", 0, 1},
	{"it waits for longer and longer", func(t *testing.T) *world {
		return filled(t, 3).without(2).after(t, 22*time.Hour).after(t, 3*time.Hour)
	}, "INBOX: 1 settled, 2 waiting, 3 settled", 0, 0},
	{"no more may be listed as skipped", func(t *testing.T) *world {
		w := filled(t, 3).without(2)
		for i := range 100_000 {
			r := fetch.Ref{FolderID: 99, ID: mail.ID{UID: uint32(i + 1)}}
			w.journal.skips[r] = fetch.Skipped{FolderID: 99, ID: r.ID}
		}
		return w
	}, "INBOX: 1 delivered, 2 unlisted, 3 delivered", 2, 0},
	{"the start leaves out what is older, by IMAP", func(t *testing.T) *world {
		return dated(t, false)
	}, "INBOX: 1 before_start, 2 before_start, 3 delivered", 1, 0},
	{"and by POP3", func(t *testing.T) *world {
		return dated(t, true)
	}, "INBOX: 1 before_start, 2 before_start, 3 delivered", 1, 0},
	{"one message has two labels", func(t *testing.T) *world {
		return labelled(t)
	}, "INBOX: 1 delivered, 2 delivered; Praca: 1 twin", 2, 0},
	{"and is too large", func(t *testing.T) *world {
		w := labelled(t)
		w.engine.MaxMessageBytes = 10
		return w
	}, "INBOX: 1 too_large, 2 too_large; Praca: 1 twin", 0, 2},
	{"and cannot be read", func(t *testing.T) *world {
		return labelled(t).without(1)
	}, "INBOX: 1 skipped, 2 delivered; Praca: 1 await_twin", 1, 1},
	{"the local mailbox has no more room", func(t *testing.T) *world {
		w := filled(t, 3)
		w.box.room = int64(2*len(letters(1, "m")[0]) + 3)
		return w
	}, "INBOX: 1 no_room, 2 delivered, 3 delivered", 2, 0},
	{"the connection breaks", func(t *testing.T) *world {
		w := filled(t, 3)
		w.remote.breakAfter = 2
		return w
	}, "INBOX: 1 fetch, 2 delivered, 3 delivered", 2, 0},
	{"a unique-id is another message's", func(t *testing.T) *world {
		w := numbered(t, 3)
		w.replace(2, "another")
		return w
	}, "INBOX: 1 settled, 2#1 delivered, 3 settled", 1, 0},
	{"or only its size is", func(t *testing.T) *world {
		w := numbered(t, 3)
		w.remote.sizes = map[uint32]int64{2: 9999}
		return w
	}, "INBOX: 1 settled, 2 settled, 3 settled", 0, 0},
	{"or it is not known, for its header does not come", func(t *testing.T) *world {
		w := numbered(t, 3)
		w.replace(1, "another")
		w.replace(2, "a third")
		w.remote.noHeader = map[uint32]bool{2: true}
		return w
	}, "INBOX: 1#1 delivered, 2 suspect, 3 settled", 1, 0},
	{"UIDVALIDITY has changed", func(t *testing.T) *world {
		w := filled(t, 2)
		w.remote.find("INBOX").add("Subject: it has no Message-ID\r\n\r\n")
		w.after(t, time.Hour)
		w.remote.find("INBOX").renumber(8, 11)
		w.remote.find("INBOX").add(letters(1, "new")...)
		return w
	}, "INBOX: 11 rematched, 12 rematched, 13 rematched, 14 delivered", 1, 0},
	{"the database was restored", func(t *testing.T) *world {
		w := filled(t, 2).after(t, time.Hour)
		clear(w.journal.rows)
		w.journal.staged = 0
		w.journal.folders[0].Cursor = fetch.Cursor{}
		w.remote.find("INBOX").add(letters(1, "new")...)
		return w
	}, "INBOX: 1 found, 2 found, 3 delivered", 1, 0},
	{"it was fetched into the remote from here", func(t *testing.T) *world {
		w := neighbouring(t, "INBOX", "Gmail", "Gmail/{BEN}")
		ben := w.journal.owners["ben-1"]
		w.box.validities = map[owner.Owner]uint32{ben: 7}
		w.journal.brought = map[owner.Owner][]mail.Fingerprint{ben: {fingerprint(bodies(2, "INBOX")[0])}}
		return w
	}, "INBOX: 1 loop, 2 delivered", 1, 1},
}

// filled has an inbox with so many messages.
func filled(t *testing.T, n int) *world {
	w := newWorld(t, "INBOX")
	w.remote.find("INBOX").add(letters(n, "m")...)
	return w
}

// labelled has two messages, one of which is in two folders.
func labelled(t *testing.T) *world {
	w := newWorld(t, "INBOX", "Praca")
	w.remote.globals = map[string]string{}
	w.label(0, 0, 1)
	w.label(1, 0)
	return w
}

// dated has two messages from before its start, and one that came since.
func dated(t *testing.T, pop3 bool) *world {
	w := datedWorld(t, route.StartNew, pop3)
	w.arrive(2, -day)
	w.arrive(1, time.Minute)
	return w
}

// without has a message of the inbox that cannot be read.
func (w *world) without(uid uint32) *world {
	w.remote.missing[w.remote.find("INBOX").bodies[uid]] = "the server has lost it"
	return w
}

// after makes a visit and lets time pass.
func (w *world) after(t *testing.T, d time.Duration) *world {
	t.Helper()
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.now = w.now.Add(d)
	return w
}

func TestEachListedMessageHasOneVerdictAndTheCountsFollow(t *testing.T) {
	seen := map[fetch.Verdict]bool{}
	for _, c := range verdictCases {
		t.Run(c.name, func(t *testing.T) {
			w := c.world(t)
			all, r := w.judged(t)
			for _, j := range all {
				seen[j.verdict] = true
			}
			if got := said(all); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.Messages != c.came || r.Skipped != c.skipped {
				t.Errorf("%d came and %d were skipped, want %d and %d", r.Messages, r.Skipped, c.came, c.skipped)
			}
			for _, bad := range w.disagrees(all) {
				t.Error(bad)
			}
		})
	}
	t.Run("every verdict has a case", func(t *testing.T) {
		for v := fetch.VerdictFetch; v <= fetch.VerdictLoop; v++ {
			if !seen[v] {
				t.Errorf("no case has the verdict %s", v)
			}
		}
	})
}

// disagrees is where the journal does not say what the verdicts do: what is closed
// is settled or listed as skipped there, what is open is not, and a folder's cursor goes
// past its listing only where nothing is open.
func (w *world) disagrees(all []judgement) (bad []string) {
	openIn := map[string]bool{}
	for _, j := range all {
		var f fetch.Folder
		for _, one := range w.journal.folders {
			if one.Remote == j.folder {
				f = one
			}
		}
		r := fetch.Ref{FolderID: f.ID, FolderEpoch: f.Epoch, ID: j.id}
		_, settled := w.journal.rows[r]
		_, skipped := w.journal.skips[r]
		var want bool
		switch j.verdict {
		case fetch.VerdictSettled, fetch.VerdictFound, fetch.VerdictRematched, fetch.VerdictDelivered:
			want = settled && !skipped
		case fetch.VerdictTwin: // Of one that is settled, or listed as skipped once.
			want = !skipped
		case fetch.VerdictTooLarge, fetch.VerdictSkipped, fetch.VerdictRetried, fetch.VerdictLoop,
			fetch.VerdictWaiting, fetch.VerdictHeld:
			want = skipped && !settled
		case fetch.VerdictBeforeStart:
			want = !settled && !skipped
		case fetch.VerdictSuspect:
			want, openIn[j.folder] = settled, true
		default:
			want, openIn[j.folder] = !settled && !skipped, true
		}
		if !want {
			bad = append(bad, fmt.Sprintf("%s %v is %s; settled: %v, skipped: %v", j.folder, j.id, j.verdict, settled, skipped))
		}
	}
	for _, f := range w.journal.folders {
		if past := f.Cursor.UIDNext == w.remote.find(f.Wire).next; w.route.From.Protocol == remote.IMAP && f.Selected &&
			past == openIn[f.Remote] {
			bad = append(bad, fmt.Sprintf("%s: its cursor is past its end: %v, something is open: %v", f.Remote, past, !past))
		}
	}
	return bad
}

// The control: what the journal loses, the comparison with the verdicts notices.
func TestALostWriteDoesNotAgreeWithTheVerdicts(t *testing.T) {
	for name, spoil := range map[string]func(e *fetch.Entry){
		"what is skipped":   func(e *fetch.Entry) { e.Skip = nil },
		"what is the same":  func(e *fetch.Entry) { e.Rematch = nil },
		"what was found":    func(e *fetch.Entry) { e.Found = nil },
		"what is delivered": func(e *fetch.Entry) { loseLast(e) },
		"where a folder stands": func(e *fetch.Entry) {
			for i := range e.Folders {
				e.Folders[i].Cursor = fetch.Cursor{}
			}
		},
		"that it stands where it did": func(e *fetch.Entry) {
			for i := range e.Folders {
				e.Folders[i].Cursor.UIDNext = 1 << 30
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			noticed := 0
			for _, c := range verdictCases {
				w := c.world(t)
				w.engine.Journal = flawedJournal{w.journal, spoil}
				all, _ := w.judged(t)
				noticed += len(w.disagrees(all))
			}
			if noticed == 0 {
				t.Error("nobody noticed")
			}
		})
	}
}

// loseLast has a batch staged without its last message.
func loseLast(e *fetch.Entry) {
	if e.Stage != nil {
		b := *e.Stage
		b.Members = b.Members[:len(b.Members)-1]
		e.Stage = &b
	}
}

func TestEveryVerdictHasItsName(t *testing.T) {
	names := map[string]bool{}
	for v := fetch.VerdictFetch; v <= fetch.VerdictLoop; v++ {
		if v.String() == "" || names[v.String()] {
			t.Errorf("verdict %d is called %q", v, v)
		}
		names[v.String()] = true
	}
}
