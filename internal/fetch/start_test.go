package fetch_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// datedRemote is a remote that received each message when its header says; by
// POP3 it names them by unique-ids and states no dates.
type datedRemote struct {
	*remoteStub
	pop3    bool
	flipped bool // POP3: the newest message is number 1.
}

func (d datedRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	d.opened++
	return d, nil
}

func (d datedRemote) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return d.remoteStub.List(ctx, qs, func(l mail.Listing, err error) error {
		for i := range l.Items {
			it := &l.Items[i]
			s := mail.NewScanner()
			if _, err := s.Write([]byte(d.find(l.Folder.Wire).bodies[it.ID.UID])); err != nil {
				return err
			}
			it.Received = s.Date()
			if d.pop3 {
				it.ID, it.Received = mail.ID{UIDL: strconv.Itoa(int(it.ID.UID))}, time.Time{}
			}
		}
		if d.flipped {
			slices.Reverse(l.Items)
		}
		return yield(l, err)
	})
}

func (d datedRemote) inside(ws []mail.Want) (out []mail.Want) {
	for _, w := range ws {
		w.Items = slices.Clone(w.Items)
		for i, it := range w.Items {
			if d.pop3 {
				n, _ := strconv.Atoi(it.ID.UIDL)
				w.Items[i].ID = mail.ID{UID: uint32(n), Ordinal: it.ID.Ordinal}
			}
		}
		out = append(out, w)
	}
	return out
}

func (d datedRemote) outside(it mail.Item) mail.Item {
	if d.pop3 {
		it.ID = mail.ID{UIDL: strconv.Itoa(int(it.ID.UID)), Ordinal: it.ID.Ordinal}
	}
	return it
}

func (d datedRemote) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	return d.remoteStub.Fetch(ctx, d.inside(ws),
		func(f mail.Folder, it mail.Item, body io.Reader) error { return take(f, d.outside(it), body) },
		func(f mail.Folder, it mail.Item, why *fault.Error) { miss(f, d.outside(it), why) })
}

func (d datedRemote) Headers(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item,
	[]byte) error,
) error {
	return d.remoteStub.Headers(ctx, d.inside(ws), func(f mail.Folder, it mail.Item, h []byte) error {
		return take(f, d.outside(it), h)
	})
}

// datedWorld has an account that was added now, with a start.
func datedWorld(t *testing.T, start route.Start, pop3 bool) *world {
	w := newWorld(t, "INBOX")
	w.engine.Source = datedRemote{remoteStub: w.remote, pop3: pop3}
	w.route.CreatedAt, w.route.Start = w.now, start
	if pop3 {
		w.route.From.Protocol = remote.POP3
	}
	return w
}

// arrive puts messages into the inbox whose header says that they came so long
// after the account was added.
func (w *world) arrive(n int, after time.Duration) {
	for i := range n {
		at := w.route.CreatedAt.Add(after)
		w.remote.folders[0].add(fmt.Sprintf("Date: %s\r\nSubject: %d\r\nMessage-ID: <%d.%d@x>\r\n\r\nx\r\n", at.Format(
			time.RFC1123Z), i, w.remote.folders[0].next, i))
	}
}

// brings makes a visit and says how many messages it is to bring, each
// downloaded once.
func (w *world) brings(t *testing.T, n int64) {
	t.Helper()
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != n || w.remote.fetched != int(n) {
		t.Fatalf("want %d messages: report %+v, %d downloaded", n, r, w.remote.fetched)
	}
}

// waits makes a visit that tries nothing, and reports that something waits.
func (w *world) waits(t *testing.T) {
	t.Helper()
	w.remote.fetched = 0
	r := w.visit(t.Context())
	if r.Err != nil || r.Messages != 0 || r.Skipped != 0 || w.remote.fetched != 0 || r.Partial == nil ||
		r.Partial.Code != fault.MessageFailed {
		t.Fatalf("nothing is due: report %+v, %d downloaded", r, w.remote.fetched)
	}
}

const day = 24 * time.Hour

func bothProtocols(t *testing.T, test func(t *testing.T, pop3 bool)) {
	t.Run("imap", func(t *testing.T) { test(t, false) })
	t.Run("pop3", func(t *testing.T) { test(t, true) })
}

func TestAnAccountThatStartsWithNewMailBringsWhatCameSinceAndCanBeWidened(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartNew, pop3)
		w.arrive(120, -90*day)
		w.arrive(5, -2*day)
		w.arrive(2, 0) // After the account was added, before its first visit.
		w.now = w.now.Add(3 * day)
		w.brings(t, 2)
		commits := w.journal.commits
		w.brings(t, 0)
		if w.journal.commits != commits {
			t.Errorf("a visit without news wrote %d times", w.journal.commits-commits)
		}
		w.now = w.now.Add(25 * time.Hour) // All folders are looked at as a whole.
		w.brings(t, 0)
		w.arrive(1, -300*day) // By a clock that is wrong.
		w.brings(t, 1)
		w.arrive(1, -300*day)
		w.route.Start = 30
		w.brings(t, 6)
		w.brings(t, 0)
		w.route.Start = route.StartNew
		w.brings(t, 0)
		w.arrive(1, 5*day)
		w.brings(t, 1)
		w.route.Start = route.StartAll
		w.brings(t, 120)
		w.complete(t)
		w.brings(t, 0)
	})
}

// A narrower start concerns what is not fetched yet; what was fetched stays and
// is not fetched again later.
func TestANarrowerStartConcernsOnlyWhatIsNotFetched(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		w.arrive(40, -90*day)
		w.arrive(10, -10*day)
		w.remote.breakAfter = 15
		if r := w.visit(t.Context()); r.Err == nil || r.Messages != 15 {
			t.Fatalf("report %+v", r)
		}
		w.remote.breakAfter = 0
		w.route.Start = 30
		w.brings(t, 0)
		w.route.Start = route.StartAll
		w.brings(t, 35)
		w.complete(t)
	})
}

func TestAStartSurvivesAFirstVisitThatBreaksOffAnywhere(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		for n := 1; n <= 6; n++ {
			for _, done := range []bool{false, true} {
				w := datedWorld(t, route.StartNew, pop3)
				w.arrive(60, -90*day)
				w.arrive(3, time.Hour)
				w.remote.breakAfter = 2
				w.journal.loseAt, w.journal.loseDone = n, done
				first := w.visit(t.Context())
				w.arrive(2, 2*time.Hour)
				w.remote.breakAfter = 0
				second := w.visit(t.Context())
				third := w.visit(t.Context())
				if third.Err != nil {
					t.Fatalf("commit %d: %+v", n, third)
				}
				if got := len(w.box.folders["Gmail"]); got != 5 {
					t.Errorf("commit %d lost (%v): %d messages, want 5; visits brought %d, %d, %d", n, done, got, first.Messages,
						second.Messages, third.Messages)
				}
				for name, n := range w.box.names {
					if n != 1 {
						t.Errorf("%s was delivered %d times", name, n)
					}
				}
			}
		}
	})
}

func TestByPOP3FewHeadersAreReadWhateverTheOrder(t *testing.T) {
	for _, flipped := range []bool{false, true} {
		w := datedWorld(t, 30, true)
		w.engine.Source = datedRemote{remoteStub: w.remote, pop3: true, flipped: flipped}
		w.arrive(2000, -90*day)
		w.arrive(60, -3*day)
		w.brings(t, 60)
		if w.remote.headers > 250 && !flipped {
			t.Errorf("%d headers were read", w.remote.headers)
		}
		w.brings(t, 0)
	}
}

func TestMessagesWithoutADateAreFetchedWhateverTheStart(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartNew, pop3)
		w.remote.folders[0].add("Subject: no date\r\n\r\nx\r\n")
		w.arrive(3, -day)
		w.brings(t, 1)
	})
}

func TestAChangeOfUIDVALIDITYDoesNotBringWhatWasLeftOut(t *testing.T) {
	w := datedWorld(t, route.StartNew, false)
	w.arrive(20, -90*day)
	w.arrive(4, time.Hour)
	w.brings(t, 4)
	w.remote.folders[0].renumber(8, 500)
	w.arrive(1, 2*time.Hour)
	w.brings(t, 1)
}

// hold puts a small and a large message into a world whose account takes up to
// 100 octets and whose operator takes up to 1000.
func hold(t *testing.T, pop3 bool, large int) *world {
	w := datedWorld(t, route.StartAll, pop3)
	w.route.MaxMessageBytes = 100
	w.remote.folders[0].add("Subject: small\r\n\r\n", "Subject: large\r\n\r\n"+strings.Repeat("x", large),
		"Subject: small too\r\n\r\n")
	w.brings(t, 2)
	return w
}

// ask does what the API does when the owner of a skipped message wants it.
func (w *world) ask(t *testing.T) {
	t.Helper()
	for r, s := range w.journal.skips {
		s.Requested = true
		w.journal.skips[r] = s
	}
}

func (w *world) onlySkip(t *testing.T) (s fetch.Skipped) {
	t.Helper()
	if len(w.journal.skips) != 1 {
		t.Fatalf("%d messages are skipped", len(w.journal.skips))
	}
	for _, s = range w.journal.skips {
	}
	return s
}

func TestATooLargeMessageIsListedNotDownloadedAndFetchedWhenAskedFor(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := hold(t, pop3, 300)
		s := w.onlySkip(t)
		if s.Code != fault.MessageFailed || !s.Held || s.Attempts != 1 ||
			s.Detail.String() != "The message is 318 B large; the "+
				"limit is 100 B." {
			t.Errorf("skipped %+v", s)
		}
		w.now = w.now.Add(25 * time.Hour)
		w.brings(t, 0)
		if s := w.onlySkip(t); s.Attempts != 1 {
			t.Errorf("it was tried by itself: %+v", s)
		}
		w.route.Start = route.StartNew // What is asked for comes whatever the start.
		w.ask(t)
		w.brings(t, 1)
		if len(w.journal.skips) > 0 {
			t.Error("it is still listed")
		}
		w.complete(t)
	})
}

func TestMoreThanTheOperatorTakesIsNotFetchedEvenWhenAskedFor(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := hold(t, pop3, 2000)
		w.ask(t)
		w.brings(t, 0)
		s := w.onlySkip(t)
		if !s.Held || s.Requested || s.Attempts != 2 || s.Detail.String() != "The message is 2 kB large; the "+
			"limit is 1 kB." {
			t.Errorf("skipped %+v", s)
		}
	})
}

// A server's word on the size is not what the limit rests on.
func TestAMessageLargerThanItsServerSaysIsStoppedAtTheLimit(t *testing.T) {
	w := datedWorld(t, route.StartAll, false)
	w.route.MaxMessageBytes = 100
	w.engine.Source = lyingRemote{datedRemote{remoteStub: w.remote}}
	w.remote.folders[0].add("Subject: large\r\n\r\n" + strings.Repeat("x", 300))
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || r.Skipped != 1 {
		t.Fatalf("report %+v", r)
	}
	w.ask(t)
	w.brings(t, 1)
	w.complete(t)
}

type lyingRemote struct{ datedRemote }

func (l lyingRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return l, nil
}

func (l lyingRemote) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return l.datedRemote.List(ctx, qs, func(x mail.Listing, err error) error {
		for i := range x.Items {
			x.Items[i].Size = 1
		}
		return yield(x, err)
	})
}

func TestABadMessageIsTriedAtOnceWhenAskedForAndOnlyOnce(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		const poison = "Subject: poison\r\n\r\n"
		w.remote.folders[0].add("Subject: a\r\n\r\n", poison, "Subject: b\r\n\r\n")
		w.remote.missing[poison] = "the server ends the session"
		if r := w.visit(t.Context()); r.Err != nil || r.Messages != 2 || r.Skipped != 1 {
			t.Fatalf("report %+v", r)
		}
		for range 2 {
			w.now = w.now.Add(40 * time.Minute)
			if r := w.visit(t.Context()); r.Err != nil || r.Skipped != 1 {
				t.Fatalf("tried again: %+v", r)
			}
		}
		w.waits(t) // From now on more rarely.
		w.ask(t)
		if r := w.visit(t.Context()); r.Err != nil || r.Skipped != 1 {
			t.Fatalf("asked for: %+v", r)
		}
		if s := w.onlySkip(t); s.Attempts != 4 || s.Requested {
			t.Errorf("skipped %+v", s)
		}
		w.waits(t)
		delete(w.remote.missing, poison)
		w.ask(t)
		w.brings(t, 1)
		w.complete(t)
	})
}

func TestASkippedMessageThatIsGoneAtTheServerLeavesTheListWhenAskedFor(t *testing.T) {
	w := hold(t, false, 300)
	f := w.remote.folders[0]
	f.uids = slices.Delete(f.uids, 1, 2)
	w.ask(t)
	w.brings(t, 0)
	if len(w.journal.skips) > 0 {
		t.Error("it is still listed")
	}
}
