package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// TestWhatIsWithheldIsDescribed: of what is too large, and of nothing else, the
// headers are read, and once.
func TestWhatIsWithheldIsDescribed(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		w.route.MaxMessageBytes = 100
		const head = "From: =?utf-8?Q?Anna_=C5=BB=C3=B3=C5=82w?= <a@firma.test>\r\n" +
			"Date: Fri, 1 Mar 2024 13:30:00 +0100\r\nSubject: large\u202e\r\n"
		w.remote.folders[0].add("Subject: small\r\n\r\n", head+"\r\n"+strings.Repeat("x", 300))
		w.brings(t, 1)
		want := mail.Envelope{
			Sender: "Anna Żółw", Subject: "large", Date: time.Date(2024, 3, 1, 12, 30, 0, 0, time.UTC),
		}
		got := w.onlySkip(t).About
		if got.Date = got.Date.UTC(); got != want {
			t.Errorf("it is described as %+v", got)
		}
		w.now = w.now.Add(25 * time.Hour)
		w.brings(t, 0)
		if w.remote.headers != 1 {
			t.Errorf("%d headers were read", w.remote.headers)
		}
	})
}

// TestNoMoreThanFiveHundredAreDescribed in one visit, however many are withheld.
func TestNoMoreThanFiveHundredAreDescribed(t *testing.T) {
	w := datedWorld(t, route.StartAll, false)
	w.route.MaxMessageBytes = 100
	for i := range 510 {
		w.remote.folders[0].add(fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat("x", 300)))
	}
	w.brings(t, 0)
	described := 0
	for _, s := range w.journal.skips {
		if s.About.Subject != "" {
			described++
		}
	}
	if len(w.journal.skips) != 510 || described != 500 {
		t.Errorf("%d skipped, %d described", len(w.journal.skips), described)
	}
}

// TestAHeaderThatDoesNotComeIsNoFailure: what is withheld is listed all the same,
// and what may be fetched has come before.
func TestAHeaderThatDoesNotComeIsNoFailure(t *testing.T) {
	w := datedWorld(t, route.StartAll, false)
	w.route.MaxMessageBytes = 100
	w.engine.Source = headlessRemote{datedRemote{remoteStub: w.remote}}
	w.remote.folders[0].add("Subject: small\r\n\r\n", "Subject: large\r\n\r\n"+strings.Repeat("x", 300))
	w.brings(t, 1)
	if s := w.onlySkip(t); s.About != (mail.Envelope{}) || !s.Held {
		t.Errorf("skipped %+v", s)
	}
}

// TestWhatTheServerRefusesIsDescribed by the header, which it gives where it does not
// give the message: once, and at no visit that skips nothing new.
func TestWhatTheServerRefusesIsDescribed(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		const poison = "From: =?utf-8?Q?=C5=BBaneta?= <z@firma.test>\r\nDate: Fri, 1 Mar 2024 13:30:00 +0100\r\n" +
			"Subject: Faktura\r\n\r\nx"
		w.remote.folders[0].add("Subject: a\r\n\r\n", "Subject: b\r\n\r\n")
		w.brings(t, 2)
		if w.remote.headers != 0 { // The control.
			t.Fatalf("%d headers were read where nothing is refused", w.remote.headers)
		}
		w.remote.folders[0].add(poison, "Subject: c\r\n\r\n")
		w.remote.missing[poison] = "no"
		if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || r.Skipped != 1 {
			t.Fatalf("report %+v", r)
		}
		want := mail.Envelope{
			Sender: "Żaneta", Subject: "Faktura", Date: time.Date(2024, 3, 1, 12, 30, 0, 0, time.UTC),
		}
		got := w.onlySkip(t)
		if got.About.Date = got.About.Date.UTC(); got.About != want || got.Attempts != 1 || got.Held {
			t.Errorf("listed as %+v", got)
		}
		for range 20 {
			w.now = w.now.Add(30 * time.Minute)
			w.visit(t.Context())
		}
		if got := w.onlySkip(t); w.remote.headers != 1 || got.About.Sender != "Żaneta" || got.Attempts < 3 {
			t.Errorf("%d headers were read; now listed as %+v", w.remote.headers, got)
		}
	})
}

// TestNoMoreThanAHundredThatAreRefusedAreDescribed in one visit; the others are when
// they are tried again.
func TestNoMoreThanAHundredThatAreRefusedAreDescribed(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, route.StartAll, pop3)
		for i := range 110 {
			poison := fmt.Sprintf("Subject: %d\r\n\r\n", i)
			w.remote.folders[0].add(poison)
			w.remote.missing[poison] = "no"
		}
		described := func(want, read int) {
			t.Helper()
			w.visit(t.Context())
			n := 0
			for _, s := range w.journal.skips {
				if s.About.Subject != "" {
					n++
				}
			}
			if n != want || w.remote.headers != read {
				t.Errorf("%d described, %d headers read", n, w.remote.headers)
			}
		}
		described(100, 100)
		w.now = w.now.Add(10 * time.Minute)
		described(100, 100) // They are tried at each visit now, and asked about at none.
		w.now = w.now.Add(time.Hour)
		described(110, 110)
	})
}

// TestAHeaderThatIsRefusedTooCountsForNothing: what comes, how the visit went and when
// the message is tried again are as where the header came, even if the session is
// useless after it.
func TestAHeaderThatIsRefusedTooCountsForNothing(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		const poison = "Subject: poison\r\n\r\n"
		visit := func(refused bool) (fetch.Report, fetch.Skipped) {
			w := datedWorld(t, route.StartAll, pop3)
			w.engine.Window = 2 // Most are fetched after the first that is refused.
			f := w.remote.folders[0]
			f.add(bodies(10, "in")...)
			f.add(poison)
			w.remote.missing[poison] = "no"
			spent := &spentRemote{datedRemote: datedRemote{remoteStub: w.remote, pop3: pop3}, refuses: refused}
			w.engine.Source = spent
			r := w.visit(t.Context())
			if spent.asked != 1 {
				t.Errorf("headers were asked for %d times", spent.asked)
			}
			return r, w.onlySkip(t)
		}
		good, told := visit(false)
		bad, untold := visit(true)
		if good.Messages != 10 || told.About.Subject != "poison" || untold.About.Subject != "" {
			t.Fatalf("control: %+v, %+v; refused: %+v", good, told, untold)
		}
		told.About = mail.Envelope{}
		if diff := cmp.Diff(told, untold); diff != "" {
			t.Errorf("it is listed otherwise (-described +not):\n%s", diff)
		}
		if bad.Err != nil || bad.Messages != good.Messages || bad.Skipped != good.Skipped || bad.More != good.More ||
			bad.Partial.Error() != good.Partial.Error() {
			t.Errorf("the visit went otherwise: %+v, %+v", bad, good)
		}
	})
}

// spentRemote brings no message after headers were asked for.
type spentRemote struct {
	datedRemote
	refuses bool
	asked   int
}

func (s *spentRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return s, nil
}

func (s *spentRemote) Headers(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item,
	[]byte) error,
) error {
	s.asked++
	if s.refuses {
		return &fault.Error{
			Code: fault.RateLimited, Op: "reading headers", Session: true,
			Detail: words.Detail{words.Say("too much")},
		}
	}
	return s.datedRemote.Headers(ctx, ws, take)
}

func (s *spentRemote) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	if s.asked > 0 {
		return fault.New(fault.ServerUnavailable, "fetching", words.Say("the session is spent"))
	}
	return s.datedRemote.Fetch(ctx, ws, take, miss)
}

// TestAMessageOverWhichTheConnectionEndsIsNotAskedAbout: its header might end one more.
func TestAMessageOverWhichTheConnectionEndsIsNotAskedAbout(t *testing.T) {
	w := datedWorld(t, route.StartAll, false)
	w.remote.folders[0].add(bodies(3, "in")...)
	w.engine.Source = endingRemote{datedRemote{remoteStub: w.remote}}
	if r := w.visit(t.Context()); r.Skipped != 3 || w.remote.headers != 0 {
		t.Errorf("%+v, %d headers", r, w.remote.headers)
	}
}

// endingRemote ends the connection over each message.
type endingRemote struct{ datedRemote }

func (e endingRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return e, nil
}

func (endingRemote) Fetch(_ context.Context, ws []mail.Want, _ func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	for _, w := range ws {
		for _, it := range w.Items {
			miss(w.Folder, it, &fault.Error{Code: fault.MessageFailed, Op: "fetching", Ended: true})
		}
	}
	return nil
}

type headlessRemote struct{ datedRemote }

func (h headlessRemote) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return h, nil
}

func (headlessRemote) Headers(context.Context, []mail.Want, func(mail.Folder, mail.Item, []byte) error) error {
	return errors.New("the connection ended")
}
