package mailtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// OpenID is a real identity provider in a process of its own: the OpenID provider
// of zitadel/oidc, with its example's pages. It puts an address into the answer about
// the user alone, not into the id token.
type OpenID struct {
	Issuer           string // "https://localhost:…".
	ClientID, Secret string

	tb     testing.TB
	client *http.Client
	users  map[string]OpenIDUser
}

// OpenIDUser is somebody who can sign in there.
type OpenIDUser struct {
	Password string
	Email    string
	Verified bool
}

// StartOpenID starts an identity provider that sends browsers back to redirect,
// until the test ends. secret may be "", for a public client.
func StartOpenID(tb testing.TB, ca *CA, redirect, secret string, users map[string]OpenIDUser) *OpenID {
	tb.Helper()
	dir := openDir(tb, "openid")
	program, cert := buildOpenID(tb, dir), ca.Server()
	all := map[string]map[string]any{}
	for name, u := range users {
		all["id-"+name] = map[string]any{
			"ID": "id-" + name, "Username": name, "Password": u.Password, "Email": u.Email, "EmailVerified": u.Verified,
			"PreferredLanguage": "pl",
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		tb.Fatal(err)
	}
	list := filepath.Join(dir, "users.json")
	writeFile(tb, list, text, 0o600)
	o := &OpenID{ClientID: "mailbrook", Secret: secret, tb: tb, users: users}
	o.client = &http.Client{
		Transport: &http.Transport{TLSClientConfig: ca.Client(), DisableKeepAlives: true},
		Timeout:   patience,
		// Where the browser is led is for the test to follow.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for try := 0; ; try++ {
		ports, err := freePorts(1)
		if err != nil {
			tb.Fatal(err)
		}
		p, err := startProcess(nil, program, "-listen", fmt.Sprintf("127.0.0.1:%d", ports[0]), "-cert", cert.CertFile,
			"-key", cert.KeyFile, "-users", list, "-client", o.ClientID, "-secret", secret, "-redirect", redirect)
		if err == nil {
			o.Issuer = fmt.Sprintf("https://localhost:%d", ports[0])
			if err = o.await(p); err == nil {
				tb.Cleanup(func() {
					if err := p.stop(); err != nil {
						tb.Errorf("stopping the identity provider: %v", err)
					}
				})
				return o
			}
		}
		if try == 5 {
			tb.Fatalf("starting the identity provider: %v", err)
		}
	}
}

// buildOpenID builds the provider, which is a module of its own.
func buildOpenID(tb testing.TB, dir string) string {
	tb.Helper()
	where, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/mailbrook/mailbrook/internal/mailtest").Output()
	if err != nil {
		tb.Fatalf("looking for the identity provider's source: %v", err)
	}
	program := filepath.Join(dir, "openid")
	cmd := exec.Command("go", "build", "-C", filepath.Join(strings.TrimSpace(string(where)), "testdata", "openid"), "-o",
		program, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("building the identity provider (its modules come from the module proxy, once): %v: %s", err, out)
	}
	return program
}

func (o *OpenID) await(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := o.client.Get(o.Issuer + "/.well-known/openid-configuration")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended at once (%w): %s", p.err, strings.TrimSpace(p.out.String()))
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn goes to the provider's page as a browser does, signs in, and returns the
// address to which the provider sends the browser back.
func (o *OpenID) SignIn(address, user string) string {
	o.tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.tb.Fatal(err)
	}
	browser := *o.client
	browser.Jar = jar
	visit := func(method, address string, form url.Values) (next, page string) {
		o.tb.Helper()
		req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
		if err != nil {
			o.tb.Fatalf("at the identity provider: %v", err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(req)
		if err != nil {
			o.tb.Fatalf("at the identity provider: %v", err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			o.tb.Fatalf("at the identity provider: %v", err)
		}
		if to, err := resp.Location(); err == nil {
			return to.String(), ""
		}
		return "", string(text)
	}
	login, page := visit(http.MethodGet, address, nil)
	if login == "" {
		o.tb.Fatalf("the identity provider does not ask anybody to sign in: %s", page)
	}
	_, page = visit(http.MethodGet, login, nil)
	id := hiddenID.FindStringSubmatch(page)
	if id == nil {
		o.tb.Fatalf("this is no page to sign in: %s", page)
	}
	back, page := visit(http.MethodPost, o.Issuer+"/login/username", url.Values{
		"id": {id[1]}, "username": {user}, "password": {o.users[user].Password},
	})
	if back == "" {
		o.tb.Fatalf("the identity provider does not let %s in: %s", user, page)
	}
	back, page = visit(http.MethodGet, back, nil)
	if back == "" {
		o.tb.Fatalf("the identity provider sends nobody back: %s", page)
	}
	return back
}
