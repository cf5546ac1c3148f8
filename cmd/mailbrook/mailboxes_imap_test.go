package main

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Accounts may not name the host that mail is delivered to, unless it is this machine, where others may be.
func TestTheServerOfMailboxesIsOneOfOurOwn(t *testing.T) {
	for host, want := range map[string][]string{
		"dovecot": {"a.test", "dovecot"}, "localhost": {"a.test"}, "127.0.0.1": {"a.test"}, "": {"a.test"},
		"a.test": {"a.test"},
	} {
		c := config{
			Mailbox: mailboxIMAP, IMAP: imapConfig{Address: imapAddress{Host: host}},
			Remote: remoteConfig{OwnHosts: []string{"a.test"}},
		}
		if got := c.ownHosts(); !slices.Equal(got, want) {
			t.Errorf("%q: %q", host, got)
		}
		c.Mailbox = "maildir:/srv/mail/{user}"
		if got := c.ownHosts(); !slices.Equal(got, []string{"a.test"}) {
			t.Errorf("%q, with Maildirs: %q", host, got)
		}
	}
}

// Without TLS nothing but this machine and the networks that are named is reached, with TLS everything.
func TestWithoutTLSOnlyNetworksOfOursAreReached(t *testing.T) {
	for _, tc := range []struct {
		security remote.Security
		host     string
		reached  bool
	}{
		{remote.None, "127.0.0.1", true},
		{remote.None, "172.22.1.250", true},
		{remote.None, "10.0.0.1", false},
		{remote.None, "8.8.8.8", false},
		{remote.TLS, "8.8.8.8", true},
		{remote.TLS, "10.0.0.1", true},
		{remote.STARTTLS, "172.22.1.250", true},
	} {
		d, err := config{
			IMAP:   imapConfig{Security: tc.security},
			Remote: remoteConfig{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("172.22.1.0/24")}},
		}.imapDialer(time.Now)
		if err != nil {
			t.Fatal(err)
		}
		err = d.CheckServer(tc.host, 143, string(tc.security))
		if (err == nil) != tc.reached || err != nil && fault.CodeOf(err) != fault.HostNotAllowed {
			t.Errorf("%s at %s: %v", tc.security, tc.host, err)
		}
	}
}

// Each way to sign in names the user where its server looks for it.
func TestWhoSignsInForAUser(t *testing.T) {
	o, err := owner.Parse(anna)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ login, user, username, behalf string }{
		{"{user}*mailbrook", "", anna + "*mailbrook", ""},
		{"{user}%mailbrook", "", anna + "%mailbrook", ""},
		{loginAuthzid, "mailbrook", "mailbrook", anna},
	} {
		l := config{IMAP: imapConfig{Login: tc.login, User: tc.user, Password: remote.NewSecret("x")}}.newMailboxLogins(nil,
			nil, nil, time.Now)
		got, err := l.login(t.Context(), o)
		if err != nil || got.Credential.Username != tc.username || got.OnBehalfOf != tc.behalf ||
			got.Credential.Secret.Reveal() != "x" {
			t.Errorf("%s: %+v, %v", tc.login, got, err)
		}
	}
}
