package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// filled starts a Dovecot with n messages in the inbox and opens a session, at
// the given port or its own.
func filled(t *testing.T, n int, port func(*mailtest.Dovecot) int) (*Session, mail.Want) {
	t.Helper()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(3, n, false))
	server := remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}
	if port != nil {
		server.Port = port(d)
	}
	session, err := loopback(d.CA, nil).Open(t.Context(), remote.Mailbox{Server: server, Protocol: remote.IMAP},
		credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	var want mail.Want
	err = session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}}}, func(l mail.Listing,
		err error,
	) error {
		want = mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items}
		return err
	})
	if err != nil || len(want.Items) != n {
		t.Fatalf("listed %d: %v", len(want.Items), err)
	}
	return session, want
}

func noMiss(t *testing.T) missFunc {
	return func(_ mail.Folder, it mail.Item, why *fault.Error) { t.Errorf("missed %d: %v", it.ID.UID, why) }
}

func TestTheCallersErrorIsReturnedAsItIs(t *testing.T) {
	session, want := filled(t, 30, nil)
	stop := errors.New("the mailbox is full")
	taken := 0
	err := session.Fetch(t.Context(), []mail.Want{want}, func(_ mail.Folder, _ mail.Item, body io.Reader) error {
		if taken++; taken == 5 {
			return stop // With the body unread.
		}
		_, err := io.Copy(io.Discard, body)
		return err
	}, noMiss(t))
	if err != stop || taken != 5 {
		t.Errorf("after %d messages: %v", taken, err)
	}
	queries := []mail.Query{{Folder: want.Folder}, {Folder: want.Folder}}
	if err := session.List(t.Context(), queries, func(mail.Listing, error) error { return stop }); err != stop {
		t.Errorf("listing: %v", err)
	}
	if err := session.Leave(t.Context()); err != nil {
		t.Errorf("leaving: %v", err)
	}
}

func TestFetchEndsWithItsContextOrTheSession(t *testing.T) {
	for _, how := range []string{"context", "close"} {
		t.Run(how, func(t *testing.T) {
			session, want := filled(t, 30, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := session.Fetch(ctx, []mail.Want{want}, func(_ mail.Folder, _ mail.Item, body io.Reader) error {
				if how == "context" {
					cancel()
				} else {
					session.Close()
				}
				_, err := io.Copy(io.Discard, body)
				return err
			}, noMiss(t))
			if fault.CodeOf(err) != fault.Interrupted || how == "context" && !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			_, err = session.Folders(t.Context())
			if how == "context" && err != nil {
				t.Errorf("the session is of no more use: %v", err)
			} else if how == "close" && err == nil {
				t.Error("a closed session was used")
			}
		})
	}
}

// A connection that breaks, wherever it does, costs no message: the session
// makes a new one, and no body is taken cut short.
func TestABrokenConnectionIsReplaced(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // Behind the servers' own.
	var proxy *mailtest.Proxy
	session, want := filled(t, 120, func(d *mailtest.Dovecot) int {
		proxy = mailtest.StartProxy(t, d.Addr("imaps"))
		t.Cleanup(proxy.Close)
		return proxy.Port()
	})
	for _, breaks := range []int{1, 30, 119} {
		took := map[uint32]int{}
		err := session.Fetch(t.Context(), []mail.Want{want}, func(_ mail.Folder, it mail.Item, body io.Reader) error {
			if len(took) == breaks && took[0] == 0 {
				took[0]++
				proxy.CutAll()
			}
			n, err := io.Copy(io.Discard, body)
			if err != nil {
				return fmt.Errorf("staging: %w", err)
			}
			if n != it.Size {
				t.Errorf("%d has %d octets, want %d", it.ID.UID, n, it.Size)
			}
			took[it.ID.UID]++
			return nil
		}, noMiss(t))
		delete(took, 0)
		if err != nil || len(took) != 120 || slices.Max(slices.Collect(maps.Values(took))) != 1 {
			t.Errorf("broken after %d: took %d, %v", breaks, len(took), err)
		}
	}
	session.Close()
}

// What is missed for its size is not asked for.
func TestDeclaredSizeIsEnough(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", []mailtest.Message{
		{Folder: "INBOX", Date: time.Unix(1e9, 0), Data: []byte("Subject: a\n\n" + strings.Repeat("x", 5000))},
		{Folder: "INBOX", Date: time.Unix(1e9, 0), Data: []byte("Subject: b\n\nb\n")},
	})
	var asked strings.Builder
	c := loopback(d.CA, func(o *Options) {
		o.MaxMessageBytes = 1000
		o.Transcript = func(line string) {
			if strings.Contains(line, "BODY.PEEK") {
				asked.WriteString(line)
			}
		}
	})
	session, err := c.Open(t.Context(), remote.Mailbox{Server: remote.Server{
		Host: "localhost", Port: d.IMAPS,
		Security: remote.TLS,
	}, Protocol: remote.IMAP}, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var missed, took []uint32
	var want mail.Want
	err = session.List(t.Context(), []mail.Query{{Folder: mail.Folder{Wire: "INBOX"}, From: 1}}, func(l mail.Listing,
		err error,
	) error {
		want = mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = session.Fetch(t.Context(), []mail.Want{want}, func(_ mail.Folder, it mail.Item, body io.Reader) error {
		took = append(took, it.ID.UID)
		_, err := io.Copy(io.Discard, body)
		return err
	}, func(_ mail.Folder, it mail.Item, why *fault.Error) {
		if why.Code == fault.MessageFailed {
			missed = append(missed, it.ID.UID)
		}
	})
	if err != nil || !slices.Equal(missed, []uint32{1}) || !slices.Equal(took, []uint32{2}) ||
		!strings.Contains(asked.String(), "UID FETCH 2 (") {
		t.Errorf("missed %v, took %v, asked %q: %v", missed, took, asked.String(), err)
	}
}
