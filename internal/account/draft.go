package account

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// Draft is an account as a user asks for it.
type Draft struct {
	Settings
	ID       ID        // A random UUID; "": one is made.
	AskedAt  time.Time // When whoever asks was recognised as the user; zero: now.
	Password remote.Secret
	// Grant is the id of what the user allowed on the provider's page, in the
	// place of a password; "": there is a password. ConfirmAddress takes it also
	// where it is for another mailbox than Email.
	Grant          string
	ConfirmAddress bool
	SkipTest       bool
}

// Patch is a change to an account.
type Patch struct {
	Settings
	Password       *remote.Secret
	Grant          string // As in Draft; "": what was saved stays.
	ConfirmAddress bool
	Operator       bool  // An administrator asks: what is switched off is shown as switched off by one.
	Match          Match // The versions of the account for which it is meant.
	SkipTest       bool
}

// Preset is what a provider's preset says of one protocol for one address.
type Preset struct {
	Provider string // The preset's id.
	Name     string // The provider's name: the default label.
	Servers  map[remote.Protocol]remote.Server
	Username string        // Filled in for the address.
	Auth     []remote.Auth // What the provider accepts; empty when not known.
}

// Suggestion is what autoconfig answers for an address.
type Suggestion struct {
	Source   string // "preset", "autoconfig", "srv", "guess" or "none".
	Provider string
	Name     string // The provider's; from Discover the one that the account would be given.
	Folder   string // From Discover: the folder that the account would be given.
	Servers  map[remote.Protocol]remote.Server
	Username string
	// DidYouMean is the domain of which the address's is probably a slip; "": none.
	// Until a person has said which is right, no password should be asked for.
	DidYouMean string
}

// fill makes an account of a draft: what it leaves open comes from presets
// and defaults, then everything is checked.
func (r *Registry) fill(ctx context.Context, o owner.Owner, d Draft, existing []Account) (Account, login, error) {
	as, preset, err := r.named(ctx, o, d)
	if err != nil {
		return Account{}, login{}, err
	}
	d.Settings = d.trimmed()
	now := cmp.Or(d.AskedAt, r.Now()).UTC()
	a := d.Merge(Account{
		ID: cmp.Or(d.ID, ID(uuid.NewString())), Owner: o, Protocol: as.Protocol, Server: preset.Servers[as.Protocol],
		Name:     freeName(cmp.Or(preset.Name, Letters(owner.Domain(as.Email))), existing),
		Username: as.Username, Auth: remote.Password, Start: route.StartAll,
		MaxMessageBytes: route.DefaultMessageBytes,
		PollInterval:    r.PollInterval, Enabled: true, CreatedAt: now, UpdatedAt: now, Journal: uuid.NewString(),
	})
	a.Provider = preset.Provider
	if !a.Enabled {
		a.Pause.At = now
	}
	if d.Folder == nil {
		a.Folder = r.freeFolder(a.Name, existing)
	}
	if err := r.check(&a, Account{}); err != nil {
		return Account{}, login{}, err
	}
	if err := r.refuseOwn(ctx, a.Server); err != nil {
		return Account{}, login{}, err
	}
	if d.Grant == "" {
		return a, login{tried: d.Password, kept: d.Password}, nil
	}
	a.Auth = remote.OAuth2
	l, err := r.granted(ctx, a, d.Grant, d.ConfirmAddress)
	return a, l, err
}

func (e *InvalidError) notOffered(by Preset, p remote.Protocol) {
	e.Add("protocol", "not_offered", "%s does not offer %s: choose the other protocol", by.Name, protocolName(p))
}

func (e *InvalidError) noPassword(at Preset) {
	e.Add("auth", "not_offered",
		"%s takes no password: sign in on its own page if that is offered, or have its mail forwarded to your mailbox",
		at.Name)
}

// presetFor finds the preset that a draft names or its address leads to.
func (r *Registry) presetFor(ctx context.Context, d Draft) (Preset, error) {
	if d.Provider != nil {
		p, ok := r.Presets.Preset(*d.Provider, value(d.Email, ""))
		if !ok {
			bad := &InvalidError{}
			bad.Add("provider", "unknown", "there is no such provider: see GET /v1/providers, or leave it out")
			return Preset{}, bad
		}
		return p, nil
	}
	s := r.Presets.Suggest(ctx, value(d.Email, ""))
	if s.Source == "guess" || s.Source == "none" {
		return Preset{Provider: OtherProvider}, nil // A guess is for a person to confirm, not to save.
	}
	preset := Preset{Provider: s.Provider, Name: s.Name, Servers: s.Servers, Username: s.Username}
	if known, ok := r.Presets.Preset(s.Provider, value(d.Email, "")); ok {
		preset.Auth = known.Auth
	}
	return preset, nil
}

// takesNoPassword reports whether it is known that nobody signs in by a password.
func (p Preset) takesNoPassword() bool {
	return len(p.Auth) > 0 && !slices.Contains(p.Auth, remote.Password)
}

// OtherProvider is the preset of everybody who has none.
const OtherProvider = "other"

// apply makes the account that a patch asks for.
func (r *Registry) apply(ctx context.Context, old Account, p Patch) (Account, login, error) {
	p.Settings = p.trimmed()
	a := p.Merge(old)
	switch {
	case a.Enabled:
		a.Pause = Pause{}
	case old.Enabled, p.Operator && p.Enabled != nil && !old.Pause.Operator:
		a.Pause = Pause{r.Now().UTC(), p.Operator}
	}
	bad := &InvalidError{}
	bad.email("email", a.Email)
	bad.protocol(a.Protocol)
	if p.Password != nil {
		bad.password(*p.Password)
		if p.Grant != "" {
			bad.Add("password", "invalid", "must be left out where oauth_grant is given: an account has one or the other")
		}
	}
	if err := bad.OrNil(); err != nil {
		return Account{}, login{}, err
	}
	preset := Preset{}
	if p.Provider != nil && *p.Provider != old.Provider || a.Protocol != old.Protocol {
		var ok bool
		if preset, ok = r.Presets.Preset(a.Provider, a.Email); !ok && p.Provider != nil {
			bad.Add("provider", "unknown", "there is no such provider: see GET /v1/providers, or leave it out")
			return Account{}, login{}, bad
		}
	}
	base, offered := preset.Servers[a.Protocol]
	switch {
	case offered:
	case len(preset.Servers) > 0 && p.Host == nil && preset.Provider != OtherProvider:
		bad.notOffered(preset, a.Protocol)
		return Account{}, login{}, bad
	case a.Protocol != old.Protocol: // The same host by another protocol, on its own port.
		base = remote.Server{
			Host: old.Server.Host, Port: remote.DefaultPort(a.Protocol, old.Server.Security), Security: old.Server.Security,
		}
	default:
		base = old.Server
	}
	a.Server = p.server(base, a.Protocol)
	if err := r.check(&a, old); err != nil {
		return Account{}, login{}, err
	}
	if a.Server.Host != old.Server.Host { // An existing account continues to work.
		if err := r.refuseOwn(ctx, a.Server); err != nil {
			return Account{}, login{}, err
		}
	}
	if p.Grant == "" && p.Host == nil && (p.Password != nil || a.Auth == remote.Password && a.Provider != old.Provider) {
		if known, ok := r.Presets.Preset(a.Provider, a.Email); ok && known.takesNoPassword() &&
			a.Server.Host == known.Servers[a.Protocol].Host {
			bad.noPassword(known)
			return Account{}, login{}, bad
		}
	}
	elsewhere := a.Server.Host != old.Server.Host || a.Server.Security != old.Server.Security
	switch {
	case p.Grant != "":
		a.Auth = remote.OAuth2
		l, err := r.granted(ctx, a, p.Grant, p.ConfirmAddress)
		return a, l, err
	case p.Password != nil:
		a.Auth = remote.Password
		return a, login{tried: *p.Password, kept: *p.Password}, nil
	case a.Auth == remote.OAuth2 && a.Username != old.Username:
		bad.Add("oauth_grant", "required", "sign in again on the provider's page when the user name changes")
	case a.Auth == remote.OAuth2 && a.Server.Security == remote.None:
		bad.Add("server.security", "not_allowed", "must be tls or starttls after signing in on a provider's page")
	case a.Auth == remote.OAuth2: // Whatever the server: only the provider's own are shown its tokens.
	case elsewhere || a.Username != old.Username:
		bad.Add("password", "required", "enter the password again when the server, its encryption or the user name changes")
	}
	if err := bad.OrNil(); err != nil {
		return Account{}, login{}, err
	}
	return a, login{}, nil
}
