package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// SignIn is how people sign in to the pages who do not come by a link. The zero
// value: only by links.
type SignIn struct {
	// Proxies are where the proxies in front of this server are. Of what else connects,
	// no header counts that says where a request comes from, or whose it is.
	Proxies []netip.Prefix
	// Header is in what such a proxy says whose a request is; "": in none.
	Header    string
	Passwords Passwords // Nil: passwords are not asked for.
	Issuer    Issuer    // Nil: there is no identity provider.
	Returns   Returns   // Required with Issuer.
	Tickets   Tickets   // Required with Issuer.
}

// Passwords says whether a password is a user's.
type Passwords interface {
	// Check returns nil where it is; account.ErrRefused (wrapped) where there is no such
	// user or another password, and nothing tells the two apart; a *remote.HeldBackError
	// where too many attempts failed lately. Any other error means that it cannot be
	// said now.
	Check(ctx context.Context, c Client, user owner.Owner, password remote.Secret) error
}

// Client is who wants to sign in.
type Client struct {
	Addr netip.Addr // As far as proxies vouch for it.
	// Browser is the name of one in which the user has signed in by a password before;
	// "": of none that is known.
	Browser string
}

// Issuer is the identity provider on whose page people sign in. *oidc.Provider
// implements it.
type Issuer interface {
	// Begin returns the address to send the browser to.
	Begin(ctx context.Context, f oidc.Flow) (address string, err error)
	// Finish returns who signed in there. issuer is nil where the browser names none. Its
	// errors are *oidc.AwayError, *oidc.RefusedError, or ours.
	Finish(ctx context.Context, f oidc.Flow, code string, issuer *string) (oidc.Person, error)
	// Close ends what is being asked there, and waits for that.
	Close()
}

var _ Issuer = (*oidc.Provider)(nil)

// Returns counts what comes to nothing of a client's returns from the identity
// provider. *logins.Limiter implements it.
type Returns interface {
	// AdmitReturn is asked before the provider is; the error wraps an
	// *remote.HeldBackError where too much came to nothing lately. settle must be called
	// when it is known how the sign-in ended.
	AdmitReturn(ctx context.Context, client netip.Addr) (settle func(remote.SignIn), err error)
}

// Tickets keeps which sign-ins at the identity provider have come back. store.Pending
// implements it.
type Tickets interface {
	// ClaimPending reports whether nobody had the name before: of any number of callers
	// in any number of processes one has it, until then.
	ClaimPending(ctx context.Context, name string, o owner.Owner, until time.Time) (bool, error)
}

// checkAway is after how many seconds to try again where a password cannot be
// checked now.
const checkAway = 10

// What people read when a password was not accepted.
var (
	errNotThisOne  = errors.New("the address or the password is wrong: enter both again")
	errUnavailable = errors.New("the mail server cannot check passwords now: try again in a minute")
)

// SignIn begins to sign in by the installation's own way, or does it.
func (s *server) SignIn(ctx context.Context, r api.SignInRequestObject) (api.SignInResponseObject, error) {
	b, _ := ctx.Value(browserKey{}).(browser)
	to, way := pagePath(value(r.Params.ReturnTo)), s.Web.SignIn
	switch {
	case (way.Header != "" || way.Issuer != nil) && !s.mayBegin(b.arrival):
		return s.signInFailed(http.StatusForbidden, "unopened", r.Params.AcceptLanguage, to), nil
	case way.Header != "":
		if b.named.err != nil || b.named.user.IsZero() {
			s.Log.WarnContext(ctx, "the proxy names nobody who can be signed in", "client", b.client, "peer", b.peer,
				"header", way.Header, "error", b.named.err)
			return s.signInFailed(http.StatusForbidden, "unnamed", r.Params.AcceptLanguage, to), nil
		}
		if b.who.Owner == b.named.user {
			return redirect{to: to}, nil // The session continues: one more would help nobody.
		}
		return s.arriveByPage(ctx, b, b.named.user, to, "header", r.Params.AcceptLanguage)
	case way.Issuer != nil:
		return s.goToIssuer(ctx, b, to, r.Params.AcceptLanguage)
	}
	return redirect{to: to}, nil
}

// mayBegin reports whether a sign-in may begin by itself where a browser comes like
// that: not for the picture of another site, nor ahead, nor in a frame where ours are
// shown in none.
func (s *server) mayBegin(a arrival) bool { return a.opened && (!a.framed || s.sessions.framed) }

// SignInWithPassword signs in whoever knows the password of the user's mailbox.
func (s *server) SignInWithPassword(ctx context.Context,
	r api.SignInWithPasswordRequestObject,
) (api.SignInWithPasswordResponseObject, error) {
	b, _ := ctx.Value(browserKey{}).(browser)
	switch {
	case s.Web.SignIn.Passwords == nil:
		return nil, account.ErrNotFound
	case b.crossSite != nil:
		return nil, b.crossSite
	case !b.ours:
		return nil, errCrossSite
	}
	user, err := owner.Parse(r.Body.User)
	if err != nil {
		bad := &account.InvalidError{}
		bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
		return nil, bad
	}
	name, err := s.knows(ctx, b.known, user)
	if err != nil {
		return nil, err
	}
	if err := s.checkPassword(ctx, Client{b.client, name}, user, remote.NewSecret(r.Body.Password)); err != nil {
		return nil, err
	}
	known, err := s.remember(ctx, name, user)
	if err != nil {
		return nil, err
	}
	on, err := s.arrive(ctx, b, user, pagePath(value(r.Body.ReturnTo)), "password", nil)
	if err != nil {
		return nil, err
	}
	return passed{on, known}, nil
}

// checkPassword asks within the bounds, and distinguishes all failures that people
// may distinguish.
func (s *server) checkPassword(ctx context.Context, c Client, user owner.Owner, password remote.Secret) error {
	done, err := s.turns.take(ctx, c, user)
	if errors.Is(err, errNoPlace) {
		s.Log.WarnContext(ctx, "no place to check a password became free in time", "user", user, "client", c.Addr)
		return errUnavailable
	}
	if err != nil {
		return err
	}
	defer done()
	err = s.Web.SignIn.Passwords.Check(ctx, c, user, password)
	var held *remote.HeldBackError
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, account.ErrUnavailable):
		return err
	case errors.As(err, &held):
		s.Log.WarnContext(ctx, "an attempt to sign in was held back", "user", user, "client", c.Addr, "wait", held.Wait)
		return &tooManyError{held.Wait, words.Say(
			"too many attempts to sign in failed: nothing is tried for %d s", wholeSeconds(held.Wait))}
	case errors.Is(err, account.ErrRefused):
		s.Log.WarnContext(ctx, "an attempt to sign in was refused", "user", user, "client", c.Addr)
		return errNotThisOne
	}
	s.Log.ErrorContext(ctx, "a password cannot be checked", "user", user, "client", c.Addr, "error", err)
	return errUnavailable
}

// pagePath is a path on this server to lead on to; "/" for what is none.
func pagePath(path string) string {
	if len(path) > 500 || !pagePaths.MatchString(path) {
		return "/"
	}
	return path
}

// pagePaths is as PagePath of the document: no other server's ("//", "/\").
var pagePaths = regexp.MustCompile(`^/([\x21-\x2E\x30-\x5B\x5D-\x7E][\x21-\x5B\x5D-\x7E]*)?$`)

// arrived answers every call that signs somebody in.
type arrived interface {
	linkAnswer
	api.SignInResponseObject
	api.FinishSignInResponseObject
	api.SignInWithPasswordResponseObject
}

// arrive signs a browser in, or asks where somebody else is signed in there: by a
// link that nobody sees otherwise, so that what holds for links holds here. A user
// does so only so often: each time there is a session more, and a row of the audit.
func (s *server) arrive(ctx context.Context, b browser, o owner.Owner, to, way string,
	accept *string,
) (arrived, error) {
	// What another site uses up is not the user's own.
	if wait := s.meters.signIns.take(o.String() + " " + string(b.arrival.sender)); wait > 0 {
		s.Log.WarnContext(ctx, "too many sign-ins of a user", "user", o, "client", b.client, "by", way)
		return nil, &tooManyError{wait, words.Say("you have signed in too often: wait for %d s", wholeSeconds(wait))}
	}
	token, l := rand.Text(), Link{Owner: o, ReturnTo: to, Expires: s.Now().Add(LinkLife), Way: way}
	if err := s.Web.Links.Save(ctx, token, l); err != nil {
		return nil, err
	}
	if b.isOther(o) {
		return s.linkPage(b, token, l, accept), nil
	}
	_, cookie, err := s.begin(ctx, b, token)
	if err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	return followedLink{to, cookie}, nil
}

// reached answers the calls that a browser follows, which sign somebody in or say why
// not.
type reached interface {
	api.SignInResponseObject
	api.FinishSignInResponseObject
}

// arriveByPage is arrive for those who look at the answer themselves.
func (s *server) arriveByPage(ctx context.Context, b browser, o owner.Owner, to, way string,
	accept *string,
) (reached, error) {
	on, err := s.arrive(ctx, b, o, to, way, accept)
	var often *tooManyError
	if errors.As(err, &often) {
		page := s.signInFailed(http.StatusTooManyRequests, "often", accept, to)
		page.wait = wholeSeconds(often.wait)
		return page, nil
	}
	if err != nil {
		return nil, err
	}
	return on, nil
}
