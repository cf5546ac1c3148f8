package oauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
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
