package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// login is how an account signs in: what a connection test sends, and what is
// saved, sealed. For a password the two are the same. The zero login stands for
// what is saved already.
type login struct {
	tried remote.Secret
	kept  remote.Secret
	renew func(context.Context, remote.Secret) (remote.Secret, error)
}

func (l login) credential(a Account) remote.Credential {
	return remote.Credential{Auth: a.Auth, Username: a.Username, Secret: l.tried, Renew: l.renew}
}

// granted returns the login of what the user allowed on a provider's page, if
// it may serve this account.
func (r *Registry) granted(ctx context.Context, a Account, id string, confirmed bool) (login, error) {
	bad := &InvalidError{}
	bad.Add("oauth_grant", "unknown", "is not there any more: sign in again on the provider's page")
	if r.Grants == nil {
		return login{}, bad
	}
	g, err := r.Grants.Grant(ctx, a.Owner, id)
	if errors.Is(err, ErrNotFound) {
		return login{}, bad
	}
	if err != nil {
		return login{}, fmt.Errorf("loading what was allowed on a provider's page: %w", err)
	}
	if a.Server.Security == remote.None {
		bad = &InvalidError{}
		bad.Add("server.security", "not_allowed", "must be tls or starttls after signing in on a provider's page")
		return login{}, bad
	}
	if !r.Grants.ServesHost(g.Provider, a.Server.Host) {
		bad = &InvalidError{}
		bad.Add("server.host", "not_allowed", "must be one of %s's own servers after signing in there", g.Name)
		return login{}, bad
	}
	if g.Email != "" && !owner.SameAddress(g.Email, a.Email) && !confirmed {
		return login{}, &AddressDiffersError{Email: a.Email, Signed: g.Email}
	}
	return login{tried: g.Access, kept: g.Lasting}, nil
}

// saved returns the login itself, or for the zero one what is saved with the
// account.
func (r *Registry) saved(ctx context.Context, a Account, l login) (login, error) {
	if !l.kept.Empty() {
		return l, nil
	}
	if a.Auth == remote.OAuth2 {
		bad := &InvalidError{}
		bad.Add("oauth_grant", "required", "sign in again on the provider's page")
		if r.Grants == nil {
			return login{}, bad
		}
		c, err := r.Grants.Credential(ctx, a.Mailbox())
		if err != nil {
			return login{}, fmt.Errorf("asking for permission at the provider: %w", err)
		}
		return login{tried: c.Secret, renew: c.Renew}, nil
	}
	sealed, err := r.Repository.SealedSecret(ctx, a.Secret())
	if err != nil {
		return login{}, fmt.Errorf("loading the password: %w", err)
	}
	s, err := r.Sealer.Unseal(a.Secret(), sealed)
	if err != nil {
		bad := &InvalidError{}
		bad.Add("password", "required", "the saved password cannot be read any more: enter it again")
		return login{}, bad
	}
	return login{tried: s}, nil
}

// untested turns a failure to get an access token, or a server of our own, into the report of a failed test;
// false for any other error.
func (r *Registry) untested(err error) (TestReport, bool) {
	var f *fault.Error
	var held *remote.HeldBackError
	if !errors.As(err, &f) || errors.As(err, &held) || f.Code == fault.HostNotAllowed || f.Code == fault.Internal &&
		f.Detail == nil {
		return TestReport{}, false
	}
	step := remote.StepLogin
	if f.Code == fault.MailLoop {
		step = remote.StepResolve
	}
	return TestReport{
		Steps: []remote.Step{{Name: step, Detail: f.Detail}}, Diagnosis: &Diagnosis{
			Code: f.Code, Detail: f.Detail,
			Since: r.Now().UTC(),
		},
	}, true
}

// dropGrant deletes a grant that an account has now; if that fails, the grant expires.
func (r *Registry) dropGrant(ctx context.Context, o owner.Owner, id string) {
	if id == "" {
		return
	}
	if err := r.Grants.DropGrant(ctx, o, id); err != nil && !errors.Is(err, ErrNotFound) {
		r.Log.WarnContext(ctx, "forgetting what an account has taken", "error", err)
	}
}
