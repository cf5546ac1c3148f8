// Package logins bounds how often logins may fail, so that nobody guesses
// a password through us. It stands before every sign-in, whatever led to it: a
// connection test, a visit, a new access token.
//
// A login takes a place before anything is dialled, in a count that all
// processes share, and gives it back when it was accepted or never made. The
// place of one that failed stays taken until the window is over. A credential
// that the server accepted when it was last sent takes none: it is no guess.
//
// It opens no connection, knows nothing of SQL or mail protocols, and keeps no
// clock: what it counts goes through an interface that it declares.
package logins

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Limits say how many logins may fail within a window. Zero fields stand for
// the defaults.
type Limits struct {
	Window  time.Duration // 15 minutes.
	Mailbox int           // By one user at one remote mailbox, however it is spelt: 10.
	User    int           // By one user over all mailboxes: 30.
	// Everybody is how many may fail at one mailbox by all users: 50. It does not
	// bind a user whose own account has signed in there, nor anybody's first
	// attempts: its owner, who adds it while others guess, knows the password.
	Everybody int
	// First is how many logins of a user Everybody does not bind: 3, as who knows
	// the password mistypes it once or twice.
	First int
}

func (l Limits) filled() Limits {
	if l.Window == 0 {
		l.Window = 15 * time.Minute
	}
	fill := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	fill(&l.Mailbox, 10)
	fill(&l.User, 30)
	fill(&l.Everybody, 50)
	fill(&l.First, 3)
	return l
}

const (
	// Pending is how much longer than the window a place stays taken whose login
	// has not ended: more than signing in takes. It matters where a process ends
	// meanwhile; a login that fails has its window counted from then.
	Pending = 5 * time.Minute
	// Soon is how long to wait for places that logins under way may give back.
	Soon = 20 * time.Second
	// settling bounds the write after a login.
	settling = 5 * time.Second
)

// Attempt is one login as it is counted. The keys are digests: of what people
// type into the wrong field nothing is kept.
type Attempt struct {
	Owner   owner.Owner
	Client  string   // Who signs in to the pages, instead of an owner; "": this is no such attempt.
	Subject string   // Of the secret that is sent: an account's id. "": settings that are not saved.
	Names   []string // What the login may name a mailbox by: one user's logins that share one are counted together.
	Mailbox string   // The mailbox at its server's address, by which everybody's are.
	Home    string   // The mailbox at its server's name, by which its owner is known.
}

// By names whose attempts count together: an owner's, or a client's, which no owner
// is called like.
func (a Attempt) By() string {
	if a.Client != "" {
		return "client " + a.Client
	}
	return a.Owner.String()
}

// Ledger keeps the count for all processes. Times are its own clock's.
type Ledger interface {
	// Reserve takes a place for a login and returns its id, or how long to wait
	// for one. Of any number of callers in any number of processes no more get a
	// place than there are.
	Reserve(ctx context.Context, a Attempt, l Limits) (id string, wait time.Duration, err error)
	// Release gives a place back. id may be "", for none.
	Release(ctx context.Context, id string) error
	// Accept gives the place back, if there is one, and saves proof with the
	// attempt's account, and that its owner signed in at Home.
	Accept(ctx context.Context, id string, a Attempt, proof string) error
	// Refuse keeps the place until the window is over, or with id "" takes one,
	// whatever the limits say, and forgets the account's proof.
	Refuse(ctx context.Context, id string, a Attempt, l Limits) error
}

// Options are what a Limiter is made of. Only Ledger is required.
type Options struct {
	Ledger Ledger
	Limits Limits
	Log    *slog.Logger
}

// Limiter admits logins. It is safe for concurrent use.
type Limiter struct {
	Options
	held atomic.Int64
}

// New returns a Limiter.
func New(o Options) *Limiter {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.filled()
	return &Limiter{Options: o}
}

// Held counts the logins that were not admitted.
func (l *Limiter) Held() int64 { return l.held.Load() }

// Admit is asked before an account signs in. addrs are its server's addresses,
// none of which is dialled yet; none where the account's permission is asked
// for at a server of the operator's choice. Its error is a *fault.Error that
// wraps a *remote.HeldBackError, or the count's failure: then nothing may be
// dialled. report must be called when it is known how the login ended.
func (l *Limiter) Admit(ctx context.Context, m remote.Mailbox,
	addrs []netip.Addr,
) (report func(remote.SignIn), err error) {
	proof := m.Proof(addrs)
	return l.admit(ctx, attempt(m, addrs), proof, m.LoginProof == proof)
}

func (l *Limiter) admit(ctx context.Context, at Attempt, proof string, proven bool) (report func(remote.SignIn),
	err error,
) {
	var id string
	if !proven {
		var wait time.Duration
		if id, wait, err = l.Ledger.Reserve(ctx, at, l.Limits); err != nil {
			return nil, fault.Wrap(fault.Internal, "counting logins", err)
		}
		if wait > 0 {
			l.held.Add(1)
			return nil, &fault.Error{
				Code: fault.RateLimited, Op: "signing in", RetryAfter: wait, Err: &remote.HeldBackError{Wait: wait},
				Detail: words.Detail{words.Say(fault.HeldBack)},
			}
		}
	}
	return func(how remote.SignIn) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
		defer cancel()
		if err := l.record(ctx, id, at, proof, proven, how); err != nil {
			// A place that is taken stays so for a while.
			l.Log.WarnContext(ctx, "counting a login", "account", at.Subject, "error", err)
		}
	}, nil
}

func (l *Limiter) record(ctx context.Context, id string, at Attempt, proof string, proven bool,
	how remote.SignIn,
) error {
	switch {
	case how == remote.SignInRefused, how == remote.SignInFailed && !proven:
		return l.Ledger.Refuse(ctx, id, at, l.Limits)
	case proven:
		return nil // The usual visit: nothing is written.
	case how == remote.SignInAccepted:
		return l.Ledger.Accept(ctx, id, at, proof)
	}
	return l.Ledger.Release(ctx, id)
}
