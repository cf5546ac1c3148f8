package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// Web is what signing in to the web pages takes.
type Web struct {
	// Secret is what keys for sessions are derived from, at least 32 bytes.
	// With another one all sessions end.
	Secret []byte
	// PublicURL is the origin at which people see this server, such as
	// "https://mail.firma.test".
	PublicURL string
	// FrameAncestors are the origins whose pages may show ours in a frame;
	// empty: nobody's.
	FrameAncestors []string
	Brand          Brand
	Links          Links
	Sessions       Sessions
	Browsers       Browsers
	SignIn         SignIn
}

// Brand is what makes the pages about links and about signing in the operator's own, as
// the others are.
type Brand struct {
	Name       string // Of the service.
	Logo       string // A picture, as a data: URI.
	Style      string // CSS that sets --accent, for light and dark; "": the browser's colours.
	HelpURL    string // "": there is none.
	PrivacyURL string
}

const (
	// sessionLife is how long one signing-in lasts.
	sessionLife = 12 * time.Hour
	// sessionType and sessionAudience keep a session from being taken for
	// anything else that is signed, besides having a key of its own.
	sessionType     = "mailbrook-session+jwt"
	sessionAudience = "mailbrook-session"
	// pagesHeader is what a page of ours sends along, and what a page of another
	// origin cannot send without being asked for leave first.
	pagesHeader = "X-Mailbrook"
)

// sessions sign in browsers: a cookie that says who it is, signed, so that what
// is forged costs no look into the database; and a row there for as long as it
// has not ended, so that it can be ended from anywhere.
type sessions struct {
	key     []byte
	tickets []byte // The key of what browsers carry to the identity provider and back.
	rows    Sessions
	demands demands
	now     func() time.Time
	public  *url.URL
	framed  bool
	signIn  SignIn
}

func newSessions(w Web, now func() time.Time) (*sessions, error) {
	if len(w.Secret) < minSecret {
		return nil, fmt.Errorf("the secret for sessions has %d bytes, at least %d are needed", len(w.Secret), minSecret)
	}
	public, err := url.Parse(w.PublicURL)
	if err != nil || public.Host == "" || public.Scheme != "https" && public.Scheme != "http" {
		return nil, errors.New("the public address of the pages must begin with https:// or http://")
	}
	key := func(use string) []byte {
		mac := hmac.New(sha256.New, w.Secret)
		mac.Write([]byte(use))
		return mac.Sum(nil)
	}
	return &sessions{
		key: key("mailbrook web session 1"), tickets: key("mailbrook sign-in 1"), signIn: w.SignIn, rows: w.Sessions,
		now: now, public: public, framed: len(w.FrameAncestors) > 0, demands: demands{
			algorithms: []jose.SignatureAlgorithm{jose.HS256}, audience: sessionAudience, now: now,
		},
	}, nil
}

// sign returns the value of the cookie for the session with that name.
func (s *sessions) sign(name string, o owner.Owner, admin bool) (string, error) {
	now := s.now()
	c := claims{Claims: jwt.Claims{
		ID: name, Subject: o.String(), Audience: jwt.Audience{sessionAudience},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(sessionLife)),
	}}
	if admin {
		c.Scope = adminScope
	}
	signed, err := signJWT(s.key, sessionType, c)
	if err != nil {
		return "", fmt.Errorf("signing a session: %w", err)
	}
	return signed, nil
}

// verify returns whose session a cookie is, or ErrToken. Any other error is
// ours: nobody can say whether the session has ended.
func (s *sessions) verify(ctx context.Context, token string) (Identity, error) {
	who, err := s.read(token)
	if err != nil {
		return Identity{}, err
	}
	alive, err := s.rows.Alive(ctx, who.session)
	switch {
	case err != nil:
		return Identity{}, err
	case !alive:
		return Identity{}, fmt.Errorf("%w: the session has ended", ErrToken)
	}
	return who, nil
}

// read is verify without a look at whether the session has ended.
func (s *sessions) read(token string) (Identity, error) {
	c, err := s.demands.read(token, func(h jose.Header) (any, error) {
		if h.ExtraHeaders[jose.HeaderType] != sessionType {
			return nil, fmt.Errorf("%w: it is no session", ErrToken)
		}
		return s.key, nil
	})
	if err != nil {
		return Identity{}, err
	}
	o, err := owner.Parse(c.Subject)
	if err != nil || c.ID == "" {
		return Identity{}, fmt.Errorf("%w: its subject is no mailbox address, or it has no name", ErrToken)
	}
	return Identity{
		Owner: o, Admin: slices.Contains(strings.Fields(c.Scope), adminScope), Expires: c.Expiry.Time(),
		session: c.ID,
	}, nil
}

func (s *sessions) secure() bool { return s.public.Scheme == "https" }

// cookie returns the cookie with a value; the empty one takes it away.
func (s *sessions) cookie(value string) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Over plain HTTP, on the loopback interface, a Secure cookie would not come back.
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	}
	if s.framed && s.secure() {
		// In a frame of another site a browser sends no other cookie; partitioned,
		// it is one for each site that shows the pages.
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// cookieName has the prefix, where it may, by which browsers refuse such a
// cookie from other hosts of the domain and over plain connections.
func (s *sessions) cookieName() string {
	if s.secure() {
		return "__Host-mailbrook_session"
	}
	return "mailbrook_session"
}

// errCrossSite says that a cookie came with a request that no page of ours made.
var errCrossSite = errors.New("with a cookie, only pages of the same origin may call, with the header " + pagesHeader +
	": 1")

// sameOrigin refuses what another site's page has made a browser send along
// with its cookie. A client that is no browser sends neither of the headers
// that are looked at, and nobody's cookie but its own.
func (s *sessions) sameOrigin(r *http.Request) error {
	site := r.Header.Get("Sec-Fetch-Site")
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if site == "cross-site" || site == "same-site" { // It changes nothing, but a stream costs something.
			return errCrossSite
		}
		return nil
	}
	if r.Header.Get(pagesHeader) != "1" {
		return errCrossSite
	}
	return s.fromOurPage(r)
}

// fromOurPage refuses what a browser sends for a page of another origin, or for
// none.
func (s *sessions) fromOurPage(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return errCrossSite
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	o, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || o.Host == "" {
		return errCrossSite
	}
	// The address by which the browser came counts as ours too: operators put
	// servers behind several names. Nobody's page can choose the header Host.
	if ours := o.Scheme == s.public.Scheme && sameHost(o.Host, s.public.Host); !ours && !sameHost(o.Host, r.Host) {
		return errCrossSite
	}
	return nil
}

func sameHost(a, b string) bool { return owner.FoldASCII(a) == owner.FoldASCII(b) }

// mostCookies is how many cookies of one name are looked at: browsers send more
// than one where pages of another path or a parent domain have set theirs.
const mostCookies = 4

// signed returns the values of the session's cookies that we have signed.
func (s *sessions) signed(r *http.Request) []string {
	var values []string
	for _, c := range r.CookiesNamed(s.cookieName()) {
		if _, err := s.read(c.Value); err == nil && len(values) < mostCookies {
			values = append(values, c.Value)
		}
	}
	return values
}

// alive returns whose the first of the sessions is that has not ended, and its
// cookie; ErrToken where all have.
func (s *sessions) alive(ctx context.Context, cookies []string) (Identity, string, error) {
	for _, cookie := range cookies {
		who, err := s.verify(ctx, cookie)
		if err == nil {
			return who, cookie, nil
		}
		if !errors.Is(err, ErrToken) {
			return Identity{}, "", fmt.Errorf("looking whether a session has ended: %w", err)
		}
	}
	return Identity{}, "", ErrToken
}

// recognise fails with ErrToken for who had the address before somebody else.
func (s *server) recognise(ctx context.Context, who Identity) error {
	if who.UserID.IsZero() {
		return nil
	}
	return s.Users.Recognise(ctx, who.Owner, who.UserID)
}

// identify returns who asks: by the bearer token if there is one, else by the
// cookie.
func (s *server) identify(c echo.Context) (Identity, error) {
	r := c.Request()
	token, sent := bearer(r)
	if !sent {
		cookies := s.sessions.signed(r)
		if len(cookies) == 0 {
			return Identity{}, &unauthenticatedError{}
		}
		if err := s.sessions.sameOrigin(r); err != nil {
			return Identity{}, err
		}
		who, _, err := s.sessions.alive(r.Context(), cookies)
		switch {
		case errors.Is(err, ErrToken), err == nil && !s.Web.SignIn.agrees(r, who.Owner):
			return Identity{}, &unauthenticatedError{}
		case err != nil:
			return Identity{}, err
		}
		return who, nil
	}
	who, err := s.Tokens.Verify(r.Context(), token)
	if err == nil {
		err = s.recognise(r.Context(), who)
	}
	switch {
	case errors.Is(err, ErrToken):
		s.refusals.tell(r.Context(), s.Log, s.Now(), err)
		return Identity{}, &unauthenticatedError{tokenSent: true}
	case err != nil:
		return Identity{}, fmt.Errorf("verifying a token: %w", err)
	}
	return who, nil
}

// GetSession says who asks.
func (s *server) GetSession(ctx context.Context, _ api.GetSessionRequestObject) (api.GetSessionResponseObject, error) {
	who := caller(ctx)
	return api.GetSession200JSONResponse{
		User: who.Owner.String(), Admin: who.Admin, ExpiresAt: utc(who.Expires),
		Limit: s.Accounts.MaxPerUser(), Copies: s.mayCopy(),
	}, nil
}

// mayCopy says which mailboxes may be copied here.
func (s *server) mayCopy() *api.SessionCopies {
	may := transfer.MayNothing
	if s.Copies != nil {
		may = s.Copies.May()
	}
	return ptr(api.SessionCopies(may))
}

// DeleteSession ends the session and takes the cookie away.
func (s *server) DeleteSession(ctx context.Context, _ api.DeleteSessionRequestObject) (api.DeleteSessionResponseObject,
	error,
) {
	if name := caller(ctx).session; name != "" {
		if err := s.Web.Sessions.End(ctx, name); err != nil {
			return nil, err
		}
	}
	return api.DeleteSession204Response{Headers: api.DeleteSession204ResponseHeaders{SetCookie: s.sessions.cookie(
		"").String()}}, nil
}

// DeleteSessions ends sessions: users their own, administrators anybody's.
func (s *server) DeleteSessions(ctx context.Context,
	r api.DeleteSessionsRequestObject,
) (api.DeleteSessionsResponseObject, error) {
	who, o := caller(ctx), caller(ctx).Owner
	bad := &account.InvalidError{}
	everybody := value(r.Params.Everybody)
	if r.Params.User != nil {
		var err error
		if o, err = owner.Parse(*r.Params.User); err != nil {
			bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
		}
		if everybody {
			bad.Add("everybody", "invalid", "must be left out where user is given")
		}
	}
	if err := bad.OrNil(); err != nil {
		return nil, err
	}
	if !who.Admin && (everybody || o != who.Owner) {
		return nil, errForbidden
	}
	if everybody {
		o = owner.Owner{}
	}
	n, err := s.Web.Sessions.EndAll(ctx, o)
	if err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "sessions ended", "by", who.Owner, "user", o, "everybody", everybody, "sessions", n)
	s.hub.nudge(o)
	return api.DeleteSessions200JSONResponse{Ended: n}, nil
}
