package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
)

// mark returns the cookie by which a browser is known when it comes back.
func mark(t *testing.T, h http.Header) string {
	t.Helper()
	cookie, attributes, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	name, value, _ := strings.Cut(cookie, "=")
	if name != "mailbrook_oauth" || len(value) != 43 || !strings.Contains(attributes, "HttpOnly") ||
		!strings.Contains(attributes, "SameSite=Lax") {
		t.Fatalf("the cookie is %q", h.Get("Set-Cookie"))
	}
	return value
}

// TestABrowserIsKnownWhenItComesBack: what goes out with a session comes back
// with it, another window's mark is kept, and a stranger has none.
func TestABrowserIsKnownWhenItComesBack(t *testing.T) {
	f := newFixture(t)
	session := f.signIn(t)
	begin := func(cookies string) string {
		t.Helper()
		rec := f.do(request{Method: "POST", Path: "/v1/oauth/google/start", Body: "{}", Header: map[string]string{
			"Cookie": cookies, "X-Mailbrook": "1",
		}})
		if rec.Code != 200 {
			t.Fatalf("beginning: %d %s", rec.Code, rec.Body)
		}
		return mark(t, rec.Header())
	}
	come := func(cookies string) {
		t.Helper()
		f.do(request{Method: "GET", Path: "/oauth/callback/google?state=s&code=c&iss=i&error=e", Header: map[string]string{
			"Cookie": cookies, "Sec-Fetch-Site": "cross-site",
		}})
	}
	first := begin(session)
	if second := begin(session + "; mailbrook_oauth=" + first); second != first {
		t.Error("a second window of the same browser has taken the mark from the first")
	}
	if third := begin(session + "; mailbrook_oauth=short"); third == "short" || third == first {
		t.Errorf("a mark that is none was kept, or one was given twice: %q", third)
	}
	come(session + "; mailbrook_oauth=" + first)
	come("mailbrook_session=garbage; mailbrook_oauth=garbage")
	if len(f.starts) != 3 || len(f.callbacks) != 2 {
		t.Fatalf("%d went out, %d came back", len(f.starts), len(f.callbacks))
	}
	out, back, stranger := f.starts[0], f.callbacks[0], f.callbacks[1]
	if out.Browser.Reveal() != first || "mailbrook_session="+out.Session.Reveal() != session ||
		back.Browser.Reveal() != first || "mailbrook_session="+back.Session.Reveal() != session || back.Owner != out.Owner {
		t.Error("what comes back is not what went out")
	}
	if back.Provider != "google" || back.State != "s" || back.Code != "c" || back.Issuer != "i" || back.Error != "e" {
		t.Errorf("the answer was read as %+v", back)
	}
	if !stranger.Owner.IsZero() || !stranger.Session.Empty() || !stranger.Browser.Empty() {
		t.Error("a stranger is taken for somebody")
	}
}

// TestAGrantReplacesAPassword: in all three calls that take one.
func TestAGrantReplacesAPassword(t *testing.T) {
	f := newFixture(t)
	grant := `"oauth_grant":"` + grantID + `","confirm_address":true`
	for _, r := range []request{
		{Method: "POST", Path: "/v1/accounts", Body: `{"email":"anna@gmail.com",` + grant + `}`},
		{Method: "POST", Path: "/v1/connection-tests", Body: `{"email":"anna@gmail.com",` + grant + `}`},
		{Method: "PATCH", Path: "/v1/accounts/" + annaID, Body: `{` + grant + `}`},
		{Method: "POST", Path: "/v1/connection-tests", Body: `{"account_id":"` + annaID + `",` + grant + `}`},
	} {
		r.As = anna
		if rec := f.do(r); rec.Code >= 300 {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, rec.Code, rec.Body)
		}
	}
	for _, d := range f.drafts {
		if d.Grant != grantID || !d.ConfirmAddress || !d.Password.Empty() {
			t.Errorf("a draft was read as %+v", d)
		}
	}
	for _, p := range f.patches {
		if p.Grant != grantID || !p.ConfirmAddress || p.Password != nil {
			t.Errorf("a patch was read as %+v", p)
		}
	}
	if len(f.drafts) != 2 || len(f.patches) != 2 {
		t.Errorf("%d drafts, %d patches", len(f.drafts), len(f.patches))
	}
	for body, want := range map[string]string{
		`{"email":"a@b.test","oauth_grant":"short"}`: "oauth_grant:too_short", `{"email":"a@b.test","oauth_grant":"` +
			strings.Repeat("=", 43) + `"}`: "oauth_grant:invalid",
		`{"email":"a@b.test"}`: "password:required",
	} {
		rec := f.do(request{Method: "POST", Path: "/v1/accounts", As: anna, Body: body})
		if got := fieldsOf(t, rec); rec.Code != 422 || got != want {
			t.Errorf("%s: %d %s", body, rec.Code, got)
		}
	}
	f.fail = &account.AddressDiffersError{Email: "a@b.test", Signed: "c@d.test"}
	rec := f.do(request{Method: "POST", Path: "/v1/accounts", As: anna, Body: `{"email":"a@b.test","oauth_grant":"` +
		grantID + `"}`})
	if got := fieldsOf(t, rec); rec.Code != 409 || got != "email:differs" ||
		!strings.Contains(rec.Body.String(), "c@d.test") {
		t.Errorf("another mailbox: %d %s", rec.Code, rec.Body)
	}
}
