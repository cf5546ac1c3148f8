package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// refusal is a request and how it must be refused.
type refusal struct {
	name   string
	body   any
	status int
	code   string
	field  string // Which must be named; "" for none.
}

func (r refusal) check(t *testing.T, a answer) {
	t.Helper()
	var p problemAnswer
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("the answer is %d %q: %v", a.status, a.body, err)
	}
	if a.status != r.status || p.Status != r.status || p.Code != r.code {
		t.Errorf("the answer is %d %s, want %d %s: %s", a.status, p.Code, r.status, r.code, a.body)
	}
	if ct := a.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/problem+json") {
		t.Errorf("the answer is of type %q", ct)
	}
	if p.Type == "" || p.Title == "" {
		t.Errorf("type or title is missing: %s", a.body)
	}
	if r.field == "" {
		return
	}
	for _, e := range p.Errors {
		if e.Field == r.field && e.Code != "" && e.Detail != "" {
			return
		}
	}
	t.Errorf("the field %s is not named: %s", r.field, a.body)
}

func TestBadInputIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	s := newSite(t, ca, "REMOTE_ALLOW_PORTS=993,1993")
	p := s.serve()
	u := p.as(anna)
	ok := fields{
		"email": "anna@poczta.example.test", "password": canary, "skip_test": true,
		"server": fields{"host": "localhost", "port": 993, "security": "tls"},
	}
	server := func(host any, port any, security any) fields {
		return ok.with(fields{"server": fields{"host": host, "port": port, "security": security}})
	}
	cases := []refusal{
		{"no JSON", "{", 400, "invalid_request", ""},
		{"an empty body", "", 400, "invalid_request", ""},
		{"not an object", "[]", 400, "invalid_request", ""},
		{"two values", `{"email":"a@b.test","password":"x"} {}`, 400, "invalid_request", ""},
		{"an unknown field", ok.with(fields{"pasword": "x"}), 400, "invalid_request", "pasword"},
		{"an unknown field inside", ok.with(fields{"server": fields{"hots": "x"}}), 400, "invalid_request", "server.hots"},
		{"a number for text", ok.with(fields{"name": 7}), 400, "invalid_request", "name"},
		{"text for a number", server("localhost", "993", "tls"), 400, "invalid_request", "server.port"},
		{"a list for an object", ok.with(fields{"folders": []string{"INBOX"}}), 400, "invalid_request", "folders"},
		{"null for a password", ok.with(fields{"password": nil}), 422, "validation_failed", "password"},
		{"no password", fields{"email": "anna@poczta.example.test"}, 422, "validation_failed", "password"},
		{"an empty password", ok.with(fields{"password": ""}), 422, "validation_failed", "password"},
		{"no address", fields{"password": canary}, 422, "validation_failed", "email"},
		{"an address that is none", ok.with(fields{"email": "anna"}), 422, "validation_failed", "email"},
		{
			"an address with a name", ok.with(fields{"email": "Anna <anna@poczta.example.test>"}), 422, "validation_failed",
			"email",
		},
		{"an unknown protocol", ok.with(fields{"protocol": "jmap"}), 422, "validation_failed", "protocol"},
		{"an unknown provider", ok.with(fields{"provider": "nie-ma"}), 422, "validation_failed", "provider"},
		{"an unknown security", server("localhost", 993, "ssl"), 422, "validation_failed", "server.security"},
		{"plaintext", server("localhost", 993, "none"), 422, "validation_failed", "server.security"},
		{"port 0", server("localhost", 0, "tls"), 422, "validation_failed", "server.port"},
		{"port 65536", server("localhost", 65536, "tls"), 422, "validation_failed", "server.port"},
		{"a port outside the list", server("localhost", 25, "tls"), 422, "host_not_allowed", "server.port"},
		{"a host with a port", server("localhost:993", 993, "tls"), 422, "validation_failed", "server.host"},
		{
			"a host that is an address of a page", server("https://localhost/", 993, "tls"), 422, "validation_failed",
			"server.host",
		},
		{"a private address", server("10.1.2.3", 993, "tls"), 422, "host_not_allowed", "server.host"},
		{"a link-local address", server("169.254.169.254", 993, "tls"), 422, "host_not_allowed", "server.host"},
		{"this network's address in IPv6", server("::ffff:10.0.0.1", 993, "tls"), 422, "host_not_allowed", "server.host"},
		{"the unspecified address", server("0.0.0.0", 993, "tls"), 422, "host_not_allowed", "server.host"},
		{"a short interval", ok.with(fields{"poll_interval_seconds": 1}), 422, "validation_failed", "poll_interval_seconds"},
		{"a reserved folder", ok.with(fields{"folder": "Trash"}), 409, "folder_taken", "folder"},
		{"the inbox as folder", ok.with(fields{"folder": "INBOX"}), 409, "folder_taken", "folder"},
		{"below the inbox", ok.with(fields{"folder": "inbox/x"}), 409, "folder_taken", "folder"},
		{"a folder that leads out", ok.with(fields{"folder": "../../etc"}), 422, "validation_failed", "folder"},
		{"a long name", ok.with(fields{"name": strings.Repeat("n", 101)}), 422, "validation_failed", "name"},
		{
			"a long sender's name", ok.with(fields{"sender_name": strings.Repeat("n", 201)}), 422, "validation_failed",
			"sender_name",
		},
		{"a long folder", ok.with(fields{"folder": strings.Repeat("n", 201)}), 422, "validation_failed", "folder"},
		{"a long user name", ok.with(fields{"username": strings.Repeat("n", 321)}), 422, "validation_failed", "username"},
		{"a long password", ok.with(fields{"password": strings.Repeat("n", 1025)}), 422, "validation_failed", "password"},
		{"a long host", server(strings.Repeat("a.", 150)+"test", 993, "tls"), 422, "validation_failed", "server.host"},
		{"a long address", ok.with(fields{"email": strings.Repeat("a", 250) + "@b.test"}), 422, "validation_failed", "email"},
		{"the user's own mailbox", ok.with(fields{"email": "Anna@Firma.test"}), 422, "validation_failed", "email"},
		{"the user's own mailbox as user name", ok.with(fields{"username": anna}), 422, "validation_failed", "username"},
	}
	for _, control := range []string{"\r\n", "\n", "\r", "\x00", "\x1b", "\u2028", "\u202e"} {
		bad := "a" + control + "b"
		for field, f := range map[string]fields{
			"name": ok.with(fields{"name": bad}), "sender_name": ok.with(fields{"sender_name": bad}), "username": ok.with(
				fields{"username": bad}),
			"folder": ok.with(fields{"folder": bad}), "email": ok.with(fields{"email": bad + "@poczta.example.test"}),
			"server.host":        server("imap."+bad+".test", 993, "tls"),
			"folders.include[0]": ok.with(fields{"folders": fields{"include": []string{bad}}}),
			"folders.exclude[1]": ok.with(fields{"folders": fields{"exclude": []string{"Junk", bad}}}),
		} {
			cases = append(cases, refusal{fmt.Sprintf("%q in %s", control, field), f, 422, "validation_failed", field})
		}
		if len(control) == 1 || control == "\r\n" {
			cases = append(cases, refusal{
				fmt.Sprintf("%q in the password", control), ok.with(fields{"password": bad}), 422,
				"validation_failed", "password",
			})
		}
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, u.do("POST", "/v1/accounts", tc.body)) })
	}
	t.Run("another type of body", func(t *testing.T) {
		h := http.Header{"Authorization": {"Bearer " + u.token}, "Content-Type": {"text/plain"}}
		refusal{status: 415, code: "unsupported_media_type"}.check(t, p.ask("POST", "/v1/accounts", h,
			`{"email":"a@b.test","password":"x"}`))
	})
	t.Run("a large body", func(t *testing.T) {
		refusal{status: 413, code: "payload_too_large"}.check(t, u.do("POST", "/v1/accounts",
			ok.with(fields{"name": strings.Repeat("n", 1<<20)})))
	})
	if saved := u.accounts(); len(saved) != 0 {
		t.Errorf("saved all the same: %+v", saved)
	}
	if _, err := os.Stat(filepath.Join(s.mail(anna))); err == nil {
		t.Error("a mailbox was made for requests that were refused")
	}
}

func TestHostsOfThisNetworkAreRefusedUnlessTheOperatorAllowsThem(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "REMOTE_ALLOW_NETWORKS=", "REMOTE_ALLOW_PORTS=110,143,993,995")
	p := s.serve()
	for i, host := range []string{
		"localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
		"100.64.0.1",
		"0.0.0.0", "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1",
		"255.255.255.255", "host.localhost", "localhost.", "127.1", "2130706433", "0x7f.1", "żółw.test",
	} {
		t.Run(host, func(t *testing.T) {
			u := p.as(fmt.Sprintf("ktos%d@firma.test", i)) // One user may ask only so often.
			for _, call := range []string{"/v1/accounts", "/v1/connection-tests"} {
				f := fields{"email": "anna@poczta.example.test", "password": canary, "server": fields{
					"host": host, "port": 993,
					"security": "tls",
				}}
				r := refusal{status: 422, code: "host_not_allowed", field: "server.host"}
				a := u.do("POST", call, f)
				r.check(t, a)
				if strings.Contains(string(a.body), "loopback") || strings.Contains(string(a.body), "private") {
					t.Errorf("the answer reveals something about the inner network: %s", a.body)
				}
			}
			// Without a test it is refused all the same.
			f := fields{"email": "anna@poczta.example.test", "password": canary, "skip_test": true, "server": fields{
				"host": host, "port": 993, "security": "tls",
			}}
			refusal{status: 422, code: "host_not_allowed", field: "server.host"}.check(t, u.do("POST", "/v1/accounts", f))
			if saved := u.accounts(); len(saved) != 0 {
				t.Errorf("saved all the same: %+v", saved)
			}
		})
	}
}

func TestLimitsAndClashesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, mailtest.NewCA(t))
	p := s.serve("--roles", "api")
	u := p.as(anna)
	nth := func(n int) fields {
		return fields{
			"email": fmt.Sprintf("anna%d@poczta.example.test", n), "password": canary, "skip_test": true, "name": fmt.Sprintf(
				"Konto %d", n),
			"server": fields{"host": "localhost", "port": 993, "security": "tls"},
		}
	}
	first := u.add(nth(1))
	for _, tc := range []refusal{
		{"the same mailbox", nth(1).with(fields{"name": "Inna", "folder": "Inna"}), 409, "account_exists", "username"},
		{"the same name", nth(2).with(fields{"name": "konto 1", "folder": "Inny"}), 409, "name_taken", "name"},
		{"the same folder", nth(2).with(fields{"folder": "Konto 1"}), 409, "folder_taken", "folder"},
		{"a folder inside another's", nth(2).with(fields{"folder": "Konto 1/Sent"}), 409, "folder_taken", "folder"},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, u.do("POST", "/v1/accounts", tc.body)) })
	}
	u.add(nth(2))
	for _, tc := range []refusal{
		{"an edit to a taken name", fields{"name": "Konto 2"}, 409, "name_taken", "name"},
		{"an edit to a taken folder", fields{"folder": "Konto 2"}, 409, "folder_taken", "folder"},
		{
			"an edit to a taken mailbox",
			fields{"username": "anna2@poczta.example.test", "password": canary, "skip_test": true},
			409, "account_exists", "username",
		},
		{
			"another host without the password",
			fields{"server": fields{"host": "127.0.0.1"}, "skip_test": true},
			422,
			"validation_failed", "password",
		},
		{
			"another security without the password",
			fields{"server": fields{"security": "starttls"}, "skip_test": true},
			422,
			"validation_failed", "password",
		},
		{
			"another user name without the password",
			fields{"username": "ktos", "skip_test": true},
			422, "validation_failed",
			"password",
		},
		{"an unknown field", fields{"nmae": "x"}, 400, "invalid_request", "nmae"},
		{"a wrong type", fields{"enabled": "yes"}, 400, "invalid_request", "enabled"},
		{"a line break", fields{"folder": "a\r\nb"}, 422, "validation_failed", "folder"},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, u.do("PATCH", "/v1/accounts/"+first.ID, tc.body)) })
	}
	if now := u.account(first.ID); now.Name != first.Name || now.Folder != first.Folder ||
		now.Username != first.Username || now.Server != first.Server {
		t.Errorf("a refused edit changed the account from %+v to %+v", first, now)
	}
	u.add(nth(3))
	u.add(nth(4))
	refusal{status: 409, code: "account_limit_reached"}.check(t, u.do("POST", "/v1/accounts", nth(5)))
	if n := len(u.accounts()); n != 4 {
		t.Errorf("there are %d accounts, want 4", n)
	}
	// The limit holds however many ask at once.
	other := p.as(jan)
	answers := make(chan int, 12)
	for n := range 12 {
		go func() {
			req, err := http.NewRequest("POST", p.addr+"/v1/accounts", strings.NewReader(fmt.Sprintf(
				`{"email":"jan%d@poczta.example.test","password":"x","skip_test":true,"name":"Konto %d",
					"server":{"host":"localhost","port":993,"security":"tls"}}`, n, n)))
			if err != nil {
				answers <- 0
				return
			}
			req.Header.Set("Authorization", "Bearer "+other.token)
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	counts := map[int]int{}
	for range 12 {
		counts[<-answers]++
	}
	if counts[201] != 4 || counts[409] != 8 {
		t.Errorf("of 12 at once, by status: %v; want 4 added and 8 refused", counts)
	}
}

func TestWhatIsSomebodyElsesIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.serve("--roles", "api")
	owner, other, admin := p.as(anna), p.as(jan), p.admin()
	id := owner.add(fields{
		"email": "anna@poczta.example.test", "password": canary, "skip_test": true,
		"server": fields{"host": "localhost", "port": 993, "security": "tls"},
	}).ID
	for _, id := range []string{id, "00000000-0000-4000-8000-000000000000", "x", "..%2f..", "%00"} {
		for _, call := range []struct {
			method, path string
			body         any
		}{
			{"GET", "", nil},
			{"PATCH", "", fields{"name": "Moje"}},
			{"DELETE", "?mail=delete", nil},
			{"POST", "/fetch", nil},
			{"GET", "/folders", nil},
			{"GET", "/runs", nil},
		} {
			for _, u := range []*user{other, admin} {
				r := u.do(call.method, "/v1/accounts/"+id+call.path, call.body)
				if r.status != http.StatusNotFound {
					t.Errorf("%s /v1/accounts/%s%s by %s answers %d: %s", call.method, id, call.path, u.name, r.status, r.body)
				}
			}
		}
		if r := other.do("POST", "/v1/connection-tests", fields{"account_id": id}); r.status != http.StatusNotFound {
			t.Errorf("testing account %s by %s answers %d: %s", id, other.name, r.status, r.body)
		}
	}
	if got := owner.account(id); got.Name == "Moje" {
		t.Errorf("somebody else changed the account: %+v", got)
	}
	if got := other.accounts(); len(got) != 0 {
		t.Errorf("%s sees %+v", jan, got)
	}
}

// signedToken is a token as somebody else's program makes it.
func signedToken(t *testing.T, alg jose.SignatureAlgorithm, key []byte, claims map[string]any) string {
	t.Helper()
	var token string
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	made, err := signer.Sign(text)
	if err == nil {
		token, err = made.CompactSerialize()
	}
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// unsigned is a token that says that nobody signed it: RFC 7519 section 6.
func unsigned(token string) string {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	return header + token[strings.Index(token, "."):strings.LastIndex(token, ".")+1]
}

func TestOnlyAValidTokenOpens(t *testing.T) {
	t.Parallel()
	const secret = "kanarek-podpis-0123456789abcdef-0123456789-0123456789abcdef-0123456789"
	s := newSite(t, nil, "AUTH_SECRET="+secret, "AUTH_ISSUER=https://login.firma.test", "AUTH_AUDIENCE=mailbrook")
	s.secrets = append(s.secrets, secret)
	p := s.serve("--roles", "api")
	now := time.Now()
	good := func() map[string]any {
		return map[string]any{"sub": anna, "iss": "https://login.firma.test", "aud": "mailbrook", "exp": now.Add(
			time.Hour).Unix(), "iat": now.Unix()}
	}
	signed := func(m jose.SignatureAlgorithm, key []byte, change func(map[string]any)) string {
		c := good()
		if change != nil {
			change(c)
		}
		return signedToken(t, m, key, c)
	}
	key := []byte(secret)
	if r := (&user{p: p, name: anna, token: signed(jose.HS256, key, nil)}).do("GET", "/v1/accounts",
		nil); r.status != 200 {
		t.Fatalf("a token signed by the shared secret answers %d: %s", r.status, r.body)
	}
	valid := signed(jose.HS256, key, nil)
	for name, header := range map[string][]string{
		"no header":      nil,
		"an empty one":   {""},
		"another scheme": {"Basic " + valid},
		"no token":       {"Bearer"},
		"two tokens":     {"Bearer " + valid + " " + valid},
		"not a token":    {"Bearer abc"},
		"expired": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["exp"] = now.Add(-time.Hour).Unix()
		})},
		"without an end": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			delete(c, "exp")
		})},
		"not valid yet": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["nbf"] = now.Add(time.Hour).Unix()
		})},
		"by another key": {"Bearer " + signed(jose.HS256,
			[]byte("another-key-0123456789abcdef-0123456789"), nil)},
		"unsigned":             {"Bearer " + unsigned(signed(jose.HS256, key, nil))},
		"by another algorithm": {"Bearer " + signed(jose.HS512, key, nil)},
		"by another issuer": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["iss"] = "https://evil.test"
		})},
		"for somebody else": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["aud"] = "another"
		})},
		"of nobody": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			delete(c, "sub")
		})},
		"of no mailbox": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["sub"] = "anna"
		})},
		"of a path": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["sub"] = "../../etc@firma.test"
		})},
		"of a mailbox and more": {"Bearer " + signed(jose.HS256, key, func(c map[string]any) {
			c["sub"] = "Anna <anna@firma.test>"
		})},
		"a cut signature": {"Bearer " + valid[:len(valid)-4]},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/accounts", "/v1/admin/stats", "/v1/nothing"} {
				h := http.Header{}
				if header != nil {
					h["Authorization"] = header
				}
				r := p.ask("GET", path, h, nil)
				refusal{status: 401, code: "unauthenticated"}.check(t, r)
				if r.header.Get("WWW-Authenticate") == "" {
					t.Errorf("GET %s: no WWW-Authenticate", path)
				}
			}
		})
	}
}
