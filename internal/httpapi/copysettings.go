package httpapi

import (
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Where what is asked of a copy comes in.

// copyDraft reads a copy as a caller asks for it. What it may hold was checked; which of its members belong together is
// looked at here, and all else is transfer's.
func copyDraft(ctx context.Context, in api.NewCopy) (transfer.Draft, error) {
	source := api.CopyTargetSettings{
		Email: &in.Source.Email, Provider: in.Source.Provider, Server: in.Source.Server, Username: in.Source.Username,
		Password: in.Source.Password, Grant: in.Source.Grant, ConfirmAddress: in.Source.ConfirmAddress,
	}
	d := transfer.Draft{
		Source: sideDraft(source), Target: sideDraft(in.Target), Options: copyOptions(ctx, value(in.Options)),
		SkipTest: value(in.SkipTest),
	}
	d.Source.Protocol = (*remote.Protocol)(in.Source.Protocol)
	bad := &account.InvalidError{}
	for name := range d.Options.Map { // Of the names of members the document says nothing.
		if words.HasControl(name) {
			bad.Add("options.folders.map", "control_character", "must not contain control characters or line breaks")
		}
	}
	loginIn(bad, "source", in.Source.Password, in.Source.Grant, true)
	if d.Target.Local {
		nothingBeside(bad, in.Target)
	} else {
		if in.Target.Email == nil {
			bad.Add("target.email", "required", "is needed unless protocol is local")
		}
		loginIn(bad, "target", in.Target.Password, in.Target.Grant, true)
	}
	return d, bad.OrNil()
}

// loginIn notes where there is not one of a password and a grant.
func loginIn(bad *account.InvalidError, side string, password, grant *string, needed bool) {
	switch {
	case password != nil && grant != nil:
		bad.Add(side+".password", "invalid", "must be left out where grant is given")
	case password == nil && grant == nil && needed:
		bad.Add(side+".password", "required", "is needed")
	}
}

// nothingBeside notes what is said of the user's own mailbox, of which everything is known.
func nothingBeside(bad *account.InvalidError, in api.CopyTargetSettings) {
	for _, member := range []struct {
		name  string
		there bool
	}{
		{"email", in.Email != nil},
		{"provider", in.Provider != nil},
		{"server", in.Server != nil},
		{"username", in.Username != nil},
		{"password", in.Password != nil},
		{"grant", in.Grant != nil},
		{"confirm_address", in.ConfirmAddress != nil},
	} {
		if member.there {
			bad.Add("target."+member.name, "invalid", "must be left out where protocol is local")
		}
	}
}

func sideDraft(in api.CopyTargetSettings) transfer.SideDraft {
	if value(in.Protocol) == api.CopyIntoOwnMailbox {
		return transfer.SideDraft{Local: true}
	}
	d := transfer.SideDraft{
		Settings: account.Settings{
			Email: in.Email, Provider: in.Provider, Protocol: (*remote.Protocol)(in.Protocol), Username: in.Username,
		},
		Password: remote.NewSecret(value(in.Password)), Grant: value(in.Grant), ConfirmAddress: value(in.ConfirmAddress),
	}
	if in.Server != nil {
		d.Host, d.Port, d.Security = in.Server.Host, in.Server.Port, (*remote.Security)(in.Server.Security)
	}
	return d
}

func copyOptions(ctx context.Context, in api.CopyOptions) transfer.OptionsDraft {
	out := transfer.OptionsDraft{Options: transfer.Options{
		Prefix: value(in.Prefix), StartAt: value(in.StartAt), Existing: transfer.Existing(value(in.Existing)),
		Labels: transfer.Labels(value(in.Labels)), Order: transfer.Order(value(in.Order)),
		Verify: transfer.Verify(value(in.Verify)), MaxBytes: value(in.MaxBytes), Since: value(in.Since),
		Before: value(in.Before), NotifyEmail: value(in.NotifyEmail), Language: string(value(in.Language)),
		BytesPerSec: value(in.BytesPerSecond),
	}}
	if in.Language == nil {
		out.Language = string(languageOf(ctx))
	}
	if f := in.Folders; f != nil {
		out.Folders = route.FolderRules{Include: slices.Clone(value(f.Include)), Exclude: slices.Clone(value(f.Exclude))}
		out.Map = value(f.Map)
	}
	return out
}

// copyPatch reads a merge patch of a copy.
func copyPatch(ctx context.Context, in api.CopyPatch) (transfer.Patch, error) {
	p := transfer.Patch{SkipTest: value(in.SkipTest)}
	bad := &account.InvalidError{}
	if c := in.Source; c != nil {
		loginIn(bad, "source", c.Password, c.Grant, false)
		p.SourcePassword, p.SourceGrant, p.SourceConfirmed = secretOf(c.Password), value(c.Grant), value(c.ConfirmAddress)
	}
	if c := in.Target; c != nil {
		loginIn(bad, "target", c.Password, c.Grant, false)
		p.TargetPassword, p.TargetGrant, p.TargetConfirmed = secretOf(c.Password), value(c.Grant), value(c.ConfirmAddress)
	}
	if o := in.Options; o != nil {
		p.NotifyEmail, p.MaxBytes, p.BytesPerSec = o.NotifyEmail, o.MaxBytes, o.BytesPerSecond
	}
	// The generated type cannot tell null from absent.
	if isNull(ctx, "options.notify_email") {
		p.NotifyEmail = ptr("")
	}
	if isNull(ctx, "options.max_bytes") {
		p.MaxBytes = ptr(int64(0))
	}
	if isNull(ctx, "options.bytes_per_second") {
		p.BytesPerSec = ptr(int64(0))
	}
	return p, bad.OrNil()
}

func secretOf(password *string) *remote.Secret {
	if password == nil {
		return nil
	}
	return ptr(remote.NewSecret(*password))
}

// signsIn reports whether a patch changes what a side is signed in to with, so that it is tried.
func signsIn(p transfer.Patch) bool {
	return p.SourcePassword != nil || p.TargetPassword != nil || p.SourceGrant != "" || p.TargetGrant != ""
}

// sideOf is a side as an account that is asked for, for words of advice.
func sideOf(d transfer.SideDraft) account.Draft { return account.Draft{Settings: d.Settings} }

// accountAt is a side of a copy as an account, for words of advice.
func accountAt(c transfer.Copy, side transfer.Side) account.Account {
	m := c.Source
	if side == transfer.Target {
		m = c.Target
	}
	a := account.Account{
		ID: c.ID, Owner: c.Owner, Email: m.Email, Provider: m.Provider, Protocol: m.Protocol, Server: m.Server,
		Username: m.Username, Auth: m.Auth, Folders: c.Options.Folders, MaxMessageBytes: c.Options.MaxBytes, Enabled: true,
	}
	a.Status.Failures, a.Status.NextPollAt = c.Status.Failures, c.Status.Until
	return a
}
