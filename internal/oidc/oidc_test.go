package oidc_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/remote"
)

const back = "https://pages.test/signin/callback"

var flow = oidc.Flow{State: "a-state", Nonce: "a-nonce", Verifier: remote.NewSecret(strings.Repeat("v", 43))}

// TestARealProviderSignsIn: the code flow with PKCE and nonce, by a confidential and
// by a public client, at zitadel/oidc.
func TestARealProviderSignsIn(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	for name, secret := range map[string]string{"confidential": "s3kret-klienta", "public": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := mailtest.StartOpenID(t, ca, back, secret, map[string]mailtest.OpenIDUser{
				"anna":  {Password: "haslo-anny", Email: "Anna@firma.test", Verified: true},
				"ewa":   {Password: "haslo-ewy", Email: "ewa@firma.test", Verified: false},
				"kowal": {Password: "haslo-kowala", Email: "\u212Aowal@firma.test", Verified: true},
			})
			opts := oidc.Options{
				Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: remote.NewSecret(secret), RedirectURL: back,
				Scopes: []string{"email"}, Claim: "email",
				HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client()}},
			}
			p := oidc.New(opts)
			signIn := func(p *oidc.Provider, user string, f oidc.Flow) (oidc.Person, url.Values, error) {
				t.Helper()
				address, err := p.Begin(t.Context(), flow)
				if err != nil {
					t.Fatal(err)
				}
				u, err := url.Parse(o.SignIn(address, user))
				if err != nil || !strings.HasPrefix(u.String(), back+"?") || u.Query().Get("state") != flow.State {
					t.Fatalf("the browser is sent to %v (%v)", u, err)
				}
				who, err := p.Finish(t.Context(), f, u.Query().Get("code"), from(u.Query()))
				return who, u.Query(), err
			}
			who, came, err := signIn(p, "anna", flow)
			if err != nil || who.Owner.String() != "anna@firma.test" {
				t.Fatalf("%v, %v", who, err)
			}
			_, err = p.Finish(t.Context(), flow, came.Get("code"), nil)
			refused(t, err, "over") // The code was used.
			other := flow
			other.Verifier = remote.NewSecret(strings.Repeat("w", 43))
			_, _, err = signIn(p, "anna", other)
			refused(t, err, "over") // Somebody else's code: PKCE.
			other = flow
			other.Nonce = "another"
			_, _, err = signIn(p, "anna", other)
			refused(t, err, "false")
			_, _, err = signIn(p, "ewa", flow)
			refused(t, err, "address")
			_, _, err = signIn(p, "kowal", flow)
			refused(t, err, "address")
			opts.Unverified = true // The control.
			if who, _, err = signIn(oidc.New(opts), "ewa", flow); err != nil || who.Owner.String() != "ewa@firma.test" {
				t.Errorf("%v, %v", who, err)
			}
			if secret != "" {
				opts.ClientSecret = remote.NewSecret("not this one")
				_, _, err = signIn(oidc.New(opts), "anna", flow)
				refused(t, err, "setup")
			}
		})
	}
}

// from is where a browser says that it comes from; nil: it does not say.
func from(q url.Values) *string {
	if !q.Has("iss") {
		return nil
	}
	return new(q.Get("iss"))
}

func refused(t *testing.T, err error, why string) {
	t.Helper()
	var r *oidc.RefusedError
	if !errors.As(err, &r) || r.Why != why || r.Vouched != (why == "address") {
		t.Errorf("%v, want it refused: %s", err, why)
	}
}

func away(t *testing.T, err error) *oidc.AwayError {
	t.Helper()
	var a *oidc.AwayError
	if !errors.As(err, &a) || a.Wait <= 0 || len(a.Error()) > 500 {
		t.Fatalf("%v, want the provider to be away", err)
	}
	return a
}

// liar is a provider that says what the test wants.
type liar struct {
	*httptest.Server
	key, other *rsa.PrivateKey

	mu       sync.Mutex
	metadata map[string]any // Over the true ones; nil values are left out.
	claims   map[string]any // Over the true ones; nil values are left out.
	info     map[string]any
	sign     func(c map[string]any) string // Nil: as it should be.
	token    http.HandlerFunc              // Nil: answers with the id token.
	wellKnow http.HandlerFunc              // Nil: answers with the metadata.
	about    http.HandlerFunc              // Nil: answers with info.
	keys     http.HandlerFunc              // Nil: answers with the key.
	access   string                        // The access token; "": "at".
	asked    map[string]int
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{asked: map[string]int{}}
	for _, k := range []**rsa.PrivateKey{&l.key, &l.other} {
		var err error
		if *k, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked[r.URL.Path]++
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			if l.wellKnow != nil {
				l.wellKnow(w, r)
				return
			}
			m := map[string]any{
				"issuer": l.URL, "authorization_endpoint": l.URL + "/auth", "token_endpoint": l.URL + "/token",
				"jwks_uri": l.URL + "/keys", "userinfo_endpoint": l.URL + "/info",
				"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
			}
			maps.Copy(m, l.metadata)
			maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
			say(w, m)
		case "/keys":
			if l.keys != nil {
				l.keys(w, r)
				return
			}
			key := jose.JSONWebKey{Key: l.key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}
			say(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		case "/token":
			if l.token != nil {
				l.token(w, r)
				return
			}
			c := map[string]any{
				"iss": l.URL, "aud": "client", "sub": "1", "nonce": flow.Nonce, "exp": time.Now().Add(time.Hour).Unix(),
				"iat": time.Now().Unix(), "email": "anna@firma.test", "email_verified": true, "uid": 17,
			}
			for k, v := range l.claims {
				if c[k] = v; v == nil {
					delete(c, k)
				}
			}
			sign := l.sign
			if sign == nil {
				sign = by(t, jose.RS256, l.key)
			}
			say(w, map[string]any{"access_token": cmp.Or(l.access, "at"), "token_type": "Bearer", "id_token": sign(c)})
		case "/info":
			if l.about != nil {
				l.about(w, r)
				return
			}
			say(w, l.info)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// times says how often something was asked for.
func (l *liar) times(path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[path]
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, c map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// at returns the provider as this package sees it.
func (l *liar) at(change ...func(*oidc.Options)) *oidc.Provider {
	o := oidc.Options{
		Issuer: l.URL, ClientID: "client", ClientSecret: remote.NewSecret("secret"), RedirectURL: back, Claim: "email",
		HTTP: l.Client(),
	}
	for _, c := range change {
		c(&o)
	}
	return oidc.New(o)
}

// TestNothingFalseSignsIn: each case differs from what signs in, which is the
// control, in one thing.
func TestNothingFalseSignsIn(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	claim := func(name string, value any) func(*liar) {
		return func(l *liar) { l.claims = map[string]any{name: value} }
	}
	for name, tc := range map[string]struct {
		change func(*liar)
		why    string // "": anna is signed in.
	}{
		"as it should be":       {func(*liar) {}, ""},
		"another nonce":         {claim("nonce", "b-nonce"), "false"},
		"no nonce":              {claim("nonce", nil), "false"},
		"another audience":      {claim("aud", "somebody"), "false"},
		"an audience beside us": {claim("aud", []string{"client", "somebody"}), "false"},
		"for another party":     {claim("azp", "somebody"), "false"},
		"for us":                {claim("azp", "client"), ""},
		"for a number":          {claim("azp", 5), "false"},
		"for a list":            {claim("azp", []string{"client"}), "false"},
		"for an object":         {claim("azp", map[string]any{"client": 1}), "false"},
		"for nobody":            {claim("azp", ""), "false"},
		"for null":              {claim("azp", json.RawMessage("null")), "false"},
		"about nobody":          {claim("sub", nil), "false"},
		"about an empty name":   {claim("sub", ""), "false"},
		"of ten years ahead":    {claim("iat", time.Now().AddDate(10, 0, 0).Unix()), "false"},
		"of ten minutes ahead":  {claim("iat", time.Now().Add(10*time.Minute).Unix()), "false"},
		"of the end of time":    {claim("iat", json.RawMessage("1e300")), "false"},
		"past the end of time":  {claim("iat", int64(math.MaxInt64)), "false"},
		"by a clock of theirs":  {claim("iat", time.Now().Add(4*time.Minute).Unix()), ""},
		"another issuer":        {claim("iss", "https://evil.example"), "false"},
		"too old":               {claim("exp", time.Now().Add(-time.Hour).Unix()), "false"},
		"not verified":          {claim("email_verified", false), "address"},
		"verified, as a word":   {claim("email_verified", "true"), ""},
		"nothing said of that":  {claim("email_verified", nil), "address"},
		"no address":            {claim("email", "anna"), "address"},
		"two addresses":         {claim("email", []string{"anna@firma.test"}), "address"},
		"full-width":            {claim("email", "\uFF41nna@firma.test"), "address"},
		"a display name":        {claim("email", "Anna <anna@firma.test>"), "address"},
		"signed by somebody":    {func(l *liar) { l.sign = by(t, jose.RS256, l.other) }, "false"},
		"signed with the secret": {func(l *liar) {
			l.sign = func(c map[string]any) string { return signed(t, jose.HS256, []byte(strings.Repeat("secret", 6)), c) }
		}, "false"},
		"not signed":                         {func(l *liar) { l.sign = unsigned }, "false"},
		"no id token":                        {func(l *liar) { l.sign = nothing }, "false"},
		"the answer about the user":          {told("1", true), ""},
		"… about another user":               {told("2", true), "false"},
		"… about nobody":                     {told("", true), "false"},
		"neither about anybody":              {aboutNobody, "false"},
		"… not verified there":               {told("1", false), "address"},
		"a code that was used":               {refuses(http.StatusBadRequest, `{"error":"invalid_grant"}`), "over"},
		"a client that is not registered":    {refuses(http.StatusUnauthorized, `{"error":"invalid_client"}`), "setup"},
		"an answer that is not JSON":         {refuses(http.StatusBadRequest, strings.Repeat("<p>", 1000)), "setup"},
		"the answer has no access token":     {refuses(http.StatusOK, "{}"), "away"},
		"out of order":                       {refuses(http.StatusInternalServerError, "oops"), "away"},
		"too many requests":                  {refuses(http.StatusTooManyRequests, "slow"), "away"},
		"an answer without an end":           {func(l *liar) { l.token = endless }, "away"},
		"an answer that breaks off":          {func(l *liar) { l.token = breaks }, "away"},
		"keys that break off":                {func(l *liar) { l.keys = breaks }, "away"},
		"keys without an end":                {func(l *liar) { l.keys = endless }, "away"},
		"keys that are none":                 {func(l *liar) { l.keys = refuses0 }, "away"},
		"metadata without an end":            {func(l *liar) { l.wellKnow = endless }, "away"},
		"metadata of another issuer":         {meta("issuer", "https://evil.example"), "away"},
		"keys at a plain address":            {meta("jwks_uri", "http://evil.example/keys"), "away"},
		"persons at a plain address":         {meta("userinfo_endpoint", "http://evil.example/info"), "away"},
		"tokens at a plain address":          {meta("token_endpoint", "http://evil.example/token"), "away"},
		"metadata that breaks off":           {func(l *liar) { l.wellKnow = breaks }, "away"},
		"metadata that is no page of theirs": {func(l *liar) { l.wellKnow = http.NotFound }, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			l.mu.Lock()
			l.claims, l.info, l.sign, l.token, l.keys, l.wellKnow, l.metadata = nil, nil, nil, nil, nil, nil, nil
			tc.change(l)
			l.mu.Unlock()
			who, err := l.at().Finish(t.Context(), flow, "code", nil)
			switch tc.why {
			case "":
				if err != nil || who.Owner.String() != "anna@firma.test" || !who.UserID.IsZero() {
					t.Errorf("%v, %v", who, err)
				}
			case "away":
				away(t, err)
			default:
				refused(t, err, tc.why)
			}
		})
	}
	_, err := l.at().Finish(t.Context(), flow, "", nil)
	refused(t, err, "false")
}

// TestNoErrorRepeatsASecret: what goes to the provider is in no error, in whatever form the provider sends it back.
// What it says beside is the control.
func TestNoErrorRepeatsASecret(t *testing.T) {
	t.Parallel()
	const secret, code, access = "kl!en/ck+i %s3kret", "kod~zwrotny.4711", "dostep-0815-4242"
	l := newLiar(t)
	verifier := flow.Verifier.Reveal()
	repeat := func(status int, form func(string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var b strings.Builder
			b.WriteString(r.Header.Get("Authorization") + " ")
			if name, password, ok := r.BasicAuth(); ok {
				b.WriteString(name + ":" + password + " ")
			}
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			for _, values := range r.PostForm {
				b.WriteString(form(values[0]) + " ")
			}
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprintf(w, "sunflower %s %s sunset", form(secret), b.String())
		}
	}
	asError := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			if err := json.NewEncoder(w).Encode(map[string]string{
				"error": "invalid_grant", "error_description": "sunflower " + text, "error_uri": "https://x.test/" + text,
			}); err != nil {
				t.Error(err)
			}
		}
	}
	same := func(s string) string { return s }
	forms := map[string]func(string) string{
		"as it is": same, "in a URL": url.QueryEscape,
		"in base64":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"taken apart": func(s string) string { return s[:5] + "\u200b" + s[5:] },
	}
	cases := map[string]func(*liar){}
	for name, form := range forms {
		for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusInternalServerError} {
			cases[fmt.Sprintf("the tokens' page, %d, %s", status, name)] = func(l *liar) { l.token = repeat(status, form) }
		}
		for _, of := range []string{secret, code, verifier} {
			cases["an error's description, "+name+" "+of] = func(l *liar) { l.token = asError(form(of)) }
		}
		cases["the page about the user, "+name] = func(l *liar) {
			l.claims, l.about = map[string]any{"email": nil}, repeat(http.StatusForbidden, form)
		}
		cases["the keys, "+name] = func(l *liar) { l.keys = repeat(http.StatusForbidden, form) }
		cases["what it offers, "+name] = func(l *liar) { l.wellKnow = repeat(http.StatusForbidden, form) }
		cases["another issuer, "+name] = meta("issuer", "https://sunflower.test/"+form(secret))
		cases["an address of it, "+name] = meta("jwks_uri", "http://sunflower.test/"+form(secret))
		cases["whose token it is, "+name] = func(l *liar) {
			l.claims = map[string]any{"sub": "sunflower " + form(code), "email_verified": false}
		}
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			l.mu.Lock()
			l.claims, l.token, l.keys, l.wellKnow, l.metadata, l.about = nil, nil, nil, nil, nil, nil
			l.access = access
			change(l)
			l.mu.Unlock()
			p := l.at(func(o *oidc.Options) { o.ClientSecret = remote.NewSecret(secret) })
			_, err := p.Finish(t.Context(), flow, code, nil)
			if err == nil {
				t.Fatal("somebody is signed in")
			}
			if !strings.Contains(err.Error(), "sunflower") {
				t.Errorf("what the provider says beside is lost: %v", err)
			}
			for _, s := range []string{secret, code, access, verifier} {
				for _, form := range forms {
					if strings.Contains(err.Error(), strings.ReplaceAll(form(s), "\u200b", "")) {
						t.Errorf("%q is repeated: %v", s, err)
					}
				}
			}
			if basic := base64.StdEncoding.EncodeToString([]byte("client:" + url.QueryEscape(secret))); strings.Contains(
				err.Error(), basic) {
				t.Errorf("the credentials are repeated: %v", err)
			}
		})
	}
}

// TestABrowserComesFromTheIssuer, as far as the one says it who always does, and
// whoever says anything (RFC 9207). That others need not say it is the control.
func TestABrowserComesFromTheIssuer(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	for name, tc := range map[string]struct {
		says   any // In its metadata.
		issuer *string
		good   bool
	}{
		"it need not say it": {nil, nil, true}, "it does not": {false, nil, true}, "it always does": {true, nil, false},
		"right": {nil, &l.URL, true}, "right, as always": {true, &l.URL, true},
		"empty": {nil, new(string), false}, "empty, where it should be": {true, new(string), false},
		"another": {nil, new("https://evil.example"), false}, "another's, as always": {true, new(l.URL + "/"), false},
	} {
		l.mu.Lock()
		l.metadata = map[string]any{"authorization_response_iss_parameter_supported": tc.says}
		l.asked["/token"] = 0
		l.mu.Unlock()
		_, err := l.at().Finish(t.Context(), flow, "code", tc.issuer)
		if !tc.good {
			refused(t, err, "false")
		}
		if n := l.times("/token"); (err == nil) != tc.good || (n > 0) != tc.good {
			t.Errorf("%s: %v, the code was redeemed %d times", name, err, n)
		}
	}
}

func unsigned(map[string]any) string { return "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0." }

func nothing(map[string]any) string { return "" }

// by signs as somebody who has this key.
func by(t *testing.T, alg jose.SignatureAlgorithm, key any) func(map[string]any) string {
	return func(c map[string]any) string { return signed(t, alg, key, c) }
}

// told has the address in the answer about the user alone.
func told(sub string, verified bool) func(*liar) {
	return func(l *liar) {
		l.claims = map[string]any{"email": nil}
		l.info = map[string]any{"sub": sub, "email": "anna@firma.test", "email_verified": verified}
	}
}

// aboutNobody has no sub anywhere.
func aboutNobody(l *liar) {
	told("", true)(l)
	l.claims["sub"] = nil
}

func meta(name, value string) func(*liar) {
	return func(l *liar) { l.metadata = map[string]any{name: value} }
}

func refuses(status int, body string) func(*liar) {
	return func(l *liar) {
		l.token = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
}

func refuses0(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"x":"`)
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(strings.Repeat("x", 64<<10))); err != nil {
			return
		}
	}
}

func breaks(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// TestWhoHasTheAddressIsToldByAClaim, text or number, wherever it is given.
func TestWhoHasTheAddressIsToldByAClaim(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	with := func(o *oidc.Options) { o.UserIDClaim = "uid" }
	for name, tc := range map[string]struct {
		uid  any
		want string // "": refused.
	}{
		"a number": {17, "17"}, "the same number": {json.RawMessage("17.0"), "17"}, "text": {"u-17", "u-17"},
		"none": {nil, ""}, "empty": {"", ""}, "a list": {[]int{17}, ""}, "anybody's": {"*", ""},
		"too long": {strings.Repeat("a", 256), ""}, "a line break": {"a\nb", ""}, "a truth": {true, ""},
	} {
		l.mu.Lock()
		l.claims = map[string]any{"uid": tc.uid}
		l.mu.Unlock()
		for where, says := range map[string]map[string]any{
			"in the id token": {"uid": tc.uid}, "in the answer about the user": {"uid": nil},
			"with the address there": {"uid": nil, "email": nil, "email_verified": nil},
		} {
			l.mu.Lock()
			l.claims, l.info = says, map[string]any{
				"sub": "1", "uid": tc.uid, "email": "anna@firma.test", "email_verified": true,
			}
			if where == "in the id token" {
				l.info["uid"] = "another's"
				if tc.uid == nil { // Then it is asked for.
					l.info["uid"] = nil
				}
			}
			l.mu.Unlock()
			who, err := l.at(with).Finish(t.Context(), flow, "code", nil)
			if who.UserID.String() != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%s, %s: %q, %v", name, where, who.UserID, err)
			}
			var r *oidc.RefusedError
			if tc.want == "" && (!errors.As(err, &r) || r.Why != "setup" || !r.Vouched) {
				t.Errorf("%s, %s: %v", name, where, err)
			}
		}
	}
}

// TestOnlyWhatIsMissingIsAskedFor: what the id token says counts, and a provider
// without answers about users is not asked.
func TestOnlyWhatIsMissingIsAskedFor(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	for name, tc := range map[string]struct {
		claims, info, metadata map[string]any
		want                   string // Whom it names, with the id; "": refused.
		asked                  int
	}{
		"nothing is missing": {want: "anna@firma.test 17"},
		"the id": {
			claims: map[string]any{"uid": nil}, want: "anna@firma.test 18", asked: 1,
			info: map[string]any{"sub": "1", "uid": 18, "email": "ewa@firma.test", "email_verified": true},
		},
		"the id, which is null": {
			claims: map[string]any{"uid": json.RawMessage("null")}, want: "anna@firma.test 18", asked: 1,
			info: map[string]any{"sub": "1", "uid": 18},
		},
		"the id, of another user": {
			claims: map[string]any{"uid": nil}, asked: 1, info: map[string]any{"sub": "2", "uid": 18},
		},
		"the id, and the address is not verified": {
			claims: map[string]any{"uid": nil, "email_verified": false}, asked: 1,
			info: map[string]any{"sub": "1", "uid": 18, "email": "anna@firma.test", "email_verified": true},
		},
		"the id, and nobody can be asked": {
			claims: map[string]any{"uid": nil}, metadata: map[string]any{"userinfo_endpoint": nil},
		},
		"the address": {
			claims: map[string]any{"email": nil}, want: "ewa@firma.test 17", asked: 1,
			info: map[string]any{"sub": "1", "uid": 18, "email": "ewa@firma.test", "email_verified": true},
		},
	} {
		l.mu.Lock()
		l.claims, l.info, l.metadata, l.asked = tc.claims, tc.info, tc.metadata, map[string]int{}
		l.mu.Unlock()
		who, err := l.at(func(o *oidc.Options) { o.UserIDClaim = "uid" }).Finish(t.Context(), flow, "code", nil)
		got := ""
		if err == nil {
			got = who.Owner.String() + " " + who.UserID.String()
		}
		if n := l.times("/info"); got != tc.want || n != tc.asked {
			t.Errorf("%s: %q, %v, asked %d times", name, got, err, n)
		}
	}
}

// dead is a way to a server that is not there.
type dead struct {
	mu    sync.Mutex
	asked int
	up    http.RoundTripper // Nil: it is down.
	takes func()            // While it is asked; nil: no time.
}

func (d *dead) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.takes != nil {
		d.takes()
	}
	if d.up == nil {
		return nil, errors.New("connection refused")
	}
	return d.up.RoundTrip(r)
}

// TestAProviderThatIsDownIsLeftAloneAndComesBack, and while what it says of itself
// is known it is not asked again.
func TestAProviderThatIsDownIsLeftAloneAndComesBack(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	d := &dead{}
	now := time.Now()
	p := l.at(func(o *oidc.Options) {
		o.HTTP, o.Now = &http.Client{Transport: d}, func() time.Time { return now }
	})
	for i := range 5 {
		_, err := p.Begin(t.Context(), flow)
		if a := away(t, err); a.Wait != time.Duration(10-i)*time.Second || d.asked != 1 {
			t.Errorf("after %d s: wait %v, asked %d times", i, a.Wait, d.asked)
		}
		now = now.Add(time.Second)
	}
	now = now.Add(5 * time.Second)
	d.up = l.Client().Transport
	begin := func() {
		t.Helper()
		address, err := p.Begin(t.Context(), flow)
		u, perr := url.Parse(address)
		if err != nil || perr != nil {
			t.Fatal(err, perr)
		}
		q := u.Query()
		if !strings.HasPrefix(address, l.URL+"/auth?") || q.Get("state") != flow.State || q.Get("nonce") != flow.Nonce ||
			q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("redirect_uri") != back ||
			strings.Contains(address, flow.Verifier.Reveal()) || q.Get("scope") != "openid" || q.Get("client_secret") != "" {
			t.Errorf("the browser is sent to %s", address)
		}
	}
	begin()
	begin()
	if d.asked != 2 {
		t.Errorf("asked %d times", d.asked)
	}
	now = now.Add(25 * time.Hour) // What is known is old by now, and better than nothing.
	d.up = nil
	begin()
	begin()
	if d.asked != 3 {
		t.Errorf("asked %d times", d.asked)
	}
}

// TestAProviderThatIsSlowToFailIsAskedOnceForAllWhoWait: the pause begins when it has
// failed, not when it was asked. That it ends is the control.
func TestAProviderThatIsSlowToFailIsAskedOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &dead{takes: func() { now = now.Add(11 * time.Second) }}
	p := newLiar(t).at(func(o *oidc.Options) {
		o.HTTP, o.Now = &http.Client{Transport: d}, func() time.Time { return now }
	})
	for range 3 {
		_, err := p.Begin(t.Context(), flow)
		if a := away(t, err); a.Wait != 10*time.Second || d.asked != 1 {
			t.Errorf("wait %v, asked %d times", a.Wait, d.asked)
		}
	}
	now = now.Add(10 * time.Second)
	if _, err := p.Begin(t.Context(), flow); err == nil || d.asked != 2 {
		t.Errorf("%v, asked %d times", err, d.asked)
	}
}

// stuck never answers.
type stuck struct{}

func (stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilenceEnds: whoever waits gets an answer after ten seconds, or leaves when it likes.
func TestSilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oidc.New(oidc.Options{Issuer: "https://login.test", ClientID: "c", HTTP: &http.Client{Transport: stuck{}}})
		began := time.Now()
		_, err := p.Begin(t.Context(), flow)
		away(t, err)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// hanging answers no question for keys.
type hanging struct {
	next  http.RoundTripper
	asked chan struct{}
	ended chan error // Why.
}

func (h hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/keys" {
		return h.next.RoundTrip(r)
	}
	close(h.asked)
	<-r.Context().Done()
	h.ended <- r.Context().Err()
	return nil, r.Context().Err()
}

// TestClosingEndsTheFetchOfKeysThatNobodyWaitsFor; nothing is asked after it. The control
// is that the fetch outlives the sign-in that had it begun.
func TestClosingEndsTheFetchOfKeysThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	h := hanging{l.Client().Transport, make(chan struct{}), make(chan error, 1)}
	p := l.at(func(o *oidc.Options) { o.HTTP = &http.Client{Transport: h} })
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	answer := make(chan error, 1)
	go func() {
		_, err := p.Finish(ctx, flow, "code", nil)
		answer <- err
	}()
	<-h.asked
	hangUp()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	select {
	case <-h.ended:
		t.Fatal("the fetch ended with the sign-in")
	default:
	}
	p.Close()
	select {
	case why := <-h.ended:
		if !errors.Is(why, context.Canceled) {
			t.Errorf("the fetch ended by itself: %v", why)
		}
	default:
		t.Error("the fetch is still under way")
	}
	asked := l.times("/token")
	_, err := p.Finish(t.Context(), flow, "code", nil)
	away(t, err)
	if l.times("/token") != asked {
		t.Error("the provider was asked again")
	}
	p.Close() // May be called again.
}
