package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// doctor looks at signing in: each way that is well and each fault, in a
// pseudo-terminal, with what to do. The controls are the rows that are "ok".
func TestDoctorLooksAtSigningIn(t *testing.T) {
	t.Parallel()
	ca, stranger := mailtest.NewCA(t), mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{anna: canary}, CA: ca})
	const secret = "tajemnica-klienta-7Wz"
	o := mailtest.StartOpenID(t, ca, "https://p.test/signin/callback", secret, nil)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"issuer":"https://inny.test"}`)
	}))
	t.Cleanup(other.Close)
	imap := func(port int, security string, more ...string) []string {
		return append([]string{
			"WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=localhost", fmt.Sprintf("SIGNIN_IMAP_PORT=%d", port),
			"SIGNIN_IMAP_SECURITY=" + security, "SIGNIN_IMAP_CA_FILE=" + ca.File,
		}, more...)
	}
	played := func(dialogue string, security string) []string {
		return imap(mailtest.Play(t, dialogue, mailtest.ScriptOptions{Lenient: true, CA: ca, Repeat: true}).Port(), security)
	}
	header := func(proxies string, more ...string) []string {
		return append([]string{"WEB_SIGNIN=header", "SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES=" + proxies}, more...)
	}
	oidc := func(issuer string, more ...string) []string {
		return append([]string{
			"WEB_SIGNIN=oidc", "WEB_PUBLIC_URL=https://p.test", "SIGNIN_OIDC_ISSUER=" + issuer, "SIGNIN_OIDC_CLIENT_ID=mb",
		}, more...)
	}
	const known = "SIGNIN_OIDC_CLIENT_SECRET=" + secret
	for name, tc := range map[string]struct {
		env                []string
		status, says, does string
	}{
		"none": {nil, "ok", "with no address", "web.brand.help_url"},
		"none, with help": {
			[]string{"WEB_BRAND_HELP_URL=https://pomoc.test"}, "ok", "for help to https://pomoc.test", "",
		},
		"imap by TLS":      {imap(d.IMAPS, "tls"), "ok", "is reached by TLS 1.3, and its certificate is trusted", ""},
		"imap by STARTTLS": {imap(d.IMAP, "starttls"), "ok", "no password goes there without TLS", ""},
		"imap, here":       {imap(d.IMAP, "none"), "ok", "do not leave this machine", ""},
		"imap, nobody there": {
			imap(closedPort(t), "tls"), "FAIL", "cannot be asked", "that the server runs",
		},
		"imap without STARTTLS": {
			played("S: * OK [CAPABILITY IMAP4rev1] hello\nCLOSE", "starttls"), "FAIL", "STARTTLS", "offer STARTTLS",
		},
		"imap that refuses passwords in the clear": {
			played("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hello\nCLOSE", "none"), "FAIL", "not encrypted",
			`signin.imap.security to "tls"`,
		},
		"imap that is plain where TLS is due": {
			played("S: * OK [CAPABILITY IMAP4rev1] hello\nCLOSE", "tls"), "FAIL", "cannot be asked", "993 and tls",
		},
		"imap of an unknown authority": {
			imap(d.IMAPS, "tls", "SIGNIN_IMAP_CA_FILE="+stranger.File), "FAIL", "certificate", "signin.imap.ca_file",
		},
		"imap of an unknown name": {
			imap(d.IMAPS, "tls", "SIGNIN_IMAP_HOST=poczta.invalid"), "FAIL", "poczta.invalid", "correct signin.imap.host",
		},
		"imap behind a proxy that is not told of": {
			imap(d.IMAPS, "tls", "WEB_PUBLIC_URL=https://p.test"), "warn", "count as one client", "set trusted_proxies",
		},
		"header": {
			header("127.0.0.1,192.0.2.0/24"), "ok", "Remote-Email counts from trusted_proxies alone (127.0.0.1, 192.0.2.0/24)",
			"remove what browsers send",
		},
		"header from everywhere inside": {header("10.0.0.0/8"), "warn", "10.0.0.0/8 can sign in as anybody", "alone"},
		"header from everywhere inside, in halves": {
			header("10.128.0.0/9,10.0.0.0/9"), "warn", "10.0.0.0/8 can sign in as anybody", "alone",
		},
		"header, and everybody may come": {
			header("192.0.2.1", "LISTEN=:8080"), "warn", "open to everybody", "set listen to an address",
		},
		"oidc": {
			oidc(o.Issuer, known), "ok", "back to https://p.test/signin/callback", "register exactly this address",
		},
		"oidc without a secret": {oidc(o.Issuer), "warn", "no client secret", "signin.oidc.client_secret"},
		"oidc of anybody's word": {
			oidc(o.Issuer, known, "SIGNIN_OIDC_ALLOW_UNVERIFIED=true"), "warn", "not verified", "signin.oidc.allow_unverified",
		},
		"oidc of another issuer": {
			oidc(other.URL, known), "FAIL", `of another issuer: "https://inny.test"`, "exactly the issuer that " + other.URL,
		},
		"oidc, nobody there": {
			oidc(fmt.Sprintf("http://127.0.0.1:%d", closedPort(t)), known), "FAIL", "cannot be asked",
			"/.well-known/openid-configuration",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ca, tc.env...)
			s.secrets = append(s.secrets, secret)
			s.ok("", "init")
			status, shown := s.showing(400, nil, "doctor")
			var said []string // Each finding, with what to do.
			for line := range strings.Lines(shown) {
				if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, " ") && len(said) > 0 {
					said[len(said)-1] += line
				} else if _, of, _ := strings.Cut(line, "  "); strings.HasPrefix(strings.TrimSpace(of), "web.signin ") {
					said = append(said, line)
				} else {
					said = append(said, "")
				}
			}
			found, fails := false, false
			for _, f := range said {
				fails = fails || strings.HasPrefix(f, "FAIL")
				found = found || strings.HasPrefix(f, tc.status) && strings.Contains(f, tc.says) &&
					strings.Contains(f, tc.does) && strings.Contains(f, "> ") == (tc.does != "")
			}
			if !found || fails != (tc.status == "FAIL") || status != exitFailed && fails || status != exitOK && !fails {
				t.Errorf("status %d, want %s %q, %q:\n%s", status, tc.status, tc.says, tc.does, shown)
			}
		})
	}
}
