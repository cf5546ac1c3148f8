package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

type userCmd struct {
	Delete  userDeleteCmd  `cmd:"" help:"Remove a user: accounts, passwords, sessions, limits, journals."`
	Mailbox userMailboxCmd `cmd:"" help:"Save or forget a user's password at the server of users' own mailboxes."`
	Export  userExportCmd  `cmd:"" help:"Print all that is stored about a user, as JSON, without secrets and mail."`
}

type userDeleteCmd struct {
	User string `arg:"" help:"The user's mailbox address."`
	Mail string `help:"Whether the account folders stay: keep or delete." enum:"keep,delete" default:"keep"`
	Yes  bool   `help:"Do not ask. Without a terminal nothing is asked."`
}

// Run removes a user. It may be repeated, and finishes what was broken off.
func (c userDeleteCmd) Run(ctx context.Context, t terminal, load loader) error {
	owner, err := anyUser(c.User)
	if err != nil {
		return usageError{fmt.Errorf("USER: %w", err)}
	}
	return withApp(ctx, t, load, func(a *app) error {
		known, err := users{a}.known(ctx, owner)
		if err != nil {
			return err
		}
		accounts, err := a.registry.List(ctx, owner)
		if err != nil {
			return err
		}
		if known || len(accounts) > 0 {
			if err := t.confirmDeletion(ctx, c.question(t, owner, accounts), c.Yes); err != nil {
				return err
			}
		}
		n, err := users{a}.remove(ctx, owner, c.Mail == "delete", "the command line")
		if err != nil {
			return err
		}
		if n == 0 && !known { // Not refused: a call that is repeated ends well.
			fmt.Fprintf(t.out, "%s has no account and no mailbox here: there was nothing to delete\n", owner)
			return nil
		}
		fmt.Fprintf(t.out, "deleted %s with %s; nothing was changed at other providers\n", owner,
			words.Count(int64(n), "account"))
		return nil
	})
}

// question names what goes with a user, and what becomes of the mail.
func (c userDeleteCmd) question(t terminal, o owner.Owner, accounts []account.Account) string {
	names := t.page().names
	var addresses, folders []string
	for _, acc := range accounts {
		addresses = append(addresses, names(acc.Email))
		if !slices.Contains(folders, acc.Folder) {
			folders = append(folders, acc.Folder)
		}
	}
	if len(accounts) == 0 {
		return fmt.Sprintf("Delete %s, with sessions, limits and journals? There is no account.", names(o.String()))
	}
	return fmt.Sprintf("Delete %s with %s (%s), sessions, limits and journals? %s", names(o.String()),
		words.Count(int64(len(accounts)), "account"), strings.Join(addresses, ", "),
		t.fateOf(folders, c.Mail == "keep"))
}

// anyUser reads an address of a user who may be one of an earlier version, as whom
// nobody can sign in any more.
func anyUser(s string) (owner.Owner, error) {
	o, err := owner.Parse(s)
	if err != nil {
		if old, olderr := owner.Stored(s); olderr == nil {
			return old, nil
		}
	}
	return o, err
}

// users are the operator's users, who come and go.
type users struct{ app *app }

const (
	// endingPatience is how long a removal waits for visits: other processes find
	// out that they have ended within a third of a lease.
	endingPatience = 25 * time.Second
	// endingLook is how often it looks.
	endingLook = 100 * time.Millisecond
	// removalLease is for how long one process has the rest of a removal to itself,
	// unless it prolongs that: it does so four times meanwhile.
	removalLease = 15 * time.Second
	// removalsEvery is how often what was broken off is looked for.
	removalsEvery = 15 * time.Second
)

// known reports whether the user has, or had, a mailbox here.
func (u users) known(ctx context.Context, o owner.Owner) (bool, error) {
	exists, err := u.app.mailboxes.Exists(ctx, o)
	if exists || err != nil && !errors.Is(err, owner.ErrLocked) { // That: its password is not known.
		return exists, err
	}
	return u.app.store.MailboxSeen(ctx, o)
}

// Remove removes a user: see httpapi.Users.
func (u users) Remove(ctx context.Context, o owner.Owner, deleteMail bool, by owner.Owner) error {
	_, err := u.remove(ctx, o, deleteMail, by.String())
	return err
}

// remove removes a user and says how many accounts there were. When visits take
// too long to end, or another process to remove the rest, the error is
// account.ErrVisitsEnding or account.ErrRemoving, and the rest is done by
// finishRemovals, or by the next call.
func (u users) remove(ctx context.Context, o owner.Owner, deleteMail bool, by string) (accounts int, err error) {
	known, kerr := u.known(ctx, o) // Before: with the rest goes what tells.
	r, err := u.app.store.BeginRemoval(ctx, o, deleteMail)
	if err != nil {
		return 0, err
	}
	mail := "keep"
	if r.DeleteMail {
		mail = "delete"
	}
	if known || kerr != nil || len(r.Accounts) > 0 {
		u.app.log.InfoContext(ctx, "user removed", "user", o, "by", by, "accounts", len(r.Accounts), "mail", mail)
	}
	u.app.runner.EndVisits(o)
	wctx, cancel := context.WithTimeout(ctx, endingPatience)
	defer cancel()
	why := account.ErrRemoving
	for {
		err := u.finish(wctx, ctx, r)
		switch {
		case err == nil:
			return len(r.Accounts), nil
		case waits(err):
			why = err
		case wctx.Err() == nil || ctx.Err() != nil:
			return 0, err
		}
		if !pause(wctx, endingLook) {
			return 0, errors.Join(why, ctx.Err())
		}
	}
}

// waits reports whether a removal has to wait for others.
func waits(err error) bool {
	return errors.Is(err, account.ErrVisitsEnding) || errors.Is(err, account.ErrRemoving)
}

// ending reports whether visits of a removed user may be under way. Those of a process
// of this host that has ended are not.
func (u users) ending(ctx context.Context, o owner.Owner) (bool, error) {
	workers, err := u.app.store.VisitsEnding(ctx, o)
	alive := false
	for _, worker := range workers {
		if err == nil && gone(worker) {
			err = u.app.store.VisitsOver(ctx, o, worker)
		} else {
			alive = true
		}
	}
	return alive, err
}

// claim takes the rest of a removal for a worker: account.ErrRemoving while another
// is at it, whose process may be alive. pending is false when there is no rest.
func (u users) claim(ctx context.Context, o owner.Owner, worker string) (pending bool, err error) {
	s := u.app.store
	for {
		claimed, pending, err := s.ClaimRemoval(ctx, o, worker, s.Now().Add(removalLease))
		if err != nil || claimed || !pending {
			return pending, err
		}
		other, err := s.RemovalWorker(ctx, o)
		if err != nil {
			return true, err
		}
		if !gone(other) {
			return true, account.ErrRemoving
		}
		u.app.log.InfoContext(ctx, "the removal of a user continues: the process that began it is gone", "user", o,
			"worker", other)
		if err := s.ReleaseRemoval(ctx, o, other); err != nil {
			return true, err
		}
	}
}

// finish does what is left of a removal outside of the database. While visits are
// ending or another process is at it, the error is one that waits knows. What is begun
// is bounded by work alone.
func (u users) finish(wait, work context.Context, r store.Removal) error {
	s := u.app.store
	if ending, err := u.ending(wait, r.Owner); err != nil {
		return err
	} else if ending {
		return account.ErrVisitsEnding
	}
	worker := workerID()
	if pending, err := u.claim(wait, r.Owner, worker); err != nil || !pending {
		return err
	}
	ctx, cancel := context.WithCancelCause(work)
	ours := func() error {
		ok, _, err := s.ClaimRemoval(ctx, r.Owner, worker, s.Now().Add(removalLease))
		if err == nil && !ok {
			err = account.ErrRemoving
		}
		return err
	}
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		for pause(ctx, removalLease/4) {
			if err := ours(); errors.Is(err, account.ErrRemoving) { // Else the next one may go well.
				cancel(err)
			}
		}
	}()
	done := false
	r, err := s.Removal(ctx, r.Owner)
	if err == nil { // Another call may have asked for more.
		done, err = u.clear(ctx, r, worker, ours)
	}
	stopped := context.Cause(ctx)
	cancel(nil)
	<-renewed
	switch {
	case done:
		return nil
	case err == nil:
		err = account.ErrRemoving // There is more to do by now.
	case stopped != nil && work.Err() == nil:
		err = stopped
	}
	return errors.Join(err, s.ReleaseRemoval(context.WithoutCancel(work), r.Owner, worker))
}

// clear removes what a removed user has on disk, then the last of the database; false
// when there is more to do by now. Before each step it makes sure of its claim: a process that stood still for
// minutes must not remove what is the next user's by now.
func (u users) clear(ctx context.Context, r store.Removal, worker string, ours func() error) (done bool, err error) {
	opens := func(err error) error {
		if errors.Is(err, errNoLogin) { // Nobody knows its password any more.
			u.app.log.WarnContext(ctx, "a removed user's mailbox cannot be opened: nothing is removed there", "user", r.Owner,
				"error", err)
			return nil
		}
		return err
	}
	remove := u.app.mailboxes.RemoveEmptyFolder
	if r.DeleteMail {
		remove = u.app.mailboxes.RemoveFolder
	}
	for _, folder := range r.Folders {
		if err := ours(); err != nil {
			return false, err
		}
		if err := opens(remove(ctx, r.Owner, folder)); err != nil {
			return false, err
		}
	}
	if err := ours(); err != nil {
		return false, err
	}
	if err := opens(u.app.mailboxes.Forget(ctx, r.Owner)); err != nil {
		return false, err
	}
	for _, id := range r.Accounts {
		if err := u.app.transcripts.SwitchOff(string(id)); err != nil {
			return false, fmt.Errorf("removing a transcript of a removed user: %w", err)
		}
	}
	return u.app.store.EndRemoval(ctx, r, worker)
}

// finishRemovals is a chore: it finishes removals that were broken off.
func (u users) finishRemovals(ctx context.Context) error {
	all, err := u.app.store.Removals(ctx)
	for _, r := range all {
		switch rerr := u.finish(ctx, ctx, r); {
		case rerr == nil:
			u.app.log.InfoContext(ctx, "the removal of a user is finished", "user", r.Owner)
		case errors.Is(rerr, owner.ErrLocked): // Told by doctor, and to who removed the user.
			u.app.log.DebugContext(ctx, "the removal of a user waits: its mailbox cannot be opened", "user", r.Owner,
				"error", rerr)
		case !waits(rerr):
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// keepFinishing is finishRemovals in a process that polls nobody, and so has no chores.
func (u users) keepFinishing(ctx context.Context) error {
	for {
		if err := u.finishRemovals(ctx); err != nil && ctx.Err() == nil {
			u.app.log.WarnContext(ctx, "finishing the removals of users", "error", err)
		}
		if !pause(ctx, removalsEvery) {
			return nil
		}
	}
}

// Recognise compares the id of an address's user with the one that came before:
// see httpapi.Users.
func (u users) Recognise(ctx context.Context, o owner.Owner, id owner.UserID) error {
	removed, err := u.app.store.Recognise(ctx, o, id)
	if errors.Is(err, store.ErrFormerUser) {
		return httpapi.ErrFormerUser
	}
	if err != nil || removed == nil {
		return err
	}
	u.app.log.WarnContext(ctx, "an address has another user now: what the former one had is removed, the mail is kept",
		"user", o, "accounts", len(removed.Accounts))
	u.app.runner.EndVisits(o)
	// What is not done now is done by finishRemovals.
	if err := u.finish(ctx, ctx, *removed); err != nil && !waits(err) {
		u.app.log.WarnContext(ctx, "removing what a former user of an address had", "user", o, "error", err)
	}
	return nil
}
