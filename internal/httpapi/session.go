package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
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
	Links          Links
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

// sessions sign in browsers: a cookie that says who it is, signed, so that any
// process can read it and none has to remember it.
type sessions struct {
	key    []byte
	parser *jwt.Parser
	now    func() time.Time
	public *url.URL
	framed bool
}

func newSessions(w Web, now func() time.Time) (*sessions, error) {
	if len(w.Secret) < minSecret {
		return nil, fmt.Errorf("the secret for sessions has %d bytes, at least %d are needed", len(w.Secret), minSecret)
	}
	public, err := url.Parse(w.PublicURL)
	if err != nil || public.Host == "" || public.Scheme != "https" && public.Scheme != "http" {
		return nil, errors.New("the public address of the pages must begin with https:// or http://")
	}
	mac := hmac.New(sha256.New, w.Secret)
	mac.Write([]byte("mailbrook web session 1"))
	return &sessions{
		key: mac.Sum(nil), now: now, public: public, framed: len(w.FrameAncestors) > 0,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
			jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(), jwt.WithAudience(sessionAudience)),
	}, nil
}

func (s *sessions) sign(o account.Owner, admin bool) (string, error) {
	now := s.now()
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Subject: o.String(), Audience: jwt.ClaimStrings{sessionAudience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(sessionLife)),
	}}
	if admin {
		c.Scope = adminScope
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["typ"] = sessionType
	signed, err := t.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("signing a session: %w", err)
	}
	return signed, nil
}

// verify returns whose session a cookie is, or ErrToken.
func (s *sessions) verify(token string) (Identity, error) {
	if len(token) > tokenMaxBytes || strings.Count(token, ".") != 2 {
		return Identity{}, fmt.Errorf("%w: it has not the form of one", ErrToken)
	}
	var c claims
	_, err := s.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if typ, _ := t.Header["typ"].(string); typ != sessionType {
			return nil, fmt.Errorf("%w: it is no session", ErrToken)
		}
		return s.key, nil
	})
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	o, err := account.ParseOwner(c.Subject)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: its subject is no mailbox address", ErrToken)
	}
	return Identity{Owner: o, Admin: slices.Contains(strings.Fields(c.Scope), adminScope), Expires: c.ExpiresAt.Time}, nil
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
var errCrossSite = errors.New("with a cookie, only pages of the same origin may call, with the header " + pagesHeader + ": 1")

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
	if r.Header.Get(pagesHeader) != "1" || site != "" && site != "same-origin" {
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
	if ours := o.Scheme == s.public.Scheme && strings.EqualFold(o.Host, s.public.Host); !ours && !strings.EqualFold(o.Host, r.Host) {
		return errCrossSite
	}
	return nil
}

// identify returns who asks: by the bearer token if there is one, else by the
// cookie.
func (s *server) identify(c echo.Context) (Identity, error) {
	r := c.Request()
	token, sent := bearer(r)
	if !sent {
		cookie, err := r.Cookie(s.sessions.cookieName())
		if err != nil {
			return Identity{}, &unauthenticatedError{}
		}
		who, err := s.sessions.verify(cookie.Value)
		if err != nil {
			return Identity{}, &unauthenticatedError{}
		}
		return who, s.sessions.sameOrigin(r)
	}
	who, err := s.Tokens.Verify(r.Context(), token)
	switch {
	case errors.Is(err, ErrToken):
		return Identity{}, &unauthenticatedError{tokenSent: true}
	case err != nil:
		return Identity{}, fmt.Errorf("verifying a token: %w", err)
	}
	return who, nil
}

// GetSession says who asks.
func (s *server) GetSession(ctx context.Context, _ api.GetSessionRequestObject) (api.GetSessionResponseObject, error) {
	who := caller(ctx)
	return api.GetSession200JSONResponse{User: who.Owner.String(), Admin: who.Admin, ExpiresAt: utc(who.Expires), Limit: s.Accounts.MaxPerUser()}, nil
}

// DeleteSession takes the cookie away.
func (s *server) DeleteSession(context.Context, api.DeleteSessionRequestObject) (api.DeleteSessionResponseObject, error) {
	return api.DeleteSession204Response{Headers: api.DeleteSession204ResponseHeaders{SetCookie: s.sessions.cookie("").String()}}, nil
}

// Link is what an address that signs in stands for.
type Link struct {
	Owner    account.Owner
	Admin    bool
	ReturnTo string // A path on this server.
	Expires  time.Time
}

const (
	// LinkLife is how long a link may be followed unless said otherwise.
	LinkLife = 5 * time.Minute
	// LinkMaxLife is the longest.
	LinkMaxLife = 24 * time.Hour
)

// NewLink saves a link and returns its address below the origin given.
func NewLink(ctx context.Context, links Links, origin string, l Link) (string, error) {
	token := rand.Text()
	if l.ReturnTo == "" {
		l.ReturnTo = "/"
	}
	if err := links.Save(ctx, token, l); err != nil {
		return "", err
	}
	return strings.TrimSuffix(origin, "/") + "/link/" + token, nil
}

// CreateLink makes a link: users for themselves, administrators for anybody.
func (s *server) CreateLink(ctx context.Context, r api.CreateLinkRequestObject) (api.CreateLinkResponseObject, error) {
	who, in := caller(ctx), *r.Body
	l := Link{Owner: who.Owner, Admin: value(in.Admin), ReturnTo: value(in.ReturnTo)}
	if in.User != nil {
		var err error
		if l.Owner, err = account.ParseOwner(*in.User); err != nil {
			bad := &account.InvalidError{}
			bad.Add("user", "invalid", "is not a mailbox address")
			return nil, bad
		}
	}
	if !who.Admin && (l.Admin || l.Owner != who.Owner) {
		return nil, errForbidden
	}
	life := LinkLife
	if in.TtlSeconds != nil {
		life = time.Duration(*in.TtlSeconds) * time.Second
	}
	l.Expires = s.Now().Add(life)
	address, err := NewLink(ctx, s.Web.Links, s.Web.PublicURL, l)
	if err != nil {
		return nil, err
	}
	return api.CreateLink201JSONResponse{Url: address, User: l.Owner.String(), Admin: l.Admin, ExpiresAt: utc(l.Expires)}, nil
}

// FollowLink signs in, once.
func (s *server) FollowLink(ctx context.Context, r api.FollowLinkRequestObject) (api.FollowLinkResponseObject, error) {
	l, err := s.Web.Links.Use(ctx, r.Token)
	if errors.Is(err, account.ErrNotFound) {
		var accept []string
		if r.Params.AcceptLanguage != nil {
			accept = append(accept, *r.Params.AcceptLanguage)
		}
		return goneLink{s.Web.FrameAncestors, language(accept)}, nil
	}
	if err != nil {
		return nil, err
	}
	session, err := s.sessions.sign(l.Owner, l.Admin)
	if err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "signed in by a link", "user", l.Owner, "admin", l.Admin)
	return followedLink{l.ReturnTo, s.sessions.cookie(session)}, nil
}

// followedLink leads on, signed in.
type followedLink struct {
	to     string
	cookie *http.Cookie
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

// goneLink tells a person that the link leads nowhere any more.
type goneLink struct {
	ancestors []string
	lang      string
}

// gonePage is plain: it has to say one thing, and no style may stand in it.
const gonePage = `<!doctype html>
<html lang="%s"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>%[2]s</title></head>
<body><main><h1>%[2]s</h1><p>%s</p></main></body></html>
`

// VisitFollowLinkResponse implements api.FollowLinkResponseObject.
func (g goneLink) VisitFollowLinkResponse(w http.ResponseWriter) error {
	title, text := "This link does not work any more", "It was used already, or its time is over. Go back to your mail and open these pages from there once more."
	if g.lang == "pl" {
		title, text = "Ten odnośnik już nie działa", "Został już użyty albo jego czas minął. Wróć do swojej poczty i otwórz te strony stamtąd jeszcze raz."
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", g.lang)
	h.Add("Vary", "Accept-Language")
	if len(g.ancestors) > 0 {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+strings.Join(g.ancestors, " "))
		h.Del("X-Frame-Options") // It knows all or nothing.
	}
	w.WriteHeader(http.StatusGone)
	_, err := fmt.Fprintf(w, gonePage, g.lang, title, text)
	return err
}
