package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// TestNoFoldedFormMeetsAnASCIIUser: through no door that takes a user's name,
// whatever Unicode makes of it.
func TestNoFoldedFormMeetsAnASCIIUser(t *testing.T) {
	const kowal = "kowal@ix.test"
	for name, form := range map[string]string{
		"KELVIN SIGN": "\u212Aowal@ix.test", "dotted capital I in the domain": "kowal@\u0130x.test",
		"full-width": "\uFF4Bowal@ix.test",
		"combining":  "ko\u0301wal@ix.test", "long s": "kowal@ix.te\u017Ft", "ignorable": "kow\u00ADal@ix.test",
		"full-width domain": "kowal@\uFF49x.test", "Cyrillic": "k\u043Ewal@ix.test",
	} {
		f := newFixture(t)
		f.accounts[0].Owner = anOwner(t, kowal)
		f.links["kowal"] = httpapi.Link{Owner: anOwner(t, kowal), ReturnTo: "/"}
		session := f.signInBy(t, "/link/kowal")
		escaped := url.PathEscape(form)
		token := func(sub string) headers {
			return headers{"Authorization": "Bearer " + sign(t, jose.HS256, secret, nil, map[string]any{
				"sub": sub,
				"exp": time.Now().Add(time.Hour).Unix(),
			})}
		}
		for door, tc := range map[string]struct {
			r      request
			status int
		}{
			"a token":         {request{Method: "GET", Path: "/v1/accounts", Header: token(form)}, 401},
			"an admin's path": {request{Method: "GET", Path: "/v1/admin/quotas/" + escaped, As: anna, Admin: true}, 404},
			"an admin's change": {request{
				Method: "PUT", Path: "/v1/admin/quotas/" + escaped, Body: `{"limit_bytes":1}`,
				As: anna, Admin: true,
			}, 404},
			"an admin's query": {request{
				Method: "GET", Path: "/v1/admin/accounts?user=" + url.QueryEscape(form), As: anna,
				Admin: true,
			}, 422},
			"a link": {request{
				Method: "POST", Path: "/v1/links", Body: `{"user":"` + form + `"}`, As: anna,
				Admin: true,
			}, 422},
			"ending of sessions": {request{
				Method: "DELETE", Path: "/v1/sessions?user=" + url.QueryEscape(form), As: anna,
				Admin: true,
			}, 422},
			"one's own link":      {request{Method: "POST", Path: "/v1/links", Body: `{"user":"` + form + `"}`, As: kowal}, 422},
			"the control, folded": {request{Method: "GET", Path: "/v1/accounts/" + annaID, Header: token("KOWAL@IX.Test")}, 200},
		} {
			if rec := f.do(tc.r); rec.Code != tc.status {
				t.Errorf("%s, %s: %d %s", name, door, rec.Code, rec.Body)
			}
		}
		if rec := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": session}}); rec.Code != 200 ||
			len(f.limits) > 0 || len(f.links) > 1 {
			t.Errorf("%s: something was done: %d, %v, %d links", name, rec.Code, f.limits, len(f.links))
		}
	}
}

// TestALinkOfAUserOfAnotherScriptIsNone: it was made before users were ASCII.
func TestALinkOfAUserOfAnotherScriptIsNone(t *testing.T) {
	f := newFixture(t)
	o, err := owner.Stored("\uFF4Bowal@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	f.links["old"] = httpapi.Link{Owner: o, ReturnTo: "/"}
	rec := f.do(byHand("/link/old"))
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	if who := f.do(request{Method: "GET", Path: "/v1/session", Header: headers{"Cookie": cookie}}); who.Code != 401 {
		t.Errorf("it signs in: %d %s", who.Code, who.Body)
	}
}
