package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Options are what a Registry is made of. All interfaces are required.
type Options struct {
	Repository Repository
	Sealer     Sealer
	Presets    Presets
	Prober     Prober
	Tests      TestLog
	Remotes    Remotes
	Folders    LocalFolders
	Nudger     Nudger
	Grants     Grants // Nil: nobody signs in on a provider's page.
	// AccountFolder maps what a user calls an account folder to the name that it
	// has in the local mailbox, which it maps to itself. ErrFolderReserved says that
	// every mailbox has this folder, a Sentence what is wrong with it.
	AccountFolder  func(name string) (string, error)
	Limit          int           // Accounts per user.
	PollInterval   time.Duration // For accounts that name none.
	MinInterval    time.Duration // The least a user may ask for.
	AllowPlaintext bool          // Whether Security None is accepted.
	Now            func() time.Time
	Log            *slog.Logger
}

// Registry is where accounts are added, edited and removed: the one place that
// knows all the rules. Every method names the owner; what is somebody else's
// does not exist.
type Registry struct{ Options }

// NewRegistry returns a Registry.
func NewRegistry(o Options) *Registry {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Registry{o}
}

// MaxPerUser returns how many accounts a user may have.
func (r *Registry) MaxPerUser() int { return r.Options.Limit }

// List returns the owner's accounts, oldest first.
func (r *Registry) List(ctx context.Context, o owner.Owner) ([]Account, error) {
	return r.Repository.Accounts(ctx, o)
}

// Get returns one account, or ErrNotFound.
func (r *Registry) Get(ctx context.Context, o owner.Owner, id ID) (Account, error) {
	return r.Repository.Account(ctx, o, id)
}

// Discover returns settings for an address, with the name and the folder that
// the account would be given, or an *InvalidError.
func (r *Registry) Discover(ctx context.Context, o owner.Owner, email string) (Suggestion, error) {
	var bad InvalidError
	email = trimUnseen(email)
	bad.email("email", email)
	bad.wholly("email", email)
	if err := bad.OrNil(); err != nil {
		return Suggestion{}, err
	}
	existing, err := r.Repository.Accounts(ctx, o)
	if err != nil {
		return Suggestion{}, fmt.Errorf("loading accounts: %w", err)
	}
	s := r.Presets.Suggest(ctx, email)
	s.Name = freeName(cmp.Or(s.Name, Letters(owner.Domain(email))), existing)
	s.Folder = r.freeFolder(s.Name, existing)
	return s, nil
}

// Create adds an account: settings filled in from presets, checked, the
// connection tested unless the draft says not to, and saved with its secret;
// the first visit is due at once. Nothing is saved on an error: *InvalidError,
// *TestFailedError, *HeldBackError, a *fault.Error with HostNotAllowed, ErrLimitReached,
// ErrExists, ErrNameTaken, ErrFolderTaken.
func (r *Registry) Create(ctx context.Context, o owner.Owner, d Draft) (Account, error) {
	existing, err := r.Repository.Accounts(ctx, o)
	if err != nil {
		return Account{}, fmt.Errorf("loading accounts: %w", err)
	}
	a, login, err := r.fill(ctx, o, d, existing)
	if rep, ok := r.untested(err); ok {
		return Account{}, &TestFailedError{rep}
	}
	if err != nil {
		return Account{}, err
	}
	if len(existing) >= r.Limit {
		return Account{}, ErrLimitReached
	}
	// What saving would refuse is refused before the connection test.
	if slices.ContainsFunc(existing, func(b Account) bool { return a.ID == b.ID }) {
		return Account{}, ErrExists
	}
	if err := a.Clash(existing); err != nil {
		return Account{}, err
	}
	if !d.SkipTest {
		if err := r.test(ctx, a, login); err != nil {
			return Account{}, err
		}
	}
	sealed, err := r.Sealer.Seal(a.Secret(), login.kept)
	if err != nil {
		return Account{}, fmt.Errorf("sealing the password: %w", err)
	}
	a, err = r.Repository.Add(ctx, a, sealed, r.Limit)
	if err != nil {
		return Account{}, err
	}
	r.dropGrant(ctx, o, d.Grant)
	r.Log.InfoContext(ctx, "account added", "account", a.ID, "protocol", a.Protocol, "host", a.Server.Host)
	r.Nudger.Nudge()
	return a, nil
}

// Test runs a connection test on settings that are not saved. A
// *HeldBackError says that too many logins failed lately.
func (r *Registry) Test(ctx context.Context, o owner.Owner, d Draft) (TestReport, error) {
	a, login, err := r.fill(ctx, o, d, nil)
	if rep, ok := r.untested(err); ok {
		return rep, nil
	}
	if err != nil {
		return TestReport{}, err
	}
	return r.admitted(ctx, a, login)
}

// TestExisting runs a connection test on an account with changes that are not
// saved. The saved password serves unless the patch brings one or leads
// elsewhere.
func (r *Registry) TestExisting(ctx context.Context, o owner.Owner, id ID, p Patch) (TestReport, error) {
	old, err := r.Repository.Account(ctx, o, id)
	if err != nil {
		return TestReport{}, err
	}
	a, login, err := r.apply(ctx, old, p)
	if err == nil {
		login, err = r.saved(ctx, a, login)
	}
	if rep, ok := r.untested(err); ok {
		return rep, nil
	}
	if err != nil {
		return TestReport{}, err
	}
	return r.admitted(ctx, a, login)
}

// admitted runs the connection test, unless too many logins failed lately,
// which is a *HeldBackError.
func (r *Registry) admitted(ctx context.Context, a Account, login login) (TestReport, error) {
	return r.tested(ctx, a, func(a Account) TestReport { return r.probe(ctx, a, login) })
}

// tested has a connection test made and written down.
func (r *Registry) tested(ctx context.Context, a Account, probe func(Account) TestReport) (TestReport, error) {
	if err := r.Tests.Begun(ctx, a); err != nil {
		return TestReport{}, err
	}
	rep := probe(a)
	if rep.Diagnosis != nil {
		code := rep.Diagnosis.Code
		if ctx.Err() != nil { // Whoever asked for it went away: nothing is known to be wrong.
			code = fault.Interrupted
		}
		if err := r.Tests.Failed(context.WithoutCancel(ctx), a, code); err != nil {
			return TestReport{}, err
		}
	}
	if rep.Held > 0 {
		return TestReport{}, &remote.HeldBackError{Wait: rep.Held}
	}
	return rep, nil
}

// Update changes an account. The connection is tested again when server,
// protocol or credentials change. Errors as for Create, and ErrNotFound,
// ErrChanged, ErrPrecondition.
func (r *Registry) Update(ctx context.Context, o owner.Owner, id ID, p Patch) (Account, error) {
	old, err := r.Repository.Account(ctx, o, id)
	if err == nil {
		err = p.Match.Check(old.Version())
	}
	if err != nil {
		return Account{}, err
	}
	a, login, err := r.apply(ctx, old, p)
	if rep, ok := r.untested(err); ok {
		return Account{}, &TestFailedError{rep}
	}
	if err != nil {
		return Account{}, err
	}
	others, err := r.Repository.Accounts(ctx, o)
	if err != nil {
		return Account{}, fmt.Errorf("loading accounts: %w", err)
	}
	if err := a.Clash(others); err != nil {
		return Account{}, err
	}
	then := Edited(old, a, !login.kept.Empty())
	if then.Remote && !p.SkipTest {
		tried, err := r.saved(ctx, a, login)
		if rep, ok := r.untested(err); ok {
			return Account{}, &TestFailedError{rep}
		}
		if err != nil {
			return Account{}, err
		}
		if err := r.test(ctx, a, tried); err != nil {
			return Account{}, err
		}
	}
	var sealed []byte
	if !login.kept.Empty() {
		if sealed, err = r.Sealer.Seal(a.Secret(), login.kept); err != nil {
			return Account{}, fmt.Errorf("sealing the password: %w", err)
		}
	}
	a.UpdatedAt = r.Now().UTC()
	a, err = r.Repository.Update(ctx, a, sealed, then.AtOnce)
	if errors.Is(err, ErrChanged) && p.Match != nil { // Since it was compared.
		err = cmp.Or(p.Match.Check(""), err)
	}
	if err != nil {
		return Account{}, err
	}
	r.dropGrant(ctx, o, p.Grant)
	r.Log.InfoContext(ctx, "account edited", "account", a.ID, "remote_changed", then.Remote)
	if then.AtOnce {
		r.Nudger.Nudge()
	}
	return a, nil
}

// Delete removes an account and its secret; the remote is not touched. With
// keepMail the local folder stays, and adding the same account again within 30
// days continues where it was; without, the folder and all below it are removed
// and nothing is remembered; where the mailbox cannot be looked into now, the account stays as well, so that this can
// be asked for again. One that does not match is left: ErrPrecondition.
func (r *Registry) Delete(ctx context.Context, o owner.Owner, id ID, keepMail bool, match Match) error {
	a, err := r.Repository.Account(ctx, o, id)
	if err != nil {
		return err
	}
	if !keepMail {
		if err := r.Folders.Reach(ctx, o); err != nil {
			return fmt.Errorf("looking for the folder of an account that is to be removed: %w", err)
		}
	}
	if err := r.Repository.Remove(ctx, o, id, keepMail, match); err != nil {
		return err
	}
	r.Log.InfoContext(ctx, "account removed", "account", id, "keep_mail", keepMail)
	if keepMail {
		return nil
	}
	if err := r.Folders.RemoveFolder(ctx, o, a.Folder); err != nil {
		return fmt.Errorf("removing the local folder of a removed account: %w", err)
	}
	return nil
}

// FetchNow makes the account due at once. A paused account is visited when it
// is switched on again, not before.
func (r *Registry) FetchNow(ctx context.Context, o owner.Owner, id ID) error {
	if err := r.Repository.Hurry(ctx, o, id); err != nil {
		return err
	}
	r.Nudger.Nudge()
	return nil
}

// Runs returns up to limit visits, newest first.
func (r *Registry) Runs(ctx context.Context, o owner.Owner, id ID, limit int) ([]Run, error) {
	return r.Repository.Runs(ctx, o, id, limit)
}

// FolderTree returns the remote folders and what has been fetched of them.
func (r *Registry) FolderTree(ctx context.Context, o owner.Owner, id ID) ([]FolderInfo, error) {
	return r.Repository.FolderInfos(ctx, o, id)
}

// Skipped returns a page of the messages that could not be fetched, newest
// first. The cursor is the page before's Next, "" for the first; one that was
// not given out is an *InvalidError.
func (r *Registry) Skipped(ctx context.Context, o owner.Owner, id ID, limit int, cursor string) (SkippedPage, error) {
	return r.Repository.Skipped(ctx, o, id, limit, cursor)
}

// RetrySkipped has one of them tried at the next visit, which is due at once:
// whatever its size, up to MostMessageBytes. What is not there is ErrNotFound.
func (r *Registry) RetrySkipped(ctx context.Context, o owner.Owner, id ID, sid string) (Skipped, error) {
	m, err := r.Repository.RetrySkipped(ctx, o, id, sid)
	if err != nil {
		return Skipped{}, err
	}
	r.Log.InfoContext(ctx, "a skipped message is to be tried again", "account", id, "skipped", sid)
	r.Nudger.Nudge()
	return m, nil
}

// RetryAllSkipped has all of them tried at the next visit, as RetrySkipped has
// one, and returns how many they are.
func (r *Registry) RetryAllSkipped(ctx context.Context, o owner.Owner, id ID) (int, error) {
	n, err := r.Repository.RetryAllSkipped(ctx, o, id)
	if err != nil {
		return 0, err
	}
	r.Log.InfoContext(ctx, "all skipped messages are to be tried again", "account", id, "messages", n)
	r.Nudger.Nudge()
	return n, nil
}

// test runs the connection test and turns a failure into an error.
func (r *Registry) test(ctx context.Context, a Account, login login) error {
	rep, err := r.admitted(ctx, a, login)
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return err
	}
	if rep.OK {
		return nil
	}
	if rep.Diagnosis != nil && rep.Diagnosis.Code == fault.HostNotAllowed {
		return fault.New(fault.HostNotAllowed, "testing the connection", rep.Diagnosis.Detail...)
	}
	return &TestFailedError{rep}
}
