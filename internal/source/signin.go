package source

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// Gate is asked before an account signs in, and told how that ended.
type Gate interface {
	// Admit is called once for each connection, when the server's addresses are
	// known and none is dialled. With an error none will be, and it is what the
	// opening fails with. Else settle is called once, when it is known how the
	// login ended.
	Admit(ctx context.Context, a account.Account, addrs []netip.Addr) (settle func(account.SignIn), err error)
}

// signer is who signs in, over all connections of a session.
type signer struct {
	gate    Gate
	account account.Account // Its LoginProof is the session's.
}

func (c *Client) signer(a account.Account) *signer { return &signer{c.opts.Gate, a} }

// admit begins an attempt to sign in.
func (s *signer) admit(ctx context.Context, addrs []netip.Addr) (*attempt, error) {
	if s == nil || s.gate == nil {
		return nil, nil
	}
	settle, err := s.gate.Admit(ctx, s.account, addrs)
	if err != nil {
		return nil, err
	}
	return &attempt{signer: s, addrs: addrs, settle: settle}, nil
}

// attempt is one login, on one connection. Nil: nobody counts it.
type attempt struct {
	signer *signer
	addrs  []netip.Addr
	settle func(account.SignIn) // Nil when it has ended.
	sent   bool                 // The credential is on its way.
}

// presents notes that the credential is sent now.
func (a *attempt) presents() {
	if a != nil {
		a.sent = true
	}
}

// accepted ends an attempt that went well. Further connections of the session
// go by that.
func (a *attempt) accepted() {
	if a != nil {
		a.signer.account.LoginProof = a.signer.account.Proof(a.addrs)
		a.end(account.SignInAccepted)
	}
}

// failed ends an attempt that did not come to a login, because of err. One that
// was accepted stays so.
func (a *attempt) failed(err error) {
	switch {
	case a == nil || a.settle == nil:
	case !a.sent:
		a.end(account.SignInUntried)
	case fault.CodeOf(err).Credential():
		a.signer.account.LoginProof = ""
		a.end(account.SignInRefused)
	default:
		a.end(account.SignInFailed)
	}
}

func (a *attempt) end(how account.SignIn) {
	if settle := a.settle; settle != nil {
		a.settle = nil
		settle(how)
	}
}
