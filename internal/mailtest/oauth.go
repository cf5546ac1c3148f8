package mailtest

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// OAuth is an authorization server (RFC 6749) with a sign-in page, as a mail
// provider has one. It keeps strictly to its configuration, finds out whoever
// uses a refresh token twice, and misbehaves when asked to.
type OAuth struct {
	// AuthorizeURL is the page that a browser opens, TokenURL where tokens come
	// from, over TLS by CA's leave. Issuer is what its answers name.
	AuthorizeURL, TokenURL, Issuer string
	ClientID, ClientSecret         string

	pages, secrets *httptest.Server

	mu      sync.Mutex
	user    string
	life    time.Duration
	rotate  bool
	idToken func(claims map[string]any) // Changes the claims of id tokens; nil: as they should be.
	codes   map[string]request
	access  map[string]issued
	refresh map[string]string // Whose; "" was used.
	failing http.HandlerFunc
	given   []string       // Every secret that was ever given out.
	service *rsa.PublicKey // Of who may ask in the name of users; nil: nobody.
	asked   int            // Requests for tokens.
	reused  int            // Refresh tokens that came twice.
}

type request struct {
	user, challenge, redirect, client string
	used                              bool
}

type issued struct {
	user  string
	until time.Time
}

// StartOAuth starts an authorization server until the test ends, which signs
// in the given mailbox.
func StartOAuth(tb testing.TB, ca *CA, user string) *OAuth {
	tb.Helper()
	o := &OAuth{
		ClientID: "mailbrook-at-test", ClientSecret: "s3cr3t-of-the-client", user: user, life: time.Hour, rotate: true,
		codes: map[string]request{}, access: map[string]issued{}, refresh: map[string]string{},
	}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /authorize", o.authorize)
	pages.HandleFunc("GET /allow", o.allow)
	pages.HandleFunc("GET /introspect", o.introspect)
	o.pages = httptest.NewServer(pages)
	secrets := http.NewServeMux()
	secrets.HandleFunc("POST /token", o.token)
	o.secrets = httptest.NewUnstartedServer(secrets)
	o.secrets.TLS = ca.Server().Config()
	o.secrets.StartTLS()
	tb.Cleanup(o.pages.Close)
	tb.Cleanup(o.secrets.Close)
	o.AuthorizeURL, o.TokenURL, o.Issuer = o.pages.URL+"/authorize", o.secrets.URL+"/token", o.pages.URL
	return o
}

// Dovecot returns lines of a configuration with which Dovecot lets in whoever
// has an access token of this server (RFC 7662), by XOAUTH2.
func (o *OAuth) Dovecot(tb testing.TB) []string {
	tb.Helper()
	file := filepath.Join(openDir(tb, "oauth"), "dovecot-oauth2.conf.ext")
	text := "introspection_mode = get\nintrospection_url = " + o.pages.URL +
		"/introspect?token=\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n"
	writeFile(tb, file, []byte(text), 0o644)
	return []string{
		"auth_mechanisms = plain login xoauth2",
		// A token that is over is over: nothing is remembered of it.
		"auth_cache_size = 0",
		"passdb {\n  driver = oauth2\n  mechanisms = xoauth2\n  args = " + file + "\n}",
	}
}

// As has the next browser sign in as somebody else; "": as whom it is sent for.
func (o *OAuth) As(user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.user = user
}

// Life sets how long access tokens are good that are given from now on.
func (o *OAuth) Life(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life = d
}

// Claims changes the id tokens that are given from now on.
func (o *OAuth) Claims(change func(claims map[string]any)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idToken = change
}

// Rotate says whether each refresh gives a new refresh token, which ends the
// old one. It does unless said otherwise.
func (o *OAuth) Rotate(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rotate = on
}

// Expire ends all access tokens, as time does.
func (o *OAuth) Expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.access)
}

// Revoke ends all permissions, as their user can.
func (o *OAuth) Revoke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.access)
	clear(o.refresh)
}

// Fail has requests for tokens answered by h; nil ends that.
func (o *OAuth) Fail(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = h
}

// Give returns an access token for a mailbox, as if it had been asked for.
func (o *OAuth) Give(user string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	access := o.secret()
	o.access[access] = issued{user, time.Now().Add(o.life)}
	return access
}

// Asked returns how often tokens were asked for, and how often with a refresh
// token that had been used before.
func (o *OAuth) Asked() (all, reused int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked, o.reused
}

// Given returns every code and token that was ever given out, and the client's
// secret: nothing of it may be seen anywhere.
func (o *OAuth) Given() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string{o.ClientSecret}, o.given...)
}

// authorize is the page on which the user allows access or does not.
func (o *OAuth) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != o.ClientID || q.Get("code_challenge_method") != "S256" ||
		len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 43 {
		http.Error(w, "this is no request of RFC 6749 with PKCE", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	user := cmp.Or(o.user, q.Get("login_hint"))
	o.mu.Unlock()
	allow := "/allow?" + html.EscapeString(url.Values{
		"redirect_uri": {q.Get("redirect_uri")}, "state": {q.Get("state")}, "challenge": {q.Get("code_challenge")},
		"client": {q.Get("client_id")}, "hint": {q.Get("login_hint")},
	}.Encode())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>Sign in</title></head><body><main>
<h1>The provider's own page</h1><p>Let Mailbrook read %s? (%s)</p>
<p><a href="%s">Allow</a> <a href="%s&amp;deny=1">Do not allow</a></p></main></body></html>`, html.EscapeString(user),
		html.EscapeString(q.Get("login_hint")), allow, allow)
}

// allow sends the browser back.
func (o *OAuth) allow(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}, "iss": {o.Issuer}, "session_state": {"whatever"}}
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.Get("deny") != "" {
		back.Set("error", "access_denied")
		back.Set("error_description", "<script>alert(1)</script>")
	} else {
		code := o.secret()
		o.codes[code] = request{
			user: cmp.Or(o.user, q.Get("hint")), challenge: q.Get("challenge"), redirect: q.Get("redirect_uri"),
			client: q.Get("client"),
		}
		back.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// token is RFC 6749 sections 4.1.3 and 6, and RFC 7636 section 4.6.
func (o *OAuth) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if o.failing != nil {
		o.failing(w, r)
		return
	}
	refuse := func(code string) {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": code, "error_description": "no"})
	}
	asserted := r.PostFormValue("grant_type") == jwtBearer // Who asks is said by the assertion.
	if !asserted && (r.PostFormValue("client_id") != o.ClientID || r.PostFormValue("client_secret") != o.ClientSecret) {
		refuse("invalid_client")
		return
	}
	var user, lasting string
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		code := r.PostFormValue("code")
		c := o.codes[code]
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if c.used || c.redirect == "" || c.redirect != r.PostFormValue("redirect_uri") ||
			c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			refuse("invalid_grant")
			return
		}
		c.used = true
		o.codes[code] = c
		user, lasting = c.user, o.secret()
		o.refresh[lasting] = user
	case "refresh_token":
		old := r.PostFormValue("refresh_token")
		whose, known := o.refresh[old]
		if known && whose == "" {
			o.reused++
		}
		if user = whose; user == "" {
			refuse("invalid_grant")
			return
		}
		if o.rotate {
			o.refresh[old] = ""
			lasting = o.secret()
			o.refresh[lasting] = user
		}
	case jwtBearer:
		if user = o.asserted(r.PostFormValue("assertion")); user == "" {
			refuse("unauthorized_client")
			return
		}
	case "client_credentials": // The operator's own token, for the mailbox of the user.
		user = o.user
	default:
		refuse("unsupported_grant_type")
		return
	}
	access := o.secret()
	o.access[access] = issued{user, time.Now().Add(o.life)}
	claims := map[string]any{
		"iss": o.Issuer, "aud": o.ClientID, "exp": time.Now().Add(time.Hour).Unix(), "email": user,
		"email_verified": true, "sub": "1",
	}
	if o.idToken != nil {
		o.idToken(claims)
	}
	answer := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(o.life.Seconds()),
		"id_token": idToken(claims),
	}
	if lasting != "" {
		answer["refresh_token"] = lasting
	}
	answerJSON(w, http.StatusOK, answer)
}

// introspect is RFC 7662 for Dovecot.
func (o *OAuth) introspect(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, ok := o.access[r.URL.Query().Get("token")]
	answerJSON(w, http.StatusOK, map[string]any{"active": ok && time.Now().Before(t.until), "username": t.user})
}

func (o *OAuth) secret() string {
	s := rand.Text() + rand.Text()
	o.given = append(o.given, s)
	return s
}

func idToken(claims map[string]any) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil { // Claims are texts and numbers: it cannot.
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]string{"alg": "RS256"}) + "." + part(claims) + ".c2lnbmF0dXJl"
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // Whoever asked may be gone.
}
