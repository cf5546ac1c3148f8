package transfer

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Sides fills in and tests the ends of copies: account.Registry does.
type Sides interface {
	Side(ctx context.Context, o owner.Owner, d account.Draft) (account.Side, error)
	SideOf(o owner.Owner, m remote.Mailbox, secret remote.Secret) account.Side
	TestSide(ctx context.Context, s account.Side) (account.TestReport, error)
}

// Planner looks at both ends of a copy, and changes nothing there.
type Planner interface {
	// Plan says what a copy would do, with the credentials that were entered. names is what Options.Names has to be, by
	// the source's names of folders.
	Plan(ctx context.Context, c Copy, source, target account.Side, owned map[string]string) (
		p Plan, names map[string]string, err error)
}

// Nudger hears that a copy became due.
type Nudger interface{ Nudge() }

// RegistryOptions are what a Registry is made of. All interfaces are required.
type RegistryOptions struct {
	Repository Repository
	Sealer     Sealer
	Sides      Sides
	Planner    Planner
	Nudger     Nudger
	Enabled    bool
	Limit      int           // Unfinished copies of a user.
	AnyTarget  bool          // Whether a copy may go from anywhere to anywhere; else one end is the owner's own mailbox.
	Keep       time.Duration // How long the passwords of an ended copy are kept.
	Now        func() time.Time
	Log        *slog.Logger
}

// Registry is where copies are begun, changed and ended: the one place that knows all the rules. Every method names the
// owner; what is somebody else's does not exist.
type Registry struct{ o RegistryOptions }

var _ Service = (*Registry)(nil)

// NewRegistry returns a Registry.
func NewRegistry(o RegistryOptions) *Registry {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Registry{o}
}

// MostPerUser is how many unfinished copies a user may have.
func (r *Registry) MostPerUser() int { return r.o.Limit }

// May says which mailboxes a user may have copied.
func (r *Registry) May() May {
	switch {
	case !r.o.Enabled:
		return MayNothing
	case r.o.AnyTarget:
		return MayAny
	}
	return MayOwn
}

// ends are the two ends of a copy that is asked for.
type ends struct {
	source, target account.Side
	local          bool
}

// fill makes a copy of a draft: what it leaves open comes from presets and defaults, then everything is checked.
func (r *Registry) fill(ctx context.Context, o owner.Owner, d Draft) (c Copy, e ends, err error) {
	if !r.o.Enabled {
		return Copy{}, ends{}, ErrDisabled
	}
	bad := &account.InvalidError{}
	if d.Source.Local {
		bad.Add("source", "invalid", "must be a mailbox at a server: name its address and server, also where it is your own")
	}
	if d.Target.Protocol != nil && *d.Target.Protocol == remote.POP3 {
		bad.Add("target.protocol", "invalid", "must be imap: nothing can be written by POP3")
	}
	options := d.Options.complete()
	options.check(bad)
	if err := bad.OrNil(); err != nil {
		return Copy{}, ends{}, err
	}
	if e.source, err = r.side(ctx, o, Source, d.Source); err != nil {
		return Copy{}, ends{}, err
	}
	e.local = d.Target.Local
	if !e.local {
		if e.target, err = r.side(ctx, o, Target, d.Target); err != nil {
			return Copy{}, ends{}, err
		}
	}
	if e.source.Mailbox.Protocol == remote.POP3 && (!options.Since.IsZero() || !options.Before.IsZero()) {
		bad.Add("options.since", "invalid", "must be left out for POP3, which says no dates")
	}
	if !r.o.AnyTarget && !e.local && !owner.SameAddress(e.source.Mailbox.Email, o.String()) {
		bad.Add("target", "not_allowed", "must be your own mailbox here, unless that is what is copied")
	}
	if err := bad.OrNil(); err != nil {
		return Copy{}, ends{}, err
	}
	now := cmp.Or(d.AskedAt, r.o.Now()).UTC()
	c = Copy{
		ID: cmp.Or(d.ID, ID(uuid.NewString())), Owner: o, Source: e.source.Mailbox, Options: options, CreatedAt: now,
		Journal: uuid.NewString(),
	}
	c.Source.Secret = remote.SecretRef{Owner: o, Subject: string(c.ID), Field: SourceField}
	if !e.local {
		c.Target = e.target.Mailbox
		c.Target.Secret = remote.SecretRef{Owner: o, Subject: string(c.ID), Field: TargetField}
	}
	if sameServer(c) {
		return Copy{}, ends{}, ErrSameMailbox
	}
	return c, e, nil
}

// sameServer reports whether both ends are one mailbox by their names.
func sameServer(c Copy) bool {
	if c.Local() {
		return false // The server of the users' own mailboxes has many names: that is found out by looking.
	}
	return c.Source.Server.Host == c.Target.Server.Host &&
		owner.FoldASCII(c.Source.Username) == owner.FoldASCII(c.Target.Username)
}

func (r *Registry) side(ctx context.Context, o owner.Owner, which Side, d SideDraft) (account.Side, error) {
	s, err := r.o.Sides.Side(ctx, o, account.Draft{
		Settings: d.Settings, Password: d.Password, Grant: d.Grant, ConfirmAddress: d.ConfirmAddress,
	})
	return s, sided(which, err)
}

// sided says of which side an error is.
func sided(which Side, err error) error {
	var bad *account.InvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		of := &account.InvalidError{}
		for _, f := range bad.Fields {
			f.Field = string(which) + "." + f.Field
			of.Fields = append(of.Fields, f)
		}
		return of
	}
	return &TestFailedError{Side: which, Err: err}
}

// test tries both sides.
func (r *Registry) test(ctx context.Context, e ends) error {
	sides := []struct {
		which Side
		side  account.Side
	}{{Source, e.source}, {Target, e.target}}
	for _, s := range sides {
		if s.which == Target && e.local {
			continue
		}
		rep, err := r.o.Sides.TestSide(ctx, s.side)
		if err == nil && !rep.OK {
			err = &account.TestFailedError{Report: rep}
		}
		if err = cmp.Or(ctx.Err(), err); err != nil {
			return sided(s.which, err)
		}
	}
	return nil
}

// Plan says what a copy would do: see Service.
func (r *Registry) Plan(ctx context.Context, o owner.Owner, d Draft) (Plan, error) {
	c, e, err := r.fill(ctx, o, d)
	if err != nil {
		return Plan{}, err
	}
	if !d.SkipTest {
		if err := r.test(ctx, e); err != nil {
			return Plan{}, err
		}
	}
	p, _, err := r.o.Planner.Plan(ctx, c, e.source, e.target, d.Options.Map)
	return p, err
}

// codeBytes is how much of chance a code has: nobody guesses 100 bits.
const codeBytes = 13

var codeLetters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

func newCode() string {
	b := make([]byte, codeBytes)
	_, _ = rand.Read(b) // It never fails.
	return codeLetters.EncodeToString(b)
}

// digestOf is what is kept of a code, however somebody writes it: with capitals, hyphens or spaces.
func digestOf(code string) [32]byte {
	return sha256.Sum256([]byte(strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))))
}

// Start begins a copy: see Service.
func (r *Registry) Start(ctx context.Context, o owner.Owner, d Draft) (Copy, string, error) {
	c, e, err := r.fill(ctx, o, d)
	if err != nil {
		return Copy{}, "", err
	}
	if !d.SkipTest {
		if err := r.test(ctx, e); err != nil {
			return Copy{}, "", err
		}
		if _, c.Options.Names, err = r.o.Planner.Plan(ctx, c, e.source, e.target, d.Options.Map); err != nil {
			return Copy{}, "", err
		}
	} else {
		c.Options.Names = d.Options.Map
	}
	sealed := map[remote.Field][]byte{}
	if sealed[SourceField], err = r.o.Sealer.Seal(c.Source.Secret, e.source.Kept); err != nil {
		return Copy{}, "", fmt.Errorf("sealing a password: %w", err)
	}
	if !e.local {
		if sealed[TargetField], err = r.o.Sealer.Seal(c.Target.Secret, e.target.Kept); err != nil {
			return Copy{}, "", fmt.Errorf("sealing a password: %w", err)
		}
	}
	code := newCode()
	if c, err = r.o.Repository.Add(ctx, c, sealed, digestOf(code), r.o.Limit); err != nil {
		return Copy{}, "", err
	}
	r.o.Log.InfoContext(ctx, "copy added", "copy", c.ID, "source", c.Source.Server.Host, "local", c.Local())
	r.o.Nudger.Nudge()
	return c, code, nil
}

// Copies returns a page of the owner's copies.
func (r *Registry) Copies(ctx context.Context, o owner.Owner, f Filter) (Page, error) {
	return r.o.Repository.Copies(ctx, o, f)
}

// All returns a page of everybody's copies.
func (r *Registry) All(ctx context.Context, o owner.Owner, f Filter) (Page, error) {
	return r.o.Repository.Copies(ctx, o, f)
}

// Copy returns one, or ErrNotFound.
func (r *Registry) Copy(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	return r.o.Repository.Copy(ctx, o, id)
}

// Folders returns the folders of a copy.
func (r *Registry) Folders(ctx context.Context, o owner.Owner, id ID) ([]FolderState, error) {
	return r.o.Repository.Folders(ctx, o, id)
}

// Messages returns a page of a copy's messages.
func (r *Registry) Messages(ctx context.Context, o owner.Owner, id ID, state MessageState, limit int, cursor string) (
	MessagePage, error,
) {
	return r.o.Repository.Messages(ctx, o, id, state, limit, cursor)
}

// EachMessage goes through a copy's messages.
func (r *Registry) EachMessage(ctx context.Context, o owner.Owner, id ID, states []MessageState,
	yield func(Message) error,
) error {
	return r.o.Repository.EachMessage(ctx, o, id, states, yield)
}

// Report returns the report of a copy as it is now.
func (r *Registry) Report(ctx context.Context, o owner.Owner, id ID) (Report, error) {
	return r.o.Repository.Report(ctx, o, id)
}

// Pause stops a copy until Resume.
func (r *Registry) Pause(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	return r.o.Repository.Switch(ctx, o, id, false, false)
}

// Resume has a copy continue at once: one that is paused, and one that waits.
func (r *Registry) Resume(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	c, err := r.o.Repository.Switch(ctx, o, id, true, false)
	if err == nil {
		r.o.Nudger.Nudge()
	}
	return c, err
}

// Cancel ends a copy; what is copied stays.
func (r *Registry) Cancel(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	return r.o.Repository.End(ctx, o, id, Cancelled, r.o.Now().Add(r.o.Keep))
}

// Sync brings what came since.
func (r *Registry) Sync(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	return r.again(ctx, o, id, Connecting, "", false)
}

// Verify compares a copy again.
func (r *Registry) Verify(ctx context.Context, o owner.Owner, id ID, how Verify) (Copy, error) {
	return r.again(ctx, o, id, Verifying, how, false)
}

// Retry tries again what was skipped.
func (r *Registry) Retry(ctx context.Context, o owner.Owner, id ID) (Copy, error) {
	return r.again(ctx, o, id, Connecting, "", true)
}

func (r *Registry) again(ctx context.Context, o owner.Owner, id ID, phase Phase, how Verify, retry bool) (Copy, error) {
	if !r.o.Enabled {
		return Copy{}, ErrDisabled
	}
	c, err := r.o.Repository.Copy(ctx, o, id)
	if err != nil {
		return Copy{}, err
	}
	has, err := r.o.Repository.HasSecrets(ctx, o, id)
	if err == nil && !has {
		err = ErrNoCredentials
	}
	if err != nil {
		return Copy{}, err
	}
	options := c.Options
	options.Verify = cmp.Or(how, options.Verify)
	if c, err = r.o.Repository.Again(ctx, o, id, phase, options, retry); err == nil {
		r.o.Nudger.Nudge()
	}
	return c, err
}

// Update changes a copy. New passwords are tried first.
func (r *Registry) Update(ctx context.Context, o owner.Owner, id ID, p Patch) (Copy, error) {
	c, err := r.o.Repository.Copy(ctx, o, id)
	if err == nil {
		err = p.Match.Check(c.Version())
	}
	if err != nil {
		return Copy{}, err
	}
	if p.NotifyEmail != nil {
		c.Options.NotifyEmail = *p.NotifyEmail
	}
	if p.BytesPerSec != nil {
		c.Options.BytesPerSec = *p.BytesPerSec
	}
	if p.MaxBytes != nil {
		c.Options.MaxBytes = *p.MaxBytes
	}
	bad := &account.InvalidError{}
	c.Options.check(bad)
	if err := bad.OrNil(); err != nil {
		return Copy{}, err
	}
	sealed := map[remote.Field][]byte{}
	for _, n := range []struct {
		which    Side
		mailbox  remote.Mailbox
		password *remote.Secret
	}{{Source, c.Source, p.SourcePassword}, {Target, c.Target, p.TargetPassword}} {
		switch {
		case n.password == nil:
			continue
		case n.which == Target && c.Local():
			bad.Add("target.password", "invalid", "must be left out: this copy goes into your own mailbox")
			return Copy{}, bad
		}
		side := r.o.Sides.SideOf(o, n.mailbox, *n.password)
		if !p.SkipTest {
			rep, err := r.o.Sides.TestSide(ctx, side)
			if err == nil && !rep.OK {
				err = &account.TestFailedError{Report: rep}
			}
			if err != nil {
				return Copy{}, sided(n.which, err)
			}
		}
		if sealed[n.mailbox.Secret.Field], err = r.o.Sealer.Seal(n.mailbox.Secret, *n.password); err != nil {
			return Copy{}, fmt.Errorf("sealing a password: %w", err)
		}
	}
	if c, err = r.o.Repository.Update(ctx, c, sealed); err == nil {
		r.o.Nudger.Nudge()
	}
	return c, err
}

// Delete forgets a copy, which is cancelled first if it has not ended.
func (r *Registry) Delete(ctx context.Context, o owner.Owner, id ID, match account.Match) error {
	c, err := r.o.Repository.Copy(ctx, o, id)
	if err == nil && match != nil {
		err = match.Check(c.Version())
	}
	if err != nil {
		return err
	}
	return r.o.Repository.Remove(ctx, o, id)
}

// StatusByCode says how the copy of a source is, to whoever has its code.
func (r *Registry) StatusByCode(ctx context.Context, source, code string) (PublicStatus, error) {
	c, err := r.o.Repository.ByCode(ctx, source, digestOf(code))
	if err != nil {
		return PublicStatus{}, err
	}
	st := c.Status
	return PublicStatus{
		State: st.State, Phase: st.Phase, Reason: st.Reason, Until: st.Until, Messages: st.Totals.Messages,
		MessagesTotal: st.Progress.MessagesTotal, Grade: st.Grade, CreatedAt: c.CreatedAt, StartedAt: c.StartedAt,
		Ended: c.EndedAt,
	}, nil
}
