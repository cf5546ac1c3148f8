package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// TestRouteWithoutPolicyDoesNotStart: a call that does not say who may make it
// is an error before anything is served, and so is one that says it oddly.
func TestRouteWithoutPolicyDoesNotStart(t *testing.T) {
	for name, change := range map[string]func(*openapi3.T){
		"no security": func(d *openapi3.T) { d.Paths.Value("/v1/accounts").Get.Security = nil },
		"open below /v1": func(d *openapi3.T) {
			d.Paths.Value("/v1/accounts").Get.Security = &openapi3.SecurityRequirements{}
		},
		"unknown scheme":    func(d *openapi3.T) { d.Paths.Value("/v1/accounts").Get.Security = required("cookie") },
		"either of two":     func(d *openapi3.T) { d.Paths.Value("/v1/accounts").Get.Security = required("bearer", "admin") },
		"only a session":    func(d *openapi3.T) { d.Paths.Value("/v1/accounts").Get.Security = required("session") },
		"no session":        func(d *openapi3.T) { d.Paths.Value("/v1/accounts").Get.Security = required("bearer") },
		"closed outside":    func(d *openapi3.T) { d.Paths.Value("/healthz").Get.Security = required("bearer") },
		"nothing of it all": nil,
	} {
		doc, err := api.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(doc)
		}
		if _, err := routesOf(doc); (err == nil) != (change == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func required(schemes ...string) *openapi3.SecurityRequirements {
	var out openapi3.SecurityRequirements
	for _, s := range schemes {
		out = append(out, openapi3.SecurityRequirement{s: {}})
	}
	return &out
}

// TestAdminPathsAreForAdministrators: the document cannot open one by mistake.
func TestAdminPathsAreForAdministrators(t *testing.T) {
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	routes, err := routesOf(doc)
	if err != nil {
		t.Fatal(err)
	}
	for key, r := range routes {
		if strings.HasPrefix(r.path, basePath+"/admin") != (r.policy == admin) {
			t.Errorf("%s has policy %d", key, r.policy)
		}
	}
}

// TestServedAndDocumentedAreTheSame: either without the other does not start.
func TestServedAndDocumentedAreTheSame(t *testing.T) {
	routes := map[string]*endpoint{"GET /v1/a": {}}
	if err := covers(routes, []*echo.Route{{Method: "GET", Path: "/v1/a"}}); err != nil {
		t.Error(err)
	}
	if err := covers(routes, nil); err == nil {
		t.Error("a documented call that is not served was accepted")
	}
	if err := covers(routes, []*echo.Route{{Method: "GET", Path: "/v1/a"}, {Method: "GET", Path: "/v1/b"}}); err == nil {
		t.Error("a served call that is not documented was accepted")
	}
}

// TestEveryProblemHasItsKind: no code of the document is without status and title.
func TestEveryProblemHasItsKind(t *testing.T) {
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	enum := doc.Components.Schemas["ProblemCode"].Value.Enum
	for _, v := range enum {
		k, ok := kinds[api.ProblemCode(v.(string))]
		if !ok || k.status < 400 || k.title == "" {
			t.Errorf("%s: %+v", v, k)
		}
	}
	if len(enum) != len(kinds) {
		t.Errorf("%d codes in the document, %d here", len(enum), len(kinds))
	}
}

// TestBodiesThatCannotBeTrusted is U10.
func TestBodiesThatCannotBeTrusted(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":                      "",
		"spaces":                       " \n",
		"not JSON":                     "{",
		"a bare word":                  "hello",
		"NaN":                          `{"a":NaN}`,
		"a comment":                    `{"a":1/*x*/}`,
		"a comma too many":             `{"a":1,}`,
		"single quotes":                `{'a':1}`,
		"a member twice":               `{"a":1,"a":2}`,
		"a member twice, escaped":      `{"a":1,"\u0061":2}`,
		"a member twice, below":        `{"x":[{"a":1,"a":1}]}`,
		"two values":                   `{} {}`,
		"trailing garbage":             `{"a":1}x`,
		"a byte order mark":            "\xef\xbb\xbf{}",
		"UTF-16":                       "{\x00}\x00",
		"bytes that are no UTF-8":      "{\"a\":\"\xff\"}",
		"half a surrogate pair":        `{"password":"\ud800"}`,
		"half a pair in a name":        `{"\ud800":1}`,
		"the character of lost text":   `{"a":"\ufffd"}`,
		"10,000 levels of arrays":      strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"10,000 levels of objects":     strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"64 KiB of opening":            strings.Repeat("[", 64<<10),
		"a control character":          "{\"a\":\"\x01\"}",
		"a number that is none":        `{"a":01}`,
		"a gzip stream":                "\x1f\x8b\x08\x00",
		"one level too many":           strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		"an object without its colon":  `{"a" 1}`,
		"a name that is not a string":  `{1:2}`,
		"an end before the beginning":  `}`,
		"an array closed as an object": `[1}`,
	} {
		_, err := decodeBody([]byte(raw))
		var bad *badRequestError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBodiesAreReadWhole(t *testing.T) {
	b, err := decodeBody([]byte(`{"a":{"b":null,"c":[1,null,"x\u00e9\ud83d\ude00"]},"d":12345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": map[string]any{"b": nil, "c": []any{json.Number("1"), nil, "xé😀"}}, "d": json.Number(
		"12345678901234567890")}
	if !reflect.DeepEqual(b.value, want) {
		t.Errorf("%#v", b.value)
	}
	if !b.nulls["a.b"] || !b.nulls["a.c[1]"] || len(b.nulls) != 2 {
		t.Errorf("nulls: %v", b.nulls)
	}
}

// FuzzBody: whatever is taken is JSON that the standard decoder reads the same
// way, and every error is one that a caller can be told.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"email":"a@b.test","password":"x"}`, `{"a":1,"a":2}`, `[[[]]]`, `null`, `"\ud800"`,
		`{"a":{"b":null}}`, "\xff", `1e9`, `{"":""}`, `{"a":tru`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decodeBody(raw)
		if err != nil {
			var bad *badRequestError
			if !errors.As(err, &bad) || bad.detail.Format == "" {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q is taken, but is not JSON: %v", raw, err)
		}
		if !reflect.DeepEqual(b.value, want) {
			t.Fatalf("%q: %#v, the standard decoder has %#v", raw, b.value, want)
		}
	})
}

// FuzzNewAccount: whatever body is sent, the checks end in a request that the
// generated type can hold, or in an error with fields that can be shown.
func FuzzNewAccount(f *testing.F) {
	doc, err := api.Spec()
	if err != nil {
		f.Fatal(err)
	}
	schema := doc.Components.Schemas["NewAccount"].Value
	for _, s := range []string{
		`{"email":"a@b.test","password":"x"}`, `{"email":1}`, `{"server":{"host":"a\r\nb","port":70000,"x":1}}`,
		`{"folders":{"include":["\\Junk",""]}}`, `{"poll_interval_seconds":1e2}`, `[]`, `{"":"0"}`,
		`{"email":"a@b.test"}`, `{"email":"a@b.test","oauth_grant":"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := decodeBody(raw)
		if err != nil {
			return
		}
		var found findings
		found.schema(nil, schema.VisitJSON(b.value, openapi3.MultiErrors()), "")
		found.oneOf(schema, b.value)
		for _, e := range append(found.malformed, found.invalid...) {
			if e.Field == "" || e.Code == "" || e.Detail.Format == "" {
				t.Fatalf("%q: %+v", raw, e)
			}
		}
		if found.err() != nil {
			return
		}
		var in api.NewAccount
		if err := json.Unmarshal(raw, &in); err != nil {
			var wrong *json.UnmarshalTypeError
			if !errors.As(err, &wrong) {
				t.Fatalf("%q passed the checks: %v", raw, err)
			}
			return
		}
		d := draftOf(t.Context(), sameMembers(in))
		if *d.Email == "" || d.Password.Empty() && d.Grant == "" ||
			strings.ContainsAny(*d.Email+d.Password.Reveal()+d.Grant, "\r\n\x00") {
			t.Fatalf("%q passed the checks", raw)
		}
	})
}

// TestMeterForgets: buckets that are full again take no memory for ever.
func TestMeterForgets(t *testing.T) {
	now := time.Now()
	m := newMeter(Rate{PerMinute: 60, Burst: 1}, func() time.Time { return now })
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		m.take(fmt.Sprint(i))
	}
	if n := len(m.buckets); n > 4*sweepLeast {
		t.Errorf("%d buckets are kept, a hundred of which say something", n)
	}
}

// TestMeterTellsWhenToComeBack: after that time, and not before.
func TestMeterTellsWhenToComeBack(t *testing.T) {
	now := time.Now()
	m := newMeter(Rate{PerMinute: 2, Burst: 1}, func() time.Time { return now })
	if m.take("a") != 0 {
		t.Fatal("the first is refused")
	}
	wait := m.take("a")
	if again := m.take("a"); wait < 29*time.Second || wait > 31*time.Second || again != wait {
		t.Errorf("wait %v, then %v", wait, again)
	}
	now = now.Add(wait)
	if m.take("a") != 0 {
		t.Error("still refused after the wait")
	}
	if m.take("a") == 0 {
		t.Error("two after one wait")
	}
	m.untake("a")
	m.untake("a")
	if m.take("a") != 0 || m.take("a") == 0 {
		t.Error("what was taken back does not count once")
	}
}

// TestSlotsWaitTheirTurn: one user's tests run so many at once; the next runs
// when one ends, or gives up with its request.
func TestSlotsWaitTheirTurn(t *testing.T) {
	s := &slots{size: 1, open: map[string]*slot{}}
	release, err := s.hold(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.hold(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	other, err := s.hold(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	got := make(chan error)
	go func() {
		next, err := s.hold(t.Context(), "a")
		if err == nil {
			next()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if len(s.open) != 0 {
		t.Errorf("slots are left: %v", s.open)
	}
}

// titles is an Explainer that says what it is asked.
type titles struct{}

func (titles) Explain(code fault.Code, a account.Account, _ words.Language) (title, advice string) {
	return string(code), a.Status.Diagnosis.Detail.String()
}

func (titles) ExplainDelay(account.Account, words.Language) diagnose.Delay { return diagnose.Delay{} }

// Newcomer N11: of a message that a folder's failure kept away, the words are about
// messages, and the code is as it was.
func TestASkippedMessageIsReportedAsOne(t *testing.T) {
	s := &server{Options: Options{Explain: titles{}}}
	for code, want := range map[fault.Code]string{
		fault.FolderFailed: "message_failed", fault.MessageFailed: "message_failed", fault.RateLimited: "rate_limited",
	} {
		got := s.skippedJSON(t.Context(), account.Skipped{Code: code, Detail: words.Plain("of this one")}, account.Account{})
		if got.Title != want || got.Advice != "of this one" || string(got.Code) != string(code) {
			t.Errorf("%s is shown as %+v", code, got)
		}
	}
}

func TestTimeThatPassesIsNoChange(t *testing.T) {
	one := func(code api.FaultCode, advice string) sentAccount {
		return digest(api.Account{Status: api.AccountStatus{
			Diagnosis: &api.Diagnosis{Code: code, Advice: advice}, Delay: &api.Delay{Advice: advice},
		}})
	}
	before := one("rate_limited", "in 13 minutes")
	if before != one("rate_limited", "in 12 minutes") {
		t.Error("a stream sends an account each minute")
	}
	if before == one("auth_failed", "in 13 minutes") { // The control.
		t.Error("a stream sends no change")
	}
}

// TestWhatWasNotReadIsNotLost: news of copies do not displace those of accounts that the reader has not read.
func TestWhatWasNotReadIsNotLost(t *testing.T) {
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{owner: o, updates: make(chan snapshot, 1)}
	h := &hub{subscribers: map[owner.Owner]map[*subscriber]bool{o: {s: true}}}
	accounts := []account.Account{{Name: "old"}}
	copies, newer := []transfer.Copy{{ID: "a"}}, []transfer.Copy{{ID: "b"}}
	h.publish(1, map[owner.Owner]things{o: {accounts: &accounts}}, nil)
	h.publish(2, map[owner.Owner]things{o: {copies: &copies}}, nil)
	h.publish(3, map[owner.Owner]things{o: {copies: &newer}}, nil)
	got := <-s.updates
	if got.number != 3 || got.accounts == nil || (*got.accounts)[0].Name != "old" || (*got.copies)[0].ID != "b" {
		t.Errorf("%+v", got)
	}
}
