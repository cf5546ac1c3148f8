package main

import (
	"fmt"
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
		"header from everybody, in halves": {
			header, "TRUSTED_PROXIES=0.0.0.0/1,128.0.0.0/1",
			[]string{"trusted_proxies", "0.0.0.0/1,128.0.0.0/1", "whole internet", "own addresses"},
		},
		"header from everybody, in overlapping parts": {
			header, "TRUSTED_PROXIES=128.0.0.0/1,0.0.0.0/2,64.0.0.0/2,1.2.3.4", []string{"trusted_proxies", "whole internet"},
		},
		"header from all of IPv6, in halves": {
			header, "TRUSTED_PROXIES=::/1,8000::/1", []string{"trusted_proxies", "whole internet"},
		},
		"header from everybody, mapped": {
			header, "TRUSTED_PROXIES=::ffff:0.0.0.0/96", []string{"trusted_proxies", "whole internet"},
		},
		"header from all that is mapped, and more": {
			header, "TRUSTED_PROXIES=::ffff:10.0.0.1/64", []string{"trusted_proxies", "IPv4 or of IPv6"},
		},
		"header from a part that is too large": {
			header, "TRUSTED_PROXIES=8.0.0.0/7", []string{"trusted_proxies", "a large part"},
		},
		"header from parts that are too large together": {
			header, "TRUSTED_PROXIES=8.0.0.0/9,20.0.0.0/9,30.0.0.0/9", []string{"trusted_proxies", "a large part"},
		},
		"header from nobody": {
			header, "TRUSTED_PROXIES=0.0.0.0", []string{"trusted_proxies", "nobody connects from 0.0.0.0"},
		},
		"a password from everybody": { // They would say from where they guess.
			imap, "TRUSTED_PROXIES=0.0.0.0/1,128.0.0.0/1", []string{"trusted_proxies", "whole internet"},
		},
		"header from all inside": {
			header, "TRUSTED_PROXIES=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10," +
				"127.0.0.1,::1,fd00::/8,fe80::/10", nil,
		},
		"header from a service's networks": {
			header, "TRUSTED_PROXIES=173.245.48.0/20,103.21.244.0/22,104.16.0.0/13,172.64.0.0/13," +
				"2400:cb00::/32,2606:4700::/32," +
				"2a06:98c0::/29", nil,
		},
		"header from one /8": {header, "TRUSTED_PROXIES=8.0.0.0/9,8.128.0.0/9,8.1.2.3", nil},
		"no proxy's address": {
			header, "TRUSTED_PROXIES=proxy.firma.test",
			[]string{"trusted_proxies", "10.0.0.0/8"},
		},
		"the header of a cookie":   {header, "SIGNIN_HEADER_NAME=cookie", []string{"signin.header.name", "Remote-Email"}},
		"a header of no letters":   {header, "SIGNIN_HEADER_NAME=Remote_Email", []string{"signin.header.name", "hyphens"}},
		"oauth2-proxy's header":    {header, "SIGNIN_HEADER_NAME=x-forwarded-email", nil},
		"another of proxies' ways": {header, "SIGNIN_HEADER_NAME=X-Auth-Request-Email", nil},
		"a header with a colon":    {header, "SIGNIN_HEADER_NAME=Remote-Email:", []string{"signin.header.name"}},
		"a header of browsers":     {header, "SIGNIN_HEADER_NAME=sec-fetch-user", []string{"signin.header.name"}},
		"oidc without an issuer":   {oidc[:1], "", []string{"signin.oidc.issuer", "web.signin"}},
		"oidc without a client":    {oidc[:2], "", []string{"signin.oidc.client_id"}},
		"oidc without an address":  {oidc[:3], "", []string{"web.public_url"}},
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
			_, err := loadConfig(t.Context(), "", environ, nil)
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

// TestAHeaderThatClientsSendThemselvesNamesNobody: each of them is refused, however it
// is spelt, with what to do.
func TestAHeaderThatClientsSendThemselvesNamesNobody(t *testing.T) {
	for _, name := range []string{
		"User-Agent", "user-agent", "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "Content-Length",
		"Connection", "Keep-Alive", "Via", "X-Request-Id", "X-Mailbrook", "Host", "Cookie", "Authorization", "Sec-Fetch-Site",
		"Sec-Ch-Ua", "Referer", "Origin", "If-None-Match", "Range", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Real-IP", "From", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Dnt", "Priority", "Proxy-Authorization",
		"X-Requested-With", "Idempotency-Key", "Last-Event-ID", "Cache-Control", "Pragma", "Traceparent", "Purpose",
	} {
		_, err := parseHeader(name)
		if err == nil || !strings.Contains(err.Error(), "anybody's word") || !strings.Contains(err.Error(), "Remote-Email") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{ // The control.
		"Remote-Email", "Remote-User", "X-Remote-User", "X-Auth-Request-Email", "X-Forwarded-Email", "X-Forwarded-User",
		"Tailscale-User-Login", "Cf-Access-Authenticated-User-Email", "X-Authentik-Email", "X-Webauth-User",
	} {
		if got, err := parseHeader(strings.ToLower(name)); err != nil || got != name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// TestNetworksAreWhatTheOperatorMeans: an IPv4 address that is written as IPv6 is one,
// for proxies and for servers that accounts may name.
func TestNetworksAreWhatTheOperatorMeans(t *testing.T) {
	for text, want := range map[string]string{
		"::ffff:127.0.0.1":          "127.0.0.1/32",
		"::ffff:7f00:1":             "127.0.0.1/32",
		"::ffff:10.1.2.3/104":       "10.0.0.0/8",
		"::FFFF:192.0.2.0/120, ::1": "192.0.2.0/24 ::1/128",
		"::127.0.0.1":               "::7f00:1/128", // Not that kind of address.
		"::/64":                     "::/64",
		"10.0.0.5/8":                "10.0.0.0/8",
		"192.0.2.7":                 "192.0.2.7/32",
		"::ffff:127.0.0.1/95":       "",
		"fe80::1%eth0":              "",
		"127.0.0.0/33":              "",
	} {
		networks, err := parseNetworks(text)
		if got := strings.Trim(fmt.Sprint(networks), "[]"); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"::ffff:127.0.0.1, 127.0.0.1":                          "127.0.0.1/32",
		"10.1.0.0/16, 10.0.0.0/16, 10.2.0.0/15":                "10.0.0.0/14",
		"10.0.0.0/8, 10.1.2.3, 11.0.0.0/9":                     "10.0.0.0/8 11.0.0.0/9",
		"10.1.0.0/16, 10.2.0.0/16":                             "10.1.0.0/16 10.2.0.0/16", // No halves of one.
		"192.168.0.1, 192.168.0.0, fd00::, fd00::1, 127.0.0.1": "127.0.0.1/32 192.168.0.0/31 fd00::/127",
	} {
		networks, err := parseProxies(text)
		if got := strings.Trim(fmt.Sprint(merged(networks)), "[]"); got != want || err != nil {
			t.Errorf("%s is %q, %v", text, got, err)
		}
	}
}
