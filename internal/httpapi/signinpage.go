package httpapi

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/words"
)

// redirect redirects a browser, perhaps with cookies.
type redirect struct {
	to      string
	cookies []*http.Cookie
}

// VisitSignInResponse implements api.SignInResponseObject.
func (l redirect) VisitSignInResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", l.to)
	for _, c := range l.cookies {
		http.SetCookie(w, c)
	}
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// VisitSignInResponse implements api.SignInResponseObject.
func (f followedLink) VisitSignInResponse(w http.ResponseWriter) error {
	return f.VisitFollowLinkResponse(w)
}

// VisitFinishSignInResponse implements api.FinishSignInResponseObject.
func (f followedLink) VisitFinishSignInResponse(w http.ResponseWriter) error {
	return f.VisitFollowLinkResponse(w)
}

// VisitSignInWithPasswordResponse implements api.SignInWithPasswordResponseObject.
func (f followedLink) VisitSignInWithPasswordResponse(w http.ResponseWriter) error {
	http.SetCookie(w, f.cookie)
	return answerLocation(w, f.to)
}

// VisitSignInResponse implements api.SignInResponseObject.
func (p linkPage) VisitSignInResponse(w http.ResponseWriter) error {
	return p.VisitFollowLinkResponse(w)
}

// VisitFinishSignInResponse implements api.FinishSignInResponseObject.
func (p linkPage) VisitFinishSignInResponse(w http.ResponseWriter) error {
	return p.VisitFollowLinkResponse(w)
}

// VisitSignInWithPasswordResponse implements api.SignInWithPasswordResponseObject:
// the browser finds the page that asks at the link's own address.
func (p linkPage) VisitSignInWithPasswordResponse(w http.ResponseWriter) error {
	return answerLocation(w, "/link/"+p.token)
}

// passed answers a right password.
type passed struct {
	arrived
	known *http.Cookie
}

// VisitSignInWithPasswordResponse implements api.SignInWithPasswordResponseObject.
func (p passed) VisitSignInWithPasswordResponse(w http.ResponseWriter) error {
	http.SetCookie(w, p.known)
	return p.arrived.VisitSignInWithPasswordResponse(w)
}

// returned answers a browser that has come back, whose ticket is used.
type returned struct {
	api.FinishSignInResponseObject
	gone *http.Cookie
}

// VisitFinishSignInResponse implements api.FinishSignInResponseObject.
func (r returned) VisitFinishSignInResponse(w http.ResponseWriter) error {
	http.SetCookie(w, r.gone)
	return r.FinishSignInResponseObject.VisitFinishSignInResponse(w)
}

// answerLocation tells a page where to continue.
func answerLocation(w http.ResponseWriter, to string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]string{"location": to})
}

// failedSignIn tells a person why nobody was signed in.
type failedSignIn struct {
	standing
	why    string
	back   string // Where to try again.
	status int
	wait   int // Seconds; 0: not told.
}

func (s *server) signInFailed(status int, why string, accept *string, to string) failedSignIn {
	return failedSignIn{s.standing(accept), why, to, status, 0}
}

func (s *server) issuerUnavailable(e *oidc.AwayError, accept *string, to string) failedSignIn {
	return s.signInFailedFor(http.StatusServiceUnavailable, "away", e.Wait, accept, to)
}

// signInFailedFor is signInFailed, with when to try again.
func (s *server) signInFailedFor(status int, why string, wait time.Duration, accept *string, to string) failedSignIn {
	page := s.signInFailed(status, why, accept, to)
	page.wait = wholeSeconds(wait)
	return page
}

// VisitSignInResponse implements api.SignInResponseObject.
func (n failedSignIn) VisitSignInResponse(w http.ResponseWriter) error {
	if n.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(n.wait))
	}
	return n.write(w, n.status, func(lang words.Language) (title, body string) {
		return words.SignInFailedTitle.In(lang), fmt.Sprintf(`<p>%s</p><p><a href="%s">%s</a></p>`,
			words.SignInFailed[n.why].In(lang), html.EscapeString(n.back), words.SignInFailedBack.In(lang))
	})
}

// VisitFinishSignInResponse implements api.FinishSignInResponseObject.
func (n failedSignIn) VisitFinishSignInResponse(w http.ResponseWriter) error {
	return n.VisitSignInResponse(w)
}
