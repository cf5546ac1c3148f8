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
)

// ledOn leads a browser on, perhaps with cookies.
type ledOn struct {
	to      string
	cookies []*http.Cookie
}

// VisitSignInResponse implements api.SignInResponseObject.
func (l ledOn) VisitSignInResponse(w http.ResponseWriter) error {
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
	return goOn(w, f.to)
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
	return goOn(w, "/link/"+p.token)
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

// goOn tells a page where to continue.
func goOn(w http.ResponseWriter, to string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]string{"location": to})
}

// notArrived tells a person why nobody was signed in.
type notArrived struct {
	standing
	why    string
	back   string // Where to try again.
	status int
	wait   int // Seconds; 0: not told.
}

func (s *server) nobody(status int, why string, accept *string, to string) notArrived {
	return notArrived{s.standing(accept), why, to, status, 0}
}

func (s *server) away(e *oidc.AwayError, accept *string, to string) notArrived {
	return s.later(http.StatusServiceUnavailable, "away", e.Wait, accept, to)
}

// later is nobody, with when to try again.
func (s *server) later(status int, why string, wait time.Duration, accept *string, to string) notArrived {
	page := s.nobody(status, why, accept, to)
	page.wait = wholeSeconds(wait)
	return page
}

var notArrivedWords = map[string]map[string]string{
	"en": {
		"title": "You are not signed in", "back": "Try again",
		"unnamed": "The sign-in service of your organisation did not say who you are. Sign in there first. If you have " +
			"done so, tell your administrator.",
		"over": "This sign-in was not begun in this browser, took longer than ten minutes, or was finished already.",
		"denied": "The sign-in service did not let you in. If you did not cancel it yourself, ask your administrator " +
			"whether you may use these pages.",
		"address": "The sign-in service did not tell your mailbox address, or has not verified it. Tell your administrator.",
		"false": "The sign-in service answered in a way that cannot be trusted. Try again; if that does not help, tell " +
			"your administrator.",
		"setup":    "The sign-in service and these pages do not agree on how to sign in. Tell your administrator.",
		"former":   "This address is another person's by now. If it is yours, tell your administrator.",
		"unopened": "Signing in begins when you open this page yourself: not from within another page, and not ahead.",
		"often":    "You have signed in too often within a short time. Wait a moment and try again.",
		"away": "The sign-in service does not answer at the moment. Nothing is lost: your mail is fetched all the same. " +
			"Try again in a minute.",
		"busy": "Too many people are signing in at the moment. Try again in a minute.",
		"held": "Too many sign-ins from your network have failed. Wait a quarter of an hour, then try again.",
	},
	"pl": {
		"title": "Nie udało się zalogować", "back": "Spróbuj ponownie",
		"unnamed": "Nie otrzymaliśmy twojego adresu od usługi logowania. Zaloguj się w niej i spróbuj ponownie. " +
			"Jeśli to nie pomoże, skontaktuj się z administratorem.",
		"over": "To logowanie nie zaczęło się w tej przeglądarce, trwało dłużej niż dziesięć minut albo zostało już " +
			"zakończone.",
		"denied": "Usługa logowania nie wpuściła cię. Jeśli logowanie nie zostało przerwane przez ciebie, zapytaj " +
			"administratora, czy możesz korzystać z tych stron.",
		"address": "Usługa logowania nie podała adresu twojej skrzynki albo go nie potwierdziła. Powiadom administratora.",
		"false": "Odpowiedzi usługi logowania nie można zaufać. Spróbuj ponownie; jeśli to nie pomoże, powiadom " +
			"administratora.",
		"setup":  "Usługa logowania i te strony nie są ze sobą uzgodnione. Powiadom administratora.",
		"former": "Ta skrzynka należy już do kogoś innego. Jeśli jest twoja, powiadom administratora.",
		"unopened": "Logowanie zaczyna się dopiero, gdy tę stronę otworzysz samodzielnie: nie wewnątrz innej strony " +
			"i nie z wyprzedzeniem.",
		"often": "W krótkim czasie było zbyt wiele logowań. Poczekaj chwilę i spróbuj ponownie.",
		"away": "Usługa logowania w tej chwili nie odpowiada. Nic nie przepadło: poczta jest pobierana jak zwykle. " +
			"Spróbuj ponownie za minutę.",
		"busy": "W tej chwili loguje się zbyt wiele osób. Spróbuj ponownie za minutę.",
		"held": "Z twojej sieci było zbyt wiele nieudanych logowań. Odczekaj kwadrans i spróbuj ponownie.",
	},
}

// VisitSignInResponse implements api.SignInResponseObject.
func (n notArrived) VisitSignInResponse(w http.ResponseWriter) error {
	if n.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(n.wait))
	}
	return n.write(w, n.status, func(lang string) (title, body string) {
		say := notArrivedWords[lang]
		return say["title"], fmt.Sprintf(`<p>%s</p><p><a href="%s">%s</a></p>`, say[n.why], html.EscapeString(n.back),
			say["back"])
	})
}

// VisitFinishSignInResponse implements api.FinishSignInResponseObject.
func (n notArrived) VisitFinishSignInResponse(w http.ResponseWriter) error {
	return n.VisitSignInResponse(w)
}
