package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// Every site is searched for passwords when its test ends. Here it is done
// while the process runs, with its database's log not yet folded in, and after
// calls that handle a password in every way there is.
func TestAPasswordAppearsNowhere(t *testing.T) {
	t.Parallel()
	const odd = `kanarek "Zażółć" <&> 100%\gęś`
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna": canary, "jan": canary}, CA: ca,
		Extra: patientWithErrors,
	})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(91, 10, false))
	s := newSite(t, ca)
	s.secrets = append(s.secrets, odd)
	p := s.serve()
	u := p.as(anna)
	good := remoteAccount("Dobre", "imap", d.Host, d.IMAPS, "tls", "anna")
	id := u.add(good).ID
	u.reaches(id, "ok")
	u.do("POST", "/v1/accounts", good.with(fields{"username": "jan", "name": "Zle", "password": odd}))
	u.do("POST", "/v1/accounts", good.with(fields{"pasword": odd}))
	u.do("POST", "/v1/accounts", good.with(fields{"password": odd + "\r\n"}))
	u.do("POST", "/v1/accounts", good.with(fields{"password": []string{odd}}))
	u.do("POST", "/v1/accounts", `{"email":"anna@poczta.example.test","password":"`+canary+`",}`)
	u.do("POST", "/v1/accounts?password="+canary, good)
	u.do("POST", "/v1/connection-tests", fields{"account_id": id, "password": odd})
	u.do("PATCH", "/v1/accounts/"+id, fields{"password": odd, "skip_test": true})
	u.do("POST", "/v1/accounts/"+id+"/fetch", nil)
	u.reaches(id, "retrying", "needs_attention")
	must[accountAnswer](u, http.StatusOK, "PATCH", "/v1/accounts/"+id, fields{"password": canary})
	u.fetch(id)
	for _, path := range []string{"/v1/accounts", "/v1/accounts/" + id, "/v1/accounts/" + id + "/runs", "/v1/accounts/" +
		id + "/folders", "/v1/identities", "/v1/quota"} {
		u.do("GET", path, nil)
	}
	for _, path := range []string{"/v1/admin/accounts", "/v1/admin/quotas", "/v1/admin/stats"} {
		p.admin().do("GET", path, nil)
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		p.plain("GET", path)
	}
	s.run("", "account", "show", id)
	s.run(odd+"\n", "account", "edit", id, "--password-stdin")
	s.run("", "pull", "--json")
	if wal, err := os.Stat(filepath.Join(s.data(), "mailbrook.db-wal")); err != nil || wal.Size() == 0 {
		t.Errorf("the database has no log beside it, so that this shows less than it should: %v", err)
	}
	s.hear([]byte(p.log()))
	s.keepsSecrets()
	p.term()
}

// The search that all these tests end with finds what it should.
func TestTheSearchForPasswordsFindsThem(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"as it is":          "user=anna pass=" + canary,
		"in base64":         "AUTHENTICATE PLAIN AGFubmEAa2FuYXJlay1XOHpRLW5pZS1kcnVrdWo=",
		"in a file":         "",
		"in hexadecimal":    "6b616e6172656b2d57387a512d6e69652d6472756b756a",
		"in an odd message": "\x00\x01" + canary + "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{t, &siteState{dir: t.TempDir(), secrets: []string{canary}}}
			if text != "" {
				s.hear([]byte(text))
			} else if err := os.MkdirAll(s.data(), 0o700); err != nil {
				t.Fatal(err)
			} else if err := os.WriteFile(filepath.Join(s.data(), "f"), []byte("x"+canary), 0o600); err != nil {
				t.Fatal(err)
			}
			if len(s.leaks()) == 0 {
				t.Errorf("nothing is found in %q", text)
			}
		})
	}
}
