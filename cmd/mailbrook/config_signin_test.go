package main

import (
	"strings"
	"testing"
)

// TestAWayToSignInThatCannotWorkIsRefused: each mistake names its key and says what
// to do; the control is the same without it.
func TestAWayToSignInThatCannotWorkIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	imap := []string{"WEB_SIGNIN=imap", "SIGNIN_IMAP_HOST=imap.firma.test"}
	header := []string{"WEB_SIGNIN=header", "SIGNIN_HEADER_NAME=Remote-Email", "TRUSTED_PROXIES=127.0.0.1"}
	oidc := []string{
		"WEB_SIGNIN=oidc", "SIGNIN_OIDC_ISSUER=https://login.firma.test", "SIGNIN_OIDC_CLIENT_ID=mailbrook",
		"WEB_PUBLIC_URL=https://mail.firma.test",
	}
	for name, tc := range map[string]struct {
		environ []string
		further string
		says    []string // Nil: it is accepted.
	}{
		"imap":                        {imap, "", nil},
		"header":                      {header, "", nil},
		"oidc":                        {oidc, "", nil},
		"oidc on this machine":        {oidc, "SIGNIN_OIDC_ISSUER=http://127.0.0.1:5556/dex", nil},
		"imap without TLS, here":      {append(imap, "SIGNIN_IMAP_HOST=127.0.0.1"), "SIGNIN_IMAP_SECURITY=none", nil},
		"imap without a domain":       {append(imap, "SIGNIN_DOMAINS=firma.test"), "SIGNIN_IMAP_LOGIN=local", nil},
		"a way unheard of":            {nil, "WEB_SIGNIN=password", []string{"web.signin", "none, imap, header or oidc"}},
		"imap without a server":       {nil, "WEB_SIGNIN=imap", []string{"signin.imap.host", "web.signin"}},
		"imap without TLS, elsewhere": {imap, "SIGNIN_IMAP_SECURITY=none", []string{"signin.imap.security", `"tls"`}},
		"imap, two hosts in one": {
			imap, "SIGNIN_IMAP_HOST=a.test:143",
			[]string{"signin.imap.host", "imap.example.org"},
		},
		"imap, no port": {imap, "SIGNIN_IMAP_PORT=0", []string{"signin.imap.port", "65535"}},
		"imap, no file": {
			imap, "SIGNIN_IMAP_CA_FILE=/no/such.pem",
			[]string{"signin.imap.ca_file", "/no/such.pem"},
		},
		"imap, security unheard of":  {imap, "SIGNIN_IMAP_SECURITY=ssl", []string{"signin.imap.security", "starttls"}},
		"imap, a login unheard of":   {imap, "SIGNIN_IMAP_LOGIN=name", []string{"signin.imap.login", "address or local"}},
		"imap, users of all domains": {imap, "SIGNIN_IMAP_LOGIN=local", []string{"signin.domains", "signin.imap.login"}},
		"imap, no domain":            {imap, "SIGNIN_DOMAINS=@firma.test", []string{"signin.domains", "example.org"}},
		"header without a name":      {header[:1], "", []string{"signin.header.name", "Remote-Email"}},
		"header without a proxy":     {header[:2], "", []string{"trusted_proxies", "anybody could send"}},
		"header from everybody":      {header, "TRUSTED_PROXIES=0.0.0.0/0", []string{"trusted_proxies", "whole internet"}},
		"header from all of IPv6": {
			header, "TRUSTED_PROXIES=10.0.0.1,::/0",
			[]string{"trusted_proxies", "whole internet"},
		},
		"no proxy's address": {
			header, "TRUSTED_PROXIES=proxy.firma.test",
			[]string{"trusted_proxies", "10.0.0.0/8"},
		},
		"the header of a cookie":  {header, "SIGNIN_HEADER_NAME=cookie", []string{"signin.header.name", "Remote-Email"}},
		"a header with a colon":   {header, "SIGNIN_HEADER_NAME=Remote-Email:", []string{"signin.header.name"}},
		"a header of browsers":    {header, "SIGNIN_HEADER_NAME=sec-fetch-user", []string{"signin.header.name"}},
		"oidc without an issuer":  {oidc[:1], "", []string{"signin.oidc.issuer", "web.signin"}},
		"oidc without a client":   {oidc[:2], "", []string{"signin.oidc.client_id"}},
		"oidc without an address": {oidc[:3], "", []string{"web.public_url"}},
		"oidc without TLS": {
			oidc, "SIGNIN_OIDC_ISSUER=http://login.firma.test",
			[]string{"signin.oidc.issuer", "https://"},
		},
		"oidc without a claim": {oidc, "SIGNIN_OIDC_CLAIM=", []string{"signin.oidc.claim"}},
	} {
		t.Run(name, func(t *testing.T) {
			var environ []string
			for _, v := range append(tc.environ[:len(tc.environ):len(tc.environ)], tc.further) {
				if v != "" {
					environ = append(environ, "MAILBROOK_"+v)
				}
			}
			_, err := loadConfig("", environ, nil)
			if (err == nil) != (tc.says == nil) {
				t.Fatalf("it says %v", err)
			}
			for _, want := range tc.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}
