package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Link is what an address that signs in stands for.
type Link struct {
	Owner    owner.Owner
	Admin    bool
	ReturnTo string // A path on this server.
	Expires  time.Time
	Session  string // The session that made it, without which it is worth nothing; "": none did.
	// Way is how whoever gets it has shown who it is: "password", "header" or "oidc";
	// "": by the link itself.
	Way string
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

// stillOurs fails where the address has become another user's since the caller was
// recognised: a link made meanwhile is shown to nobody.
func (s *server) stillOurs(ctx context.Context, who Identity) error {
	err := s.recognise(ctx, who)
	if errors.Is(err, ErrToken) {
		return &unauthenticatedError{tokenSent: true}
	}
	return err
}

// CreateLink makes a link: users for themselves, administrators for anybody.
func (s *server) CreateLink(ctx context.Context, r api.CreateLinkRequestObject) (api.CreateLinkResponseObject, error) {
	who, in := caller(ctx), *r.Body
	l := Link{Owner: who.Owner, Admin: value(in.Admin), ReturnTo: value(in.ReturnTo), Session: who.session}
	if in.User != nil {
		var err error
		if l.Owner, err = owner.Parse(*in.User); err != nil {
			bad := &account.InvalidError{}
			bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
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
	made, err := once(ctx, s, "links", r.Params.IdempotencyKey,
		func(ctx context.Context, _ string) (api.CreateLink201JSONResponse, error) {
			address, err := NewLink(ctx, s.Web.Links, s.Web.PublicURL, l)
			if err == nil {
				err = s.stillOurs(ctx, caller(ctx))
			}
			return api.CreateLink201JSONResponse{
				Url: address, User: l.Owner.String(), Admin: l.Admin, ExpiresAt: utc(l.Expires),
			}, err
		})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// arrival is how a browser came to an address, as far as it says so (Fetch
// Metadata; over plain connections to other machines browsers say nothing).
type arrival struct {
	direct bool // A person went there by itself: typed, pasted, from another program, or from a page of ours.
	framed bool // Into a frame.
	opened bool // A browser shows what is there, or does not say for what it asks.
	sender sender
}

// sender is who had a browser come, by which sign-ins are counted.
type sender string

const (
	byPerson sender = ""  // A person, by itself, or a page of ours; or the browser says nothing.
	byClick  sender = "c" // A person, by a click on another site's page.
	bySite   sender = "s" // Another site, in a frame, or in a window without a click.
)

// senderOf reads it. A sibling of our host is another site as well: anybody's page may be there.
func senderOf(h http.Header) sender {
	switch site := h.Get("Sec-Fetch-Site"); {
	case site == "" || site == "none" || site == "same-origin":
		return byPerson
	case h.Get("Sec-Fetch-Dest") == "document" && h.Get("Sec-Fetch-User") == "?1":
		return byClick
	}
	return bySite
}

func arrivalOf(r *http.Request) arrival {
	h := r.Header
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if h.Get(name) != "" {
			return arrival{} // Prefetched: nobody may ever look at it.
		}
	}
	mode, site, dest := h.Get("Sec-Fetch-Mode"), h.Get("Sec-Fetch-Site"), h.Get("Sec-Fetch-Dest")
	if mode != "navigate" {
		return arrival{opened: mode == "" && site == "" && dest == ""}
	}
	framed := dest == "iframe" || dest == "frame"
	return arrival{
		direct: dest == "document" && (site == "none" || site == "same-origin"), framed: framed,
		opened: framed || dest == "document" || dest == "", sender: senderOf(h),
	}
}

// FollowLink signs in whoever goes to a link by itself; to all others it offers
// to, and uses nothing up.
func (s *server) FollowLink(ctx context.Context, r api.FollowLinkRequestObject) (api.FollowLinkResponseObject, error) {
	b, _ := ctx.Value(browserKey{}).(browser)
	l, err := s.Web.Links.Look(ctx, r.Token)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return s.linkGone(b, r.Params.AcceptLanguage), nil
	case err != nil:
		return nil, err
	case b.arrival.direct && !b.isOther(l.Owner):
		return s.exchange(ctx, b, r.Token, r.Params.AcceptLanguage)
	}
	return s.linkPage(b, r.Token, l, r.Params.AcceptLanguage), nil
}

// UseLink signs in by the button of FollowLink's page.
func (s *server) UseLink(ctx context.Context, r api.UseLinkRequestObject) (api.UseLinkResponseObject, error) {
	b, _ := ctx.Value(browserKey{}).(browser)
	if b.crossSite != nil {
		return nil, b.crossSite
	}
	l, err := s.Web.Links.Look(ctx, r.Token)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return s.linkGone(b, r.Params.AcceptLanguage), nil
	case err != nil:
		return nil, err
	case b.isOther(l.Owner) && !value(r.Params.Replace): // Signed in after the page was shown.
		return s.linkPage(b, r.Token, l, r.Params.AcceptLanguage), nil
	}
	return s.exchange(ctx, b, r.Token, r.Params.AcceptLanguage)
}

// linkAnswer answers both of the calls about a link.
type linkAnswer interface {
	api.FollowLinkResponseObject
	api.UseLinkResponseObject
}

// exchange takes a link for a session. The one that the browser had ends: its
// cookie is replaced, and who copied it shall have nothing of it.
func (s *server) exchange(ctx context.Context, b browser, token string, accept *string) (linkAnswer, error) {
	l, cookie, err := s.begin(ctx, b, token)
	if errors.Is(err, account.ErrNotFound) {
		return s.linkGone(b, accept), nil
	}
	if err != nil {
		return nil, err
	}
	return followedLink{l.ReturnTo, cookie}, nil
}

// begin takes a link for a session, and returns its cookie.
func (s *server) begin(ctx context.Context, b browser, token string) (Link, *http.Cookie, error) {
	name := rand.Text()
	l, err := s.Web.Links.Exchange(ctx, token, name, s.Now().Add(sessionLife+tokenLeeway))
	if err != nil {
		return Link{}, nil, err
	}
	session, err := s.sessions.sign(name, l.Owner, l.Admin)
	if err != nil {
		return Link{}, nil, err
	}
	if b.who.session != "" {
		ctx := audit.By(ctx, Identity{Owner: l.Owner, Admin: l.Admin}.actor(audit.ActorOf(ctx).Client))
		if err := s.Web.Sessions.End(ctx, b.who.session); err != nil {
			s.Log.WarnContext(ctx, "ending the session that a link replaced", "user", b.who.Owner, "error", err)
		}
	}
	s.Log.InfoContext(ctx, "signed in", "by", cmp.Or(l.Way, "link"), "user", l.Owner, "admin", l.Admin)
	return l, s.sessions.cookie(session), nil
}

func (s *server) linkGone(b browser, accept *string) linkAnswer {
	way := s.Web.SignIn
	return expiredLink{
		standing: s.standing(accept), user: b.who.Owner,
		here: way.Header != "" || way.Passwords != nil || way.Issuer != nil,
	}
}

func (s *server) linkPage(b browser, token string, l Link, accept *string) linkPage {
	p := linkPage{standing: s.standing(accept), token: token, user: l.Owner}
	if b.isOther(l.Owner) {
		p.other = b.who.Owner
	} else {
		// Only in a frame of those who may have one does a browser run what is on the
		// page: the policy for frames, and not a header that may be missing, says who.
		p.unasked = b.arrival.framed && len(p.ancestors) > 0
	}
	return p
}

func languageOfLink(accept *string) words.Language { return words.Negotiate(value(accept)) }
