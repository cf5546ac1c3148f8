package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/source"
)

// dialled adapts the source, as cmd does.
type dialled struct {
	*source.Client
	opened func() // After the first connection.
}

func (s dialled) Open(ctx context.Context, a account.Account, c account.Credential) (fetch.Session, error) {
	defer s.opened()
	return s.Client.Open(ctx, a, c)
}

// cutMail is what lies at the server: short, so that a session has few octets.
func cutMail() (ms []mailtest.Message) {
	for i, m := range []struct{ folder, flags, body string }{
		{"INBOX", "", "short\n"},
		{"INBOX", "S", ".\n..\n.leading dot\nA OK FETCH completed\n* 1 FETCH (UID 1)\n"},
		{"INBOX", "", strings.Repeat("a longer one\n", 12)},
		{"INBOX", "F", ")\n{3}\nabc\n+OK\n-ERR\n"},
		{"Archive/2023", "", "in a folder\n"},
		{"Archive/2023", "RS", strings.Repeat("x", 300) + "\n"},
	} {
		at := time.Date(2023, 5, 1+i, 10, 0, 0, 0, time.UTC)
		ms = append(ms, mailtest.Message{Folder: m.folder, Flags: m.flags, Date: at, Data: []byte(fmt.Sprintf(
			"Date: %s\nSubject: message %d\nMessage-ID: <%d@remote.test>\n\n%s", at.Format(time.RFC1123Z), i, i, m.body))})
	}
	return ms
}

// F33 of the fault matrix.
func TestTheConnectionCutAtAnyOctetShowsNoPartOfAMessageAndTheNextVisitCompletes(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/"})
	mailtest.Fill(t, d, "anna", cutMail())
	look := func() string { return mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret") }
	before := look()
	client := source.New(source.Options{Dialer: outbound.New(outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowAnyPort:  true, AllowPlaintext: true, RootCAs: d.CA.Pool(),
	})})
	for _, tc := range []struct {
		name     string
		protocol account.Protocol
		security account.Security
		service  string
		stride   int64 // In the short version.
	}{
		{"IMAP in plaintext", account.IMAP, account.None, "imap", 61},
		{"IMAP in TLS", account.IMAP, account.TLS, "imaps", 211},
		{"POP3 in plaintext", account.POP3, account.None, "pop3", 47},
		{"POP3 in TLS", account.POP3, account.TLS, "pop3s", 211},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := oracle{}
			for _, m := range cutMail() {
				if tc.protocol == account.IMAP || m.Folder == "INBOX" {
					want[string(m.Data)]++
				}
			}
			k := newKiller(t, databases(t)["SQLite"])
			var mu sync.Mutex // Of t.Error's callers nothing else is shared.
			// once: only the first connection is cut, else every one of the visit.
			cycle := func(p *mailtest.Proxy, n int64, once bool) (traffic int64, err error) {
				port := account.Server{Host: "localhost", Port: p.Port(), Security: tc.security}
				pr, err := enrol(t.Context(), k.db, k.root, k.dsn, k.cycles.Add(1), tc.protocol, port, "anna")
				if err != nil {
					return 0, err
				}
				opened := func() {}
				if once {
					opened = p.Heal // It bears on later connections.
				}
				visit := func() error {
					r, _, err := pr.visit(t.Context(), k.db, k.db.Journal(), dialled{client, opened}, func(string) {})
					return errors.Join(err, r.Err)
				}
				if n >= 0 {
					p.CutAfter(n)
				}
				was := p.Traffic().Down
				first := visit()
				traffic = p.Traffic().Down - was
				bad := want.partial(pr.home(), nil)
				p.Heal()
				second := visit()
				verdict := want.verdict(pr.home(), nil)
				mu.Lock()
				defer mu.Unlock()
				if bad != nil || second != nil || verdict != "" {
					t.Errorf("cut after %d octets, once=%v (first visit: %v): %v; the next visit: %v, %s", n, once, first, bad, second, verdict)
				}
				return traffic, nil
			}
			proxies := make(chan *mailtest.Proxy, 4)
			for range cap(proxies) {
				proxies <- mailtest.StartProxy(t, d.Addr(tc.service))
			}
			p := <-proxies
			whole, err := cycle(p, -1, true)
			proxies <- p
			if err != nil {
				t.Fatal(err)
			}
			by := tc.stride
			if long() {
				by = 1
			}
			from := rand.Int64N(by)
			var cuts atomic.Int64
			each(t, func(i int64) (bool, error) {
				n := from + (i-1)*by
				if n >= whole {
					return false, nil
				}
				p := <-proxies
				defer func() { proxies <- p }()
				for _, once := range []bool{true, false} {
					if !long() && once != (i%2 == 0) {
						continue
					}
					if _, err := cycle(p, n, once); err != nil {
						return true, err
					}
					cuts.Add(1)
				}
				return true, nil
			})
			t.Logf("cut %d times in %d octets, at every %d from %d", cuts.Load(), whole, by, from)
			if want := whole / by; cuts.Load() < want {
				t.Errorf("%d cuts, want %d", cuts.Load(), want)
			}
		})
	}
	if after := look(); after != before {
		t.Errorf("the remote changed:\n%s\nwas:\n%s", after, before)
	}
	if n := client.Refused(); n != 0 {
		t.Errorf("%d commands were refused", n)
	}
}
