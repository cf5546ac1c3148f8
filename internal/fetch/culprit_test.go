package fetch_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// servers D9, bugreports F6. That one of two may fail is TestABadFolderDoesNotStopTheOthers.
func TestAVisitInWhichNoFolderCouldBeReadDoesNotGoWell(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(5, "in")...)
	w.remote.badFolder = "INBOX"
	if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.FolderFailed || r.Messages != 0 {
		t.Fatalf("report %+v", r)
	}
	w.remote.badFolder = ""
	w.brings(t, 5)
	w.remote.badFolder = "INBOX" // It is not asked for while the server reports nothing new there.
	w.brings(t, 0)
}

// A refusal of all that is wanted says nothing about the server, unless a message
// that came before can be asked for.
func TestWhatIsWantedAloneBringsOthersToTellBy(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		asked := &asking{Source: w.engine.Source}
		w.engine.Source = asked
		f := w.remote.folders[0]
		const poison = "Subject: poison\r\n\r\n"
		f.add(bodies(10, "in")...)
		f.add(poison)
		w.remote.missing[poison] = "no"
		w.visit(t.Context())
		if n := len(asked.others); n != 0 {
			t.Errorf("%d others of a folder of which nothing came", n)
		}
		w.visit(t.Context())
		if n := len(asked.others); n == 0 || n > 3 {
			t.Errorf("%d others", n)
		}
		for _, it := range asked.others {
			if f.bodies[it.ID.UID] == poison {
				t.Error("the message in doubt is among them")
			}
		}
	})
}

// asking remembers the others of the last fetch.
type asking struct {
	fetch.Source
	others []mail.Item
}

func (a *asking) Open(ctx context.Context, acc remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	s, err := a.Source.Open(ctx, acc, c)
	return askingSession{s, a}, err
}

type askingSession struct {
	fetch.Session
	to *asking
}

func (s askingSession) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	s.to.others = nil
	for _, w := range ws {
		s.to.others = append(s.to.others, w.Others...)
	}
	return s.Session.Fetch(ctx, ws, take, miss)
}

func TestAfterVisitsThatFailedAnotherFolderIsAskedForFirst(t *testing.T) {
	for failures, want := range [][]string{
		{"INBOX", "A", "B"},
		{"A", "B", "INBOX"},
		{"B", "INBOX", "A"},
		{"INBOX", "A", "B"},
	} {
		w := newWorld(t, "INBOX", "A", "B")
		for _, f := range w.remote.folders {
			f.add(bodies(2, f.name)...)
		}
		w.failures = failures
		w.brings(t, 6)
		var got []string
		for _, name := range want {
			got = append(got, name+" from 0")
		}
		if diff := cmp.Diff(got, w.remote.listed); diff != "" {
			t.Errorf("after %d failures (-want +got):\n%s", failures, diff)
		}
		w.complete(t)
	}
}

// An account of which no message ever came, as the server refuses each, does not fare
// well, also while nothing is asked for. The control is one that comes.
func TestAMailboxOfWhichEachMessageIsRefusedDoesNotFareWell(t *testing.T) {
	w := newWorld(t, "INBOX", "Empty")
	w.remote.folders[0].add(bodies(3, "in")...)
	for _, m := range bodies(3, "in") {
		w.remote.missing[m] = "it cannot be read"
	}
	for range 2 {
		if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.MessageFailed || r.Partial == nil {
			t.Fatalf("report %+v", r)
		}
		w.now = w.now.Add(time.Minute)
	}
	w.remote.folders[0].add("Subject: good\r\n\r\n")
	for i := range 2 {
		if r := w.visit(t.Context()); r.Err != nil || fault.CodeOf(r.Partial) != fault.MessageFailed {
			t.Fatalf("visit %d: report %+v", i, r)
		}
	}
}

// unlisting is a server that lists nothing: the source adds INBOX.
type unlisting struct {
	*remoteStub
	empty bool
}

func (u *unlisting) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return u, nil
}

func (u *unlisting) Folders(ctx context.Context) ([]mail.Folder, error) {
	fs, err := u.remoteStub.Folders(ctx)
	if u.empty {
		fs = fs[:1]
		fs[0].Unlisted = true
	}
	return fs, err
}

// bugreports F8: an empty list hides no folder in silence, and INBOX comes. The
// control is a list that names INBOX alone: the others are gone.
func TestAnEmptyListOfFoldersIsReported(t *testing.T) {
	w := newWorld(t, "INBOX", "Work")
	u := &unlisting{remoteStub: w.remote}
	w.engine.Source = u
	for _, f := range w.remote.folders {
		f.add(bodies(2, f.name)...)
	}
	w.brings(t, 4)
	u.empty = true
	w.remote.folders[0].add("Subject: new\r\n\r\n")
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || fault.CodeOf(r.Partial) != fault.FolderFailed {
		t.Fatalf("report %+v", r)
	}
	u.empty, w.remote.folders = false, w.remote.folders[:1]
	w.brings(t, 0)
}

// A message that turns out to be too large while it is read is listed so once, and
// not read again, as one whose size the server stated.
func TestWhatTurnsOutToBeTooLargeIsReadOnce(t *testing.T) {
	w := newWorld(t, "INBOX")
	large := "Subject: large\r\n\r\n" + strings.Repeat("x", 2000)
	w.remote.folders[0].add("Subject: good\r\n\r\n", large)
	w.remote.sizes = map[uint32]int64{2: 10}
	if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != 1 || r.Skipped != 1 {
		t.Fatalf("report %+v", r)
	}
	if s := w.onlySkip(t); !s.Held || s.Size <= 1000 {
		t.Errorf("skipped %+v", s)
	}
	w.now = w.now.Add(48 * time.Hour)
	w.brings(t, 0)
}

// bugreports F3: a folder over which the connection ends is gone around, then tried
// last, after longer and longer pauses. The control is one that is only refused.
func TestAFolderThatEndsTheConnectionIsGoneAround(t *testing.T) {
	for _, ends := range []bool{true, false} {
		w := newWorld(t, "INBOX", "Bad", "Good")
		for _, f := range w.remote.folders {
			f.add(bodies(2, f.name)...)
		}
		w.remote.badFolder, w.remote.ends = "Bad", ends
		visit := func(after time.Duration, wants int64) (listed []string) {
			t.Helper()
			w.now = w.now.Add(after)
			w.remote.listed = nil
			w.remote.folders[0].add(fmt.Sprintf("Subject: at %d\r\n\r\n", w.now.Unix()))
			r := w.visit(t.Context())
			if bad := w.remote.badFolder != ""; r.Err != nil || r.Messages != wants ||
				bad != (fault.CodeOf(r.Partial) == fault.FolderFailed) {
				t.Fatalf("ends %v: %+v", ends, r)
			}
			return w.remote.listed
		}
		visit(0, 5)
		for _, around := range []struct {
			after     time.Duration
			requested bool // By the account's owner, who has it tried at once.
			tried     bool
		}{
			{time.Minute, false, false},
			{15 * time.Minute, false, true},
			{15 * time.Minute, false, false},
			{16 * time.Minute, false, true},
			{time.Minute, true, true},
			{time.Minute, false, false},
		} {
			w.requested = around.requested
			listed := visit(around.after, 1)
			at := slices.Index(listed, "Bad from 0")
			if want := around.tried || !ends; want != (at >= 0) || ends && at >= 0 && at != len(listed)-1 {
				t.Errorf("ends %v: listed %v", ends, listed)
			}
		}
		w.remote.badFolder = ""
		visit(24*time.Hour, 3)
		w.complete(t)
	}
}
