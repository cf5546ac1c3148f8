package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// TestWhatIsWithheldIsDescribed: of what is too large, and of nothing else, the
// headers are read, and once.
func TestWhatIsWithheldIsDescribed(t *testing.T) {
	bothProtocols(t, func(t *testing.T, pop3 bool) {
		w := datedWorld(t, account.StartAll, pop3)
		w.account.MaxMessageBytes = 100
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
	w := datedWorld(t, account.StartAll, false)
	w.account.MaxMessageBytes = 100
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
	w := datedWorld(t, account.StartAll, false)
	w.account.MaxMessageBytes = 100
	w.engine.Source = headlessRemote{datedRemote{remote: w.remote}}
	w.remote.folders[0].add("Subject: small\r\n\r\n", "Subject: large\r\n\r\n"+strings.Repeat("x", 300))
	w.brings(t, 1)
	if s := w.onlySkip(t); s.About != (mail.Envelope{}) || !s.Held {
		t.Errorf("skipped %+v", s)
	}
}

type headlessRemote struct{ datedRemote }

func (h headlessRemote) Open(context.Context, account.Account, account.Credential) (fetch.Session, error) {
	return h, nil
}

func (headlessRemote) Headers(context.Context, []mail.Want, func(mail.Folder, mail.Item, []byte) error) error {
	return errors.New("the connection ended")
}
