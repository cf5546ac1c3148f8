package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	return v
}

// fieldsOf writes the field errors of a problem as "field:code".
func fieldsOf(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var out []string
	if errs := decode[api.Problem](t, rec).Errors; errs != nil {
		for _, e := range *errs {
			out = append(out, e.Field+":"+e.Code)
		}
	}
	return strings.Join(out, " ")
}

// TestBadInput is U09, U16, U20, U22, U23, U28 and U34 as far as the document decides: the
// status, the fields by their names, and nothing done.
func TestBadInput(t *testing.T) {
	post := func(extra string) request {
		return request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"anna@gmail.com","password":"` +
			canary + `",` + extra + `}`}
	}
	patch := func(body string) request {
		return request{Method: "PATCH", Path: "/v1/accounts/" + annaID, As: anna, Body: body}
	}
	get := func(path string) request {
		return request{Method: "GET", Path: strings.ReplaceAll(path, " ", "%20"), As: anna, Admin: true}
	}
	long := strings.Repeat("x", 2000)
	f := newFixture(t)
	for _, tc := range []struct {
		r      request
		status int
		fields string
	}{
		{request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{}`}, 422, "email:required password:required"},
		{request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `[]`}, 400, "body:wrong_type"},
		{request{
			Method: "POST", Path: "/v1/accounts", As: anna,
			Body: `{"email":"a@b.test","email":"c@d.test","password":"x"}`,
		}, 400, "email:duplicate"},
		{post(`"user_id":1,"is_admin":true,"lease_epoch":2`), 400, "is_admin:unknown_field lease_epoch:unknown_field " +
			"user_id:unknown_field"},
		{post(`"id":"x","status":{},"created_at":"now"`), 400, "created_at:read_only id:read_only status:read_only"},
		{post(`"Name":"x"`), 400, "Name:unknown_field"},
		{post(`"name":5`), 400, "name:wrong_type"},
		{post(`"server":"imap.example.org"`), 400, "server:wrong_type"},
		{post(`"server":{"host":"h","port":"993"}`), 400, "server.port:wrong_type"},
		{post(`"server":{"host":"h","port":99.5}`), 400, "server.port:wrong_type"},
		{post(`"server":{"hots":"h"}`), 400, "server.hots:unknown_field"},
		{post(`"poll_interval_seconds":1e3`), 400, "poll_interval_seconds:wrong_type"},
		{post(`"name":"x","server":{"host":"` + long + `","port":0,"security":"ssl"}`), 422, "server.host:too_long " +
			"server.port:out_of_range server.security:invalid"},
		{post(`"server":{"port":65536}`), 422, "server.port:out_of_range"},
		{post(`"server":{"port":-1}`), 422, "server.port:out_of_range"},
		{post(`"server":{"host":""}`), 422, "server.host:required"},
		{post(`"server":{"host":"a b"}`), 422, "server.host:invalid"},
		{post(`"server":{"host":"http://h/"}`), 422, "server.host:invalid"},
		{post(`"server":{"host":"h\r\nx"}`), 422, "server.host:control_character"},
		{post(`"username":"a\r\nDELE 1"`), 422, "username:control_character"},
		{post(`"username":"a\u0000"`), 422, "username:control_character"},
		{post(`"username":"` + long + `"`), 422, "username:too_long"},
		{post(`"username":"\ud800"`), 400, "username:invalid"},
		{post(`"folder":"a\u0000b"`), 422, "folder:control_character"},
		{post(`"folder":"` + long + `"`), 422, "folder:too_long"},
		{post(`"name":"\u202egnp.exe"`), 422, "name:control_character"},
		{post(`"name":""`), 422, "name:required"},
		{post(`"name":null`), 422, "name:null"},
		{post(`"provider":"Google!"`), 422, "provider:invalid"},
		{post(`"protocol":"jmap"`), 422, "protocol:invalid"},
		{post(`"folders":{"include":["ok",""],"exclude":["a\nb"]}`), 422, "folders.exclude[0]:control_character " +
			"folders.include[1]:required"},
		{post(`"folders":{"include":"INBOX"}`), 400, "folders.include:wrong_type"},
		{post(`"poll_interval_seconds":0`), 422, "poll_interval_seconds:out_of_range"},
		{post(`"start":"old"`), 422, "start:invalid"},
		{post(`"start":30`), 422, "start:invalid"},
		{post(`"start":null`), 422, "start:null"},
		{post(`"start":{"days":0}`), 422, "start:invalid"},
		{post(`"start":{"days":30,"hours":1}`), 422, "start:invalid"},
		{patch(`{"start":{}}`), 422, "start:invalid"},
		{post(`"max_message_bytes":1023`), 422, "max_message_bytes:out_of_range"},
		{patch(`{"max_message_bytes":268435457}`), 422, "max_message_bytes:out_of_range"},
		{post(`"enabled":"yes"`), 400, "enabled:wrong_type"},
		{request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"anna@gmail.com","password":"` + canary +
			`\r\n"}`}, 422, "password:control_character"},
		{request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"` + canary + `","password":"` +
			strings.Repeat(canary, 100) + `"}`}, 422, "email:invalid password:too_long"},
		{
			request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"a@b.test","password":["` + canary + `"]}`},
			400, "password:wrong_type",
		},
		{patch(`{"password":""}`), 422, "password:required"},
		{patch(`{"password":null}`), 422, "password:null"},
		{patch(`{"name":null,"email":null,"enabled":null,"server":null}`), 422, "email:null enabled:null name:null " +
			"server:null"},
		{patch(`{"server":{"host":null}}`), 422, "server.host:null"},
		{patch(`{"status":{"state":"ok"}}`), 400, "status:read_only"},
		{patch(`{"owner":"x"}`), 400, "owner:unknown_field"},
		{patch(`"x"`), 400, "body:wrong_type"},
		{patch(`null`), 422, "body:null"},
		{request{Method: "PUT", Path: "/v1/admin/quotas/" + anna, As: anna, Admin: true, Body: `{}`}, 422, "body:required"},
		{request{
			Method: "PUT", Path: "/v1/admin/quotas/" + anna, As: anna, Admin: true,
			Body: `{"limit_bytes":-1,"limit_messages":9007199254740992}`,
		}, 422, "limit_bytes:out_of_range " +
			"limit_messages:out_of_range"},
		{
			request{Method: "PUT", Path: "/v1/admin/quotas/" + anna, As: anna, Admin: true, Body: `{"limit_bytes":"10G"}`},
			400,
			"limit_bytes:wrong_type",
		},
		{
			request{Method: "POST", Path: "/v1/connection-tests", As: anna, Body: `{"email":"a@b.test"}`},
			422,
			"password:required",
		},
		{
			request{Method: "POST", Path: "/v1/connection-tests", As: anna, Body: `{}`},
			422,
			"email:required password:required",
		},
		{get("/v1/accounts/" + annaID + "/runs?limit=0"), 422, "limit:out_of_range"},
		{get("/v1/accounts/" + annaID + "/runs?limit=ten"), 400, "limit:wrong_type"},
		{get("/v1/admin/audit?limit=1e3"), 400, "limit:wrong_type"},
		{get("/v1/admin/hosts?limit=0x10"), 400, "limit:wrong_type"},
		{get("/v1/admin/quotas?limit=1_0"), 400, "limit:wrong_type"},
		{get("/v1/admin/default-limits?limit=0700"), 400, "limit:wrong_type"},
		{get("/v1/admin/accounts?port=99999999999999999999&affected=perhaps"), 400, "affected:wrong_type port:wrong_type"},
		{get("/v1/admin/accounts/" + annaID + "/transcript?download=yes"), 400, "download:wrong_type"},
		{get("/v1/admin/audit?account=" + strings.Repeat("0", 36)), 422, "account:invalid"},
		{get("/v1/admin/audit?from=2026-11-29T08:00:60Z&to=2026-11-29T08:00:00%2B99:99"), 422, "from:invalid to:invalid"},
		{get("/v1/admin/audit?from=2026-11-29&to=2026-02-30T00:00:00Z"), 422, "from:invalid to:invalid"},
		{get("/v1/admin/audit?role=root&query=%00"), 422, "query:control_character role:invalid"},
		{get("/v1/accounts/" + annaID + "/runs?limit=1&limit=2"), 400, "limit:duplicate"},
		{get("/v1/admin/quotas?sort=password"), 422, "sort:invalid"},
		{get("/v1/admin/accounts?sort=-user"), 422, "sort:invalid"},
		{get("/v1/admin/quotas?limit=1000000000"), 422, "limit:out_of_range"},
		{get("/v1/admin/quotas?offset=-1"), 400, "offset:unknown_field"},
		{get("/v1/admin/quotas?cursor=forged"), 422, "cursor:invalid"},
		{get("/v1/admin/quotas?query=%00"), 422, "query:control_character"},
		{get("/v1/admin/quotas?query=" + long), 422, "query:too_long"},
		{get("/v1/admin/accounts?state=' OR 1=1 --"), 422, "state:invalid"},
		{get("/v1/admin/accounts?user=nobody"), 422, "user:invalid"},
		{get("/v1/admin/accounts?user=a..b@x..y"), 422, "user:invalid"},
		{get("/v1/autoconfig"), 422, "email:required"},
		{get("/v1/autoconfig?email="), 422, "email:required"},
		{get("/v1/accounts?%zz"), 400, ""},
		{get("/v1/accounts?a;b"), 400, ""},
	} {
		rec := f.do(tc.r)
		want := map[int]string{400: "invalid_request", 422: "validation_failed"}[tc.status]
		if rec.Code != tc.status || problemCode(t, rec) != want || fieldsOf(t, rec) != tc.fields {
			t.Errorf("%s %s %.120s: %d, fields %q, want %d %q\n%s", tc.r.Method, tc.r.Path, tc.r.Body, rec.Code,
				fieldsOf(t, rec), tc.status, tc.fields, rec.Body)
		}
		if len(f.calls)+len(f.drafts)+len(f.patches) > 0 {
			t.Errorf("%s %.120s reached the domain", tc.r.Path, tc.r.Body)
		}
		noCanary(t, f)
	}
}

// TestMediaTypes is U11 and U10: what is taken as JSON.
func TestMediaTypes(t *testing.T) {
	body := `{"name":"Work"}`
	for _, tc := range []struct {
		header map[string]string
		method string
		status int
	}{
		{map[string]string{"Content-Type": "application/json"}, "PATCH", 200},
		{map[string]string{"Content-Type": "application/json; charset=utf-8"}, "PATCH", 200},
		{map[string]string{"Content-Type": "Application/JSON;charset=\"UTF-8\""}, "PATCH", 200},
		{map[string]string{"Content-Type": "application/merge-patch+json"}, "PATCH", 200},
		{map[string]string{"Content-Encoding": "identity"}, "PATCH", 200},
		{map[string]string{"Content-Type": "application/json; charset=utf-16"}, "PATCH", 415},
		{map[string]string{"Content-Type": ""}, "PATCH", 415},
		{map[string]string{"Content-Type": "text/plain"}, "PATCH", 415},
		{map[string]string{"Content-Type": "application/jsonx"}, "PATCH", 415},
		{map[string]string{"Content-Type": "application/json, text/plain"}, "PATCH", 415},
		{map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "PATCH", 415},
		{map[string]string{"Content-Encoding": "gzip"}, "PATCH", 415},
		{map[string]string{"Content-Type": "application/merge-patch+json"}, "POST", 415},
	} {
		f := newFixture(t)
		r := request{Method: tc.method, Path: "/v1/accounts/" + annaID, As: anna, Body: body, Header: tc.header}
		if tc.method == "POST" {
			r.Path, r.Body = "/v1/accounts", valid["createAccount"].Body
		}
		if rec := f.do(r); rec.Code != tc.status {
			t.Errorf("%s %v: %d, want %d", tc.method, tc.header, rec.Code, tc.status)
		}
	}
}

// TestBodySize: 64 KiB is taken, one byte more is not, also when the length is
// not told before.
func TestBodySize(t *testing.T) {
	const limit = 64 << 10
	for _, tc := range []struct {
		size    int
		chunked bool
		status  int
	}{{limit, false, 200}, {limit + 1, false, 413}, {limit, true, 200}, {limit + 1, true, 413}, {100 * limit, true, 413}} {
		f := newFixture(t)
		body := `{"name":"Work"` + strings.Repeat(" ", tc.size-15) + `}`
		req := httptest.NewRequest("PATCH", "/v1/accounts/"+annaID, strings.NewReader(body))
		if tc.chunked {
			req.ContentLength = -1
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
		rec := httptest.NewRecorder()
		f.h.ServeHTTP(rec, req)
		if rec.Code != tc.status {
			t.Errorf("%d bytes, chunked %v: %d, want %d", len(body), tc.chunked, rec.Code, tc.status)
		}
	}
}

// TestDraft: what a caller sends is what the domain gets.
func TestDraft(t *testing.T) {
	f := newFixture(t)
	rec := f.do(request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{
		"email": "anna@example.org", "password": "p\"\\{5+} zażółć 🔑", "name": "Praca", "sender_name": "",
		"provider": "other", "protocol": "pop3",
		"server": {"host": "mail.example.org", "port": 110, "security": "starttls"}, "username": "anna",
		"folder": "Praca/Stare", "folders": {"include": ["INBOX"], "exclude": ["\\Junk"]}, "start": "new",
		"max_message_bytes": 1024, "poll_interval_seconds": 600, "enabled": false, "skip_test": true}`})
	if rec.Code != 201 || rec.Header().Get("Location") != "/v1/accounts/"+annaID {
		t.Fatalf("%d, Location %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	d := f.drafts[0]
	if got := d.Password.Reveal(); got != `p"\{5+} zażółć 🔑` {
		t.Errorf("password %q", got)
	}
	if d.AskedAt.IsZero() {
		t.Error("nobody knows when it was asked for")
	}
	d.Password, d.AskedAt = remote.Secret{}, time.Time{}
	want := account.Draft{Settings: account.Settings{
		Email: ptr("anna@example.org"), Name: ptr("Praca"),
		SenderName: ptr(""), Provider: ptr("other"), Protocol: ptr(
			remote.POP3), Host: ptr("mail.example.org"), Port: ptr(110), Security: ptr(remote.STARTTLS),
		Username: ptr("anna"), Folder: ptr("Praca/Stare"), Include: ptr([]string{"INBOX"}),
		Exclude: ptr([]string{`\Junk`}), Start: ptr(route.StartNew), MaxMessageBytes: ptr(int64(1024)),
		PollInterval: ptr(10 * time.Minute), Enabled: ptr(false),
	}, SkipTest: true}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
	noCanary(t, f)
}

func ptr[T any](v T) *T { return &v }

// TestMergePatch: absent, null and value are three things (RFC 7396).
func TestMergePatch(t *testing.T) {
	none := []string{}
	for _, tc := range []struct {
		body string
		want account.Patch
	}{
		{`{}`, account.Patch{}},
		{`{"name":"Work"}`, account.Patch{Settings: account.Settings{Name: ptr("Work")}}},
		{
			`{"enabled":false,"poll_interval_seconds":60,"skip_test":true}`,
			account.Patch{Settings: account.Settings{Enabled: ptr(false), PollInterval: ptr(time.Minute)}, SkipTest: true},
		},
		{
			`{"start":"all","max_message_bytes":268435456}`,
			account.Patch{Settings: account.Settings{Start: ptr(route.StartAll), MaxMessageBytes: ptr(
				int64(route.MostMessageBytes))}},
		},
		{`{"start":{"days":30}}`, account.Patch{Settings: account.Settings{Start: ptr(route.Start(30))}}},
		{`{"server":{"port":143}}`, account.Patch{Settings: account.Settings{Port: ptr(143)}}},
		{`{"server":{}}`, account.Patch{}},
		{
			`{"server":{"host":"h.example","security":"starttls"},"protocol":"imap"}`,
			account.Patch{Settings: account.Settings{
				Host: ptr("h.example"), Security: ptr(remote.STARTTLS),
				Protocol: ptr(remote.IMAP),
			}},
		},
		{`{"sender_name":null}`, account.Patch{Settings: account.Settings{SenderName: ptr("")}}},
		{`{"sender_name":"A"}`, account.Patch{Settings: account.Settings{SenderName: ptr("A")}}},
		{`{"folders":null}`, account.Patch{Settings: account.Settings{Include: &none, Exclude: &none}}},
		{`{"folders":{}}`, account.Patch{}},
		{`{"folders":{"include":null}}`, account.Patch{Settings: account.Settings{Include: &none}}},
		{`{"folders":{"exclude":["a","b"]}}`, account.Patch{Settings: account.Settings{Exclude: &[]string{"a", "b"}}}},
		{`{"folders":{"include":[],"exclude":null}}`, account.Patch{Settings: account.Settings{
			Include: &none,
			Exclude: &none,
		}}},
	} {
		for _, media := range []string{"application/json", "application/merge-patch+json"} {
			f := newFixture(t)
			rec := f.do(request{
				Method: "PATCH", Path: "/v1/accounts/" + annaID, As: anna, Body: tc.body,
				Header: map[string]string{"Content-Type": media},
			})
			if rec.Code != 200 || len(f.patches) != 1 || !reflect.DeepEqual(f.patches[0], tc.want) {
				t.Errorf("%s as %s: %d %s\n got %+v\nwant %+v", tc.body, media, rec.Code, rec.Body, f.patches, tc.want)
			}
		}
	}
}

// TestPatchedPassword: it arrives, as what it is.
func TestPatchedPassword(t *testing.T) {
	f := newFixture(t)
	rec := f.do(request{Method: "PATCH", Path: "/v1/accounts/" + annaID, As: anna, Body: `{"password":"` + canary + `"}`})
	if rec.Code != 200 || f.patches[0].Password == nil || f.patches[0].Password.Reveal() != canary {
		t.Errorf("%d %+v", rec.Code, f.patches)
	}
	noCanary(t, f)
}

// TestConnectionTestOfSavedAccount: what the body adds is laid over it.
func TestConnectionTestOfSavedAccount(t *testing.T) {
	f := newFixture(t)
	rec := f.do(request{Method: "POST", Path: "/v1/connection-tests", As: anna, Body: `{"account_id":"` + annaID +
		`","protocol":"pop3","server":{"host":"pop.gmail.com"},"password":"` + canary + `"}`})
	if rec.Code != 200 || len(f.patches) != 1 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	p := f.patches[0]
	if p.Password == nil || p.Password.Reveal() != canary || *p.Protocol != remote.POP3 || *p.Host != "pop.gmail.com" ||
		p.Port != nil {
		t.Errorf("%+v", p)
	}
	for _, id := range []string{"x", "1 OR 1=1", strings.ToUpper(annaID)} {
		if rec := f.do(request{Method: "POST", Path: "/v1/connection-tests", As: anna, Body: `{"account_id":"` + id +
			`"}`}); rec.Code != 404 {
			t.Errorf("account_id %q: %d", id, rec.Code)
		}
	}
	noCanary(t, f)
}

// TestAccountForm: the members of the contract, spelled as there, null where
// nothing is, times in UTC.
func TestAccountForm(t *testing.T) {
	f := newFixture(t)
	f.accounts[0].Status.Diagnosis = nil
	f.accounts[0].Status.LastAttemptAt = time.Time{}
	f.accounts[0].CreatedAt = time.Date(2026, 11, 21, 10, 30, 0, 123456789, time.FixedZone("CET", 3600))
	got := decode[map[string]any](t, f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna}))
	want := map[string]any{
		"id": annaID, "email": "Gmail@gmail.com", "name": "Gmail", "sender_name": "Someone", "provider": "google",
		"protocol": "imap",
		"server":   map[string]any{"host": "imap.gmail.com", "port": 993.0, "security": "tls"},
		"username": "Gmail@gmail.com", "auth": "password", "folder": "Gmail",
		"folders": map[string]any{"include": []any{}, "exclude": []any{}}, "start": "all", "max_message_bytes": 52428800.0,
		"poll_interval_seconds": 300.0, "enabled": true,
		"created_at": "2026-11-21T09:30:00.123Z", "updated_at": "2026-11-21T09:00:00Z",
		"status": map[string]any{
			"state": "needs_attention", "last_attempt_at": nil, "last_success_at": nil, "next_poll_at": nil,
			"consecutive_failures": 3.0, "diagnosis": nil, "delay": nil,
			"progress": map[string]any{"folder": "", "messages_done": 0.0, "messages_total": 0.0, "bytes_done": 0.0},
			"totals":   map[string]any{"folders": 0.0, "messages": 0.0, "bytes": 0.0},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestDelayForm: every kind in the reader's language, null where nothing is
// known or nothing helps, and the same in a stream of events.
func TestDelayForm(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 5, 0, 0, time.UTC)
	for _, kind := range account.DelayKinds() {
		f := newFixture(t)
		f.accounts[0].Status.Delay = &account.Delay{Kind: kind, Since: at.Add(-time.Hour), Until: at}
		want := map[string]any{
			"kind": string(kind), "title": "pl " + string(kind), "evidence": "pl evidence at imap.gmail.com",
			"advice": "pl advice", "help": nil,
			"since": "2026-11-21T08:05:00Z", "until": "2026-11-21T09:05:00Z",
		}
		if kind == account.DelayBackoff {
			want["help"] = "fetch"
		} else {
			f.accounts[0].Status.Delay.Since, f.accounts[0].Status.Delay.Until = time.Time{}, time.Time{}
			want["since"], want["until"] = nil, nil
		}
		rec := f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna, Header: map[string]string{
			"Accept-Language": "pl",
		}})
		if d := cmp.Diff(want, decode[map[string]any](t, rec)["status"].(map[string]any)["delay"]); d != "" {
			t.Errorf("%s: %s", kind, d)
		}
		if events := f.do(request{Method: "GET", Path: "/v1/events?lang=pl", As: anna}).Body.String(); !strings.Contains(
			events, `"title":"pl `+string(kind)+`"`) {
			t.Errorf("%s: the stream says %s", kind, events)
		}
	}
}

// TestWordsAreAboutTheSettingsThatWereTried, and not about those saved before.
func TestWordsAreAboutTheSettingsThatWereTried(t *testing.T) {
	for body, want := range map[string]string{
		`{"email":"anna@unknown.test","password":"x"}`: "at  imap  anna@unknown.test",
		`{"email":"anna@gmail.com","password":"x"}`:    "at google imap imap.gmail.com anna@gmail.com",
		`{"email":"anna@gmail.com","password":"x","provider":"other","protocol":"pop3",
			"server":{"host":"pop.firma.test"}}`: "at other pop3 pop.firma.test anna@gmail.com",
		`{"account_id":"` + annaID + `"}`: "at google imap imap.gmail.com Gmail@gmail.com",
		`{"account_id":"` + annaID +
			`","protocol":"pop3","server":{"host":"pop.firma.test"},"email":"anna@firma.example",` +
			`"password":"x"}`: "at google pop3 pop.firma.test anna@firma.example",
	} {
		f := newFixture(t)
		f.report = account.TestReport{Diagnosis: &account.Diagnosis{Code: fault.DNSFailure}}
		rec := f.do(request{Method: "POST", Path: "/v1/connection-tests", As: anna, Body: body})
		if got := decode[api.ConnectionTest](t, rec).Diagnosis; got == nil || got.Advice != "en advice "+want {
			t.Errorf("%s: %s", body, rec.Body)
		}
	}
}

// TestAnAdministratorsHandIsShown, and a user's own is not taken for one.
func TestAnAdministratorsHandIsShown(t *testing.T) {
	f := newFixture(t)
	f.do(request{Method: "PATCH", Path: "/v1/admin/accounts/" + bobsID, As: anna, Admin: true, Body: `{"enabled":false}`})
	f.do(request{Method: "PATCH", Path: "/v1/accounts/" + annaID, As: anna, Admin: true, Body: `{"enabled":false}`})
	if want := []account.Patch{
		{Settings: account.Settings{Enabled: ptr(false)}, Operator: true},
		{Settings: account.Settings{Enabled: ptr(false)}},
	}; !cmp.Equal(want, f.patches,
		cmpopts.IgnoreUnexported(remote.Secret{})) {
		t.Errorf("%+v", f.patches)
	}
}

// TestQuotaSummary: a band for each tenth, and all of them together.
func TestQuotaSummary(t *testing.T) {
	f := newFixture(t)
	got := decode[api.QuotaSummary](t, f.do(request{
		Method: "GET", Path: "/v1/admin/quota-summary", As: anna,
		Admin: true,
	}))
	if got.Users != 17 || got.Unlimited != 7 || len(got.Bands) != 11 {
		t.Fatalf("%+v", got)
	}
	for i, b := range got.Bands {
		if want := map[int]int64{0: 5, 9: 3, 10: 2}[i]; b.FromPercent != 10*i || b.Users != want {
			t.Errorf("band %d: %+v", i, b)
		}
	}
}

// TestNothingAnsweredCanHoldASecret walks the types of all answers: U27.
func TestNothingAnsweredCanHoldASecret(t *testing.T) {
	for name, schema := range spec(t).Components.Schemas {
		switch name {
		case "NewAccount", "AccountPatch", "ConnectionTestRequest", "PasswordSignIn", "MailboxLogin", "CopySourceSettings",
			"CopyTargetSettings", "CopyCredentials":
			continue
		}
		for member := range schema.Value.Properties {
			if strings.Contains(member, "password") && member != "app_password_url" || strings.Contains(member, "secret") ||
				strings.Contains(member, "token") {
				t.Errorf("%s has a member %s", name, member)
			}
		}
	}
}

// TestLanguages: titles, advice and help in the reader's language, and the
// headers that say so.
func TestLanguages(t *testing.T) {
	for accept, want := range map[string]string{
		"": "en", "pl": "pl", "pl-PL,pl;q=0.9,en;q=0.8": "pl",
		"de, pl;q=0.5": "pl", "en, pl;q=0.5": "en", "fr": "en", "*": "en", "\x01;;": "en", strings.Repeat("x,", 5000): "en",
	} {
		f := newFixture(t)
		f.fail = nil
		header := map[string]string{"Accept-Language": accept}
		rec := f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna, Header: header})
		d := decode[api.Account](t, rec).Status.Diagnosis
		if d == nil || d.Title != want+" title of app_password_required" ||
			d.Advice != want+" advice at google imap imap.gmail.com Gmail@gmail.com" || d.Retryable || d.Since == nil {
			t.Errorf("%.20q: %+v", accept, d)
		}
		if rec.Header().Get("Content-Language") != want || rec.Header().Get("Vary") != "Accept-Language" {
			t.Errorf("%.20q: Content-Language %q, Vary %q", accept, rec.Header().Get("Content-Language"), rec.Header().Get(
				"Vary"))
		}
		f.fail = failedTest
		rec = f.do(request{
			Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"anna@gmail.com","password":"x"}`,
			Header: header,
		})
		p := decode[api.Problem](t, rec)
		if p.Diagnosis == nil || p.Diagnosis.Advice != want+" advice at google imap imap.gmail.com anna@gmail.com" ||
			p.Diagnosis.Detail != "Invalid credentials" || p.Steps == nil || len(*p.Steps) != 1 ||
			rec.Header().Get("Content-Language") != want {
			t.Errorf("%.20q: %d %s", accept, rec.Code, rec.Body)
		}
	}
	f := newFixture(t)
	rec := f.do(request{Method: "GET", Path: "/v1/providers", As: anna, Header: map[string]string{
		"Accept-Language": "pl",
	}})
	if !strings.Contains(rec.Body.String(), "Utwórz hasło aplikacji.") {
		t.Errorf("%s", rec.Body)
	}
	rec = f.do(request{Method: "GET", Path: "/v1/accounts/" + bobsID, As: anna, Header: map[string]string{
		"Accept-Language": "pl",
	}})
	if p := decode[api.Problem](t, rec); rec.Header().Get("Content-Language") != "pl" || p.Title != "Nic tu nie ma" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
}

// TestFailedTestInAnswer: 200, not an error of the call.
func TestFailedTestInAnswer(t *testing.T) {
	f := newFixture(t)
	f.report = account.TestReport{Steps: []remote.Step{{
		Name: remote.StepTLS, Took: 1500 * time.Millisecond,
		Detail: words.Plain("expired"),
	}}, Diagnosis: &account.Diagnosis{Code: fault.TLSCertificateInvalid}}
	rec := f.do(request{
		Method: "POST", Path: "/v1/connection-tests", As: anna,
		Body: `{"email":"anna@unknown.test","password":"x"}`,
	})
	got := decode[api.ConnectionTest](t, rec)
	if rec.Code != 200 || got.Ok || got.Diagnosis == nil || got.Diagnosis.Since != nil || got.Steps[0].Millis != 1500 ||
		got.Folders == nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestHostNotAllowedNamesTheField: host, port or security, whatever the words of the error.
func TestHostNotAllowedNamesTheField(t *testing.T) {
	for part, want := range map[fault.Part]string{
		fault.PartPort: "server.port", fault.PartSecurity: "server.security", fault.PartHost: "server.host",
		fault.PartSyntax: "server.host", "": "server.host",
	} {
		f := newFixture(t)
		f.fail = fault.Wrap(fault.Internal, "adding", &fault.Error{
			Code: fault.HostNotAllowed, Op: "checking",
			Detail: words.Detail{words.Say("port, unencrypted, the server must")}, Part: part,
		})
		rec := f.do(request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"a@b.test","password":"x"}`})
		if fieldsOf(t, rec) != want+":not_allowed" || rec.Code != 422 {
			t.Errorf("%q: %d %s", part, rec.Code, rec.Body)
		}
	}
}

// TestDeleteKeepsMailUnlessTold.
func TestDeleteKeepsMailUnlessTold(t *testing.T) {
	for query, want := range map[string]string{
		"": " keep", "?mail=keep": " keep", "?mail=": " keep",
		"?mail=delete": " mail",
	} {
		f := newFixture(t)
		rec := f.do(request{Method: "DELETE", Path: "/v1/accounts/" + annaID + query, As: anna})
		if rec.Code != 204 || rec.Body.Len() > 0 || len(f.calls) != 1 || f.calls[0] != anna+" delete "+annaID+want {
			t.Errorf("%q: %d %v", query, rec.Code, f.calls)
		}
	}
}

// TestAdminQueries: parameters arrive, defaults are filled in, wildcards are text.
func TestAdminQueries(t *testing.T) {
	f := newFixture(t)
	ask := func(path string) {
		t.Helper()
		if rec := f.do(request{Method: "GET", Path: path, As: anna, Admin: true}); rec.Code != 200 {
			t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	ask("/v1/admin/quotas")
	if want := (insight.QuotaFilter{Sort: "user", Limit: 50}); f.quotaQ != want {
		t.Errorf("%+v", f.quotaQ)
	}
	ask("/v1/admin/quotas?query=%25%27_&domain=firma.test&state=near&sort=-used_bytes&limit=500&cursor=abc")
	if want := (insight.QuotaFilter{
		Match: "%'_", Domain: "firma.test", State: owner.QuotaNear, Sort: "-used_bytes", Limit: 500, Cursor: "abc",
	}); f.quotaQ != want {
		t.Errorf("%+v", f.quotaQ)
	}
	ask("/v1/admin/accounts?user=Anna%40Firma.test&state=needs_attention&host=IMAP.Gmail.com.&limit=1")
	if want := (insight.AccountFilter{
		Owner: anOwner(t, anna), State: account.NeedsAttention, Host: "imap.gmail.com",
		Limit: 1,
	}); f.accountQ != want {
		t.Errorf("%+v", f.accountQ)
	}
	ask("/v1/admin/accounts?query=anna%25&host=h.test&port=993&affected=true")
	if want := (insight.AccountFilter{
		Match: "anna%", Host: "h.test", Port: 993, Affected: true, Limit: 50,
	}); f.accountQ != want {
		t.Errorf("%+v", f.accountQ)
	}
	ask("/v1/admin/accounts?sort=overdue&cursor=abc")
	if want := (insight.AccountFilter{Overdue: true, Limit: 50, Cursor: "abc"}); f.accountQ != want {
		t.Errorf("%+v", f.accountQ)
	}
}

// TestQuotaLimits: PUT replaces both; null and left out are no limit; the
// address in the path is decoded once.
func TestQuotaLimits(t *testing.T) {
	for _, tc := range []struct {
		path, body, user string
		bytes, messages  *int64
	}{
		{anna, `{"limit_bytes":100,"limit_messages":null}`, anna, ptr(int64(100)), nil},
		{"Anna%40Firma.test", `{"limit_messages":0}`, anna, nil, ptr(int64(0))},
		{"a%2525b@firma.test", `{"limit_bytes":9007199254740991}`, "a%25b@firma.test", ptr(int64(1<<53 - 1)), nil},
	} {
		f := newFixture(t)
		rec := f.do(request{Method: "PUT", Path: "/v1/admin/quotas/" + tc.path, As: bartek, Admin: true, Body: tc.body})
		if rec.Code != 200 {
			t.Errorf("%s: %d %s", tc.path, rec.Code, rec.Body)
			continue
		}
		got := decode[api.UserQuota](t, rec)
		if got.User != tc.user || !reflect.DeepEqual(f.limits[tc.user], owner.Limit{
			Bytes:    tc.bytes,
			Messages: tc.messages,
		}) {
			t.Errorf("%s %s: %s %+v", tc.path, tc.body, rec.Body, f.limits)
		}
	}
	f := newFixture(t)
	for _, path := range []string{
		"nobody", "a%2fb@firma.test", "%00@firma.test", "anna@firma.test%0d%0a",
		"%ff@firma.test", strings.Repeat("a", 300) + "@firma.test",
	} {
		if rec := f.do(request{Method: "GET", Path: "/v1/admin/quotas/" + path, As: anna, Admin: true}); rec.Code != 404 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

// A limit that was set for a user and its default have tags of their own, also
// where both say that there is none; and a default is gone back to.
func TestALimitIsTakenBack(t *testing.T) {
	f := newFixture(t)
	ask := func(method, body, match string) *httptest.ResponseRecorder {
		r := request{Method: method, Path: "/v1/admin/quotas/" + anna, As: bartek, Admin: true, Body: body}
		if match != "" {
			r.Header = map[string]string{"If-Match": match}
		}
		return f.do(r)
	}
	first := ask("GET", "", "").Header().Get("ETag")
	none := ask("PUT", `{"limit_bytes":null}`, first)
	if none.Code != 200 || none.Header().Get("ETag") == first {
		t.Errorf("no limit: %d, tag %s as with nothing set", none.Code, none.Header().Get("ETag"))
	}
	if rec := ask("DELETE", "", first); rec.Code != 412 {
		t.Errorf("taking back by the tag from before: %d", rec.Code)
	}
	back := ask("DELETE", "", none.Header().Get("ETag"))
	if back.Code != 200 || back.Header().Get("ETag") != first {
		t.Errorf("taken back: %d %s, want %s", back.Code, back.Header().Get("ETag"), first)
	}
	if got := decode[api.UserQuota](t, back); got.Set.Source != nil {
		t.Errorf("source %v", *got.Set.Source)
	}
}

// What is asked to become of many users' limits arrives, and nothing is guessed.
func TestTheLimitsOfManyUsers(t *testing.T) {
	f := newFixture(t)
	ask := func(body string) *httptest.ResponseRecorder {
		return f.do(request{Method: "POST", Path: "/v1/admin/quota-changes", As: anna, Admin: true, Body: body})
	}
	for _, tc := range []struct {
		body string
		want owner.LimitChange
	}{
		{`{"action":"set","filter":{},"limit_bytes":5}`, owner.LimitChange{
			Limit: owner.Limit{Bytes: ptr(int64(5))}, KeepMessages: true,
		}},
		{`{"action":"set","filter":{},"limit_messages":0,"unlimited":["bytes"]}`, owner.LimitChange{
			Limit: owner.Limit{Messages: ptr(int64(0))},
		}},
		{`{"action":"set","filter":{},"unlimited":["messages"]}`, owner.LimitChange{KeepBytes: true}},
		{`{"action":"inherit","filter":{}}`, owner.LimitChange{Inherit: true, KeepBytes: true, KeepMessages: true}},
	} {
		if rec := ask(tc.body); rec.Code != 200 || !reflect.DeepEqual(f.change, tc.want) {
			t.Errorf("%s: %d %+v", tc.body, rec.Code, f.change)
		}
	}
	got := decode[api.QuotaChanged](t, ask(`{"action":"set","filter":{"query":"a","domain":"firma.test","state":"over"},
		"limit_bytes":5}`))
	want := insight.QuotaFilter{Match: "a", Domain: "firma.test", State: owner.QuotaOver}
	if f.quotaQ != want || got.Matching != 500 || got.Changed != 400 || got.NextCursor == nil {
		t.Fatalf("%+v, %+v", f.quotaQ, got)
	}
	got = decode[api.QuotaChanged](t, ask(`{"action":"set","filter":{},"limit_bytes":5,"cursor":"`+*got.NextCursor+`"}`))
	if f.quotaQ.Cursor != bartek || got.NextCursor != nil {
		t.Errorf("the second step begins after %q; %+v", f.quotaQ.Cursor, got)
	}
	if got = decode[api.QuotaChanged](t, ask(`{"action":"count","filter":{}}`)); got.Matching != 1234 || got.Changed != 0 {
		t.Errorf("counted: %+v", got)
	}
	f.change = owner.LimitChange{}
	for _, body := range []string{
		`{"action":"set","filter":{}}`, `{"action":"set","filter":{},"limit_bytes":null}`,
		`{"action":"set","filter":{},"limit_bytes":5,"unlimited":["bytes"]}`, `{"action":"set","limit_bytes":5}`,
		`{"action":"inherit","filter":{},"limit_bytes":5}`, `{"action":"count","filter":{},"unlimited":["bytes"]}`,
		`{"action":"set","filter":{},"limit_bytes":5,"cursor":"%"}`,
		`{"action":"set","filter":{"stat":"over"},"limit_bytes":5}`,
	} {
		if rec := ask(body); rec.Code < 400 || rec.Code > 422 || f.change != (owner.LimitChange{}) {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
}

// Defaults come page by page, a domain is one whatever its case, and no address.
func TestDefaultLimits(t *testing.T) {
	f := newFixture(t)
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		return f.do(request{Method: method, Path: "/v1/admin/default-limits" + path, As: anna, Admin: true, Body: body})
	}
	for path, want := range map[string]int{
		"/*": 200, "/Firma.Test": 200, "/inna.test": 200, "/%2A": 200, "/a@b.test": 404, "/a%20b": 404, "/%2A.test": 404,
	} {
		if rec := ask("PUT", path, `{"limit_bytes":5}`); rec.Code != want {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	var domains []string
	for cursor := "?limit=1"; ; {
		page := decode[api.DefaultLimitList](t, ask("GET", cursor, ""))
		for _, d := range page.Defaults {
			domains = append(domains, d.Domain)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "?limit=1&cursor=" + *page.NextCursor
	}
	if want := []string{"*", "firma.test", "inna.test"}; !slices.Equal(domains, want) {
		t.Errorf("%q", domains)
	}
	if rec := ask("DELETE", "/FIRMA.test", ""); rec.Code != 204 || len(f.defaults) != 2 {
		t.Errorf("%d, %v", rec.Code, f.defaults)
	}
}

// Administrators are spoken to of the user, on every call; the user is spoken to.
func TestAdministratorsAreSpokenToOfTheUser(t *testing.T) {
	f := newFixture(t)
	f.report = failedTest.Report
	for _, r := range []request{
		{Method: "GET", Path: "/v1/admin/accounts"},
		{Method: "GET", Path: "/v1/admin/accounts/" + annaID},
		{Method: "GET", Path: "/v1/admin/accounts/" + annaID + "/runs"},
		{Method: "GET", Path: "/v1/admin/accounts/" + annaID + "/skipped"},
		{Method: "POST", Path: "/v1/admin/accounts/" + annaID + "/test"},
		{Method: "POST", Path: "/v1/admin/accounts/" + annaID + "/fetch"},
		{Method: "PATCH", Path: "/v1/admin/accounts/" + annaID, Body: `{"enabled":false}`},
	} {
		r.As, r.Admin, r.Header = anna, true, map[string]string{"Accept-Language": "pl"}
		rec := f.do(r)
		if rec.Code >= 300 || !strings.Contains(rec.Body.String(), `"admin pl title of `) ||
			strings.Contains(rec.Body.String(), `"pl title of `) {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, rec.Code, rec.Body)
		}
	}
	rec := f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna, Admin: true})
	if strings.Contains(rec.Body.String(), "admin en title of") { // The control: their own account.
		t.Errorf("%s", rec.Body)
	}
}

// Who wrote to a user about what is the user's alone to read.
func TestAdministratorsAreNotToldWhatMailSays(t *testing.T) {
	f := newFixture(t)
	for path, told := range map[string]bool{"/v1/admin/accounts/": false, "/v1/accounts/": true} { // With its control.
		rec := f.do(request{Method: "GET", Path: path + annaID + "/skipped", As: anna, Admin: true})
		got := decode[api.SkippedList](t, rec)
		if m := got.Skipped[0]; (m.Sender != nil) != told || (m.Subject != nil) != told || m.Date == nil {
			t.Errorf("%s: %s", path, rec.Body)
		}
	}
}

// TestStats: every state is there, codes without accounts are not.
func TestStats(t *testing.T) {
	f := newFixture(t)
	got := decode[api.Stats](t, f.do(request{Method: "GET", Path: "/v1/admin/stats", As: anna, Admin: true}))
	if got.Accounts.Total != 4 || len(got.Accounts.ByState) != len(account.States()) || got.Accounts.ByState["ok"] != 3 ||
		got.LagSeconds != 1.5 ||
		len(got.Failures) != 1 || got.Failures["auth_failed"] != 1 || got.LastHour.Polls != 12 {
		t.Errorf("%+v", got)
	}
}

// TestPanicsEndInAnAnswer: 500 without a word of it, also not in the log when
// it could hold anything; the server continues to answer.
func TestPanicsEndInAnAnswer(t *testing.T) {
	f := newFixture(t)
	f.panicked = "the password is " + canary
	rec := f.do(request{Method: "GET", Path: "/v1/accounts", As: anna})
	if rec.Code != 500 || problemCode(t, rec) != "internal" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(f.log.String(), "panic: string") {
		t.Errorf("the log says nothing of it: %s", f.log)
	}
	noCanary(t, f)
	f.panicked = nil
	if rec := f.do(request{Method: "GET", Path: "/v1/accounts", As: anna}); rec.Code != 200 {
		t.Errorf("afterwards: %d", rec.Code)
	}
}

// TestLog: one line per request with the route, who asked and from where, and neither
// path nor query.
func TestLog(t *testing.T) {
	f := newFixture(t)
	f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID + "/runs?limit=7", As: anna, Header: map[string]string{
		"X-Request-Id": "req-1",
	}})
	lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d lines: %s", len(lines), f.log)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"level": "INFO", "msg": "request", "request_id": "req-1", "method": "GET",
		"route": "/v1/accounts/:id/runs", "status": 200.0, "client": "192.0.2.1", "user": anna,
	} {
		if line[k] != want {
			t.Errorf("%s is %v, want %v", k, line[k], want)
		}
	}
	for _, private := range []string{annaID, "limit=7"} {
		if strings.Contains(lines[0], private) {
			t.Errorf("the line holds %s: %s", private, lines[0])
		}
	}
}

// TestMetrics: requests are counted by route and status, and no label holds
// what a user wrote (U46).
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFixture(t, func(o *httpapi.Options) { o.Metrics = reg })
	f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna})
	f.do(request{Method: "GET", Path: "/v1/accounts/" + bobsID, As: anna})
	f.do(request{Method: "EVIL", Path: "/evil/" + annaID})
	got := f.do(request{Method: "GET", Path: "/metrics"}).Body.String()
	for _, want := range []string{
		`mailbrook_http_requests_total{method="GET",route="/v1/accounts/:id",status="200"} 1`,
		`mailbrook_http_requests_total{method="GET",route="/v1/accounts/:id",status="404"} 1`,
		`mailbrook_http_requests_total{method="other",route="other",status="404"} 1`,
		`mailbrook_http_request_seconds_count{method="GET",route="/v1/accounts/:id"} 2`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for _, private := range []string{annaID, "evil", "EVIL", "firma.test", "gmail"} {
		if strings.Contains(got, private) {
			t.Errorf("the metrics hold %s", private)
		}
	}
}

// TestReadiness names what fails and keeps why; each check has its time.
func TestReadiness(t *testing.T) {
	f := newFixture(t)
	f.unready = errors.New("dial db.inner.test: refused")
	rec := f.do(request{Method: "GET", Path: "/readyz"})
	if rec.Header().Get("Retry-After") == "" {
		t.Error("nothing says when to ask again")
	}
	if rec.Code != 503 || fieldsOf(t, rec) != "database:failed" || strings.Contains(rec.Body.String(), "inner") ||
		!strings.Contains(f.log.String(), "db.inner.test") {
		t.Errorf("%d %s\n%s", rec.Code, rec.Body, f.log)
	}
	if rec := f.do(request{Method: "GET", Path: "/healthz"}); rec.Code != 200 {
		t.Errorf("not ready is not dead: %d", rec.Code)
	}
	bounded := false
	f = newFixture(t, func(o *httpapi.Options) {
		o.Ready = []httpapi.Check{{Name: "database", Run: func(ctx context.Context) error {
			_, bounded = ctx.Deadline()
			return nil
		}}}
	})
	if rec := f.do(request{Method: "GET", Path: "/readyz"}); rec.Code != 200 || !bounded {
		t.Errorf("%d, bounded %v", rec.Code, bounded)
	}
}

// TestReadinessIsRemembered: anybody may ask, so the checks, which write, run at
// most once in a while; after that they run again, whoever hung up before.
func TestReadinessIsRemembered(t *testing.T) {
	runs, now := 0, time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	var unready error
	f := newFixture(t, func(o *httpapi.Options) {
		o.Now = func() time.Time { return now }
		check := func(ctx context.Context) error { runs++; return errors.Join(unready, ctx.Err()) }
		o.Ready = []httpapi.Check{{Name: "database", Run: check}, {Name: "database", Run: func(context.Context) error {
			return nil
		}}}
	})
	ask := func(want int) {
		t.Helper()
		if rec := f.do(request{Method: "GET", Path: "/readyz"}); rec.Code != want {
			t.Errorf("readiness answers %d after %d runs, want %d: %s", rec.Code, runs, want, rec.Body)
		}
	}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	f.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil).WithContext(gone))
	for range 100 {
		ask(200)
	}
	unready = errors.New("gone")
	ask(200)
	if runs != 1 {
		t.Errorf("the checks ran %d times for 102 questions in one moment, want once", runs)
	}
	now = now.Add(3 * time.Second)
	ask(503)
	ask(503)
	unready = nil
	now = now.Add(3 * time.Second)
	ask(200)
	if runs != 3 {
		t.Errorf("the checks ran %d times in three moments, want 3", runs)
	}
	now = now.Add(-time.Hour) // A clock that goes back keeps no answer for an hour.
	ask(200)
	if runs != 4 {
		t.Error("an answer of the future was repeated")
	}
}

// TestDocumentIsServed byte for byte.
func TestDocumentIsServed(t *testing.T) {
	f := newFixture(t)
	rec := f.do(request{Method: "GET", Path: "/openapi.yaml"})
	if rec.Body.String() != string(api.Document()) || rec.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("%d bytes as %s", rec.Body.Len(), rec.Header().Get("Content-Type"))
	}
}

// TestPages: what is not the API's goes to the pages, and nothing that is.
func TestPages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "its own")
		fmt.Fprint(w, "page "+r.URL.Path)
	})
	f := newFixture(t, func(o *httpapi.Options) { o.Pages = pages })
	for path, want := range map[string]string{
		"/": "page /", "/accounts": "page /accounts",
		"/static/app.js": "page /static/app.js", "/v1x": "page /v1x",
	} {
		rec := f.do(request{Method: "GET", Path: path})
		if rec.Code != 200 || rec.Body.String() != want || rec.Header().Get("Content-Security-Policy") != "its own" {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	for path, want := range map[string]int{
		"/v1": 401, "/v1/accounts": 401, "/v1/nothing": 401, "/healthz": 200,
		"/metrics": 200,
	} {
		if rec := f.do(request{Method: "GET", Path: path}); rec.Code != want || strings.HasPrefix(rec.Body.String(), "page") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if got := f.do(request{Method: "GET", Path: "/metrics"}).Body.String(); !strings.Contains(got, `route="pages"`) {
		t.Error("pages are not counted")
	}
}

// TestAbortedRequestIsNoAlarm: a caller who hangs up is not an error of ours; a
// time-out behind us is.
func TestAbortedRequestIsNoAlarm(t *testing.T) {
	for _, gone := range []bool{true, false} {
		f := newFixture(t)
		f.fail = fmt.Errorf("loading accounts: %w", context.DeadlineExceeded)
		ctx, cancel := context.WithCancel(t.Context())
		if gone {
			cancel()
		}
		req := httptest.NewRequestWithContext(ctx, "GET", "/v1/accounts", nil)
		req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
		f.h.ServeHTTP(httptest.NewRecorder(), req)
		cancel()
		if alarmed := strings.Contains(f.log.String(), `"ERROR"`); alarmed == gone {
			t.Errorf("caller gone %v, error logged %v: %s", gone, alarmed, f.log)
		}
	}
}

// TestWrappedRefusalsKeepTheirStatus: whatever layers an error passed.
func TestWrappedRefusalsKeepTheirStatus(t *testing.T) {
	for err, want := range map[error]int{account.ErrNotFound: 404, account.ErrNameTaken: 409, account.ErrChanged: 409} {
		f := newFixture(t)
		f.fail = fault.Wrap(fault.Internal, "saving", fmt.Errorf("in a transaction: %w", err))
		if rec := f.do(request{
			Method: "PATCH", Path: "/v1/accounts/" + annaID, As: anna,
			Body: `{"name":"x"}`,
		}); rec.Code != want {
			t.Errorf("%v: %d", err, rec.Code)
		}
	}
}

// TestSkipped: the members of the contract, and each form of a start.
func TestSkipped(t *testing.T) {
	f := newFixture(t)
	list := f.do(request{
		Method: "GET", Path: "/v1/accounts/" + annaID + "/skipped?limit=7&cursor=abc", As: anna,
		Header: map[string]string{"Accept-Language": "pl"},
	})
	item := map[string]any{
		"sid": skippedID, "folder": "INBOX", "local_folder": "Gmail", "message": "UID 7", "size": float64(70 << 20),
		"code":  "message_failed",
		"title": "pl title of message_failed", "detail": "large", "advice": "pl advice at google imap imap.gmail.com " +
			"Gmail@gmail.com", "attempts": 1.0,
		"first_at": "2026-11-21T09:00:00Z", "last_at": "2026-11-21T09:00:00Z", "next_at": nil,
		"sender": "Anna Nowak", "subject": "Zdjęcia", "date": "2026-11-21T09:00:00Z",
	}
	if d := cmp.Diff(map[string]any{"skipped": []any{item}, "next_cursor": "abc", "total": 2.0}, decode[map[string]any](t,
		list)); d != "" {
		t.Error(d)
	}
	retry := f.do(request{Method: "POST", Path: "/v1/accounts/" + annaID + "/skipped/" + skippedID + "/retry", As: anna})
	item["title"], item["advice"], item["next_at"] = "en title of message_failed", "en advice at google imap "+
		"imap.gmail.com Gmail@gmail.com", "2026-11-21T09:00:00Z"
	if d := cmp.Diff(item, decode[map[string]any](t, retry)); d != "" || retry.Code != 202 {
		t.Errorf("%d: %s", retry.Code, d)
	}
	if want := []string{anna + ` skipped 7 "abc"`, anna + " retry " + skippedID}; !slices.Equal(f.calls, want) {
		t.Errorf("calls %q", f.calls)
	}
	for _, path := range []string{annaID + "/skipped/" + noID, annaID + "/skipped/7", bobsID + "/skipped/" + skippedID} {
		if rec := f.do(request{Method: "POST", Path: "/v1/accounts/" + path + "/retry", As: anna}); rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	for start, want := range map[route.Start]any{route.StartAll: "all", route.StartNew: "new", 30: map[string]any{
		"days": 30.0,
	}} {
		f.accounts[0].Start = start
		got := decode[map[string]any](t, f.do(request{Method: "GET", Path: "/v1/accounts/" + annaID, As: anna}))["start"]
		if !cmp.Equal(got, want) {
			t.Errorf("start %s is written as %v", start, got)
		}
	}
}
