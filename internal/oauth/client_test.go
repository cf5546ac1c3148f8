package oauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// A token is asked for by client credentials, kept while it is good, and replaced before it ends. The control is an
// endpoint that refuses.
func TestAClientHasATokenReady(t *testing.T) {
	asked, now, refuse := 0, time.Unix(1_700_000_000, 0), false
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if refuse {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		for field, want := range map[string]string{
			"grant_type": "client_credentials", "client_id": "mailbrook", "client_secret": "geheim", "scope": "imap",
		} {
			if got := r.FormValue(field); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, asked)
	}))
	defer server.Close()
	c := NewClient(ClientOptions{
		TokenURL: server.URL, ClientID: "mailbrook", ClientSecret: remote.NewSecret("geheim"), Scope: "imap",
		HTTP: server.Client(), Now: func() time.Time { return now },
	})
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{0, "t1"}, {time.Minute, "t1"}, {time.Hour, "t2"}} {
		now = now.Add(step.later)
		if got, err := c.Token(t.Context()); err != nil || got.Reveal() != step.want {
			t.Errorf("after %v: %q, %v", step.later, got.Reveal(), err)
		}
	}
	refuse, now = true, now.Add(2*time.Hour)
	_, err := c.Token(t.Context())
	if fault.CodeOf(err) != fault.Internal || strings.Contains(fmt.Sprint(err), "geheim") {
		t.Errorf("refused: %v", err)
	}
}

// Each user has a token of its own, by an assertion that the account signs, kept while it is good. The controls are a
// user whom the server does not know, and a key that is not the account's.
func TestADelegateHasATokenForEachUser(t *testing.T) {
	now := time.Now()
	o := mailtest.StartOAuth(t, mailtest.NewCA(t), "nobody@firma.test")
	text := o.ServiceAccount(t)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	delegate := func(text string) *Delegate {
		t.Helper()
		a, err := ParseServiceAccount(text)
		if err != nil {
			t.Fatal(err)
		}
		return NewDelegate(DelegateOptions{
			Account: a, Scope: mailtest.ServiceScope, HTTP: trusting, Now: func() time.Time { return now },
		})
	}
	d := delegate(text)
	seen := map[string]string{}
	for _, step := range []struct {
		user  string
		later time.Duration
		fresh bool
	}{
		{"anna@firma.test", 0, true},
		{"anna@firma.test", time.Minute, false},
		{"jan@firma.test", 0, true},
		{"anna@firma.test", 50 * time.Minute, false},
		{"anna@firma.test", 9 * time.Minute, true},
	} {
		now = now.Add(step.later)
		got, err := d.Token(t.Context(), step.user)
		if err != nil || got.Empty() {
			t.Fatalf("%s: %v", step.user, err)
		}
		if is := got.Reveal() != seen[step.user]; is != step.fresh {
			t.Errorf("%s, %v later: a new token is %v", step.user, step.later, is)
		}
		for user, other := range seen {
			if user != step.user && other == got.Reveal() {
				t.Errorf("%s has the token of %s", step.user, user)
			}
		}
		seen[step.user] = got.Reveal()
	}
	stranger, _ := mailtest.NewServiceAccount(t, o.TokenURL)
	for name, c := range map[string]struct{ key, user string }{
		"nobody's name": {text, ""}, "another key": {stranger, "anna@firma.test"},
	} {
		_, err := delegate(c.key).Token(t.Context(), c.user)
		var f *fault.Error
		if !errors.As(err, &f) || !f.Elsewhere || strings.Contains(fmt.Sprint(err), "eyJ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
