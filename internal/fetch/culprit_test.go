package fetch_test

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
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
	w.remote.badFolder = "INBOX" // It is not asked for while the server tells of nothing new there.
	w.brings(t, 0)
}

// A refusal of all that is wanted says nothing about the server, unless a message
// that came before can be asked for.
func TestWhatIsWantedAloneBringsOthersToTellBy(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, account.StartAll, pop3)
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

func (a *asking) Open(ctx context.Context, acc account.Account, c account.Credential) (fetch.Session, error) {
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
		w.account.Status.Failures = failures
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
