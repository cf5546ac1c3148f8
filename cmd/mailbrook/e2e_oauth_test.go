package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

const annasGmail = "anna.nowak@gmail.com"

// signInSite is an installation whose users can sign in at a provider that is a
// test's, with a Dovecot that takes its tokens.
func signInSite(t *testing.T, further ...string) (*site, *mailtest.OAuth, *mailtest.Dovecot) {
	t.Helper()
	ca := mailtest.NewCA(t)
	o := mailtest.StartOAuth(t, ca, annasGmail)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{
		annasGmail:      canary,
		"jan@gmail.com": canary,
	}, CA: ca, Extra: append(o.Dovecot(t), patientWithErrors...)})
	s := newSite(t, ca, append([]string{
		"WEB_PUBLIC_URL=http://pages.test", "OAUTH_GOOGLE_CLIENT_ID=" + o.ClientID, "OAUTH_GOOGLE_CLIENT_SECRET=" +
			o.ClientSecret,
		"OAUTH_GOOGLE_AUTHORIZE_URL=" + o.AuthorizeURL, "OAUTH_GOOGLE_TOKEN_URL=" + o.TokenURL, "OAUTH_GOOGLE_ISSUER=" +
			o.Issuer, "OAUTH_GOOGLE_HOSTS=localhost",
	}, further...)...)
	t.Cleanup(func() {
		s.secrets = append(s.secrets, o.Given()...)
		s.keepsSecrets()
	})
	return s, o, d
}

// window is a browser, as far as signing in goes: it has a session, keeps
// cookies, and follows no redirect by itself.
type window struct {
	p      *process
	client *http.Client
}

func (p *process) window(name string) *window {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	w := &window{p, &http.Client{
		Timeout: soon, Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: browser.CheckRedirect,
	}}
	link := strings.TrimSpace(p.ok("", "link", "--user", name))
	if r := w.get(strings.TrimPrefix(link, "http://pages.test")); r.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("the link answers %d", r.StatusCode)
	}
	return w
}

func (w *window) get(path string) *http.Response {
	w.p.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = w.p.addr + path
	}
	req, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		w.p.t.Fatal(err)
	}
	resp, err := w.client.Do(byHand(req))
	if err != nil {
		w.p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// post makes a call as the pages do.
func (w *window) post(path, body string) (int, map[string]any) {
	w.p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.p.addr+path, strings.NewReader(body))
	if err != nil {
		w.p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Mailbrook", "1")
	resp, err := w.client.Do(req)
	if err != nil {
		w.p.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, decodeInto[map[string]any](w.p.t, resp.Body)
}

// begin starts signing in and returns the address of the provider's page.
func (w *window) begin(body string) string {
	w.p.t.Helper()
	status, v := w.post("/v1/oauth/google/start", body)
	address, _ := v["authorize_url"].(string)
	if status != http.StatusOK || address == "" {
		w.p.t.Fatalf("beginning to sign in answers %d %v", status, v)
	}
	return address
}

// allow presses the button on the provider's page, and returns the address
// that the browser is sent back to, on the process.
func (w *window) allow(authorize string) string {
	w.p.t.Helper()
	u, err := url.Parse(authorize)
	if err != nil {
		w.p.t.Fatal(err)
	}
	q := u.Query()
	u.Path, u.RawQuery = "/allow", url.Values{
		"redirect_uri": {q.Get("redirect_uri")}, "state": {q.Get("state")},
		"challenge": {q.Get("code_challenge")}, "client": {q.Get("client_id")},
	}.Encode()
	back := w.get(u.String()).Header.Get("Location")
	rest, ours := strings.CutPrefix(back, "http://pages.test/oauth/callback/google?")
	if !ours {
		w.p.t.Fatalf("the browser is sent to %s", back)
	}
	return "/oauth/callback/google?" + rest
}

// signIn goes the whole way and returns where the pages are entered again.
func (w *window) signIn(body string) (path, grant string) {
	w.p.t.Helper()
	r := w.get(w.allow(w.begin(body)))
	path, grant, ok := strings.Cut(r.Header.Get("Location"), "#grant=")
	if r.StatusCode != http.StatusSeeOther || !ok {
		w.p.t.Fatalf("coming back answers %d, to %q", r.StatusCode, r.Header.Get("Location"))
	}
	return path, grant
}

// byGrant is what is sent for a mailbox that was signed in to.
func byGrant(d *mailtest.Dovecot, protocol, grant string) fields {
	port := map[string]int{"imap": d.IMAPS, "pop3": d.POP3S}[protocol]
	return fields{"email": annasGmail, "oauth_grant": grant, "protocol": protocol, "server": fields{
		"host": "localhost",
		"port": port, "security": "tls",
	}}
}

// TestMailIsFetchedFromWhereItsUserSignedInOnTheProvidersPage goes through an
// account's life without a password: F40, U40 and U41 at a real server.
func TestMailIsFetchedFromWhereItsUserSignedInOnTheProvidersPage(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s, o, d := signInSite(t)
			mailtest.Fill(t, d, annasGmail, mailtest.Corpus(17, 8, false))
			p := s.serve()
			u, w := p.as(anna), p.window(anna)

			path, grant := w.signIn(`{"email":"` + annasGmail + `"}`)
			if path != "/accounts/new" {
				t.Errorf("a new account continues at %s", path)
			}
			told := must[map[string]any](u, http.StatusOK, "GET", "/v1/oauth/grants/"+grant, nil)
			if told["email"] != annasGmail || told["provider_name"] != "Google" {
				t.Errorf("the page to confirm gets %v", told)
			}
			if report := must[testAnswer](u, http.StatusOK, "POST", "/v1/connection-tests", byGrant(d, protocol,
				grant)); !report.OK {
				t.Fatalf("the connection test: %+v", report)
			}
			a := u.add(byGrant(d, protocol, grant))
			if a.Auth != "oauth2" || a.Provider != "google" {
				t.Errorf("the account signs in by %s at %s", a.Auth, a.Provider)
			}
			u.reaches(a.ID, "ok")
			arrived := func(want int) {
				t.Helper()
				if n := len(below(mailtest.ReadMaildir(t, s.mail(anna)), a.Folder)); n != want {
					t.Errorf("%d messages arrived, want %d", n, want)
				}
			}
			arrived(8)

			// The access token is over: another one is asked for, once.
			mailtest.Fill(t, d, annasGmail, mailtest.Corpus(18, 3, false))
			o.Expire()
			before, _ := o.Asked()
			u.fetch(a.ID)
			arrived(11)
			if after, _ := o.Asked(); after != before+1 {
				t.Errorf("tokens were asked for %d times, want once", after-before)
			}

			// The provider's service is away for a while: nothing is asked of the user.
			o.Expire()
			o.Fail(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "<html>busy</html>", http.StatusInternalServerError)
			})
			must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+a.ID+"/fetch", nil)
			if got := u.reaches(a.ID, "retrying", "needs_attention"); got.Status.State != "retrying" ||
				got.Status.Diagnosis.Code != "server_unavailable" {
				t.Errorf("while the provider's service is away: %s, %+v", got.Status.State, got.Status.Diagnosis)
			}
			o.Fail(nil)
			u.fetch(a.ID)

			// The user takes the permission away: that is at once for the user to mend.
			o.Revoke()
			mailtest.Fill(t, d, annasGmail, mailtest.Corpus(19, 2, false))
			must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+a.ID+"/fetch", nil)
			got := u.reaches(a.ID, "needs_attention")
			if dg := got.Status.Diagnosis; dg.Code != "oauth_reauthorization_required" ||
				!strings.Contains(dg.Advice, "Sign in on Google's own page") {
				t.Errorf("without permission: %+v", dg)
			}
			arrived(11)

			// Signed in again, it continues where it was.
			path, grant = w.signIn(`{"account_id":"` + a.ID + `"}`)
			if path != "/accounts/"+a.ID+"/edit" {
				t.Errorf("a saved account continues at %s", path)
			}
			must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+a.ID, fields{"oauth_grant": grant})
			u.reaches(a.ID, "ok")
			arrived(13)
			if r := u.do("PATCH", "/v1/accounts/"+a.ID,
				fields{"oauth_grant": grant}); r.status != http.StatusUnprocessableEntity {
				t.Errorf("a grant that was taken is taken again: %d %s", r.status, r.body)
			}
			if _, reused := o.Asked(); reused > 0 {
				t.Errorf("%d refresh tokens were used twice", reused)
			}
			if protocol == "imap" {
				checkRefusals(t, s, p, o, d, w, a.ID)
			}
			p.term()
		})
	}
}

// checkRefusals is what an account takes only with leave, or not at all.
func checkRefusals(t *testing.T, s *site, p *process, o *mailtest.OAuth, d *mailtest.Dovecot, w *window, id string) {
	t.Helper()
	u := p.as(anna)
	// U41: signed in as somebody else.
	o.As("jan@gmail.com")
	_, grant := w.signIn(`{"account_id":"` + id + `"}`)
	if r := u.do("PATCH", "/v1/accounts/"+id, fields{"oauth_grant": grant}); r.status != http.StatusConflict ||
		!strings.Contains(string(r.body), "oauth_address_differs") {
		t.Errorf("another mailbox's permission: %d %s", r.status, r.body)
	}
	if r := u.do("POST", "/v1/connection-tests", byGrant(d, "imap", grant)); r.status != http.StatusConflict {
		t.Errorf("another mailbox's permission is tried: %d %s", r.status, r.body)
	}
	// Confirmed, the server has its own say: this mailbox is not theirs.
	if r := u.do("PATCH", "/v1/accounts/"+id, fields{
		"oauth_grant":     grant,
		"confirm_address": true,
	}); r.status != http.StatusUnprocessableEntity ||
		!strings.Contains(string(r.body), "connection_test_failed") {
		t.Errorf("another mailbox's permission, confirmed: %d %s", r.status, r.body)
	}
	// Tokens go to the provider's own servers only, whatever an account says.
	asked, _ := o.Asked()
	elsewhere := byGrant(d, "imap", grant).with(fields{"server": fields{
		"host": "127.0.0.1", "port": d.IMAPS,
		"security": "tls",
	}})
	if r := u.do("POST", "/v1/accounts", elsewhere.with(fields{
		"confirm_address": true, "skip_test": true,
		"name": "Gdzie indziej", "folder": "Gdzie indziej",
	})); r.status != http.StatusUnprocessableEntity ||
		!strings.Contains(string(r.body), "server.host") {
		t.Errorf("a token for somebody else's server: %d %s", r.status, r.body)
	}
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+id, fields{
		"server":    fields{"host": "127.0.0.1"},
		"skip_test": true,
	})
	must[accountAnswer](u, http.StatusAccepted, "POST", "/v1/accounts/"+id+"/fetch", nil)
	if a := u.reaches(id, "retrying", "needs_attention"); a.Status.Diagnosis.Code != "host_not_allowed" {
		t.Errorf("an account that was moved to another server: %+v", a.Status.Diagnosis)
	}
	if now, _ := o.Asked(); now != asked {
		t.Error("a token was asked for although nobody may see it")
	}
	// Somebody else's grant does not exist; nor does what is no password and no grant.
	other := p.as("bartek@firma.test")
	if r := other.do("GET", "/v1/oauth/grants/"+grant, nil); r.status != http.StatusNotFound {
		t.Errorf("anna's grant for bartek: %d %s", r.status, r.body)
	}
	if r := other.do("POST", "/v1/accounts", byGrant(d, "imap", grant)); r.status != http.StatusUnprocessableEntity ||
		!strings.Contains(string(r.body), "oauth_grant") {
		t.Errorf("bartek takes anna's grant: %d %s", r.status, r.body)
	}
	// Turned into an account with a password it works without the provider's page.
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+id, fields{"password": canary, "server": fields{
		"host": "localhost",
	}})
	if a := u.fetch(id); a.Auth != "password" {
		t.Errorf("with a password it signs in by %s", a.Auth)
	}
}

// TestASignInIsFinishedOnceByWhoeverBeganIt is U38 and U39: what does not fit
// together comes to nothing, and says so on a page.
func TestASignInIsFinishedOnceByWhoeverBeganIt(t *testing.T) {
	t.Parallel()
	s, o, _ := signInSite(t)
	p := s.serve("--roles", "api")
	annas, again, barteks := p.window(anna), p.window(anna), p.window("bartek@firma.test")
	good := func() string { return annas.allow(annas.begin(`{}`)) }
	change := func(address, key, value string) string {
		path, query, _ := strings.Cut(address, "?")
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if value == "" {
			q.Del(key)
		} else {
			q.Set(key, value)
		}
		return path + "?" + q.Encode()
	}
	used := good()
	if r := annas.get(used); r.StatusCode != http.StatusSeeOther {
		t.Fatalf("as it should be: %d", r.StatusCode)
	}
	nobody := &window{p, browser}
	for name, tc := range map[string]struct {
		w       *window
		address string
	}{
		"once more":                      {annas, used},
		"no state":                       {annas, change(good(), "state", "")},
		"an invented state":              {annas, change(good(), "state", strings.Repeat("A", 43))},
		"another user's browser":         {barteks, good()},
		"another browser of the user's":  {again, good()},
		"nobody's browser":               {nobody, good()},
		"the answer of another issuer":   {annas, change(good(), "iss", "https://accounts.evil.test")},
		"at another provider's address":  {annas, strings.Replace(good(), "/callback/google", "/callback/microsoft", 1)},
		"a code that was made up":        {annas, change(good(), "code", "made-up")},
		"a code that belongs to another": {annas, change(good(), "code", queryOf(t, used, "code"))},
		"no code":                        {annas, change(good(), "code", "")},
		"no leave":                       {annas, change(change(good(), "code", ""), "error", "access_denied")},
		"markup for an error":            {annas, change(change(good(), "code", ""), "error", "<script>alert(1)</script>")},
	} {
		resp, err := tc.w.client.Get(p.addr + tc.address)
		if err != nil {
			t.Fatal(err)
		}
		body := readAll(t, resp)
		if resp.StatusCode != http.StatusBadRequest || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") ||
			strings.Contains(body, "<script") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: the page's policy is %q", name, csp)
		}
	}
	// What the client says of where to go is nobody's business.
	address, err := url.Parse(annas.begin(`{"email":"anna.nowak@gmail.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	if q := address.Query(); q.Get("redirect_uri") != "http://pages.test/oauth/callback/google" ||
		q.Get("login_hint") != annasGmail || q.Get("access_type") != "offline" {
		t.Errorf("the provider is asked for %v", q)
	}
	for body, want := range map[string]int{
		`{"redirect_uri":"https://evil.test"}`: 400, `{"return_to":"//evil.test"}`: 400, `{"email":"a@b.test\r\nX: y"}`: 422,
		`{"account_id":"ffffffff-ffff-4fff-8fff-ffffffffffff"}`: 404,
	} {
		if status, v := annas.post("/v1/oauth/google/start", body); status != want {
			t.Errorf("%s: %d %v", body, status, v)
		}
	}
	for _, provider := range []string{"outlook", "other", "nosuch", "yahoo"} {
		if status, v := annas.post("/v1/oauth/"+provider+"/start", `{}`); status != http.StatusNotFound {
			t.Errorf("at %s: %d %v", provider, status, v)
		}
	}
	if all, reused := o.Asked(); all == 0 || reused > 0 {
		t.Errorf("%d requests for tokens, %d with a used one", all, reused)
	}
	p.term()
}

// TestAHostileTokenServiceGetsNothingOutOfUs is S59.
func TestAHostileTokenServiceGetsNothingOutOfUs(t *testing.T) {
	t.Parallel()
	s, o, _ := signInSite(t)
	p := s.serve("--roles", "api")
	w := p.window(anna)
	touched := make(chan struct{}, 100)
	inner := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched <- struct{}{} })
	spy := listen(t, inner)
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}
	}
	token := `{"access_token":"a","token_type":"Bearer","refresh_token":"r"`
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		want int
	}{
		"ten megabytes": {text("application/json", token+`,"x":"`+strings.Repeat("x", 10<<20)+`"}`), 502},
		"HTML":          {text("text/html", "<html><script>alert(1)</script>"), 502},
		"no JSON":       {text("application/json", token), 502},
		"a redirect to the inside": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, spy, http.StatusTemporaryRedirect)
		}, 502},
		"a redirect after the post": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, spy, http.StatusSeeOther)
		}, 502},
		"a token with a line break": {text("application/json",
			`{"access_token":"a\r\nDELE 1","token_type":"Bearer","refresh_token":"r"}`), 502},
		"a token of another type": {
			text("application/json", `{"access_token":"a","token_type":"mac","refresh_token":"r"}`),
			502,
		},
		"no lasting permission": {text("application/json", `{"access_token":"a","token_type":"Bearer"}`), 400},
		"an unknown client": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(401)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		}, 502},
		"out of order": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 502},
	} {
		back := w.allow(w.begin(`{}`))
		o.Fail(tc.h)
		resp, err := w.client.Get(p.addr + back)
		if err != nil {
			t.Fatal(err)
		}
		if body := readAll(t, resp); resp.StatusCode != tc.want || !strings.Contains(body, "<h1>") ||
			strings.Contains(body, "<script") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		o.Fail(nil)
	}
	for name, change := range map[string]func(map[string]any){
		"another issuer":     func(c map[string]any) { c["iss"] = "https://evil.test" },
		"somebody else's":    func(c map[string]any) { c["aud"] = "another-client" },
		"of the day before":  func(c map[string]any) { c["exp"] = time.Now().Add(-24 * time.Hour).Unix() },
		"of no time and end": func(c map[string]any) { delete(c, "exp") },
	} {
		o.Claims(change)
		if r := w.get(w.allow(w.begin(`{}`))); r.StatusCode != http.StatusBadGateway {
			t.Errorf("an id token that is of %s: %d", name, r.StatusCode)
		}
	}
	// An address that nobody vouches for is none.
	o.Claims(func(c map[string]any) { c["email_verified"] = false })
	_, grant := w.signIn(`{}`)
	if told := must[map[string]any](p.as(anna), http.StatusOK, "GET", "/v1/oauth/grants/"+grant,
		nil); told["email"] != nil {
		t.Errorf("an address that is not verified is shown: %v", told)
	}
	select {
	case <-touched:
		t.Error("a redirect was followed")
	default:
	}
	p.term()
}

func queryOf(t *testing.T, address, key string) string {
	t.Helper()
	_, query, _ := strings.Cut(address, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return q.Get(key)
}

// TestSigningInIsOfferedWhereItIsConfigured: nothing configured, nothing
// offered; and what is configured by half does not start.
func TestSigningInIsOfferedWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	offered := func(p *process) (ids []string) {
		all := must[struct {
			Providers []struct {
				ID    string
				OAuth bool
			}
		}](p.as(anna), http.StatusOK, "GET", "/v1/providers", nil)
		for _, x := range all.Providers {
			if x.OAuth {
				ids = append(ids, x.ID)
			}
		}
		return ids
	}
	plain := newSite(t, nil)
	p := plain.serve("--roles", "api")
	if got := offered(p); len(got) > 0 {
		t.Errorf("offered although nothing is configured: %v", got)
	}
	p.term()
	s, _, _ := signInSite(t, "OAUTH_MICROSOFT_CLIENT_ID=x")
	p = s.serve("--roles", "api")
	if got := strings.Join(offered(p), " "); got != "google outlook microsoft365" {
		t.Errorf("offered: %s", got)
	}
	p.term()
	secret := filepath.Join(plain.dir, "secret")
	if err := os.WriteFile(secret, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  []string
		says string
	}{
		"no address of ours": {[]string{"OAUTH_GOOGLE_CLIENT_ID=x"}, "web.public_url is missing"},
		"no id":              {[]string{"OAUTH_GOOGLE_CLIENT_SECRET_FILE=" + secret}, "oauth.google.client_id is missing"},
		"half of the address": {[]string{
			"OAUTH_GOOGLE_CLIENT_ID=x", "OAUTH_GOOGLE_TOKEN_URL=https://a.test/t",
			"WEB_PUBLIC_URL=https://m.test",
		}, "set both or neither"},
		"tokens in plain text": {
			[]string{"OAUTH_GOOGLE_CLIENT_ID=x", "OAUTH_GOOGLE_TOKEN_URL=http://a.test/t"},
			"oauth.google.token_url",
		},
	} {
		var env []string
		for _, e := range tc.env {
			env = append(env, "MAILBROOK_"+e)
		}
		if r := plain.runIn(env, "", "account", "list"); r.status != 2 || !strings.Contains(r.err, tc.says) {
			t.Errorf("%s: status %d: %s", name, r.status, r.err)
		}
	}
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decodeInto[T any](t *testing.T, r io.Reader) (v T) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// listen serves on the loopback interface until the test ends.
func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}
