package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	api "github.com/mailbrook/mailbrook/api/client"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// What other people's generators make of api/openapi.yaml, run against the
// program: newcomer 2 and 3.

// generated is the Go client, with what it sends and gets.
type generated struct {
	*api.ClientWithResponses
	t    *testing.T
	sent []byte // The last request's body.
}

func newGenerated(t *testing.T, u *user) *generated {
	t.Helper()
	g := &generated{t: t}
	var err error
	g.ClientWithResponses, err = api.NewClientWithResponses(u.p.addr, api.WithHTTPClient(client), api.WithRequestEditorFn(
		func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+u.token)
			if r.Body == nil {
				return nil
			}
			var err error
			g.sent, err = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(g.sent))
			return err
		}))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// settings is what an edit may change of an account, as it was answered.
func (g *generated) settings(answer []byte) fields {
	g.t.Helper()
	var f fields
	if err := json.Unmarshal(answer, &f); err != nil {
		g.t.Fatalf("%v in %s", err, answer)
	}
	delete(f, "status")
	delete(f, "updated_at")
	return f
}

// event reads the next event of a stream into the type of its name.
func event(t *testing.T, lines *bufio.Scanner) any {
	t.Helper()
	name := ""
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = n
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		into := map[string]any{
			"account": &api.Account{}, "progress": &api.ProgressEvent{}, "removed": &api.RemovedEvent{},
		}[name]
		if err := json.Unmarshal([]byte(data), into); err != nil {
			t.Fatalf("event %s: %v in %s", name, err, data)
		}
		return into
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return nil
}

// TestTheGoClientChangesWhatItSetsAndNothingElse is newcomer 2.
func TestTheGoClientChangesWhatItSetsAndNothingElse(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	p := newSite(t, ca).serve()
	g, ctx := newGenerated(t, p.as(anna)), t.Context()
	security, password, sender, username, folder := api.SecurityTls, canary, "Jan Stary", "anna", "Stare"
	exclude := []string{"Spam"}
	added, err := g.CreateAccountWithResponse(ctx, nil, api.NewAccount{
		Email: "jan@poczta.example.test", Password: &password, SenderName: &sender, Username: &username,
		Folder: &folder, Name: &folder, Folders: &api.FolderChoice{Exclude: &exclude},
		Server: &api.ServerSettings{Host: &d.Host, Port: &d.IMAPS, Security: &security},
	})
	if err != nil || added.JSON201 == nil {
		t.Fatalf("adding: %v: %s", err, added.Body)
	}
	id := added.JSON201.Id
	got, err := g.GetAccountWithResponse(ctx, id, nil)
	if err != nil || got.JSON200 == nil || got.JSON200.SenderName != sender {
		t.Fatalf("after adding: %v: %s", err, got.Body)
	}
	want := g.settings(got.Body)

	off, day, fresh := false, int64(86400), api.Start{}
	if err := fresh.FromStartDays(api.StartDays{Days: 30}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		patch api.AccountPatch
		name  string
		value any
		sent  string
	}{
		{api.AccountPatch{Enabled: &off}, "enabled", false, `{"enabled":false}`},
		{api.AccountPatch{PollIntervalSeconds: &day}, "poll_interval_seconds", 86400.0, `{"poll_interval_seconds":86400}`},
		{api.AccountPatch{Start: &fresh}, "start", map[string]any{"days": 30.0}, `{"start":{"days":30}}`},
	} {
		changed, err := g.UpdateAccountWithResponse(ctx, id, nil, tc.patch)
		if err != nil || changed.JSON200 == nil {
			t.Fatalf("changing %s: %v: %s", tc.name, err, changed.Body)
		}
		want[tc.name] = tc.value
		if diff := cmp.Diff(want, g.settings(changed.Body)); diff != "" || strings.TrimSpace(string(g.sent)) != tc.sent {
			t.Errorf("%s sent as %s changed more (-want +got):\n%s", tc.name, g.sent, diff)
		}
	}
	// The control: what the client sent before, and what came of it.
	asBefore := strings.NewReader(`{"enabled":false,"sender_name":null,"folders":null}`)
	changed, err := g.UpdateAccountWithBodyWithResponse(ctx, id, nil, "application/json", asBefore)
	if err != nil || changed.JSON200 == nil || cmp.Equal(want, g.settings(changed.Body)) {
		t.Errorf("nulls that were sent changed nothing: %v: %s", err, changed.Body)
	}

	all, err := g.ListAccountsWithResponse(ctx, nil)
	if err != nil || all.JSON200 == nil || len(all.JSON200.Accounts) != 1 {
		t.Errorf("the list: %v: %s", err, all.Body)
	}
	stream, err := g.ListEvents(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	if a, ok := event(t, lines).(*api.Account); !ok || a.Id != id {
		t.Errorf("the first event is not of the account: %+v", a)
	}
	if gone, err := g.DeleteAccountWithResponse(ctx, id, nil); err != nil || gone.StatusCode() != http.StatusNoContent {
		t.Errorf("deleting: %v: %s", err, gone.Body)
	}
	for removed := false; !removed; {
		e, ok := event(t, lines).(*api.RemovedEvent)
		if removed = ok; ok && e.AccountId != id {
			t.Errorf("removed: %+v", e)
		}
	}
	if none, err := g.GetAccountWithResponse(ctx, id, nil); err != nil || none.ApplicationproblemJSON404 == nil {
		t.Errorf("after deleting: %v: %s", err, none.Body)
	}
}

// apiTools is where `make api-lint` puts what comes from npm.
const apiTools = "../../.cache/api"

// TestTheTypeScriptClientDoesTheSame is newcomer 3: what openapi-typescript
// makes of the document compiles, strictly, and works with openapi-fetch.
// testdata/client.ts does the asking, and expects errors of the compiler where
// it uses the document wrongly.
func TestTheTypeScriptClientDoesTheSame(t *testing.T) {
	t.Parallel()
	tools, err := filepath.Abs(apiTools)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tools, "installed")); err != nil {
		mailtest.NotRun(t, "openapi-typescript is not installed: make api-lint")
	}
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	p := newSite(t, ca).serve()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("testdata/client.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"client.ts": source, "package.json": []byte(`{"type":"module"}`),
		"tsconfig.json": []byte(`{"files":["client.ts"],"compilerOptions":
			{"strict":true,"noEmitOnError":true,"target":"es2022","module":"nodenext","types":[]}}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	document, err := filepath.Abs("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	remote, err := json.Marshal(fields{"host": d.Host, "port": d.IMAPS, "security": "tls"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
	defer cancel()
	for _, args := range [][]string{
		{"node_modules/.bin/openapi-typescript", document, "--output", "schema.d.ts"},
		{"node_modules/.bin/tsc"},
		{"node", "client.js"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(),
			"BASE="+p.addr, "TOKEN="+p.as(anna).token, "PASSWORD="+canary, "REMOTE="+string(remote))
		out, err := cmd.CombinedOutput()
		p.hear(out)
		if err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
}
