package httpapi_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
)

// english are words that no Polish sentence has.
var english = regexp.MustCompile(`(?i)\b(the|is|are|must|not|and|of|or|your|with|for|again|choose|enter|sign|cannot)\b`)

// TestProblemsAreInTheReadersLanguage is newcomer 3, over every problem that
// the document has: each is answered in Polish and in English, with the same codes
// and fields, and Content-Language says so.
func TestProblemsAreInTheReadersLanguage(t *testing.T) {
	doc := spec(t)
	f := newFixture(t, func(o *httpapi.Options) {
		o.Limits = httpapi.Limits{Requests: httpapi.Rate{Burst: 10_000}, Tests: httpapi.Rate{Burst: 10_000}}
	})
	cases := particular()
	for _, path := range doc.Paths.InMatchingOrder() {
		for _, op := range doc.Paths.Value(path).Operations() {
			cases = append(cases, everywhere(doc.Paths.Value(path), op)...)
		}
	}
	ask := func(c provoked, lang string) (p api.Problem, isProblem bool) {
		f.fail = c.fail
		r := signedIn(valid[c.op])
		if c.change != nil {
			c.change(&r)
		}
		r.Path = strings.ReplaceAll(r.Path, " ", "%20")
		header := map[string]string{"Accept-Language": lang}
		for k, v := range r.Header {
			header[k] = v
		}
		r.Header = header
		rec := f.do(r)
		if rec.Header().Get("Content-Type") != "application/problem+json" {
			return p, false
		}
		if h := rec.Header(); h.Get("Content-Language") != lang || h.Get("Vary") != "Accept-Language" {
			t.Errorf("%s %d %s: %v", c.op, c.status, c.code, h)
		}
		return decode[api.Problem](t, rec), true
	}
	told := 0
	for _, c := range cases {
		pl, ok := ask(c, "pl")
		if !ok {
			continue
		}
		told++
		en, _ := ask(c, "en")
		if pl.Code != en.Code || pl.Title == en.Title || pl.Detail == en.Detail && en.Detail != "" {
			t.Errorf("%s %d: %q %q in Polish is %q %q", c.op, c.status, en.Title, en.Detail, pl.Title, pl.Detail)
		}
		words := pl.Title + " " + pl.Detail
		if pl.Errors != nil {
			for i, e := range *pl.Errors {
				words += " " + e.Detail
				if other := (*en.Errors)[i]; other.Field != e.Field || other.Code != e.Code || other.Detail == e.Detail {
					t.Errorf("%s %d: %+v in Polish is %+v", c.op, c.status, other, e)
				}
			}
		}
		if m := english.FindString(words); m != "" {
			t.Errorf("%s %d: English in Polish: %q in %q", c.op, c.status, m, words)
		}
	}
	if told < 100 {
		t.Errorf("only %d problems were answered", told)
	}
}

// TestFieldErrorsSayWhatWouldBeRight, not only that something is wrong.
func TestFieldErrorsSayWhatWouldBeRight(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct{ members, field, en, pl string }{
		{
			`"email":"anna","password":"x"`, "email", "must be a full mailbox address, such as anna@example.org",
			"podaj pełny adres skrzynki, na przykład anna@example.org",
		},
		{`"email":"anna@gmail.com"`, "password", "is needed", "to pole jest wymagane: podaj wartość"},
		{
			`"email":"anna@gmail.com","password":"x","server":{"port":70000}`, "server.port",
			"must be between 1 and 65535", "podaj liczbę od 1 do 65535",
		},
		{
			`"email":"anna@gmail.com","password":"x","server":{"host":"imap://h"}`, "server.host",
			"must be the name or the address of a server and nothing else, such as imap.example.org",
			"podaj samą nazwę lub adres serwera, na przykład imap.example.org",
		},
		{
			`"email":"anna@gmail.com","password":"x","protocol":"jmap"`, "protocol",
			"must be one of imap, pop3", "podaj jedną z wartości: imap, pop3",
		},
		{
			`"email":"anna@gmail.com","password":"x","start":"old"`, "start",
			`must be "all", "new", or days from 1 to 36500, such as {"days": 30}`,
			`podaj "all", "new" albo liczbę dni od 1 do 36500, na przykład {"days": 30}`,
		},
		{
			`"email":"anna@gmail.com","password":"x","name":"` + strings.Repeat("x", 101) + `"`, "name",
			"must not be longer than 100 characters", "za długie: skróć do 100 znaków",
		},
	} {
		for lang, want := range map[string]string{"en": tc.en, "pl": tc.pl} {
			rec := f.do(request{
				Method: "POST", Path: "/v1/accounts", As: anna, Body: "{" + tc.members + "}",
				Header: map[string]string{"Accept-Language": lang},
			})
			p := decode[api.Problem](t, rec)
			if p.Errors == nil || len(*p.Errors) != 1 || (*p.Errors)[0].Field != tc.field || (*p.Errors)[0].Detail != want {
				t.Errorf("%s in %s: %s", tc.field, lang, rec.Body)
			}
		}
	}
	// Newcomer N14: types in words; names as they are spelt; no detail is empty.
	post := func(path, body string) api.Problem {
		return decode[api.Problem](t, f.do(request{
			Method: "POST", Path: path, As: anna, Body: body, Header: map[string]string{"Accept-Language": "pl"},
		}))
	}
	for body, want := range map[string]string{
		`{"email":5,"password":"x"}`:                                        "podaj tekst",
		`{"email":"anna@gmail.com","password":"x","server":5}`:              "podaj obiekt",
		`{"email":"anna@gmail.com","password":"x","folders":{"exclude":5}}`: "podaj listę",
		`{"email":"anna@gmail.com","password":"x","skip_test":5}`:           "podaj true albo false",
		`{"email":"anna@gmail.com","password":"x","server":{"port":"5"}}`:   "podaj liczbę całkowitą",
		`[]`: "podaj obiekt",
	} {
		if p := post("/v1/accounts", body); p.Errors == nil || (*p.Errors)[0].Detail != want {
			t.Errorf("%s: %+v", body, p)
		}
	}
	p := post("/v1/accounts", `{"email":"anna@gmail.com","password":"x","poll_interval_seconds":-1}`)
	if !strings.HasPrefix(p.Detail, "poll_interval_seconds: ") || !strings.HasSuffix(p.Detail, ".") {
		t.Errorf("%+v", p)
	}
	for _, path := range []string{"/v1/accounts/" + noID + "/fetch", "/v1/nothing"} {
		if p := post(path, ""); p.Code != api.ProblemCodeNotFound || p.Detail != "Sprawdź adres i identyfikator." {
			t.Errorf("%s: %+v", path, p)
		}
	}
	f.fail = account.ErrNameTaken
	rec := f.do(request{
		Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"anna@gmail.com","password":"x"}`,
		Header: map[string]string{"Accept-Language": "pl"},
	})
	if p := decode[api.Problem](t, rec); p.Detail != "Inne z twoich kont ma już tę nazwę: wybierz inną." {
		t.Errorf("%s", rec.Body)
	}
}
