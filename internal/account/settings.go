package account

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Settings are what a user may set of an account. Nil says nothing: in a Draft presets and defaults fill it in, in a
// Patch it stays as it is (RFC 7396). Whoever adds one goes through this file; ARCHITECTURE says where else.
type Settings struct {
	Email           *string
	Name            *string
	SenderName      *string
	Provider        *string
	Protocol        *remote.Protocol
	Host            *string
	Port            *int
	Security        *remote.Security
	Username        *string
	Folder          *string
	Include         *[]string
	Exclude         *[]string
	Start           *route.Start
	MaxMessageBytes *int64
	PollInterval    *time.Duration
	Enabled         *bool
}

// Merge lays the settings over an account. What follows from them (how it signs in, since when it is paused) and
// whether they are right is the Registry's.
func (s Settings) Merge(a Account) Account {
	set(&a.Email, s.Email)
	set(&a.Name, s.Name)
	set(&a.SenderName, s.SenderName)
	set(&a.Provider, s.Provider)
	set(&a.Protocol, s.Protocol)
	a.Server = s.server(a.Server, a.Protocol)
	set(&a.Username, s.Username)
	set(&a.Folder, s.Folder)
	set(&a.Folders.Include, s.Include)
	set(&a.Folders.Exclude, s.Exclude)
	set(&a.Start, s.Start)
	set(&a.MaxMessageBytes, s.MaxMessageBytes)
	set(&a.PollInterval, s.PollInterval)
	set(&a.Enabled, s.Enabled)
	return a
}

// Connects reports whether the settings may change where the account connects to, and as whom.
func (s Settings) Connects() bool {
	return s.Username != nil || s.Protocol != nil || s.Provider != nil || s.Host != nil || s.Port != nil ||
		s.Security != nil
}

// trimmed returns the settings without what is not seen at the ends of what a person enters.
func (s Settings) trimmed() Settings {
	for _, p := range []**string{&s.Email, &s.Name, &s.SenderName, &s.Username, &s.Folder} {
		if *p != nil {
			text := trimUnseen(**p)
			*p = &text
		}
	}
	return s
}

// Changed names the settings that are other ones than before, as the contract spells them and in its order.
// newPassword says that a password or grant came with the edit.
func (a Account) Changed(before Account, newPassword bool) (names []string) {
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"email", before.Email != a.Email},
		{"name", before.Name != a.Name},
		{"sender_name", before.SenderName != a.SenderName},
		{"provider", before.Provider != a.Provider},
		{"protocol", before.Protocol != a.Protocol},
		{"server.host", before.Server.Host != a.Server.Host},
		{"server.port", before.Server.Port != a.Server.Port},
		{"server.security", before.Server.Security != a.Server.Security},
		{"username", before.Username != a.Username},
		{"auth", before.Auth != a.Auth},
		{"password", newPassword},
		{"folder", before.Folder != a.Folder},
		{"folders.include", !slices.Equal(before.Folders.Include, a.Folders.Include)},
		{"folders.exclude", !slices.Equal(before.Folders.Exclude, a.Folders.Exclude)},
		{"start", before.Start != a.Start},
		{"max_message_bytes", before.MaxMessageBytes != a.MaxMessageBytes},
		{"poll_interval_seconds", before.PollInterval != a.PollInterval},
		{"enabled", before.Enabled != a.Enabled},
	} {
		if f.changed {
			names = append(names, f.name)
		}
	}
	return names
}

// Edited says what follows from an edit. newCredential says that a password or grant came with it.
func Edited(before, after Account, newCredential bool) Consequences {
	c := Consequences{
		Remote: newCredential || before.Protocol != after.Protocol || before.Server != after.Server ||
			before.Username != after.Username || before.Auth != after.Auth,
		Larger:  after.MaxMessageBytes > before.MaxMessageBytes,
		Journal: journalStep(before, after),
	}
	c.Fence = c.Remote || before.Folder != after.Folder || before.Start != after.Start ||
		!slices.Equal(before.Folders.Include, after.Folders.Include) ||
		!slices.Equal(before.Folders.Exclude, after.Folders.Exclude) || before.Enabled && !after.Enabled
	c.AtOnce = after.Enabled && (c.Remote || c.Larger || after.Start.Wider(before.Start) || !before.Enabled)
	return c
}

// check holds an account, which was old, against the rules, all at once, and gives its
// folder the name that it has in the mailbox.
func (r *Registry) check(a *Account, old Account) error {
	bad := &InvalidError{}
	bad.server(a.Server, r.AllowPlaintext)
	bad.text("username", a.Username, MaxUsername, true)
	bad.text("name", a.Name, MaxName, true)
	bad.text("sender_name", a.SenderName, MaxSenderName, false)
	bad.text("folder", strings.TrimSpace(a.Folder), MaxFolder, true)
	bad.seen(*a, old)
	bad.rules("folders.include", a.Folders.Include)
	bad.rules("folders.exclude", a.Folders.Exclude)
	bad.start(a.Start)
	bad.messageBytes(a.MaxMessageBytes)
	bad.interval(a.PollInterval, r.MinInterval)
	if owner.SameAddress(a.Email, a.Owner.String()) {
		bad.Add("email", "own_mailbox", "this is your own mailbox: it cannot be fetched into itself")
	} else if owner.SameAddress(a.Username, a.Owner.String()) {
		bad.Add("username", "own_mailbox", "this is your own mailbox: it cannot be fetched into itself")
	}
	folder, err := r.AccountFolder(a.Folder)
	if why := (words.Sentence{}); errors.As(err, &why) && strings.TrimSpace(a.Folder) != "" {
		bad.Add("folder", "invalid", why.Format, why.Args...)
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	a.Folder = folder
	return r.Remotes.CheckServer(a.Server)
}

// server lays a user's own server settings over what a preset says, or what was saved.
func (s Settings) server(base remote.Server, p remote.Protocol) remote.Server {
	out := base
	if s.Host != nil {
		out.Host = hostname.Normal(*s.Host)
	}
	set(&out.Security, s.Security)
	if out.Security == "" {
		out.Security = remote.TLS
	}
	switch {
	case s.Port != nil:
		out.Port = *s.Port
	case out.Port == 0, base.Security != out.Security && out.Port == remote.DefaultPort(p, base.Security):
		out.Port = remote.DefaultPort(p, out.Security)
	}
	return out
}

// set puts what was said into a field.
func set[T any](field *T, said *T) {
	if said != nil {
		*field = *said
	}
}
