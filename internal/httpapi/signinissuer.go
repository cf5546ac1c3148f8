package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// goToIssuer sends a browser to the identity provider.
func (s *server) goToIssuer(ctx context.Context, b browser, to string,
	accept *string,
) (api.SignInResponseObject, error) {
	t, err := s.sessions.newTicket(to, b.arrival.sender)
	if err != nil {
		return nil, err
	}
	address, err := s.Web.SignIn.Issuer.Begin(ctx, t.flow)
	var away *oidc.AwayError
	if errors.As(err, &away) {
		s.Log.ErrorContext(ctx, "the identity provider cannot be asked", "error", err)
		return s.issuerUnavailable(away, accept, to), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{address, s.sessions.makingRoom(b.tickets, t)}, nil
}

// FinishSignIn takes a browser back from the identity provider.
func (s *server) FinishSignIn(ctx context.Context,
	r api.FinishSignInRequestObject,
) (api.FinishSignInResponseObject, error) {
	b, _ := ctx.Value(browserKey{}).(browser)
	accept := r.Params.AcceptLanguage
	if s.Web.SignIn.Issuer == nil {
		return nil, account.ErrNotFound
	}
	t, err := s.sessions.ticketWith(b.tickets, value(r.Params.State))
	if err != nil {
		s.Log.WarnContext(ctx, "a sign-in that was not begun by this browser", "client", b.client, "error", err)
		return s.signInFailed(http.StatusBadRequest, "over", accept, "/"), nil
	}
	used := func(answer api.FinishSignInResponseObject) returned { return returned{answer, s.sessions.gone(t.name)} }
	if denied := value(r.Params.Error); denied != "" {
		s.Log.WarnContext(ctx, "the identity provider let nobody in", "client", b.client, "reason", clean(denied))
		return used(s.signInFailed(http.StatusForbidden, "denied", accept, t.to)), nil
	}
	done, err := s.returns.take(ctx, b.client)
	if errors.Is(err, errNoPlace) {
		s.Log.WarnContext(ctx, "no place to ask the identity provider became free in time", "client", b.client)
		// The ticket stays good.
		return s.signInFailedFor(http.StatusServiceUnavailable, "busy", returnAgain, accept, t.to), nil
	}
	if err != nil {
		return nil, err
	}
	defer done()
	settle, err := s.Web.SignIn.Returns.AdmitReturn(ctx, b.client)
	var held *remote.HeldBackError
	if errors.As(err, &held) {
		s.Log.WarnContext(ctx, "an attempt to sign in was held back", "client", b.client, "wait", held.Wait)
		return s.signInFailedFor(http.StatusTooManyRequests, "held", held.Wait, accept, t.to), nil
	}
	if err != nil {
		return nil, err
	}
	who, err := s.redeem(ctx, t, r.Params)
	settle(howItEnded(err))
	var away *oidc.AwayError
	var refused *oidc.RefusedError
	switch {
	case errors.Is(err, errTicket):
		s.Log.WarnContext(ctx, "a sign-in that came back before", "client", b.client)
		return used(s.signInFailed(http.StatusBadRequest, "over", accept, "/")), nil
	case errors.As(err, &away):
		s.Log.ErrorContext(ctx, "the identity provider cannot be asked", "error", err)
		return used(s.issuerUnavailable(away, accept, t.to)), nil
	case errors.As(err, &refused):
		s.Log.WarnContext(ctx, "the identity provider's word is not taken", "client", b.client, "error", err)
		return used(s.signInFailed(http.StatusForbidden, refused.Why, accept, t.to)), nil
	case err != nil:
		return nil, err
	}
	recognise := func() error {
		if who.UserID.IsZero() {
			return nil
		}
		return s.Users.Recognise(ctx, who.Owner, who.UserID)
	}
	var on reached
	b.arrival.sender = t.sender // Everybody comes back from another site.
	if err = recognise(); err == nil {
		on, err = s.arriveByPage(ctx, b, who.Owner, t.to, "oidc", accept)
	}
	if err == nil {
		err = recognise() // What was made while somebody else took the address is given to nobody.
	}
	if errors.Is(err, ErrToken) {
		s.Log.WarnContext(ctx, "the address is another user's by now", "user", who.Owner)
		return used(s.signInFailed(http.StatusForbidden, "former", accept, t.to)), nil
	}
	if err != nil {
		return nil, err
	}
	return used(on), nil
}

// redeem uses a ticket and asks the provider who signed in. A ticket that came back
// before, in whichever process, is errTicket: then nobody is asked.
func (s *server) redeem(ctx context.Context, t ticket, p api.FinishSignInParams) (oidc.Person, error) {
	first, err := s.Web.SignIn.Tickets.ClaimPending(ctx, "sign-in "+t.flow.State, owner.Owner{}, t.until)
	if err == nil && !first {
		err = errTicket
	}
	if err != nil {
		return oidc.Person{}, err
	}
	return s.Web.SignIn.Issuer.Finish(ctx, t.flow, value(p.Code), p.Iss)
}

// howItEnded says how a return counts. Whom the provider vouches for has guessed
// nothing, though it is none of our users, and the provider's failures and our own are
// nobody's; of what comes back again it is not asked. Whoever leaves meanwhile has had
// it asked.
func howItEnded(err error) remote.SignIn {
	var away *oidc.AwayError
	var refused *oidc.RefusedError
	switch {
	case err == nil:
		return remote.SignInAccepted
	case errors.As(err, &away), errors.As(err, &refused) && refused.Vouched:
		return remote.SignInUntried
	case refused != nil:
		return remote.SignInRefused
	case errors.Is(err, context.Canceled):
		return remote.SignInFailed
	}
	return remote.SignInUntried
}
