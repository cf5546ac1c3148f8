package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"strings"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// browser is what a request has of the browser that makes it, where somebody
// signs in: by a link, or on a provider's page.
type browser struct {
	who       Identity       // Whose session it has; zero without one.
	session   remote.Secret  // The cookie of the session.
	mark      remote.Secret  // The cookie that StartOAuth sets.
	tickets   []*http.Cookie // Those that SignIn sets, one for each tab that is at the identity provider.
	known     remote.Secret  // The cookie that SignInWithPassword sets.
	arrival   arrival
	crossSite error // Not nil: no page of ours made the request.
	ours      bool  // The request has the header that only our pages can send.
	named     named // Whose it is by the proxy's word.
	peer      netip.Addr
	client    netip.Addr // As far as proxies vouch for it.
}

// isOther reports whether somebody else than o is signed in.
func (b browser) isOther(o owner.Owner) bool { return !b.who.Owner.IsZero() && b.who.Owner != o }

type browserKey struct{}

// withBrowser keeps what is known of a browser for the calls that need it.
func (s *server) withBrowser(r *http.Request) (*http.Request, error) {
	if path := r.URL.Path; !strings.Contains(path, "/oauth/") && !strings.HasPrefix(path, "/link/") &&
		path != "/signin" && !strings.HasPrefix(path, "/signin/") {
		return r, nil
	}
	b := browser{
		arrival: arrivalOf(r), crossSite: s.sessions.fromOurPage(r), ours: r.Header.Get(pagesHeader) == "1",
		named: s.Web.SignIn.namedBy(r), peer: peerOf(r), client: s.Web.SignIn.clientOf(r),
	}
	switch who, cookie, err := s.sessions.alive(r.Context(), s.sessions.signed(r)); {
	case err == nil:
		b.who, b.session = who, remote.NewSecret(cookie)
	case !errors.Is(err, ErrToken):
		return nil, err
	}
	if c, err := r.Cookie(s.sessions.markName()); err == nil && len(c.Value) == markLength {
		b.mark = remote.NewSecret(c.Value)
	}
	b.tickets = s.sessions.ticketsOf(r)
	if c, err := r.Cookie(s.sessions.knownName()); err == nil {
		b.known = remote.NewSecret(c.Value)
	}
	return r.WithContext(context.WithValue(r.Context(), browserKey{}, b)), nil
}

// markLength is of 256 random bits.
const markLength = 43

func (s *sessions) markName() string {
	if s.secure() {
		return "__Host-mailbrook_oauth"
	}
	return "mailbrook_oauth"
}

// mark returns the cookie by which a browser is known when it comes back from a
// provider: SameSite=Lax, as the browser returns by a cross-site redirect.
func (s *sessions) mark(value remote.Secret) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Over plain HTTP, on the loopback interface, a Secure cookie would not come back.
		Name: s.markName(), Value: value.Reveal(), Path: "/", MaxAge: 3600, HttpOnly: true, Secure: s.secure(),
		SameSite: http.SameSiteLaxMode,
	}
}

// StartOAuth says where the browser goes to sign in.
func (s *server) StartOAuth(ctx context.Context, r api.StartOAuthRequestObject) (api.StartOAuthResponseObject, error) {
	who, in := caller(ctx), *r.Body
	b, _ := ctx.Value(browserKey{}).(browser)
	st := oauth.Start{Owner: who.Owner, Browser: b.mark, Preset: r.Provider, Email: value(in.Email)}
	if b.who.Owner == who.Owner {
		st.Session = b.session
	}
	if st.Browser.Empty() { // Kept where there is one: two windows of one browser may be on their way.
		bits := make([]byte, 32)
		if _, err := rand.Read(bits); err != nil {
			return nil, fmt.Errorf("making a mark for a browser: %w", err)
		}
		st.Browser = remote.NewSecret(base64.RawURLEncoding.EncodeToString(bits))
	}
	if in.AccountId != nil {
		a, err := s.Accounts.Get(ctx, who.Owner, account.ID(*in.AccountId))
		if err != nil {
			return nil, err
		}
		st.Account, st.Email = a.ID, a.Email
	}
	address, expires, err := s.OAuth.Begin(ctx, st)
	if errors.Is(err, oauth.ErrNotOffered) {
		return nil, account.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return api.StartOAuth200JSONResponse{
		Body:    api.OAuthStarted{AuthorizeUrl: address, ExpiresAt: utc(expires)},
		Headers: api.StartOAuth200ResponseHeaders{SetCookie: s.sessions.mark(st.Browser).String()},
	}, nil
}

// GetOAuthGrant tells what the user allowed, without what it is worth.
func (s *server) GetOAuthGrant(ctx context.Context, r api.GetOAuthGrantRequestObject) (api.GetOAuthGrantResponseObject,
	error,
) {
	g, err := s.OAuth.Grant(ctx, caller(ctx).Owner, r.Grant)
	if err != nil {
		return nil, err
	}
	return api.GetOAuthGrant200JSONResponse{Id: r.Grant, ProviderName: g.Name, Presets: list(g.Presets), Email: text(
		g.Email), ExpiresAt: utc(g.Expires)}, nil
}

// FinishOAuth takes back a browser that signed in at a provider.
func (s *server) FinishOAuth(ctx context.Context, r api.FinishOAuthRequestObject) (api.FinishOAuthResponseObject,
	error,
) {
	b, _ := ctx.Value(browserKey{}).(browser)
	done, err := s.OAuth.Finish(ctx, oauth.Callback{
		Owner: b.who.Owner, Browser: b.mark, Session: b.session, Provider: r.Registration,
		State: value(r.Params.State), Code: value(r.Params.Code), Issuer: value(r.Params.Iss), Error: value(r.Params.Error),
	})
	back := "/accounts/new"
	if done.Account != "" {
		back = "/accounts/" + string(done.Account) + "/edit"
	}
	if err == nil {
		return redirectBack{back + "#grant=" + done.Grant}, nil
	}
	page := failedProviderSignIn{lang: languageOfLink(r.Params.AcceptLanguage), back: back, status: http.StatusBadRequest}
	var denied *oauth.DeniedError
	var f *fault.Error
	switch {
	case errors.Is(err, oauth.ErrFlow):
		page.why = "over"
	case errors.As(err, &denied) && denied.Code == "access_denied":
		page.why = "denied"
	case errors.As(err, &denied):
		page.why, page.code = "refused", denied.Code
	case errors.Is(err, oauth.ErrNotLasting):
		page.why = "brief"
	case errors.As(err, &f):
		page.why, page.status = "unreachable", http.StatusBadGateway
	default:
		return nil, err
	}
	s.Log.WarnContext(ctx, "a sign-in on a provider's page came to nothing", "registration", words.Clean(r.Registration,
		40), "error", err)
	return page, nil
}

// redirectBack redirects a browser to the pages.
type redirectBack struct{ to string }

// VisitFinishOAuthResponse implements api.FinishOAuthResponseObject.
func (l redirectBack) VisitFinishOAuthResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", l.to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// failedProviderSignIn tells a person why signing in failed, with a link back.
type failedProviderSignIn struct {
	lang      words.Language
	why, back string
	code      string // The provider's own word; may be empty.
	status    int
}

// failedProviderSignInPage is plain: it loads nothing and has no style.
const failedProviderSignInPage = `<!doctype html>
<html lang="%s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>%[2]s</title></head>
<body><main><h1>%[2]s</h1><p>%s</p><p><a href="%s">%s</a></p></main></body></html>
`

// VisitFinishOAuthResponse implements api.FinishOAuthResponseObject.
func (n failedProviderSignIn) VisitFinishOAuthResponse(w http.ResponseWriter) error {
	title, why := words.ProviderSignInFailedTitle.In(n.lang), words.ProviderSignInFailed[n.why].In(n.lang)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(n.lang))
	h.Add("Vary", "Accept-Language")
	w.WriteHeader(n.status)
	_, err := fmt.Fprintf(w, failedProviderSignInPage, n.lang, title, why+html.EscapeString(n.code),
		html.EscapeString(n.back), words.ProviderSignInFailedBack.In(n.lang))
	return err
}
