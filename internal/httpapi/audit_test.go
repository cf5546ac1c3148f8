package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// acts are a world's: what happens outside of the database is written among its
// calls.
type acts struct{ *world }

func (a acts) Acts(_ context.Context, f audit.Filter) (audit.Page, error) {
	done, err := a.enter()
	defer done()
	a.auditQ = f
	return audit.Page{Entries: []audit.Entry{{
		ID: 7, At: a.now, Actor: audit.Actor{Role: audit.Admin, Name: "boss@firma.test", Client: "192.0.2.7"},
		Action: audit.AccountChanged, User: a.accounts[0].Owner, Account: annaID, Changed: []string{"password"},
		Details: map[string]string{"host": "imap.gmail.com"},
	}, {ID: 6, At: a.now, Actor: audit.Actor{Role: audit.System}, Action: audit.SessionsEnded}}, Next: "abc"}, err
}

func (a acts) Record(ctx context.Context, e audit.Entry) error {
	done, err := a.enter()
	defer done()
	if err == nil {
		a.did(e.User, fmt.Sprintf("%s by %+v", e.Action, audit.ActorOf(ctx)))
	}
	return err
}

// Export writes a document with nothing in it, and as much as the world has padding.
func (p people) Export(ctx context.Context, o owner.Owner, w io.Writer) error {
	done, err := p.enter()
	defer done()
	if err != nil {
		return err
	}
	p.did(o, fmt.Sprintf("export by %+v", audit.ActorOf(ctx)))
	fmt.Fprintf(w, `{"user":%q,"exported_at":%q`, o, p.now.Format(time.RFC3339))
	for _, name := range []string{
		"limits", "user_ids", "mailbox_login", "accounts", "schedule", "visits", "journals", "remote_folders", "messages",
		"passed_over",
		"skipped", "batches", "sessions", "known_browsers", "links", "grants", "failed_logins",
		"repeatable_requests", "removals",
		"ending_visits", "audit", "left_out",
	} {
		fmt.Fprintf(w, `,%q:[]`, name)
	}
	for range p.padding {
		if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
			return err
		}
	}
	if p.broken != nil {
		return p.broken
	}
	_, err = io.WriteString(w, `,"mailbox":{"folders":[],"marks":[]},"transcripts":[],"complete":true}`)
	return err
}

func TestTheFiltersOfTheAuditReachIt(t *testing.T) {
	f := newFixture(t)
	rec := f.do(signedIn(request{Method: "GET", Path: "/v1/admin/audit?user=" + anna + "&account=" + annaID +
		"&query=ann&role=cli&actor=admin&action=quota.set&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00%2B01:00" +
		"&limit=3&cursor=xyz"}))
	want := audit.Filter{
		User: anOwner(t, anna), Query: "ann", Account: annaID, Role: audit.CLI, Actor: "admin", Action: audit.QuotaSet,
		From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC),
		Limit: 3, Cursor: "xyz",
	}
	f.auditQ.To = f.auditQ.To.UTC()
	if diff := cmp.Diff(want, f.auditQ, cmp.Comparer(func(a, b owner.Owner) bool { return a == b })); rec.Code != 200 ||
		diff != "" {
		t.Errorf("%d %s: %s", rec.Code, rec.Body, diff)
	}
	for _, bad := range []string{"from=yesterday", "to=2026-13-01T00:00:00Z", "account=x", "user=nobody", "action=x"} {
		rec := f.do(signedIn(request{Method: "GET", Path: "/v1/admin/audit?" + bad}))
		if rec.Code != 422 {
			t.Errorf("%s: %d %s", bad, rec.Code, rec.Body)
		}
	}
}

// A script whose variable is empty asks for nothing that there is, and gets no answer as
// if it had asked for all. It is so for each parameter of each call; the control is the
// call without it.
func TestNoEmptyParameterStandsForAll(t *testing.T) {
	f, asked := newFixture(t), 0
	for path, item := range spec(t).Paths.Map() {
		for method, op := range item.Operations() {
			parameters := slices.Concat(item.Parameters, op.Parameters)
			lists := parameters.GetByInAndName(openapi3.ParameterInQuery, "limit") != nil
			if !lists && method != "DELETE" {
				continue
			}
			for _, p := range parameters {
				if p.Value.In != openapi3.ParameterInQuery {
					continue
				}
				filter := p.Value.Schema.Value.Default == nil && p.Value.Name != "cursor"
				r := valid[op.OperationID]
				r.Path, _, _ = strings.Cut(r.Path, "?")
				r.Path += "?" + p.Value.Name + "="
				asked++
				f.calls = nil
				rec := f.do(signedIn(r))
				refused := rec.Code == 422 && strings.Contains(fieldsOf(t, rec), p.Value.Name+":required") && len(f.calls) == 0
				if refused != filter || !filter && rec.Code/100 != 2 {
					t.Errorf("%s %s with an empty %s: %d %s", method, path, p.Value.Name, rec.Code, rec.Body)
				}
			}
		}
	}
	if asked < 25 {
		t.Errorf("only %d parameters were tried", asked)
	}
	if rec := f.do(signedIn(request{Method: "GET", Path: "/v1/admin/audit"})); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestAnActIsShownWithWhoAndWhere(t *testing.T) {
	f := newFixture(t)
	rec := f.do(signedIn(valid["adminListAudit"]))
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	at := "2026-11-21T09:00:00Z"
	want := map[string]any{"entries": []any{
		map[string]any{
			"id": "7", "at": at, "role": "admin", "actor": "boss@firma.test", "client": "192.0.2.7",
			"action": "account.changed", "user": anna, "account_id": annaID, "changed": []any{"password"},
			"details": map[string]any{"host": "imap.gmail.com"},
		},
		map[string]any{
			"id": "6", "at": at, "role": "system", "actor": nil, "client": nil, "action": "sessions.ended", "user": nil,
			"account_id": nil, "changed": []any{}, "details": map[string]any{},
		},
	}, "complete_since": nil, "next_cursor": "abc"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is not in the database is written down before it is done: what cannot be is
// not done. Who did it is whoever asked, from where it came.
func TestTranscriptsAreWrittenDownBeforeTheyAre(t *testing.T) {
	for id, action := range map[string]audit.Action{
		"adminStartTranscript": audit.TranscriptBegun, "adminDeleteTranscript": audit.TranscriptRemoved,
	} {
		f := newFixture(t)
		f.do(signedIn(valid[id]))
		want := fmt.Sprintf("%s %s by %+v", anna, action, audit.Actor{Role: audit.Admin, Name: anna, Client: "192.0.2.1"})
		if len(f.calls) == 0 || f.calls[0] != want {
			t.Errorf("%s: %q, want first %q", id, f.calls, want)
		}
		refusing := newFixture(t, func(o *httpapi.Options) { o.Audit = refusing{} })
		if rec := refusing.do(signedIn(valid[id])); rec.Code != 500 || len(refusing.calls)+len(refusing.recording) != 0 {
			t.Errorf("%s without a word: %d, %q", id, rec.Code, refusing.calls)
		}
	}
	f := newFixture(t)
	f.do(signedIn(valid["adminStartTranscript"]))
	f.do(signedIn(request{Method: "GET", Path: valid["adminGetTranscript"].Path + "?download=true"}))
	if !slices.ContainsFunc(f.calls, func(s string) bool { return strings.Contains(s, string(audit.TranscriptRead)) }) {
		t.Errorf("a transcript was read, and nobody knows: %q", f.calls)
	}
}

// From where somebody acts is what the proxies vouch for.
func TestWhoActsIsWhereTheProxiesSay(t *testing.T) {
	for name, tc := range map[string]struct{ peer, forwarded, want string }{
		"a proxy":           {"192.0.2.1:1", "192.0.2.5, 203.0.113.9", "203.0.113.9"},
		"no proxy":          {"198.51.100.7:1", "203.0.113.9", "198.51.100.7"},
		"IPv6, with a zone": {"[fe80::1%eth0]:1", "", "fe80::1"},
		"no address":        {"@", "203.0.113.9", ""},
	} {
		f := newFixture(t, byProxy)
		token, err := f.keys.Sign(anOwner(t, anna), true, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r := valid["adminStartTranscript"]
		f.from(tc.peer, r.Method, r.Path, http.Header{
			"Authorization": {"Bearer " + token}, "X-Forwarded-For": {tc.forwarded},
		})
		want := fmt.Sprintf("%s %s by %+v", anna, audit.TranscriptBegun,
			audit.Actor{Role: audit.Admin, Name: anna, Client: tc.want})
		if len(f.calls) == 0 || f.calls[0] != want {
			t.Errorf("%s: %q, want first %q", name, f.calls, want)
		}
	}
}

type refusing struct{ httpapi.Audit }

func (refusing) Record(context.Context, audit.Entry) error { return errors.New("the database is away") }

func TestAnExportIsWholeOrBrokenOff(t *testing.T) {
	f := newFixture(t)
	for _, size := range []int{0, 300} { // Less than what is sent at once, and more.
		f.padding = size
		rec := f.do(signedIn(valid["adminExportUser"]))
		if rec.Code != 200 || !json.Valid(rec.Body.Bytes()) || !strings.Contains(rec.Body.String(), `"complete":true`) ||
			rec.Header().Get("Content-Disposition") == "" {
			t.Errorf("%d KiB: %d %.200s", size, rec.Code, rec.Body)
		}
	}
	f.broken = errors.New("the database is away")
	f.padding = 0
	if rec := f.do(signedIn(valid["adminExportUser"])); rec.Code != 500 {
		t.Errorf("nothing was sent yet: %d %s", rec.Code, rec.Body)
	}
	f.padding = 300
	server := httptest.NewServer(f.h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+valid["adminExportUser"].Path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	token, err := f.keys.Sign(anOwner(t, anna), true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil || json.Valid(body) {
		t.Errorf("a part of %d octets passes for the whole", len(body))
	}
}
