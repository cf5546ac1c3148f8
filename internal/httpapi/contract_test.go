package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

func init() { // Pages are texts to the document, and a stream is the data of its first event.
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.RegisteredBodyDecoder("text/plain"))
	openapi3filter.RegisterBodyDecoder("text/event-stream", func(
		body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn,
	) (any, error) {
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		_, data, _ := strings.Cut(string(text), "\ndata: ")
		var value any
		return value, json.NewDecoder(strings.NewReader(data)).Decode(&value)
	})
}

func spec(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// valid is a request to each call that goes well, for anna, or for an
// administrator.
var valid = map[string]request{
	"listProviders":  {Method: "GET", Path: "/v1/providers"},
	"getAutoconfig":  {Method: "GET", Path: "/v1/autoconfig?email=anna@gmail.com"},
	"testConnection": {Method: "POST", Path: "/v1/connection-tests", Body: `{"account_id":"` + annaID + `"}`},
	"startOAuth":     {Method: "POST", Path: "/v1/oauth/google/start", Body: `{"account_id":"` + annaID + `"}`},
	"getOAuthGrant":  {Method: "GET", Path: "/v1/oauth/grants/" + grantID},
	"finishOAuth":    {Method: "GET", Path: "/oauth/callback/google?state=good&code=x&scope=a+b&session_state=1"},
	"listAccounts":   {Method: "GET", Path: "/v1/accounts"},
	"createAccount": {Method: "POST", Path: "/v1/accounts", Body: `{"email":"anna@gmail.com","password":"` +
		canary + `"}`},
	"getAccount":           {Method: "GET", Path: "/v1/accounts/" + annaID},
	"updateAccount":        {Method: "PATCH", Path: "/v1/accounts/" + annaID, Body: `{"password":"` + canary + `"}`},
	"deleteAccount":        {Method: "DELETE", Path: "/v1/accounts/" + annaID},
	"fetchAccount":         {Method: "POST", Path: "/v1/accounts/" + annaID + "/fetch"},
	"listAccountFolders":   {Method: "GET", Path: "/v1/accounts/" + annaID + "/folders"},
	"listAccountRuns":      {Method: "GET", Path: "/v1/accounts/" + annaID + "/runs"},
	"listAccountSkipped":   {Method: "GET", Path: "/v1/accounts/" + annaID + "/skipped?limit=10"},
	"retrySkipped":         {Method: "POST", Path: "/v1/accounts/" + annaID + "/skipped/" + skippedID + "/retry"},
	"retryAllSkipped":      {Method: "POST", Path: "/v1/accounts/" + annaID + "/skipped/retry"},
	"listIdentities":       {Method: "GET", Path: "/v1/identities"},
	"getQuota":             {Method: "GET", Path: "/v1/quota"},
	"adminListQuotas":      {Method: "GET", Path: "/v1/admin/quotas"},
	"adminGetQuotaSummary": {Method: "GET", Path: "/v1/admin/quota-summary"},
	"adminGetQuota":        {Method: "GET", Path: "/v1/admin/quotas/" + anna},
	"adminSetQuota":        {Method: "PUT", Path: "/v1/admin/quotas/" + anna, Body: `{"limit_bytes":100}`},
	"adminResetQuota":      {Method: "DELETE", Path: "/v1/admin/quotas/" + anna},
	"adminChangeQuotas": {
		Method: "POST", Path: "/v1/admin/quota-changes", Body: `{"action":"set","filter":{},"limit_bytes":100}`,
	},
	"adminListDefaultLimits":  {Method: "GET", Path: "/v1/admin/default-limits"},
	"adminSetDefaultLimit":    {Method: "PUT", Path: "/v1/admin/default-limits/firma.test", Body: `{"limit_bytes":100}`},
	"adminDeleteDefaultLimit": {Method: "DELETE", Path: "/v1/admin/default-limits/*"},
	"adminGetAccount":         {Method: "GET", Path: "/v1/admin/accounts/" + annaID},
	"adminListRuns":           {Method: "GET", Path: "/v1/admin/accounts/" + annaID + "/runs"},
	"adminListSkipped":        {Method: "GET", Path: "/v1/admin/accounts/" + annaID + "/skipped"},
	"adminTestAccount":        {Method: "POST", Path: "/v1/admin/accounts/" + annaID + "/test"},
	"adminListAccounts":       {Method: "GET", Path: "/v1/admin/accounts"},
	"adminUpdateAccount":      {Method: "PATCH", Path: "/v1/admin/accounts/" + annaID, Body: `{"enabled":false}`},
	"adminFetchAccount":       {Method: "POST", Path: "/v1/admin/accounts/" + annaID + "/fetch"},
	"adminGetTranscript":      {Method: "GET", Path: "/v1/admin/accounts/" + annaID + "/transcript"},
	"adminStartTranscript":    {Method: "PUT", Path: "/v1/admin/accounts/" + annaID + "/transcript"},
	"adminDeleteTranscript":   {Method: "DELETE", Path: "/v1/admin/accounts/" + annaID + "/transcript"},
	"adminDeleteUser":         {Method: "DELETE", Path: "/v1/admin/users/" + anna},
	"adminSetMailboxLogin": {
		Method: "PUT", Path: "/v1/admin/users/" + anna + "/mailbox", Body: `{"username":"anna","password":"sekret"}`,
	},
	"adminForgetMailboxLogin": {Method: "DELETE", Path: "/v1/admin/users/" + anna + "/mailbox"},
	"adminExportUser":         {Method: "GET", Path: "/v1/admin/users/" + anna + "/export"},
	"adminListAudit":          {Method: "GET", Path: "/v1/admin/audit?user=" + anna + "&from=2026-01-01T00:00:00Z"},
	"adminListHosts":          {Method: "GET", Path: "/v1/admin/hosts"},
	"createLink":              {Method: "POST", Path: "/v1/links", Body: `{"return_to":"/accounts/new","ttl_seconds":60}`},
	"followLink":              byHand("/link/followme"),
	"useLink":                 {Method: "POST", Path: "/link/useme?replace=true"},
	"signIn":                  {Method: "GET", Path: "/signin?return_to=/accounts/new"},
	"finishSignIn":            {Method: "GET", Path: "/signin/callback?state=x"}, // See comesBack.
	"signInWithPassword": {
		Method: "POST", Path: "/signin", Header: map[string]string{"X-Mailbrook": "1"},
		Body: `{"user":"` + anna + `","password":"` + canary + `","return_to":"/accounts/new"}`,
	},
	"deleteSessions": {Method: "DELETE", Path: "/v1/sessions"},
	"getSession":     {Method: "GET", Path: "/v1/session"},
	"deleteSession":  {Method: "DELETE", Path: "/v1/session"},
	"listEvents":     {Method: "GET", Path: "/v1/events"},
	"adminGetStats":  {Method: "GET", Path: "/v1/admin/stats"},
	"planCopy":       {Method: "POST", Path: "/v1/copies/plan", Body: newCopy},
	"startCopy":      {Method: "POST", Path: "/v1/copies", Body: newCopy},
	"listCopies":     {Method: "GET", Path: "/v1/copies?source=old@gmail.com&state=running"},
	"getCopy":        {Method: "GET", Path: "/v1/copies/" + annasCopy},
	"updateCopy": {
		Method: "PATCH", Path: "/v1/copies/" + annasCopy, Body: `{"source":{"password":"` + canary + `"}}`,
	},
	"deleteCopy":       {Method: "DELETE", Path: "/v1/copies/" + annasCopy},
	"listCopyFolders":  {Method: "GET", Path: "/v1/copies/" + annasCopy + "/folders"},
	"listCopyMessages": {Method: "GET", Path: "/v1/copies/" + annasCopy + "/messages?state=skipped"},
	"getCopyReport":    {Method: "GET", Path: "/v1/copies/" + annasCopy + "/report"},
	"getCopyReportCSV": {Method: "GET", Path: "/v1/copies/" + annasCopy + "/report.csv"},
	"getCopyManifest":  {Method: "GET", Path: "/v1/copies/" + annasCopy + "/manifest.csv"},
	"pauseCopy":        {Method: "POST", Path: "/v1/copies/" + annasCopy + "/pause"},
	"resumeCopy":       {Method: "POST", Path: "/v1/copies/" + annasCopy + "/resume"},
	"cancelCopy":       {Method: "POST", Path: "/v1/copies/" + annasCopy + "/cancel"},
	"syncCopy":         {Method: "POST", Path: "/v1/copies/" + annasCopy + "/sync"},
	"verifyCopy":       {Method: "POST", Path: "/v1/copies/" + annasCopy + "/verify?verify=full"},
	"retryCopy":        {Method: "POST", Path: "/v1/copies/" + annasCopy + "/retry"},
	"adminListCopies":  {Method: "GET", Path: "/v1/admin/copies?user=" + anna + "&host=IMAP.gmail.com"},
	"getCopyStatus": {
		Method: "POST", Path: "/copies/status", Body: `{"source":"old@gmail.com","code":"` + copyCode + `"}`,
	},
	"getHealth":    {Method: "GET", Path: "/healthz"},
	"getReadiness": {Method: "GET", Path: "/readyz"},
	"getMetrics":   {Method: "GET", Path: "/metrics"},
	"getOpenAPI":   {Method: "GET", Path: "/openapi.yaml"},
}

// provoked says how a call comes to an answer, apart from going well: what
// fails behind it, or what the request is instead.
type provoked struct {
	op     string
	status int
	code   string
	fail   error
	change func(*request)
}

func with(path, body string) func(*request) {
	return func(r *request) {
		r.Path += path
		if body != "" {
			r.Body = body
		}
	}
}

var failedTest = &account.TestFailedError{Report: account.TestReport{
	Steps:     []remote.Step{{Name: remote.StepLogin, Detail: words.Plain("refused")}},
	Diagnosis: &account.Diagnosis{Code: fault.AuthFailed, Detail: words.Detail{words.Say("Invalid credentials")}},
}}

// inner is a reason that only the log may have.
const inner = "SELECT from an inner table"

func particular() []provoked {
	hostRefused := fault.New(fault.HostNotAllowed, "checking", words.Say("port 22 is not one that an account may name"))
	unavailable := fault.New(fault.LocalMailboxUnavailable, "reading")
	cases := []provoked{
		{"getAutoconfig", 422, "validation_failed", nil, func(r *request) { r.Path = "/v1/autoconfig?email=nobody" }},
		{"testConnection", 404, "not_found", nil, with("", `{"account_id":"`+bobsID+`"}`)},
		{"testConnection", 422, "validation_failed", nil, with("", `{"email":"anna@gmail.com"}`)},
		{"testConnection", 422, "host_not_allowed", hostRefused, nil},
		{
			"testConnection", 409, "oauth_address_differs", &account.AddressDiffersError{Email: "a@b.test", Signed: "c@d.test"},
			nil,
		},
		{"startOAuth", 404, "not_found", nil, with("", `{"account_id":"`+bobsID+`"}`)},
		{"startOAuth", 404, "not_found", oauth.ErrNotOffered, with("", `{}`)},
		{"startOAuth", 422, "validation_failed", nil, with("", `{"email":"nobody"}`)},
		{"startOAuth", 400, "invalid_request", nil, with("", `{"redirect_uri":"https://evil.example"}`)},
		{"getOAuthGrant", 404, "not_found", nil, func(r *request) { r.Path = "/v1/oauth/grants/" + strings.Repeat("B", 43) }},
		{"finishOAuth", 400, "", oauth.ErrFlow, nil},
		{"finishOAuth", 400, "", oauth.ErrNotLasting, nil},
		{"finishOAuth", 400, "", &oauth.DeniedError{Code: "access_denied"}, nil},
		{"finishOAuth", 502, "", fault.New(fault.ServerUnavailable, "asking", words.Plain(inner)...), nil},
		{"finishOAuth", 500, "internal", errors.New(inner), nil},
		{"createAccount", 409, "account_limit_reached", account.ErrLimitReached, nil},
		{"createAccount", 422, "validation_failed", nil, with("", `{"email":"anna@gmail.com"}`)},
		{"updateAccount", 409, "account_changed", account.ErrChanged, nil},
		{"updateAccount", 422, "validation_failed", nil, with("", `{"password":null}`)},
		{"deleteAccount", 422, "validation_failed", nil, with("?mail=burn", "")},
		{"deleteAccount", 503, "local_mailbox_unavailable", unavailable, nil},
		{"listAccountRuns", 422, "validation_failed", nil, with("?limit=1000000000", "")},
		{"listAccountSkipped", 422, "validation_failed", nil, with("&cursor=%C3%A4", "")},
		{"getQuota", 503, "local_mailbox_unavailable", unavailable, nil},
		{"adminListQuotas", 422, "validation_failed", nil, with("?sort=password", "")},
		{"adminGetQuota", 404, "not_found", nil, with("%20nobody", "")},
		{"adminGetQuota", 503, "local_mailbox_unavailable", unavailable, nil},
		{"adminSetQuota", 404, "not_found", nil, with("%20nobody", "")},
		{"adminSetQuota", 422, "validation_failed", nil, with("", `{"limit_bytes":-1}`)},
		{"adminSetQuota", 503, "local_mailbox_unavailable", unavailable, nil},
		{"adminResetQuota", 404, "not_found", nil, with("%20nobody", "")},
		{"adminResetQuota", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"adminResetQuota", 503, "local_mailbox_unavailable", unavailable, nil},
		{"adminChangeQuotas", 422, "validation_failed", nil, with("", `{"action":"set","filter":{}}`)},
		{"adminListDefaultLimits", 422, "validation_failed", nil, with("?limit=0", "")},
		{"adminSetDefaultLimit", 404, "not_found", nil, with("%20nobody", "")},
		{"adminSetDefaultLimit", 422, "validation_failed", nil, with("", `{"limit_bytes":-1}`)},
		{"adminDeleteDefaultLimit", 404, "not_found", nil, with("%20nobody", "")},
		{"adminTestAccount", 422, "host_not_allowed", hostRefused, nil},
		{"adminListRuns", 422, "validation_failed", nil, with("?limit=0", "")},
		{"adminListSkipped", 422, "validation_failed", nil, with("?limit=0", "")},
		{"adminUpdateAccount", 404, "not_found", nil, func(r *request) { r.Path = strings.ReplaceAll(r.Path, annaID, noID) }},
		{"adminUpdateAccount", 409, "account_changed", account.ErrChanged, nil},
		{"adminUpdateAccount", 422, "validation_failed", nil, with("", `{}`)},
		{"adminFetchAccount", 404, "not_found", nil, func(r *request) { r.Path = strings.ReplaceAll(r.Path, annaID, noID) }},
		{"adminGetTranscript", 404, "not_found", nil, func(r *request) { r.Path = strings.ReplaceAll(r.Path, annaID, noID) }},
		{"adminStartTranscript", 404, "not_found", nil, func(r *request) {
			r.Path = strings.ReplaceAll(r.Path, annaID, noID)
		}},
		{"adminDeleteTranscript", 404, "not_found", nil, func(r *request) {
			r.Path = strings.ReplaceAll(r.Path, annaID, noID)
		}},
		{"adminExportUser", 404, "not_found", nil, func(r *request) { r.Path = "/v1/admin/users/nobody/export" }},
		{"adminListAudit", 422, "validation_failed", nil, with("&action=burn", "")},
		{"adminDeleteUser", 404, "not_found", nil, with("%20nobody", "")},
		{"adminSetMailboxLogin", 404, "not_found", nil, func(r *request) { r.Path = "/v1/admin/users/nobody/mailbox" }},
		{"adminSetMailboxLogin", 422, "validation_failed", nil, with("", `{"username":"anna","password":""}`)},
		{"adminForgetMailboxLogin", 404, "not_found", nil, func(r *request) { r.Path = "/v1/admin/users/nobody/mailbox" }},
		{"adminDeleteUser", 422, "validation_failed", nil, with("?mail=burn", "")},
		{"adminDeleteUser", 503, "local_mailbox_unavailable", unavailable, nil},
		{"adminSetQuota", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"adminUpdateAccount", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"updateAccount", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"deleteAccount", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"adminListHosts", 422, "validation_failed", nil, with("?limit=0", "")},
		{"createLink", 403, "forbidden", nil, with("", `{"user":"`+bartek+`"}`)},
		{"createLink", 422, "validation_failed", nil, with("", `{"return_to":"//evil.example"}`)},
		{"followLink", 410, "", nil, with("x", "")},
		{"followLink", 500, "internal", errors.New(inner), nil},
		{"followLink", 200, "", nil, func(r *request) { *r = request{Method: "GET", Path: "/link/kept"} }},
		{"useLink", 410, "", nil, func(r *request) { r.Path = "/link/used" }},
		{"useLink", 500, "internal", errors.New(inner), nil},
		{"useLink", 400, "invalid_request", nil, func(r *request) { r.Path = "/link/kept?replace=perhaps" }},
		{"useLink", 403, "forbidden", nil, func(r *request) {
			r.Header = map[string]string{"Origin": "https://evil.example"}
		}},
		{"signIn", 500, "internal", errors.New(inner), nil},
		{"signIn", 503, "", &oidc.AwayError{Wait: time.Second, Err: errors.New(inner)}, nil},
		{"finishSignIn", 400, "", nil, func(r *request) { r.Header = nil }},
		{"finishSignIn", 403, "", &oidc.RefusedError{Why: "address", Err: errors.New(inner)}, nil},
		{"finishSignIn", 429, "", &remote.HeldBackError{Wait: time.Minute}, nil},
		{"finishSignIn", 500, "internal", errors.New(inner), nil},
		{"finishSignIn", 503, "", &oidc.AwayError{Wait: time.Second, Err: errors.New(inner)}, nil},
		{"signInWithPassword", 400, "invalid_request", nil, with("", `{"user":"`+anna+`","admin":true}`)},
		{"signInWithPassword", 403, "sign_in_refused", nil, with("", `{"user":"`+bartek+`","password":"x"}`)},
		{"signInWithPassword", 403, "forbidden", nil, func(r *request) { r.Header = nil }},
		{"signInWithPassword", 413, "payload_too_large", nil, with("", `{"user":"`+strings.Repeat("a", 64<<10)+`"}`)},
		{"signInWithPassword", 415, "unsupported_media_type", nil, func(r *request) {
			r.Header = map[string]string{"X-Mailbrook": "1", "Content-Type": "application/x-www-form-urlencoded"}
		}},
		{"signInWithPassword", 422, "validation_failed", nil, with("", `{"user":"anna","password":""}`)},
		{"signInWithPassword", 429, "rate_limited", &remote.HeldBackError{Wait: time.Minute}, nil},
		{"signInWithPassword", 500, "internal", errors.New(inner), nil},
		{"signInWithPassword", 503, "sign_in_unavailable", errNoServer, nil},
		{"deleteSessions", 403, "forbidden", nil, with("?user="+bartek, "")},
		{"deleteSessions", 422, "validation_failed", nil, with("?user=nobody", "")},
		{"listEvents", 422, "validation_failed", nil, with("?lang=de", "")},
		{"adminListAccounts", 422, "validation_failed", nil, with("?state=' OR 1=1 --", "")},
	}
	for _, op := range []string{"createAccount", "createLink"} {
		cases = append(cases,
			provoked{op, 409, "idempotency_in_progress", httpapi.ErrKeyInProgress, nil},
			provoked{op, 422, "idempotency_key_reused", httpapi.ErrKeyReused, nil},
		)
	}
	for _, op := range []string{"createAccount", "updateAccount"} {
		cases = append(cases,
			provoked{op, 409, "account_exists", account.ErrExists, nil},
			provoked{op, 409, "oauth_address_differs", &account.AddressDiffersError{Email: "a@b.test", Signed: "c@d.test"}, nil},
			provoked{op, 409, "name_taken", account.ErrNameTaken, nil},
			provoked{op, 409, "folder_taken", account.ErrFolderTaken, nil},
			provoked{op, 422, "host_not_allowed", hostRefused, nil},
			provoked{op, 422, "connection_test_failed", failedTest, nil},
		)
	}
	for _, op := range []string{"adminGetAccount", "adminListRuns", "adminListSkipped", "adminTestAccount"} {
		cases = append(cases, provoked{op, 404, "not_found", nil, func(r *request) {
			r.Path = strings.ReplaceAll(r.Path, annaID, noID)
		}})
	}
	for _, op := range []string{
		"getAccount", "updateAccount", "deleteAccount", "fetchAccount", "listAccountFolders",
		"listAccountRuns", "listAccountSkipped", "retrySkipped", "retryAllSkipped",
	} {
		cases = append(cases, provoked{op, 404, "not_found", nil, func(r *request) {
			r.Path = strings.ReplaceAll(r.Path, annaID, bobsID)
		}})
	}
	return cases
}

// everywhere are the answers that calls have because of what they are.
func everywhere(item *openapi3.PathItem, op *openapi3.Operation) []provoked {
	id := op.OperationID
	if len(*op.Security) == 0 {
		return nil
	}
	cases := []provoked{
		{id, 400, "invalid_request", nil, func(r *request) {
			r.Path += map[bool]string{true: "&", false: "?"}[strings.Contains(r.Path, "?")] + "nonsense=1"
		}},
		{id, 401, "unauthenticated", nil, func(r *request) { r.As = "" }},
	}
	if !slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "If-Match" }) {
		cases = append(cases, provoked{id, 400, "invalid_request", nil, func(r *request) {
			r.Header = map[string]string{"If-Match": `"1"`}
		}})
	}
	if !slices.Contains([]string{"listProviders", "getSession", "deleteSession"}, id) { // They ask nobody.
		cases = append(cases, provoked{id, 500, "internal", errors.New(inner), nil})
	}
	if strings.HasPrefix(id, "admin") {
		cases = append(cases, provoked{id, 403, "forbidden", nil, func(r *request) { r.Admin = false }})
	}
	if op.RequestBody != nil {
		cases = append(cases,
			provoked{id, 413, "payload_too_large", nil, func(r *request) {
				r.Body = `{"email":"` + strings.Repeat("a", 64<<10) + `"}`
			}},
			provoked{id, 415, "unsupported_media_type", nil, func(r *request) {
				r.Header = map[string]string{"Content-Type": "text/plain"}
			}},
		)
	}
	return cases
}

// TestContract makes every call of the document answer in every way that the
// document says, and in no other.
func TestContract(t *testing.T) {
	doc, valid := spec(t), maps.Clone(valid)
	valid["finishSignIn"] = newFixture(t).comesBack(t, "/accounts/new")
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	run := func(name string, f *fixture, r request, op string, status int, code string) {
		t.Run(name, func(t *testing.T) {
			clear(f.tickets) // One request stands for many that come back from the identity provider.
			rec := f.do(r)
			if rec.Code != status {
				t.Fatalf("status %d, want %d: %s", rec.Code, status, rec.Body)
			}
			conforms(t, doc, router, r, rec)
			if got := problemCode(t, rec); got != code {
				t.Fatalf("code %q, want %q: %s", got, code, rec.Body)
			}
			seen[key(op, status, code)] = true
			noCanary(t, f)
		})
	}
	plenty := newFixture(t, func(o *httpapi.Options) {
		o.Limits = httpapi.Limits{Requests: httpapi.Rate{Burst: 10_000}, Tests: httpapi.Rate{Burst: 10_000}}
	})
	for name, whose := range map[string]string{"useme": anna, "kept": anna, "bartek": bartek} {
		plenty.links[name] = httpapi.Link{Owner: anOwner(t, whose), ReturnTo: "/"}
	}
	bartekIn := plenty.signInBy(t, "/link/bartek")
	cases := append(append(particular(), ofCopies()...), provoked{"useLink", 200, "", nil, func(r *request) {
		r.Path, r.Header = "/link/kept", map[string]string{"Cookie": bartekIn}
	}})
	for _, path := range doc.Paths.InMatchingOrder() {
		for _, op := range doc.Paths.Value(path).Operations() {
			cases = append(cases, everywhere(doc.Paths.Value(path), op)...)
			good, ok := valid[op.OperationID]
			if !ok {
				t.Fatalf("no valid request for %s is known here", op.OperationID)
			}
			run(op.OperationID+" goes well", plenty, signedIn(good), op.OperationID, success(op), "")
			if op.Responses.Value("503") != nil && op.OperationID != "getReadiness" {
				f := newFixture(t, func(o *httpapi.Options) { o.Holds = func() error { return account.ErrUnavailable } })
				run(op.OperationID+" with another installation's database", f, signedIn(good), op.OperationID, 503, "not_ready")
			}
			if isOfCopies(op) {
				f := newFixture(t, func(o *httpapi.Options) { o.Copies = nil })
				run(op.OperationID+" switched off", f, signedIn(good), op.OperationID, 403, "copies_disabled")
			}
			if len(*op.Security) > 0 {
				f := newFixture(t, func(o *httpapi.Options) { o.Limits.Requests = httpapi.Rate{PerMinute: 1, Burst: 1} })
				f.do(signedIn(good))
				run(op.OperationID+" too often", f, signedIn(good), op.OperationID, 429, "rate_limited")
			}
		}
	}
	for _, c := range cases {
		plenty.fail = c.fail
		r := signedIn(valid[c.op])
		if c.change != nil {
			c.change(&r)
		}
		r.Path = strings.ReplaceAll(r.Path, " ", "%20")
		run(fmt.Sprintf("%s %d %s", c.op, c.status, c.code), plenty, r, c.op, c.status, c.code)
	}
	plenty.fail = nil
	for status, r := range map[int]request{
		200: {Header: map[string]string{"Cookie": bartekIn, "Remote-Email": anna}}, 403: {},
	} {
		f := newFixture(t, byProxy)
		f.links["bartek"] = httpapi.Link{Owner: anOwner(t, bartek), ReturnTo: "/"}
		f.sessions = plenty.sessions
		r.Method, r.Path = "GET", "/signin"
		run(fmt.Sprintf("signIn by a proxy %d", status), f, r, "signIn", status, "")
	}
	none := newFixture(t, func(o *httpapi.Options) { o.Web.SignIn = httpapi.SignIn{} })
	run("signInWithPassword 404", none, valid["signInWithPassword"], "signInWithPassword", 404, "not_found")
	run("finishSignIn 404", none, valid["finishSignIn"], "finishSignIn", 404, "not_found")
	back := valid["finishSignIn"]
	back.Header = map[string]string{"Cookie": back.Header["Cookie"] + "; " + bartekIn}
	run("finishSignIn asks", plenty, back, "finishSignIn", 200, "")
	seldom := func(o *httpapi.Options) { o.Limits.SignIns = httpapi.Rate{PerMinute: 1, Burst: 1} }
	f := newFixture(t, seldom)
	f.do(f.comesBack(t, "/"))
	run("finishSignIn too often", f, f.comesBack(t, "/"), "finishSignIn", 429, "")
	f = newFixture(t, seldom, byProxy)
	named := request{Method: "GET", Path: "/signin", Header: map[string]string{"Remote-Email": anna}}
	f.do(named)
	run("signIn too often", f, named, "signIn", 429, "")
	f = newFixture(t, func(o *httpapi.Options) { o.Limits.Codes = httpapi.Rate{PerMinute: 1, Burst: 1} })
	wrong := valid["getCopyStatus"]
	wrong.Body = `{"source":"old@gmail.com","code":"AAAA"}`
	f.do(wrong)
	run("getCopyStatus too often", f, valid["getCopyStatus"], "getCopyStatus", 429, "rate_limited")
	f = newFixture(t, func(o *httpapi.Options) { o.Providers = brokenPresets{} })
	run("listProviders 500", f, signedIn(valid["listProviders"]), "listProviders", 500, "internal")
	f = newFixture(t, func(o *httpapi.Options) { o.Tokens = brokenTokens{} })
	run("getSession 500", f, signedIn(valid["getSession"]), "getSession", 500, "internal")
	run("deleteSession 500", f, signedIn(valid["deleteSession"]), "deleteSession", 500, "internal")
	f = newFixture(t)
	f.unready = errors.New("no database at db.inner.test")
	run("getReadiness 503", f, valid["getReadiness"], "getReadiness", 503, "not_ready")

	for _, want := range documented(t, doc) {
		if !seen[want] {
			t.Errorf("the document has %s, but nothing here made the server answer so", want)
		}
		delete(seen, want)
	}
	for k := range seen {
		t.Errorf("the server answers %s, which the document does not have", k)
	}
}

type brokenPresets struct{}

func (brokenPresets) Providers(words.Language) []provider.Shown { panic("broken") }

type brokenTokens struct{}

func (brokenTokens) Verify(context.Context, string) (httpapi.Identity, error) {
	return httpapi.Identity{}, errors.New(inner)
}

func (brokenTokens) Close() {}

func signedIn(r request) request {
	r.As, r.Admin = anna, strings.HasPrefix(r.Path, "/v1/admin")
	if !strings.HasPrefix(r.Path, "/v1") {
		r.As = ""
	}
	return r
}

func key(op string, status int, code string) string { return fmt.Sprintf("%s %d %s", op, status, code) }

// success is the status of a call that goes well: of two, that which does more.
func success(op *openapi3.Operation) (most int) {
	for status := range op.Responses.Map() {
		if strings.HasPrefix(status, "2") || strings.HasPrefix(status, "3") {
			var n int
			fmt.Sscan(status, &n)
			most = max(most, n)
		}
	}
	return most
}

// documented lists the answers of the document as key does.
func documented(t *testing.T, doc *openapi3.T) []string {
	var all []string
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status, resp := range op.Responses.Map() {
				codes, ok := resp.Value.Extensions["x-codes"].([]any)
				if ok != (resp.Value.Content["application/problem+json"] != nil) {
					t.Errorf("%s %s: x-codes belongs to errors, and only to them", op.OperationID, status)
				}
				if !ok || resp.Value.Content["text/html"] != nil { // A page for people has no code.
					codes = append(slices.Clone(codes), "")
				}
				for _, code := range codes {
					all = append(all, fmt.Sprintf("%s %s %s", op.OperationID, status, code))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// conforms holds an answer against the document.
func conforms(t *testing.T, doc *openapi3.T, router routers.Router, r request, rec *httptest.ResponseRecorder) {
	t.Helper()
	req := httptest.NewRequest(r.Method, r.Path, http.NoBody)
	if u, err := url.Parse(r.Path); err == nil && strings.HasPrefix(u.Path, "/v1/admin/quotas/") {
		req = httptest.NewRequest(r.Method, "/v1/admin/quotas/x", http.NoBody)
	}
	route, params, err := router.FindRoute(req)
	if err != nil {
		t.Fatal(err)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 rec.Code, Header: rec.Header(), Body: io.NopCloser(strings.NewReader(rec.Body.String())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		t.Fatalf("the answer is not what the document says: %v\n%s", err, rec.Body)
	}
	media, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	if content := route.Operation.Responses.Status(rec.Code).Value.Content; len(content) > 0 && content[media] == nil {
		t.Fatalf("Content-Type %q is not in the document", media)
	}
}

// problemCode returns the code of a problem, and checks that its parts agree.
func problemCode(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	if rec.Code < 400 || strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
		return ""
	}
	var p api.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != rec.Code || p.Type != "urn:mailbrook:problem:"+string(p.Code) || p.Title == "" {
		t.Errorf("status, type, title and code do not belong together: %s", rec.Body)
	}
	return string(p.Code)
}

func noCanary(t *testing.T, f *fixture) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Contains(f.seen.String(), canary) {
		t.Errorf("an answer holds the password: %s", f.seen.String())
	}
	if strings.Contains(f.seen.String(), inner) {
		t.Errorf("an answer tells what happened inside: %s", f.seen.String())
	}
	if strings.Contains(f.log.String(), canary) {
		t.Errorf("the log holds the password: %s", f.log.String())
	}
}

// TestFaultCodesMatchDocument keeps the closed list of failures and the
// document's the same.
func TestFaultCodesMatchDocument(t *testing.T) {
	var doc, code []string
	for _, v := range spec(t).Components.Schemas["FaultCode"].Value.Enum {
		doc = append(doc, v.(string))
	}
	for _, c := range fault.Codes() {
		code = append(code, string(c))
	}
	if !slices.Equal(doc, code) {
		t.Errorf("openapi.yaml has %v, the code has %v", doc, code)
	}
}

// TestActionsMatchDocument does so for what people do.
func TestActionsMatchDocument(t *testing.T) {
	var doc, code []string
	for _, v := range spec(t).Components.Schemas["AuditAction"].Value.Enum {
		doc = append(doc, v.(string))
	}
	for _, a := range audit.Actions() {
		code = append(code, string(a))
	}
	if !slices.Equal(doc, code) {
		t.Errorf("openapi.yaml has %v, the code has %v", doc, code)
	}
}

// TestStatesMatchDocument does so for the states of accounts.
func TestStatesMatchDocument(t *testing.T) {
	var doc, code []string
	for _, v := range spec(t).Components.Schemas["AccountState"].Value.Enum {
		doc = append(doc, v.(string))
	}
	for _, s := range account.States() {
		code = append(code, string(s))
	}
	if !slices.Equal(doc, code) {
		t.Errorf("openapi.yaml has %v, the code has %v", doc, code)
	}
}
