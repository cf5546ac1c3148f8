package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
)

// dialled adapts the source, as cmd does.
type dialled struct {
	*source.Client
	opened func() // After the first connection.
}

func (s dialled) Open(ctx context.Context, a remote.Mailbox, c remote.Credential) (fetch.Session, error) {
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

// cutWorld is a proxy that cuts, and a database and mailboxes of its own: the
// cycles of different worlds do not wait for each other.
type cutWorld struct {
	*killer
	proxy *mailtest.Proxy
}

// cutWorlds makes n of them in memory: what survives a power cut is not what is
// tested.
func cutWorlds(t *testing.T, n int, target string) chan cutWorld {
	t.Helper()
	dir := mailtest.InMemory(t)
	all := make(chan cutWorld, n)
	for i := range n {
		own := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		k := newKiller(t, migrated.SQLite(t, filepath.Join(own, "journal.db")))
		k.root = own
		all <- cutWorld{k, mailtest.StartProxy(t, target)}
	}
	return all
}

// F33 of the fault matrix. In the long version the connection is cut at every
// octet, the first one of the visit alone and every one of it; in TLS, where any
// octet of a record is worth all of it, in one of both ways.
func TestTheConnectionCutAtAnyOctetShowsNoPartOfAMessageAndTheNextVisitCompletes(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/"})
	mailtest.Fill(t, d, "anna", cutMail())
	look := func() string { return mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret") }
	before := look()
	client := source.New(source.Options{Dialer: outbound.New(outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowAnyPort:  true, AllowPlaintext: true, RootCAs: d.CA.Pool(),
	})})
	t.Run("cuts", func(t *testing.T) { // All of them end before the remote is looked at.
		for _, tc := range []struct {
			name     string
			protocol remote.Protocol
			security remote.Security
			service  string
			stride   int64 // But in the long version.
			worlds   int   // A POP3 visit that is cut again and again mostly waits.
		}{
			{"IMAP in plaintext", remote.IMAP, remote.None, "imap", 61, 6},
			{"IMAP in TLS", remote.IMAP, remote.TLS, "imaps", 211, 6},
			{"POP3 in plaintext", remote.POP3, remote.None, "pop3", 47, 24},
			{"POP3 in TLS", remote.POP3, remote.TLS, "pop3s", 211, 24},
		} {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				want := oracle{}
				for _, m := range cutMail() {
					if tc.protocol == remote.IMAP || m.Folder == "INBOX" {
						want[string(m.Data)]++
					}
				}
				by, workers := mailtest.Stride(t, tc.stride, 30*tc.stride), 4
				if mailtest.Long() {
					workers = tc.worlds
				}
				worlds := cutWorlds(t, workers, d.Addr(tc.service))
				// once: only the first connection is cut, else every one of the visit.
				cycle := func(n int64, once bool) (traffic int64, err error) {
					w := <-worlds
					defer func() { worlds <- w }()
					port := remote.Server{Host: "localhost", Port: w.proxy.Port(), Security: tc.security}
					pr, err := enrol(t.Context(), w.db, w.root, w.dsn, w.cycles.Add(1), tc.protocol, port, "anna")
					if err != nil {
						return 0, err
					}
					opened := func() {}
					if once {
						opened = w.proxy.Heal // It affects later connections.
					}
					var lease fetch.Lease
					visit := func() (err error) {
						var r fetch.Report
						r, lease, err = pr.visit(t.Context(), w.db, w.db.Journal(), dialled{client, opened}, func(string) {})
						return errors.Join(err, r.Err)
					}
					if n >= 0 {
						w.proxy.CutAfter(n)
					}
					was := w.proxy.Traffic().Down
					first := visit()
					traffic = w.proxy.Traffic().Down - was
					bad := want.partial(pr.home(), nil)
					w.proxy.Heal()
					second := visit()
					verdict := want.verdict(pr.home(), nil) + pr.inconsistent(t.Context(), w.db, lease)
					if bad != nil || second != nil || verdict != "" {
						t.Errorf("cut after %d octets, once=%v (first visit: %v): %v; the next visit: %v, %s", n, once, first, bad,
							second, verdict)
					}
					return traffic, os.RemoveAll(pr.home())
				}
				whole, err := cycle(-1, true)
				if err != nil {
					t.Fatal(err)
				}
				from := rand.Int64N(by)
				var cuts atomic.Int64
				each(t, workers, func(i int64) (bool, error) {
					n := from + (i-1)*by
					if n >= whole {
						return false, nil
					}
					for _, once := range []bool{true, false} {
						if (!mailtest.Long() || tc.security == remote.TLS) && once != (i%2 == 0) {
							continue
						}
						if _, err := cycle(n, once); err != nil {
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
	})
	if after := look(); after != before {
		t.Errorf("the remote changed:\n%s\nwas:\n%s", after, before)
	}
	if n := client.Refused(); n != 0 {
		t.Errorf("%d commands were refused", n)
	}
}
