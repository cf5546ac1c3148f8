package httpapi_test

import (
	"bytes"
	"context"
	"encoding/csv"
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

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

const newCopy = `{"source":{"email":"old@gmail.com","password":"` + canary + `"},"target":{"protocol":"local"}}`

// isOfCopies reports whether a call is one of those that an operator may switch off.
func isOfCopies(op *openapi3.Operation) bool {
	r := op.Responses.Value("403")
	return r != nil && slices.Contains(asStrings(r.Value.Extensions["x-codes"]), "copies_disabled")
}

func asStrings(list any) (out []string) {
	all, _ := list.([]any)
	for _, v := range all {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// ofCopies are what provokes the answers of the calls about copies.
func ofCopies() []provoked {
	hostRefused := fault.New(fault.HostNotAllowed, "checking", words.Say("port 22 is not one that an account may name"))
	differs := &account.AddressDiffersError{Email: "a@b.test", Signed: "c@d.test"}
	exists := &transfer.ExistsError{ID: annasCopy, State: transfer.Waiting}
	at := func(side transfer.Side, err error) error { return &transfer.TestFailedError{Side: side, Err: err} }
	cases := []provoked{
		{"startCopy", 409, "copy_exists", exists, nil},
		{"startCopy", 409, "copy_limit_reached", transfer.ErrLimitReached, nil},
		{"startCopy", 409, "idempotency_in_progress", httpapi.ErrKeyInProgress, nil},
		{"startCopy", 422, "idempotency_key_reused", httpapi.ErrKeyReused, nil},
		{"startCopy", 422, "target_read_only", transfer.ErrTargetReadOnly, nil},
		{"startCopy", 422, "target_full", transfer.ErrTargetFull, nil},
		{"updateCopy", 409, "copy_changed", transfer.ErrChanged, nil},
		{"updateCopy", 409, "oauth_address_differs", at(transfer.Source, differs), nil},
		{"updateCopy", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"updateCopy", 422, "validation_failed", nil, with("", `{"source":{"password":null}}`)},
		{"updateCopy", 422, "host_not_allowed", at(transfer.Source, hostRefused), nil},
		{"updateCopy", 422, "connection_test_failed", at(transfer.Source, failedTest), nil},
		{"deleteCopy", 412, "precondition_failed", account.ErrPrecondition, nil},
		{"listCopies", 422, "validation_failed", nil, with("&limit=0", "")},
		{"listCopyMessages", 422, "validation_failed", nil, with("&limit=0", "")},
		{"getCopyReport", 409, "report_not_ready", transfer.ErrNotVerified, nil},
		{"getCopyReportCSV", 409, "report_not_ready", transfer.ErrNotVerified, nil},
		{"pauseCopy", 409, "not_cancellable", transfer.ErrNotCancellable, nil},
		{"cancelCopy", 409, "not_cancellable", transfer.ErrNotCancellable, nil},
		{"resumeCopy", 409, "not_cancellable", transfer.ErrNotCancellable, nil},
		{"resumeCopy", 409, "credentials_erased", transfer.ErrNoCredentials, nil},
		{"verifyCopy", 422, "validation_failed", nil, with("x", "")},
		{"adminListCopies", 422, "validation_failed", nil, with("&state=lost", "")},
		{"getCopyStatus", 400, "invalid_request", nil, with("", `{"source":"old@gmail.com","code":"A","id":"x"}`)},
		{"getCopyStatus", 404, "not_found", nil, with("", `{"source":"old@gmail.com","code":"AAAA"}`)},
		{"getCopyStatus", 413, "payload_too_large", nil, with("", `{"code":"`+strings.Repeat("a", 64<<10)+`"}`)},
		{"getCopyStatus", 415, "unsupported_media_type", nil, func(r *request) {
			r.Header = map[string]string{"Content-Type": "text/plain"}
		}},
		{"getCopyStatus", 422, "validation_failed", nil, with("", `{"source":"old@gmail.com","code":"; DROP"}`)},
		{"getCopyStatus", 500, "internal", errors.New(inner), nil},
	}
	for _, op := range []string{"planCopy", "startCopy"} {
		cases = append(cases,
			provoked{op, 409, "oauth_address_differs", at(transfer.Source, differs), nil},
			provoked{op, 422, "validation_failed", nil, with("", `{"source":{"email":"a@b.test"},"target":{}}`)},
			provoked{op, 422, "host_not_allowed", at(transfer.Target, hostRefused), nil},
			provoked{op, 422, "connection_test_failed", at(transfer.Target, failedTest), nil},
			provoked{op, 422, "same_mailbox", transfer.ErrSameMailbox, nil},
			provoked{op, 503, "local_mailbox_unavailable", fault.New(fault.LocalMailboxUnavailable, "reading"), nil},
		)
	}
	for _, op := range []string{"syncCopy", "verifyCopy", "retryCopy"} {
		cases = append(cases,
			provoked{op, 409, "copy_not_ended", transfer.ErrNotEnded, nil},
			provoked{op, 409, "credentials_erased", transfer.ErrNoCredentials, nil},
			provoked{op, 409, "copy_exists", exists, nil},
			provoked{op, 409, "copy_limit_reached", transfer.ErrLimitReached, nil},
		)
	}
	for id, r := range valid {
		if strings.Contains(r.Path, annasCopy) {
			cases = append(cases, provoked{id, 404, "not_found", nil, func(r *request) {
				r.Path = strings.ReplaceAll(r.Path, annasCopy, bobsCopy)
			}})
		}
	}
	return cases
}

// ask makes a request of a call and reads its answer.
func ask[T any](t *testing.T, f *fixture, call string, status int, change ...func(*request)) (out T) {
	t.Helper()
	r := signedIn(valid[call])
	for _, c := range change {
		c(&r)
	}
	rec := f.do(r)
	if rec.Code != status {
		t.Fatalf("%s: status %d, want %d: %s", call, rec.Code, status, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCopyIsReadAsItIsAskedFor: each member reaches the domain, once and unchanged, for the plan as for the start.
func TestCopyIsReadAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	const body = `{
		"source": {"email": "old@example.org", "provider": "other", "protocol": "pop3", "username": "old",
			"server": {"host": "pop.example.org", "port": 110, "security": "starttls"}, "password": "` + canary + `"},
		"target": {"email": "new@example.net", "protocol": "imap", "server": {"host": "imap.example.net"},
			"grant": "` + grantID + `", "confirm_address": true},
		"options": {"folders": {"include": ["INBOX"], "exclude": ["\\Junk"], "map": {"Versendet": "Sent"}},
			"prefix": "Old", "start_at": "2026-12-01T00:00:00Z", "existing": "skip", "labels": "keywords",
			"order": "newest_first", "verify": "full", "max_bytes": 1048576, "since": "2020-01-01T00:00:00Z",
			"before": "2026-01-01T00:00:00+01:00", "notify_email": "me@example.com", "bytes_per_second": 4096},
		"skip_test": true}`
	want := transfer.Draft{
		Source: transfer.SideDraft{Settings: account.Settings{
			Email: new("old@example.org"), Provider: new("other"), Protocol: new(remote.POP3), Username: new("old"),
			Host: new("pop.example.org"), Port: new(110), Security: new(remote.STARTTLS),
		}},
		Target: transfer.SideDraft{
			Settings: account.Settings{
				Email: new("new@example.net"), Protocol: new(remote.IMAP), Host: new("imap.example.net"),
			},
			Grant: grantID, ConfirmAddress: true,
		},
		Options: transfer.OptionsDraft{
			Options: transfer.Options{
				Folders: route.FolderRules{Include: []string{"INBOX"}, Exclude: []string{`\Junk`}}, Prefix: "Old",
				StartAt: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Existing: transfer.ExistingSkip,
				Labels: transfer.LabelsKeywords, Order: transfer.NewestFirst, Verify: transfer.VerifyFull, MaxBytes: 1 << 20,
				Since:  time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
				Before: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC), NotifyEmail: "me@example.com", Language: "pl",
				BytesPerSec: 4096,
			},
			Map: map[string]string{"Versendet": "Sent"},
		},
		SkipTest: true,
	}
	for call, status := range map[string]int{"planCopy": 200, "startCopy": 201} {
		f := newFixture(t)
		ask[any](t, f, call, status, func(r *request) {
			r.Body, r.Header = body, map[string]string{"Accept-Language": "pl"}
		})
		got := f.copies.drafts[0]
		if got.Source.Password.Reveal() != canary || !got.Target.Password.Empty() || got.AskedAt.IsZero() {
			t.Errorf("%s: the password, or when it was asked for, went astray", call)
		}
		got.Source.Password, got.Target.Password, got.AskedAt = remote.Secret{}, remote.Secret{}, time.Time{}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(remote.Secret{}), secretsAside); diff != "" {
			t.Errorf("%s (-want +got):\n%s", call, diff)
		}
	}
	f := newFixture(t)
	ask[any](t, f, "startCopy", 201)
	if d := f.copies.drafts[0]; !d.Target.Local || d.Target.Email != nil || d.Options.Language != "en" {
		t.Errorf("into the own mailbox: %+v", d)
	}
}

var secretsAside = cmp.Comparer(func(a, b remote.Secret) bool { return a.Reveal() == b.Reveal() })

func TestCopiesThatCannotBeAskedForNameTheField(t *testing.T) {
	t.Parallel()
	into := func(target string) string {
		return `{"source":{"email":"old@gmail.com","password":"x"},"target":` + target + `}`
	}
	options := func(o string) string {
		return strings.TrimSuffix(into(`{"protocol":"local"}`), "}") + `,"options":{` + o + `}}`
	}
	source := func(s string) string { return `{"source":{"email":"a@b.test"` + s + `},"target":{"protocol":"local"}}` }
	for name, c := range map[string]struct{ body, field, code string }{
		"no password":           {source(""), "source.password", "required"},
		"password and grant":    {source(`,"password":"x","grant":"` + grantID + `"`), "source.password", "invalid"},
		"no target":             {`{"source":{"email":"a@b.test","password":"x"}}`, "target", "required"},
		"an empty target":       {into(`{"password":"x"}`), "target.email", "required"},
		"a target by POP3":      {into(`{"email":"a@b.test","protocol":"pop3"}`), "target.protocol", "invalid"},
		"local and a server":    {into(`{"protocol":"local","server":{"host":"b.test"}}`), "target.server", "invalid"},
		"local and a password":  {into(`{"protocol":"local","password":"x"}`), "target.password", "invalid"},
		"a day that is not":     {options(`"since":"2026-02-30T00:00:00Z"`), "options.since", "invalid"},
		"a day without a time":  {options(`"before":"2026-02-03"`), "options.before", "invalid"},
		"a map with a break":    {options(`"folders":{"map":{"a":"b\r\nc"}}`), "options.folders.map.a", "control_character"},
		"a break in a folder":   {options(`"folders":{"map":{"a\nb":"x"}}`), "options.folders.map", "control_character"},
		"a map with NUL":        {options(`"folders":{"map":{"a":"b\u0000"}}`), "options.folders.map.a", "control_character"},
		"a map without an end":  {options(`"folders":{"map":{` + manyNames(1001) + `}}`), "options.folders.map", "invalid"},
		"an address that is no": {options(`"notify_email":"meme"`), "options.notify_email", "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := ask[api.Problem](t, f, "startCopy", 422, func(r *request) { r.Body = c.body })
			if p.Errors == nil || !slices.ContainsFunc(*p.Errors, func(e api.FieldError) bool {
				return e.Field == c.field && e.Code == c.code
			}) {
				t.Errorf("want %s %s: %+v", c.field, c.code, p.Errors)
			}
			if len(f.copies.drafts) > 0 {
				t.Error("the domain was asked")
			}
		})
	}
}

func manyNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"f%d":"x"`, i)
	}
	return strings.Join(names, ",")
}

// TestPatchOfACopy: null empties, what is left out stays.
func TestPatchOfACopy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	patch := func(body string) transfer.Patch {
		ask[api.Copy](t, f, "updateCopy", 200, func(r *request) { r.Body = body })
		return f.copies.patches[len(f.copies.patches)-1]
	}
	p := patch(`{"options":{"notify_email":null,"max_bytes":null,"bytes_per_second":null}}`)
	if p.NotifyEmail == nil || *p.NotifyEmail != "" || p.MaxBytes == nil || *p.MaxBytes != 0 ||
		p.BytesPerSec == nil || *p.BytesPerSec != 0 || p.SourcePassword != nil {
		t.Errorf("null: %+v", p)
	}
	p = patch(`{"target":{"password":"` + canary + `"},"options":{"max_bytes":4096},"skip_test":true}`)
	if p.NotifyEmail != nil || p.BytesPerSec != nil || *p.MaxBytes != 4096 || p.SourcePassword != nil ||
		p.TargetPassword.Reveal() != canary || !p.SkipTest {
		t.Errorf("left out: %+v", p)
	}
	p = patch(`{"source":{"grant":"` + grantID + `","confirm_address":true}}`)
	if p.SourceGrant != grantID || !p.SourceConfirmed || p.TargetGrant != "" {
		t.Errorf("a grant: %+v", p)
	}
	noCanary(t, f)
}

// TestACopyIsChangedOnlyAsItWasSeen: by its entity tag.
func TestACopyIsChangedOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tag := f.do(signedIn(valid["getCopy"])).Header().Get("ETag")
	for _, call := range []string{"updateCopy", "deleteCopy"} {
		for match, status := range map[string]int{tag: success(operation(t, call)), `"0-x"`: 412} {
			r := signedIn(valid[call])
			r.Header = map[string]string{"If-Match": match}
			if rec := f.do(r); rec.Code != status {
				t.Errorf("%s with %s: %d, want %d: %s", call, match, rec.Code, status, rec.Body)
			}
		}
	}
}

func operation(t *testing.T, id string) *openapi3.Operation {
	t.Helper()
	for _, item := range spec(t).Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID == id {
				return op
			}
		}
	}
	t.Fatalf("there is no call %s", id)
	return nil
}

// TestTheSideThatFailsIsNamed: in the problem, in the fields, and by the words of its provider.
func TestTheSideThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	for _, side := range []transfer.Side{transfer.Source, transfer.Target} {
		f := newFixture(t)
		f.fail = &transfer.TestFailedError{Side: side, Err: failedTest}
		both := func(r *request) {
			r.Body = `{"source":{"email":"old@source.test","password":"x","server":{"host":"imap.source.test"}},` +
				`"target":{"email":"new@target.test","password":"x","server":{"host":"imap.target.test"}}}`
		}
		p := ask[api.Problem](t, f, "startCopy", 422, both)
		if p.Code != api.ProblemCodeConnectionTestFailed || p.Side == nil || string(*p.Side) != string(side) ||
			p.Diagnosis == nil || p.Steps == nil || !strings.Contains(p.Diagnosis.Advice, "imap."+string(side)+".test") {
			t.Errorf("%s: %+v %+v", side, p, p.Diagnosis)
		}
		f.fail = &transfer.TestFailedError{Side: side, Err: fault.New(fault.HostNotAllowed, "checking")}
		p = ask[api.Problem](t, f, "planCopy", 422, both)
		if p.Errors == nil || (*p.Errors)[0].Field != string(side)+".server.host" {
			t.Errorf("%s: %+v", side, p.Errors)
		}
		f.fail = &transfer.TestFailedError{Side: side, Err: &remote.HeldBackError{Wait: time.Minute}}
		p = ask[api.Problem](t, f, "planCopy", 429, both)
		if p.Side == nil || string(*p.Side) != string(side) {
			t.Errorf("%s: %+v", side, p)
		}
	}
}

// TestACopyThatExistsIsNamed: its id, how it is and since when, in both languages; of another user's nothing.
func TestACopyThatExistsIsNamed(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 21, 9, 5, 0, 0, time.UTC)
	for _, state := range transfer.States() {
		if state.Ended() {
			continue
		}
		f := newFixture(t)
		f.fail = &transfer.ExistsError{ID: annasCopy, State: state, Since: since}
		p := ask[api.Problem](t, f, "startCopy", 409)
		if p.Copy == nil || p.Copy.Id != annasCopy || string(p.Copy.State) != string(state) || !p.Copy.Since.Equal(since) ||
			!strings.Contains(p.Detail, "since 2026-11-21 09:05 UTC") {
			t.Errorf("%s: %+v, %+v", state, p, p.Copy)
		}
		pl := ask[api.Problem](t, f, "startCopy", 409, func(r *request) {
			r.Header = map[string]string{"Accept-Language": "pl"}
		})
		if pl.Detail == p.Detail || !strings.Contains(pl.Detail, "2026-11-21 09:05") {
			t.Errorf("%s in Polish: %s", state, pl.Detail)
		}
	}
	f := newFixture(t)
	f.fail = &transfer.ExistsError{State: transfer.Running, Since: since, Target: true}
	p := ask[api.Problem](t, f, "startCopy", 409)
	if p.Copy != nil || strings.Contains(p.Detail, "2026") || strings.Contains(p.Detail, "running") {
		t.Errorf("of another user's copy it says: %+v", p)
	}
}

// TestTheCodeIsShownOnce: in the answer of the start, and of a repetition of it; in no other answer.
func TestTheCodeIsShownOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	named := func(r *request) { r.Header = map[string]string{"Idempotency-Key": "one"} }
	for range 2 {
		if c := ask[api.StartedCopy](t, f, "startCopy", 201, named); c.StatusCode == nil || *c.StatusCode != copyCode {
			t.Errorf("the code is %v", c.StatusCode)
		}
	}
	if len(f.calls) != 1 {
		t.Errorf("it was done %v", f.calls)
	}
	for call := range valid {
		if isOfCopies(operation(t, call)) && call != "startCopy" {
			if rec := f.do(signedIn(valid[call])); strings.Contains(rec.Body.String(), copyCode) {
				t.Errorf("%s shows the code", call)
			}
		}
	}
	// The answer of the first attempt was lost with the code; the copy is not made twice.
	f = newFixture(t)
	f.alter(func(w *world) { w.copies.all[0].ID = noID })
	if c := ask[api.StartedCopy](t, f, "startCopy", 201, named); c.StatusCode != nil || c.Id != noID || len(f.calls) > 0 {
		t.Errorf("%+v, done: %v", c, f.calls)
	}
}

// TestWithoutTheCodeEveryAddressIsTheSame: nobody learns whose mailbox is copied, and nobody may guess for long.
func TestWithoutTheCodeEveryAddressIsTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	try := func(source, code, peer string) (int, string) {
		r := valid["getCopyStatus"]
		r.Body, r.Peer = fmt.Sprintf(`{"source":%q,"code":%q}`, source, code), peer
		rec := f.do(r)
		return rec.Code, rec.Body.String()
	}
	for range 100 { // Whoever has the code may look as often as it likes.
		if status, body := try("old@gmail.com", copyCode, "192.0.2.1:5"); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	_, want := try("old@gmail.com", "AAAA-BBBB", "192.0.2.1:5")
	for i := range 29 {
		status, body := try(fmt.Sprintf("nobody%d@gmail.com", i), []string{copyCode, "AAAA-BBBB"}[i%2], "192.0.2.1:6")
		if status != 404 || body != want {
			t.Fatalf("attempt %d: %d %s, want %s", i, status, body, want)
		}
	}
	for _, source := range []string{"old@gmail.com", "nobody@gmail.com"} {
		if status, _ := try(source, "AAAA-BBBB", "192.0.2.1:7"); status != 429 {
			t.Errorf("%s: after 30 attempts: %d", source, status)
		}
	}
	if status, _ := try("old@gmail.com", copyCode, "192.0.2.2:5"); status != 200 {
		t.Errorf("others are held back, too: %d", status)
	}
	for i := range 30 {
		try("old@gmail.com", "AAAA", fmt.Sprintf("[2001:db8:1:2::%x]:5", i+1))
	}
	if status, _ := try("old@gmail.com", "AAAA", "[2001:db8:1:2:ffff::1]:5"); status != 429 {
		t.Errorf("a /64 has as many attempts as addresses: %d", status)
	}
	if strings.Contains(f.seen.String(), "imap.gmail.com") || strings.Contains(f.seen.String(), "Versendet") {
		t.Error("the status names a server or a folder")
	}
	if strings.Contains(f.log.String(), "old@gmail.com") || strings.Contains(f.log.String(), copyCode) {
		t.Error("the log holds an address or a code")
	}
}

// TestPublicStatusInBothLanguages: it is for people who may not know a code of ours.
func TestPublicStatusInBothLanguages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for lang, want := range map[string]string{
		"en": "The copy is waiting: the new mailbox is full",
		"pl": "Kopiowanie czeka: nowa skrzynka jest pełna",
	} {
		got := ask[api.CopyPublicStatus](t, f, "getCopyStatus", 200, func(r *request) {
			r.Header = map[string]string{"Accept-Language": lang}
		})
		if got.Title != want || got.Reason == nil || got.Phase != nil {
			t.Errorf("%s: %+v", lang, got)
		}
	}
}

// TestStatesOfCopiesMatchDocument keeps the words of the domain, of the document and for people the same.
func TestStatesOfCopiesMatchDocument(t *testing.T) {
	t.Parallel()
	check(t, "CopyState", transfer.States())
	check(t, "CopyPhase", transfer.Phases())
	check(t, "CopyReason", transfer.Reasons())
	check(t, "CopyMessageState", transfer.MessageStates())
	check(t, "CopyWhy", transfer.Whys())
	check(t, "CopyGrade", []transfer.Grade{transfer.Perfect, transfer.Good, transfer.Investigate, transfer.Poor})
}

func check[T ~string](t *testing.T, schema string, code []T) {
	t.Helper()
	doc := asStrings(spec(t).Components.Schemas[schema].Value.Enum)
	if fmt.Sprint(doc) != fmt.Sprint(code) {
		t.Errorf("%s: openapi.yaml has %v, the code has %v", schema, doc, code)
	}
}

// TestNoFormulaInATable: what a spreadsheet would run is text, whoever wrote it.
func TestNoFormulaInATable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rec := f.do(signedIn(valid["getCopyReportCSV"]))
	rows, err := csv.NewReader(bytes.NewReader(rec.Body.Bytes())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{
			"folder", "target_folder", "message", "target_uid", "received_at", "size", "state", "code", "reason", "sender",
			"subject",
		},
		{
			"'=1+1", "'-x", "UIDL @a b", "", "", "73400320", "skipped", "message_failed",
			`en title of message_failed. NO "too", large`, "Anna", `'=HYPERLINK("x") Bcc: y`,
		},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(rec.Body.String(), "subject\r\n") {
		t.Error("lines do not end in CRLF")
	}
	for name, want := range map[string]string{
		"Content-Type": "text/csv; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Disposition": `attachment; filename="mailbrook-report-` + annasCopy + `.csv"`,
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, begins := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠", " ="} {
		f.alter(func(w *world) {
			w.copies.messages = []transfer.Message{{Folder: begins + "x", State: transfer.MessageCopied}}
		})
		rows, err := csv.NewReader(f.do(signedIn(valid["getCopyManifest"])).Body).ReadAll()
		if err != nil || len(rows) != 2 || !strings.HasPrefix(rows[1][0], "'") {
			t.Errorf("a folder %q: %q, %v", begins+"x", rows, err)
		}
	}
}

func TestManifestHasEveryMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rows, err := csv.NewReader(f.do(signedIn(valid["getCopyManifest"])).Body).ReadAll()
	want := [][]string{
		{"folder", "target_folder", "message", "target_uid", "received_at", "size", "sha256", "state"},
		{
			"Versendet", "Sent", "UID 7", "12", "2026-11-21T09:00:00Z", "2048", "ab" + strings.Repeat("0", 62), "copied",
		},
		{"'=1+1", "'-x", "UIDL @a b", "", "", "73400320", "", "skipped"},
	}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestAManifestIsSentWhileItIsRead: of a million messages no more is held than is sent at a time.
func TestAManifestIsSentWhileItIsRead(t *testing.T) {
	t.Parallel()
	const messages = 20_000
	w := &meteredWriter{ResponseRecorder: httptest.NewRecorder()}
	most, made := 0, 0
	f := newFixture(t, func(o *httpapi.Options) {
		o.Copies = endless{o.Copies, messages, func(n int) { // Each row is longer than this.
			made = n * 60
			most = max(most, made-w.sent)
		}}
	})
	r := signedIn(valid["getCopyManifest"])
	req := httptest.NewRequest(r.Method, r.Path, http.NoBody)
	req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
	f.h.ServeHTTP(w, req)
	if n := strings.Count(w.Body.String(), "\r\n"); n != messages+1 {
		t.Errorf("%d lines", n)
	}
	if most > 256<<10 || made < 1<<20 {
		t.Errorf("of %d octets %d were held", made, most)
	}
}

type meteredWriter struct {
	*httptest.ResponseRecorder
	sent int
}

func (m *meteredWriter) Write(p []byte) (int, error) {
	m.sent += len(p)
	return m.ResponseRecorder.Write(p)
}

// endless has so many messages.
type endless struct {
	transfer.Service
	n    int
	tell func(int)
}

func (e endless) EachMessage(_ context.Context, _ owner.Owner, _ transfer.ID, _ []transfer.MessageState,
	yield func(transfer.Message) error,
) error {
	for i := range e.n {
		m := transfer.Message{Folder: "INBOX", Target: "INBOX", ID: mail.ID{UID: uint32(i + 1)}, Digest: [32]byte{1}}
		if err := yield(m); err != nil {
			return err
		}
		e.tell(i)
	}
	return nil
}

// TestATableThatIsBrokenOffIsNotTakenForAWhole: before its first octets what fails is a problem; after them the
// connection ends.
func TestATableThatIsBrokenOffIsNotTakenForAWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.alter(func(w *world) { w.copies.lost = errors.New(inner) })
	p := ask[api.Problem](t, f, "getCopyManifest", 500)
	if p.Code != api.ProblemCodeInternal {
		t.Errorf("%+v", p)
	}
	f.alter(func(w *world) {
		for range 2000 {
			w.copies.messages = append(w.copies.messages, w.copies.messages[0])
		}
	})
	server := httptest.NewServer(f.h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+valid["getCopyManifest"].Path,
		http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the table of %d octets seems whole", len(text))
	}
}

// TestAdministratorsSeeEverybodysCopiesInTheirWords: and choose by host as it is spelt.
func TestAdministratorsSeeEverybodysCopiesInTheirWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.alter(func(w *world) {
		w.copies.all[1].Status.State, w.copies.all[1].Status.Diagnosis = transfer.NeedsAttention, &transfer.Diagnosis{
			Diagnosis: account.Diagnosis{Code: fault.AuthFailed, Since: w.now}, Side: transfer.Source,
		}
	})
	got := ask[api.AdminCopyList](t, f, "adminListCopies", 200)
	if len(got.Copies) != 2 || got.Copies[1].User != bartek || got.Copies[1].Diagnosis.Side == nil ||
		!strings.HasPrefix(got.Copies[1].Diagnosis.Title, "admin ") {
		t.Errorf("%+v", got)
	}
	if f.copies.whose != anOwner(t, anna) || f.copies.filter.Host != "imap.gmail.com" {
		t.Errorf("asked for %+v of %s", f.copies.filter, f.copies.whose)
	}
}

// TestWhatIsNotKnownIsNull: nobody takes a 0 for a size.
func TestWhatIsNotKnownIsNull(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	plan := ask[api.CopyPlan](t, f, "planCopy", 200)
	if plan.Bytes != nil || plan.Folders[0].Bytes == nil || plan.Folders[1].Bytes != nil || plan.Seconds != nil ||
		*plan.Days != 2 || plan.Room.Fits != api.CopyFits || *plan.Room.UsedBytes != 5 || plan.Room.LimitBytes != nil ||
		len(plan.NotIncluded) != 5 {
		t.Errorf("%+v", plan)
	}
	f.alter(func(w *world) { w.copies.plan.Room.Known = false })
	if room := ask[api.CopyPlan](t, f, "planCopy", 200).Room; room.Fits != api.CopyFitUnknown || room.UsedBytes != nil {
		t.Errorf("%+v", room)
	}
	c := ask[api.Copy](t, f, "getCopy", 200)
	if c.Progress.BytesTotal != nil || *c.Progress.SecondsLeft != 90 || c.EndedAt != nil || c.Target.Server != nil ||
		c.Target.Email != anna || c.Target.Protocol != api.CopyByLocal || c.Options.MaxBytes != nil {
		t.Errorf("%+v", c)
	}
	report := ask[api.CopyReport](t, f, "getCopyReport", 200)
	if n, told := report.Messages["missing"]; n != 0 || !told || report.Messages["copied"] != 9 ||
		len(report.NextSteps) != 2 || report.Seconds != 90 || report.Reasons[0].Title == "" {
		t.Errorf("%+v", report)
	}
}

// TestLookingAtALargeMailboxMayTakeLong: longer than the server has for other requests.
func TestLookingAtALargeMailboxMayTakeLong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for call, long := range map[string]bool{"planCopy": true, "startCopy": true, "updateCopy": true, "getCopy": false} {
		r := signedIn(valid[call])
		w := &timed{ResponseRecorder: httptest.NewRecorder()}
		req := httptest.NewRequest(r.Method, r.Path, strings.NewReader(r.Body))
		req.Header.Set("Authorization", "Bearer "+f.token(anna, false))
		req.Header.Set("Content-Type", "application/json")
		f.h.ServeHTTP(w, req)
		if w.Code >= 300 || w.until.After(time.Now().Add(15*time.Minute)) != long {
			t.Errorf("%s: %d, may be answered until %v", call, w.Code, w.until)
		}
	}
}

// timed notes until when an answer may be written.
type timed struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *timed) SetWriteDeadline(t time.Time) error {
	w.until = t
	return nil
}
