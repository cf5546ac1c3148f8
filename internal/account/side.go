package account

import (
	"cmp"
	"context"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Side is a mailbox that somebody names with what signs in to it, and that is no account: an end of a copy.
type Side struct {
	Mailbox remote.Mailbox // But for its Secret's name.
	Kept    remote.Secret  // What is saved, sealed.

	account Account
	login   login
}

// Side makes of settings the mailbox that they name, as Create does: what they leave open comes from presets. Errors
// are as of Create.
func (r *Registry) Side(ctx context.Context, o owner.Owner, d Draft) (Side, error) {
	a, _, err := r.named(ctx, o, d)
	if err != nil {
		return Side{}, err
	}
	bad := &InvalidError{}
	bad.server(a.Server, r.AllowPlaintext)
	bad.text("username", a.Username, MaxUsername, true)
	bad.seen(a, Account{})
	if err := bad.OrNil(); err != nil {
		return Side{}, err
	}
	if err := r.Remotes.CheckServer(a.Server); err != nil {
		return Side{}, err
	}
	l := login{tried: d.Password, kept: d.Password}
	if d.Grant != "" {
		a.Auth = remote.OAuth2
		if l, err = r.granted(ctx, a, d.Grant, d.ConfirmAddress); err != nil {
			return Side{}, err
		}
	}
	return Side{Mailbox: a.Mailbox(), Kept: l.kept, account: a, login: l}, nil
}

// SideOf is the side of a mailbox that was saved, with another secret.
func (r *Registry) SideOf(o owner.Owner, m remote.Mailbox, secret remote.Secret) Side {
	return Side{
		Mailbox: m, Kept: secret, login: login{tried: secret, kept: secret}, account: Account{
			Owner: o, Email: m.Email, Provider: m.Provider, Protocol: m.Protocol, Server: m.Server, Username: m.Username,
			Auth: m.Auth,
		},
	}
}

// TestSide runs a connection test on a side. A *HeldBackError says that too many logins failed lately.
func (r *Registry) TestSide(ctx context.Context, s Side) (TestReport, error) {
	return r.tested(ctx, s.account, func(a Account) TestReport {
		return r.Prober.Probe(ctx, a, s.login.credential(a))
	})
}

// named makes an account of what a draft says of the mailbox: its address, provider, protocol, server and how one signs
// in. What it leaves open comes from presets.
func (r *Registry) named(ctx context.Context, o owner.Owner, d Draft) (Account, Preset, error) {
	d.Settings = d.trimmed()
	bad, email := &InvalidError{}, value(d.Email, "")
	bad.email("email", email)
	bad.wholly("email", email)
	switch {
	case d.Grant == "":
		bad.password(d.Password)
	case !d.Password.Empty():
		bad.Add("password", "invalid", "must be left out where oauth_grant is given: an account has one or the other")
	}
	protocol := value(d.Protocol, remote.IMAP)
	bad.protocol(protocol)
	if err := bad.OrNil(); err != nil {
		return Account{}, Preset{}, err
	}
	preset, err := r.presetFor(ctx, d)
	if err != nil {
		return Account{}, Preset{}, err
	}
	server := preset.Servers[protocol]
	if server.Host == "" && d.Host == nil && len(preset.Servers) > 0 {
		bad.notOffered(preset, protocol)
		return Account{}, Preset{}, bad
	}
	if d.Grant == "" && d.Host == nil && preset.takesNoPassword() {
		bad.noPassword(preset)
		return Account{}, Preset{}, bad
	}
	a := Account{
		Owner: o, Email: email, Provider: preset.Provider, Protocol: protocol, Server: d.server(server, protocol),
		Username: cmp.Or(value(d.Username, ""), preset.Username, email), Auth: remote.Password,
	}
	if d.Username != nil {
		a.Username = *d.Username
	}
	return a, preset, nil
}

// Credential is what signs in to the side.
func (s Side) Credential() remote.Credential { return s.login.credential(s.account) }
