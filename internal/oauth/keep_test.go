package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// world is a provider, and what processes share: rows, keys, and a clock.
type world struct {
	*testing.T
	server *mailtest.OAuth
	client *http.Client
	owner  owner.Owner

	mu      sync.Mutex
	now     time.Time
	pending map[string]row
	secrets map[account.ID][]byte
	broken  error // What saving a secret answers.
}

type row struct {
	owner   owner.Owner
	sealed  []byte
	expires time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ca := mailtest.NewCA(t)
	anna, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		T: t, server: mailtest.StartOAuth(t, ca, "anna@gmail.com"), owner: anna, now: time.Now(), pending: map[string]row{},
		secrets: map[account.ID][]byte{},
		client: &http.Client{
			Transport: &http.Transport{TLSClientConfig: ca.Client(), DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) SavePending(_ context.Context, name string, o owner.Owner, sealed []byte, expires time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[name] = row{o, sealed, expires}
	return nil
}

func (w *world) PendingOf(_ context.Context, name string) (owner.Owner, []byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.pending[name]
	if !ok || !w.now.Before(r.expires) {
		return owner.Owner{}, nil, account.ErrNotFound
	}
	return r.owner, r.sealed, nil
}

func (w *world) UsePending(ctx context.Context, name string) (owner.Owner, []byte, error) {
	o, sealed, err := w.PendingOf(ctx, name)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, name)
	return o, sealed, err
}

func (w *world) ClaimPending(_ context.Context, name string, o owner.Owner, until time.Time) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := w.pending[name]; ok && w.now.Before(r.expires) {
		return false, nil
	}
	w.pending[name] = row{o, nil, until}
	return true, nil
}

func (w *world) SealedSecret(_ context.Context, ref remote.SecretRef) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets[account.ID(ref.Subject)], nil
}

func (w *world) ReplaceSealed(_ context.Context, ref remote.SecretRef, from, to []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := account.ID(ref.Subject)
	if w.broken == nil && bytes.Equal(w.secrets[id], from) {
		w.secrets[id] = to
	}
	return w.broken
}

// Seal and Unseal bind to owner and id as the real ones do, and hide nothing.
func (w *world) Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error) {
	return []byte(ref.Owner.String() + "|" + ref.Subject + "|" + s.Reveal()), nil
}

func (w *world) Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error) {
	text, ok := strings.CutPrefix(string(sealed), ref.Owner.String()+"|"+ref.Subject+"|")
	if !ok {
		return remote.Secret{}, errors.New("sealed for another")
	}
	return remote.NewSecret(text), nil
}

// process returns a Service, as one process has it.
func (w *world) process() *oauth.Service {
	w.Helper()
	s, err := oauth.New(oauth.Options{
		Providers: []oauth.Provider{{
			ID: "google", Name: "Google", ClientID: w.server.ClientID, ClientSecret: remote.NewSecret(w.server.ClientSecret),
			AuthorizeURL: w.server.AuthorizeURL, TokenURL: w.server.TokenURL, Issuer: w.server.Issuer, Scopes: []string{"mail"},
			Presets: []string{"google"},
		}},
		PublicURL: "https://mail.firma.test", HTTP: w.client, Sealer: w, Pending: w, Secrets: w, Now: w.clock, Log: slog.New(
			slog.DiscardHandler),
		Serves: func(provider, host string) bool { return provider == "google" && host == "imap.gmail.com" },
	})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// allow sends a browser to the provider, lets it in, and returns what it brings
// back.
func (w *world) allow(s *oauth.Service) oauth.Callback {
	w.Helper()
	browser := remote.NewSecret("the browser's mark")
	address, _, err := s.Begin(w.Context(), oauth.Start{Owner: w.owner, Browser: browser, Preset: "google"})
	if err != nil {
		w.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		w.Fatal(err)
	}
	q := u.Query()
	u.Path, u.RawQuery = "/allow", url.Values{
		"redirect_uri": {q.Get("redirect_uri")}, "state": {q.Get("state")},
		"challenge": {q.Get("code_challenge")}, "client": {q.Get("client_id")},
	}.Encode()
	resp, err := w.client.Get(u.String())
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		w.Fatal(err)
	}
	b := back.Query()
	return oauth.Callback{
		Owner: w.owner, Browser: browser, Provider: "google", State: b.Get("state"), Code: b.Get("code"),
		Issuer: b.Get("iss"),
	}
}

// account saves an account that has just been signed in.
func (w *world) account(s *oauth.Service, id account.ID) remote.Mailbox {
	w.Helper()
	done, err := s.Finish(w.Context(), w.allow(s))
	if err != nil {
		w.Fatal(err)
	}
	g, err := s.Grant(w.Context(), w.owner, done.Grant)
	if err != nil {
		w.Fatal(err)
	}
	m := remote.Mailbox{
		Secret:   remote.SecretRef{Owner: w.owner, Subject: string(id), Field: remote.SignsIn},
		Username: "anna@gmail.com", Auth: remote.OAuth2, Server: remote.Server{Host: "imap.gmail.com"},
	}
	sealed, err := w.Seal(m.Secret, g.Lasting)
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets[id] = sealed
	return m
}

func (w *world) token(s *oauth.Service, a remote.Mailbox) string {
	w.Helper()
	c, err := s.Credential(w.Context(), a)
	if err != nil {
		w.Fatal(err)
	}
	return c.Secret.Reveal()
}

// TestNoPermissionIsUsedTwice is F41: however many ask at once, in however many
// processes, a provider that gives a new lasting token each time and looks out
// for thieves finds none.
func TestNoPermissionIsUsedTwice(t *testing.T) {
	w := newWorld(t)
	processes := []*oauth.Service{w.process(), w.process(), w.process()}
	a := w.account(processes[0], "1")
	before, _ := w.server.Asked()
	var g errgroup.Group
	for i := range 30 {
		g.Go(func() error {
			_, err := processes[i%3].Credential(t.Context(), a)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if asked, reused := w.server.Asked(); reused > 0 || asked-before > 30 || asked-before < 3 {
		t.Errorf("%d requests, %d of them with a token that was used before", asked-before, reused)
	}
	one, other := w.process(), w.account(processes[0], "2")
	before, _ = w.server.Asked()
	for range 10 {
		g.Go(func() error {
			_, err := one.Credential(t.Context(), other)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if asked, _ := w.server.Asked(); asked != before+1 {
		t.Errorf("one process asks %d times for what it was given once", asked-before)
	}
}

func TestANewPermissionIsSavedBeforeItIsUsed(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	a := w.account(s, "1")
	w.broken = errors.New("the disk is full")
	if c, err := s.Credential(t.Context(), a); !errors.Is(err, w.broken) || !c.Secret.Empty() {
		t.Errorf("with a permission that could not be saved: %v", err)
	}
	// Half way through a shutdown it is saved all the same.
	w = newWorld(t)
	s = w.process()
	a = w.account(s, "1")
	old := string(w.secrets["1"])
	ctx, cancel := context.WithCancel(t.Context())
	w.client.Transport = cancelling{w.client.Transport, cancel}
	if _, err := s.Credential(ctx, a); err != nil {
		t.Errorf("while it was asked for, the process was asked to stop: %v", err)
	}
	if string(w.secrets["1"]) == old {
		t.Error("the new permission is lost")
	}
}

// cancelling ends a context as soon as a request is made.
type cancelling struct {
	http.RoundTripper
	cancel func()
}

func (c cancelling) RoundTrip(r *http.Request) (*http.Response, error) {
	c.cancel()
	return c.RoundTripper.RoundTrip(r)
}

func TestAnAccessTokenIsReplacedBeforeItEnds(t *testing.T) {
	for _, tc := range []struct {
		says, good, over time.Duration
	}{
		{time.Hour, 57 * time.Minute, 2 * time.Minute},
		{time.Minute, 40 * time.Second, 10 * time.Second},
		{10 * 365 * 24 * time.Hour, 23 * time.Hour, time.Hour}, // S59: a day, whatever it says.
		{0, 2 * time.Minute, 2 * time.Minute},
	} {
		w := newWorld(t)
		s := w.process()
		w.server.Life(tc.says)
		a := w.account(s, "1")
		first := w.token(s, a)
		w.pass(tc.good)
		if w.token(s, a) != first {
			t.Errorf("of %v, replaced after %v", tc.says, tc.good)
		}
		w.pass(tc.over)
		if w.token(s, a) == first {
			t.Errorf("of %v, still used after %v", tc.says, tc.good+tc.over)
		}
	}
	w := newWorld(t)
	s := w.process()
	a := w.account(s, "1")
	c, err := s.Credential(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.Renew(t.Context(), c.Secret)
	if err != nil || next.Reveal() == c.Secret.Reveal() {
		t.Errorf("a refused token is not replaced: %v", err)
	}
	if again, err := c.Renew(t.Context(), c.Secret); err != nil || again.Reveal() != next.Reveal() {
		t.Errorf("one that was replaced already is asked for again: %v", err)
	}
}

// TestTheUsersWordCounts: a permission that was withdrawn is final, and one
// that was given again is used at once, by whichever process.
func TestTheUsersWordCounts(t *testing.T) {
	w := newWorld(t)
	s, poller := w.process(), w.process()
	a := w.account(s, "1")
	first := w.token(poller, a)
	w.account(s, "1") // Signed in again, while the first token was good.
	if w.token(poller, a) == first {
		t.Error("a token of the permission before is used still")
	}
	w.server.Revoke()
	w.pass(time.Hour)
	_, err := poller.Credential(t.Context(), a)
	if f := fault.Of(err); f == nil || f.Code != fault.OAuthReauthorizationRequired || !f.Final {
		t.Errorf("withdrawn: %v", err)
	}
	w.account(s, "1")
	if _, err := poller.Credential(t.Context(), a); err != nil {
		t.Errorf("given again: %v", err)
	}
	// A password in its place, or another account's secret, is no permission.
	for _, secret := range []string{"anna@firma.test|1|haslo", "anna@firma.test|2|\x00oauth2 1\n{}"} {
		w.secrets["1"] = []byte(secret)
		if _, err := poller.Credential(t.Context(), a); fault.CodeOf(err) != fault.OAuthReauthorizationRequired {
			t.Errorf("%q as a permission: %v", secret, err)
		}
	}
}

func TestTokensAreShownToTheProvidersOwnServersOnly(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	a := w.account(s, "1")
	w.token(s, a)
	a.Server.Host = "imap.evil.test"
	if c, err := s.Credential(t.Context(), a); fault.CodeOf(err) != fault.HostNotAllowed || !c.Secret.Empty() {
		t.Errorf("a token that is known already, for another server: %v", err)
	}
}

// TestWhoseFaultItIs: what passes by itself asks nothing of the user.
func TestWhoseFaultItIs(t *testing.T) {
	answer := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		code fault.Code
		wait time.Duration
	}{
		"out of order":       {answer(500, "", "x"), fault.ServerUnavailable, 0},
		"busy":               {answer(503, "120", "x"), fault.ServerUnavailable, 2 * time.Minute},
		"busy for a century": {answer(429, "2147483647", "x"), fault.ServerUnavailable, 24 * time.Hour},
		"gone in mid-sentence": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, fault.ServerUnavailable, 0},
		"withdrawn":              {answer(400, "", `{"error":"invalid_grant"}`), fault.OAuthReauthorizationRequired, 0},
		"our registration":       {answer(401, "", `{"error":"invalid_client"}`), fault.Internal, 0},
		"slow down":              {answer(400, "", `{"error":"slow_down"}`), fault.ServerUnavailable, 0},
		"out of order, in a 400": {answer(400, "", `{"error":"server_error"}`), fault.ServerUnavailable, 0},
		"interaction (F5)": {
			answer(400, "", `{"error":"interaction_required","suberror":"basic_action"}`),
			fault.OAuthReauthorizationRequired, 0,
		},
		"consent (F5)":   {answer(400, "", `{"error":"consent_required"}`), fault.OAuthReauthorizationRequired, 0},
		"login (F5)":     {answer(400, "", `{"error":"login_required"}`), fault.OAuthReauthorizationRequired, 0},
		"bad token (F5)": {answer(400, "", `{"error":"bad_token"}`), fault.OAuthReauthorizationRequired, 0},
		"a subcode (F5)": {
			answer(400, "", `{"error":"invalid_grant","suberror":"bad_token"}`),
			fault.OAuthReauthorizationRequired, 0,
		},
		"no word at all": {answer(400, "", `[]`), fault.ServerUnavailable, 0},
		"good with an odd token": {
			answer(200, "", `{"access_token":"a b","token_type":"bearer"}`), fault.ServerUnavailable,
			0,
		},
	} {
		w := newWorld(t)
		s := w.process()
		a := w.account(s, "1")
		w.server.Fail(tc.h)
		_, err := s.Credential(t.Context(), a)
		f := fault.Of(err)
		if f == nil || f.Code != tc.code || f.RetryAfter != tc.wait ||
			f.Final != (tc.code == fault.OAuthReauthorizationRequired) || !f.Elsewhere {
			t.Errorf("%s: %+v", name, f)
		}
		if err != nil && (strings.Contains(err.Error(), "<b>") || strings.Contains(err.Error(), w.server.TokenURL)) {
			t.Errorf("%s: the error holds what it should not: %v", name, err)
		}
	}
}

// What nobody knows, at a renewal, asks the user after a few tries, which a final failure would not have
// (bugreports F5); nor does it show what was sent.
func TestAnUnknownRefusalOfARenewalAsksTheUserInTheEnd(t *testing.T) {
	for name, body := range map[string]string{
		"a word of its own": `{"error":"<b>no</b>"}`,
		"another":           `{"error":"invalid_request"}`,
	} {
		w := newWorld(t)
		s := w.process()
		a := w.account(s, "1")
		w.server.Fail(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(rw, body)
		})
		_, err := s.Credential(t.Context(), a)
		if f := fault.Of(err); f == nil || f.Code != fault.OAuthReauthorizationRequired || f.Final || !f.Elsewhere ||
			strings.Contains(err.Error(), "<b>") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	s := w.process()
	a := w.account(s, "1")
	sent := ""
	w.server.Fail(func(rw http.ResponseWriter, r *http.Request) {
		sent = r.FormValue("refresh_token")
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"error":%q,"suberror":%q}`, sent, sent)
	})
	if _, err := s.Credential(t.Context(), a); err == nil || sent == "" || strings.Contains(err.Error(), sent) {
		t.Errorf("a refusal that repeats the token: %v", err)
	}
}

// Answers as providers give them: without a type of token (mail.ru), called something else than JSON (bugreports F5).
func TestAnAnswerNeedNeitherNameItsTypeNorItsToken(t *testing.T) {
	for name, tc := range map[string]struct {
		media, body string
		good        bool
	}{
		"no token_type":  {"application/json", `{"access_token":"A"}`, true},
		"javascript":     {"text/javascript; charset=utf-8", `{"access_token":"A","token_type":"Bearer"}`, true},
		"no type at all": {"", `{"access_token":"A","token_type":"bearer"}`, true},
		"another type":   {"application/json", `{"access_token":"A","token_type":"mac"}`, false},
		"a page":         {"text/html", `<html>`, false},
	} {
		w := newWorld(t)
		s := w.process()
		a := w.account(s, "1")
		w.server.Fail(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", tc.media)
			fmt.Fprint(rw, tc.body)
		})
		if c, err := s.Credential(t.Context(), a); tc.good != (err == nil) || tc.good != (c.Secret.Reveal() == "A") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASignInHasTenMinutesAndAGrantThirty(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	late := w.allow(s)
	w.pass(10*time.Minute - time.Second)
	if _, err := s.Finish(t.Context(), late); err != nil {
		t.Errorf("just in time: %v", err)
	}
	late = w.allow(s)
	w.pass(10 * time.Minute)
	if _, err := s.Finish(t.Context(), late); !errors.Is(err, oauth.ErrFlow) {
		t.Errorf("after ten minutes: %v", err)
	}
	w.server.Life(time.Minute)
	done, err := s.Finish(t.Context(), w.allow(s))
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Grant(t.Context(), w.owner, done.Grant)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(29 * time.Minute)
	second, err := s.Grant(t.Context(), w.owner, done.Grant)
	if err != nil || second.Access.Reveal() == first.Access.Reveal() ||
		second.Lasting.Reveal() == first.Lasting.Reveal() || second.Email != "anna@gmail.com" {
		t.Errorf("a grant whose token is over: %+v, %v", second, err)
	}
	w.pass(time.Minute)
	if _, err := s.Grant(t.Context(), w.owner, done.Grant); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("after thirty minutes: %v", err)
	}
	if _, reused := w.server.Asked(); reused > 0 {
		t.Error("a permission was used twice")
	}
}

// TestAnIDTokensAddressIsFoldedAsASCII: what a provider says in another script
// is shown as it is, and never as an ASCII user's.
func TestAnIDTokensAddressIsFoldedAsASCII(t *testing.T) {
	for said, want := range map[string]string{
		"Kowal@GMAIL.com":      "kowal@gmail.com",
		"\u212Aowal@gmail.com": "\u212Aowal@gmail.com", "\uFF4Bowal@gmail.com": "\uFF4Bowal@gmail.com", "no address": "",
	} {
		w := newWorld(t)
		w.server.Claims(func(claims map[string]any) { claims["email"] = said })
		s := w.process()
		done, err := s.Finish(t.Context(), w.allow(s))
		if err != nil {
			t.Fatal(err)
		}
		if g, err := s.Grant(t.Context(), w.owner, done.Grant); err != nil || g.Email != want {
			t.Errorf("%q is shown as %q (%v)", said, g.Email, err)
		}
	}
}

// gate admits until it is closed.
type gate struct {
	closed error
	ends   []remote.SignIn
}

func (g *gate) Admit(context.Context, remote.Mailbox, []netip.Addr) (func(remote.SignIn), error) {
	return func(how remote.SignIn) { g.ends = append(g.ends, how) }, g.closed
}

// TestRefusedPermissionsAreCounted, and above the limit the provider is not asked.
func TestRefusedPermissionsAreCounted(t *testing.T) {
	w := newWorld(t)
	s, g, asked := w.process(), &gate{}, 0
	a := w.account(s, "1")
	s.Gate = g
	w.pass(2 * time.Hour) // The access token is over.
	if _, err := s.Credential(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Hour)
	w.server.Fail(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(rw, `{"error":"invalid_grant"}`)
	})
	if _, err := s.Credential(t.Context(), a); fault.CodeOf(err) != fault.OAuthReauthorizationRequired {
		t.Errorf("%v", err)
	}
	g.closed = fault.New(fault.RateLimited, "signing in", words.Say(fault.HeldBack))
	if _, err := s.Credential(t.Context(), a); fault.CodeOf(err) != fault.RateLimited {
		t.Errorf("%v", err)
	}
	if want := []remote.SignIn{remote.SignInUntried, remote.SignInRefused}; !slices.Equal(g.ends, want) || asked != 1 {
		t.Errorf("ended %v, not %v; asked %d times with a gate that closed after one", g.ends, want, asked)
	}
}
