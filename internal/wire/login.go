package wire

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Gate is asked before an account signs in, and learns how that ended.
type Gate interface {
	// Admit is called once for each connection, when the server's addresses are
	// known and none is dialled. With an error none will be, and it is what the
	// opening fails with. Else report is called once, when it is known how the
	// login ended.
	Admit(ctx context.Context, m remote.Mailbox, addrs []netip.Addr) (report func(remote.SignIn), err error)
}

// Signer is who signs in, over all connections of a session.
type Signer struct {
	gate    Gate
	mailbox remote.Mailbox // Its LoginProof is the session's.
}

// NewSigner returns who signs in to m over the connections of one session. gate may
// be nil: nobody counts.
func NewSigner(gate Gate, m remote.Mailbox) *Signer { return &Signer{gate, m} }

// Mailbox is where that is, with the proof of its last login.
func (s *Signer) Mailbox() remote.Mailbox { return s.mailbox }

// admit begins an attempt to sign in.
func (s *Signer) admit(ctx context.Context, addrs []netip.Addr) (*attempt, error) {
	if s == nil || s.gate == nil {
		return nil, nil
	}
	ask := func() (func(remote.SignIn), error) { return s.gate.Admit(ctx, s.mailbox, addrs) }
	report, err := ask()
	if err != nil {
		return nil, err
	}
	return &attempt{signer: s, addrs: addrs, report: report, ask: ask}, nil
}

// attempt is one login, on one connection. Nil: nobody counts it.
type attempt struct {
	signer *Signer
	addrs  []netip.Addr
	report func(remote.SignIn) // Nil when it has ended.
	sent   bool                // The credential is on its way.

	ask   func() (func(remote.SignIn), error)
	first func(remote.SignIn) // Of the presentation that was refused before this one; nil: none was.
}

// again reports whether a credential that was refused in one form may be
// presented in another on the same connection: at the server that is one more
// login that fails, so it takes a place of its own. The first one's is given back
// if the second is accepted.
func (a *attempt) again() bool {
	if a == nil || a.report == nil {
		return true
	}
	report, err := a.ask()
	if err != nil {
		return false
	}
	a.first, a.report = a.report, report
	return true
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
		a.signer.mailbox.LoginProof = a.signer.mailbox.Proof(a.addrs)
		a.end(remote.SignInAccepted)
	}
}

// failed ends an attempt that did not come to a login, because of err. One that
// was accepted stays so.
func (a *attempt) failed(err error) {
	switch {
	case a == nil || a.report == nil:
	case !a.sent:
		a.end(remote.SignInUntried)
	case fault.CodeOf(err).Credential():
		a.signer.mailbox.LoginProof = ""
		a.end(remote.SignInRefused)
	default:
		a.end(remote.SignInFailed)
	}
}

func (a *attempt) end(how remote.SignIn) {
	if first := a.first; first != nil {
		a.first = nil
		if how == remote.SignInAccepted {
			first(remote.SignInUntried)
		} else {
			first(remote.SignInRefused)
		}
	}
	if report := a.report; report != nil {
		a.report = nil
		report(how)
	}
}
