package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// followedLink leads on, signed in.
type followedLink struct {
	to     string
	cookie *http.Cookie
}

// VisitUseLinkResponse implements api.UseLinkResponseObject.
func (f followedLink) VisitUseLinkResponse(w http.ResponseWriter) error {
	return f.VisitFollowLinkResponse(w)
}

// VisitFollowLinkResponse implements api.FollowLinkResponseObject.
func (f followedLink) VisitFollowLinkResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", f.to)
	http.SetCookie(w, f.cookie)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// expiredLink tells a person that the link was used or has expired, and whoever is
// signed in all the same the way back; whoever is not, where to sign in without a link.
type expiredLink struct {
	standing
	user owner.Owner // Who is signed in; zero: nobody.
	here bool        // Whether one can sign in at these pages themselves.
}

// VisitUseLinkResponse implements api.UseLinkResponseObject.
func (g expiredLink) VisitUseLinkResponse(w http.ResponseWriter) error {
	return g.VisitFollowLinkResponse(w)
}

// VisitFollowLinkResponse implements api.FollowLinkResponseObject.
func (g expiredLink) VisitFollowLinkResponse(w http.ResponseWriter) error {
	return g.write(w, http.StatusGone, func(lang words.Language) (title, body string) {
		say, text, lead := words.ExpiredLink, words.ExpiredLink.Text.In(lang), ""
		switch {
		case !g.user.IsZero():
			text, lead = fmt.Sprintf(say.Still.In(lang), bold(g.user)), say.Lead.In(lang)
		case g.here:
			text, lead = say.Here.In(lang), say.SignIn.In(lang)
		}
		body = "<p>" + text + "</p>"
		if lead != "" {
			body += `<p><a href="/">` + lead + `</a></p>`
		}
		return say.Title.In(lang), body
	})
}

// forPeople sets the headers of a page about a link. Such a page is never kept,
// loads nothing, and is shown in frames of the ancestors alone; what else it may
// do is in further.
func forPeople(w http.ResponseWriter, lang words.Language, ancestors []string, further string) {
	who := "'none'"
	h := w.Header()
	if len(ancestors) > 0 {
		who = strings.Join(ancestors, " ")
		h.Del("X-Frame-Options") // It knows all or nothing.
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(lang))
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", "default-src 'none'; "+further+"frame-ancestors "+who)
}

// linkPage has the button that follows a link.
type linkPage struct {
	standing
	token       string
	user, other owner.Owner // Whose link it is; who is signed in, if that is somebody else.
	unasked     bool        // Whether the button is pressed as soon as the page is there.
}

// pressButton is allowed by its digest, and no other script is.
const pressButton = `document.forms[0].submit()`

const askingForm = `<p>%s</p><form method="post" action="%s"><p><button>%s</button></p></form>%s`

// VisitUseLinkResponse implements api.UseLinkResponseObject.
func (p linkPage) VisitUseLinkResponse(w http.ResponseWriter) error {
	return p.VisitFollowLinkResponse(w)
}

// VisitFollowLinkResponse implements api.FollowLinkResponseObject.
func (p linkPage) VisitFollowLinkResponse(w http.ResponseWriter) error {
	say := words.LinkPage
	plain := html.EscapeString(account.Letters(p.user.String()))
	title, text := say.Title.In(p.lang), fmt.Sprintf(say.Text.In(p.lang), bold(p.user))
	action, stay, script := "/link/"+url.PathEscape(p.token), "", ""
	further := "form-action 'self'; "
	if !p.other.IsZero() {
		title, text = say.OtherTitle.In(p.lang), fmt.Sprintf(say.OtherText.In(p.lang), bold(p.user), bold(p.other))
		action += "?replace=true"
		stay = `<p><a href="/">` + fmt.Sprintf(say.Stay.In(p.lang), html.EscapeString(account.Letters(p.other.String()))) +
			`</a></p>`
	}
	if p.unasked {
		script = "<script>" + pressButton + "</script>"
		further += "script-src " + digestOf(pressButton) + "; "
	}
	p.headers(w, further)
	w.Header().Set("Referrer-Policy", "same-origin") // Else the browser would keep the origin of the form to itself.
	w.WriteHeader(http.StatusOK)
	main := "<main><h1>" + title + "</h1>" + fmt.Sprintf(askingForm, text, html.EscapeString(action),
		fmt.Sprintf(say.Press.In(p.lang), plain), stay) + "</main>" + script
	_, err := io.WriteString(w, p.page(title, main))
	return err
}

// bold is a user as people read the address.
func bold(o owner.Owner) string {
	return "<strong>" + html.EscapeString(account.Letters(o.String())) + "</strong>"
}

// digestOf is a source expression of a Content-Security-Policy for what stands
// in the page itself.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
