package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// tally counts the attempts that may be made, and what became of them.
type tally struct {
	mu   sync.Mutex
	said []string
}

func (p *tally) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, what)
}

func (p *tally) Reserve(context.Context, logins.Attempt, logins.Limits) (string, time.Duration, error) {
	p.note("taken")
	return "place", 0, nil
}

func (p *tally) Release(context.Context, string) error {
	p.note("given back")
	return nil
}

func (p *tally) Accept(context.Context, string, logins.Attempt, string) error {
	p.note("given back")
	return nil
}

func (p *tally) Refuse(context.Context, string, logins.Attempt, logins.Limits) error {
	p.note("kept")
	return nil
}

const (
	greeted = "S: * OK [CAPABILITY IMAP4rev1] hello\n"
	asked   = greeted + "C~ TAG LOGIN *\n"
)

// TestOnlyAClearYesFromTheRightServerSignsIn: whatever else a mail server does, nobody
// is signed in, the wait ends, and the place is kept if the password was sent.
func TestOnlyAClearYesFromTheRightServerSignsIn(t *testing.T) {
	t.Parallel()
	ca, stranger := mailtest.NewCA(t), mailtest.NewCA(t)
	const kept, free = "kept", "given back"
	for name, tc := range map[string]struct {
		dialogue string
		security remote.Security
		cert     *mailtest.Certificate
		want     error // Nil: any but those that are distinguished.
		place    string
		signedIn bool
	}{
		"yes": {asked + "S: TAG OK [CAPABILITY IMAP4rev1] welcome", remote.None, nil, nil, free, true},
		"yes, over TLS": {
			"TLS\n" + asked + "S: TAG OK [CAPABILITY IMAP4rev1] welcome", remote.TLS, ca.Server(), nil, free, true,
		},
		"no": {
			asked + "S: TAG NO [AUTHENTICATIONFAILED] wrong", remote.None, nil, account.ErrRefused, kept, false,
		},
		"no, in words":  {asked + "S: TAG NO Invalid credentials", remote.None, nil, account.ErrRefused, kept, false},
		"not now":       {asked + "S: TAG NO [UNAVAILABLE] the directory is away", remote.None, nil, nil, kept, false},
		"bad":           {asked + "S: TAG BAD what", remote.None, nil, nil, kept, false},
		"another's yes": {asked + "S: X99 OK welcome\nSTALL", remote.None, nil, nil, kept, false},
		"an untagged yes": {
			asked + "S: * OK [CAPABILITY IMAP4rev1] welcome\nSTALL", remote.None, nil, nil, kept, false,
		},
		"signed in already":      {"S: * PREAUTH [CAPABILITY IMAP4rev1] welcome", remote.None, nil, nil, free, false},
		"BYE at once":            {"S: * BYE too many connections\nCLOSE", remote.None, nil, nil, free, false},
		"BYE for an answer":      {asked + "S: * BYE going down\nCLOSE", remote.None, nil, nil, kept, false},
		"cut off":                {asked + "RESET", remote.None, nil, nil, kept, false},
		"silent":                 {"STALL", remote.None, nil, nil, free, false},
		"silent behind":          {asked + "STALL", remote.None, nil, nil, kept, false},
		"an endless greeting":    {"S< * OK \nS* 900000 a", remote.None, nil, nil, free, false},
		"an endless answer":      {asked + "S< * OK \nS* 9000000 a", remote.None, nil, nil, kept, false},
		"no mail server":         {"S: 220 mail.test ESMTP", remote.None, nil, nil, free, false},
		"without TLS":            {"S: * OK hello", remote.TLS, nil, nil, free, false},
		"of another authority":   {"TLS\nSTALL", remote.TLS, stranger.Server(), nil, free, false},
		"too old":                {"TLS\nSTALL", remote.TLS, ca.Expired(), nil, free, false},
		"of another name":        {"TLS\nSTALL", remote.TLS, ca.OtherName("imap.other.test"), nil, free, false},
		"STARTTLS is not there":  {greeted + "S: * BYE no\nCLOSE", remote.STARTTLS, nil, nil, free, false},
		"STARTTLS is refused":    {greeted + "C: TAG STARTTLS\nS: TAG NO later", remote.STARTTLS, nil, nil, free, false},
		"STARTTLS is for others": {starttls + "STALL", remote.STARTTLS, stranger.Server(), nil, free, false},
		"STARTTLS with a yes inside": {
			"S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC: TAG STARTTLS\nS< TAG OK go\\r\\n* OK mine\\r\\n\nTLS\nSTALL",
			remote.STARTTLS, ca.Server(), nil, free, false,
		},
		"yes, by STARTTLS": {
			starttls + "C: TAG CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: TAG OK\nC~ TAG LOGIN *\n" +
				"S: TAG OK [CAPABILITY IMAP4rev1] welcome", remote.STARTTLS, ca.Server(), nil, free, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := mailtest.ScriptOptions{Lenient: true, Certificate: tc.cert, CA: ca}
			server := mailtest.Play(t, tc.dialogue, o)
			counted := &tally{}
			p := &passwords{
				server: remote.Server{Host: "localhost", Port: server.Port(), Security: tc.security},
				dialer: outbound.New(outbound.Options{
					AllowNetworks: loopbackNetworks, AllowAnyPort: true, AllowPlaintext: true, RootCAs: ca.Pool(),
				}),
				logins: logins.New(logins.Options{Ledger: counted}), log: slog.New(slog.DiscardHandler),
				patience: soon,
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if strings.Contains(tc.dialogue, "STALL") {
				go func() { // Who asked loses patience when it is certain that no more comes.
					select {
					case <-server.Stalled():
						leave()
					case <-ctx.Done():
					}
				}()
			}
			user, err := owner.Parse(anna)
			if err != nil {
				t.Fatal(err)
			}
			err = p.Check(ctx, httpapi.Client{Addr: netip.MustParseAddr("192.0.2.7")}, user, remote.NewSecret(canary))
			if (err == nil) != tc.signedIn || errors.Is(err, account.ErrRefused) != (tc.want != nil) {
				t.Errorf("it says %v", err)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the password is revealed: %v", err)
			}
			if !slices.Equal(counted.said, []string{"taken", tc.place}) {
				t.Errorf("the place is %q, want it %s", counted.said, tc.place)
			}
			if sent := strings.Contains(server.Sent(), canary); sent != (tc.place == kept || tc.signedIn) {
				t.Errorf("the password was sent: %v", sent)
			}
		})
	}
}

const starttls = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hello\nC: TAG STARTTLS\nS: TAG OK go\nTLS\n"

// TestSilenceOfTheMailServerEnds by itself.
func TestSilenceOfTheMailServerEnds(t *testing.T) {
	t.Parallel()
	server := mailtest.Play(t, "STALL", mailtest.ScriptOptions{Lenient: true})
	p := &passwords{
		server: remote.Server{Host: "localhost", Port: server.Port(), Security: remote.None},
		dialer: outbound.New(outbound.Options{AllowNetworks: loopbackNetworks, AllowAnyPort: true, AllowPlaintext: true}),
		logins: logins.New(logins.Options{Ledger: &tally{}}), log: slog.New(slog.DiscardHandler),
		patience: 50 * time.Millisecond,
	}
	user, err := owner.Parse(anna)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), httpapi.Client{}, user, remote.NewSecret(canary)); err == nil ||
		errors.Is(err, account.ErrRefused) {
		t.Errorf("it says %v", err)
	}
}

// TestUsersOfOtherDomainsAreNotAsked: where names have no domain, its users are not
// taken for another's.
func TestUsersOfOtherDomainsAreNotAsked(t *testing.T) {
	t.Parallel()
	server := mailtest.Play(t, greeted+"C: TAG LOGIN \"anna\" \""+canary+"\"\nS: TAG OK [CAPABILITY IMAP4rev1] welcome",
		mailtest.ScriptOptions{Lenient: true})
	p := &passwords{
		server: remote.Server{Host: "localhost", Port: server.Port(), Security: remote.None}, local: true,
		domains: []string{"firma.test"}, dialer: outbound.New(outbound.Options{
			AllowNetworks: loopbackNetworks, AllowAnyPort: true, AllowPlaintext: true,
		}),
		logins: logins.New(logins.Options{Ledger: &tally{}}), log: slog.New(slog.DiscardHandler), patience: signInPatience,
	}
	check := func(address string) error {
		t.Helper()
		user, err := owner.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return p.Check(t.Context(), httpapi.Client{}, user, remote.NewSecret(canary))
	}
	if err := check("anna@inna.test"); !errors.Is(err, account.ErrRefused) || server.Connections() != 0 {
		t.Errorf("anna of another domain: %v, %d connections", err, server.Connections())
	}
	if err := check(anna); err != nil {
		t.Errorf("anna: %v", err)
	}
	server.Close()
	if !strings.Contains(server.Sent(), "LOGIN ") || strings.Contains(server.Sent(), anna) {
		t.Errorf("the server gets %q", server.Sent())
	}
}
