package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

type moveOverCmd struct {
	User   string `help:"Only this user."`
	From   string `help:"Where the Maildirs are: the value mailbox had; none: they are gone." placeholder:"TEMPLATE"`
	DryRun bool   `help:"Say what would be done, and change nothing."`
	Force  bool   `help:"Even where none of what was delivered is found at the server."`
	JSON   bool   `name:"json" help:"Print one JSON object per user."`
}

// Help is shown below the usage.
func (moveOverCmd) Help() string {
	return "For when mailbox named Maildirs and is imap now, and the server has the same mail: it reads the Maildirs, " +
		"or you have moved or copied the mail to it. What was delivered stays so, and is not fetched again. What was on " +
		"its way is delivered to the server out of the spool, or fetched again where it is gone.\n\n" +
		"--from is maildir:DATA_DIR/mail/{domain}/{local} unless it is given.\n\n" +
		"End every process that still delivers into the Maildirs before."
}

// goneForGood is the value of --from that says that there are no Maildirs any more.
const goneForGood = "none"

// Run moves over what was on its way; status 1 says that an account was left as it is, and why was printed.
func (c moveOverCmd) Run(ctx context.Context, t terminal, load loader) error {
	with := upgrading
	if c.DryRun {
		with = withApp
	}
	return with(ctx, t, hushed(load), func(a *app) error {
		from, err := c.maildirs(ctx, a)
		if err != nil {
			return err
		}
		owners, err := (&checkCmd{User: c.User}).owners(ctx, a)
		if err != nil {
			return err
		}
		ok := true
		for _, o := range owners {
			r, err := c.move(ctx, a, from, o)
			if err != nil {
				return fmt.Errorf("moving over %s: %w", o, err)
			}
			ok = ok && r.OK
			if err := c.print(t, r); err != nil {
				return err
			}
		}
		if len(owners) == 0 && !c.JSON {
			fmt.Fprintln(t.out, "no accounts to move over")
		}
		if !ok {
			return errQuiet
		}
		return nil
	})
}

// maildirs opens the place where mail was delivered to; nil: it is gone.
func (c moveOverCmd) maildirs(ctx context.Context, a *app) (*maildir.Store, error) {
	if !a.cfg.byIMAP() {
		return nil, usageError{fmt.Errorf("mailbox is %s: set mailbox to imap, and then move the accounts over",
			a.cfg.Mailbox)}
	}
	template := c.From
	switch template {
	case goneForGood:
		return nil, nil
	case "":
		template = a.cfg.ownMaildirs()
	}
	if err := checkMailbox(template); err != nil || template == mailboxIMAP {
		return nil, usageError{errors.Join(fmt.Errorf("--from %s: a template of Maildirs is needed, or none", template), err)}
	}
	boxes, err := maildir.New(maildir.Options{Template: template, Existing: true, Log: a.log})
	if err != nil {
		return nil, usageError{fmt.Errorf("--from: %w", err)}
	}
	there, err := boxes.There()
	if err != nil {
		return nil, fmt.Errorf("--from %s: %w", template, err)
	}
	if !there {
		return nil, usageError{fmt.Errorf("--from %s: nothing is there (--from none where it is gone for good)", template)}
	}
	id, err := boxes.Installation()
	if err != nil {
		return nil, fmt.Errorf("--from %s: %w", template, err)
	}
	former, err := a.house.formerly(ctx)
	if err != nil {
		return nil, err
	}
	was := ""
	if former != nil {
		was = *former
	}
	if id != "" && id != a.house.id && id != was {
		return nil, usageError{fmt.Errorf("--from %s: these are mailboxes of installation %s, the database is that of %s",
			template, id, a.house.id)}
	}
	boxes.Expect(a.house.id, was)
	return boxes, nil
}

// movedOver is what is printed for a user.
type movedOver struct {
	*check.Moved
	DryRun bool `json:"dry_run"`
	OK     bool `json:"ok"`
	// Problem is why nothing was compared; "": it was.
	Problem string         `json:"problem,omitempty"`
	Results []accountMoved `json:"results"`
}

// accountMoved is what was done with an account.
type accountMoved struct {
	Account  account.ID `json:"account_id"`
	Done     bool       `json:"done"`
	Refused  string     `json:"refused,omitempty"` // Why it was left as it is.
	Known    int        `json:"known"`             // As fetch.MovedOver has it; with --dry-run as planned.
	Brought  int        `json:"brought"`
	Released int        `json:"released"`
	email    string
}

// move compares one user's mailboxes, and moves over what was on its way.
func (c moveOverCmd) move(ctx context.Context, a *app, from *maildir.Store, o owner.Owner) (
	r movedOver, err error,
) {
	r = movedOver{Moved: &check.Moved{User: o.String()}, DryRun: c.DryRun, OK: true, Results: []accountMoved{}}
	boxes, ok := a.mailboxes.(imapBoxes)
	if !ok {
		return r, errors.New("the mailboxes are at no IMAP server")
	}
	mover := check.Mover{Journals: a.store, To: boxes, TokenKey: a.vault.TokenKey(), Anothers: imapbox.Anothers}
	var former fetch.Former
	if from != nil {
		mover.From, former = from, formerMaildirs{from}
	}
	moved, err := mover.Compare(ctx, o)
	if errors.Is(err, check.ErrNoMaildir) || errors.Is(err, check.ErrNoServerMailbox) {
		r.OK, r.Problem = false, err.Error()
		return r, nil
	}
	if a.onlyTheirs(ctx, err) {
		r.OK, r.Problem = false, err.Error()
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Moved = moved
	for _, x := range moved.Accounts {
		if x.Account == "" {
			continue // It was removed: nobody visits it.
		}
		done := accountMoved{Account: x.Account, email: x.Email, Refused: c.refuses(x)}
		sum := x.Sum()
		switch {
		case done.Refused != "":
		case sum.Staged == 0 && x.Stray == 0:
			done.Done = true
		case c.DryRun:
			done.Known, done.Brought, done.Released = sum.Known, sum.Deliver, sum.Release
		default:
			err := a.runner.Hold(ctx, o, x.Account, func(ctx context.Context, l fetch.Lease) error {
				m, err := a.engine.MoveOver(ctx, l, former)
				done.Known, done.Brought, done.Released = m.Known, m.Brought, m.Released
				return err
			})
			done.Done = err == nil
			if ctx.Err() != nil {
				return r, err
			}
			done.Refused = whyNot(err)
		}
		r.OK = r.OK && done.Refused == ""
		r.Results = append(r.Results, done)
	}
	return r, nil
}

// refuses says why an account is left as it is; "": it is not.
func (c moveOverCmd) refuses(x *check.MovedAccount) string {
	sum := x.Sum()
	switch {
	case x.Visiting:
		return beingVisited
	case x.Older:
		return whyNot(fetch.ErrOlder)
	case sum.Missing > 0 && sum.Found+sum.Elsewhere == 0 && !c.Force:
		return fmt.Sprintf("of %s that lie in its Maildir, none is at the server: is that the same mailbox? Move or "+
			"copy the mail first (--force moves the account over all the same)", words.Count(int64(sum.Missing), "message"))
	}
	return ""
}

const beingVisited = "it is being visited, or a process that did so was killed: try again in a minute"

// whyNot says why an account was not moved over.
func whyNot(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, schedule.ErrBusy), errors.Is(err, fetch.ErrFenced):
		return beingVisited
	case errors.Is(err, fetch.ErrOlder):
		return err.Error() + `: set mailbox as it was and run "mailbrook pull", which finds what the database forgot`
	}
	return err.Error()
}

// formerMaildirs are Maildirs that mail is not delivered into any more.
type formerMaildirs struct{ *maildir.Store }

// OpenFormer implements fetch.Former.
func (m formerMaildirs) OpenFormer(ctx context.Context, o owner.Owner, journal string, epoch int64) (
	fetch.FormerDelivery, error,
) {
	d, err := m.Open(ctx, o, journal, epoch, owner.Limit{})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// print shows what was compared and done.
func (c moveOverCmd) print(t terminal, r movedOver) error {
	if c.JSON {
		return t.jsonLine(r)
	}
	if r.Problem != "" {
		fmt.Fprintf(t.out, "%s: NOT MOVED OVER: %s\n\n", r.User, r.Problem)
		return nil
	}
	fmt.Fprintf(t.out, "%s: the mailbox at the server holds %s.\n", r.User, words.Count(r.Messages, "message"))
	page := t.page()
	tab := newTable("account", "folder", "delivered", "found", "elsewhere", "missing", "gone", "staged", "remark").
		sparing("gone", "elsewhere", "account").keeping("folder", "remark")
	rows := 0
	for _, x := range r.Accounts {
		name := page.names(x.Email)
		if x.Account == "" {
			name = "(removed)"
		}
		for _, f := range x.Folders {
			cells := []string{name, f.Local}
			for _, n := range []int{f.Delivered, f.Found, f.Elsewhere, f.Missing, f.Gone, f.Staged} {
				cells = append(cells, strconv.Itoa(n))
			}
			tab.add(append(cells, remarkOn(f))...)
			rows++
		}
	}
	if rows > 0 {
		if err := tab.write(page); err != nil {
			return err
		}
	}
	for _, x := range r.Results {
		fmt.Fprintf(t.out, "%s: %s\n", page.names(x.email), c.says(x))
	}
	fmt.Fprintln(t.out)
	return nil
}

// remarkOn says what an operator may want to look after.
func remarkOn(f *check.MovedFolder) string {
	switch {
	case f.Missing > 0:
		return "missing: in the Maildir, and not at the server"
	case f.Delivered > 0 && f.Found == 0 && f.Elsewhere > 0:
		return "all of it is elsewhere: does imap.root fit?"
	case f.Unread > 0:
		return fmt.Sprintf("%d cannot be compared", f.Unread)
	}
	return ""
}

// says tells what was done with an account, or would be.
func (c moveOverCmd) says(x accountMoved) string {
	if x.Refused != "" {
		return "NOT MOVED OVER: " + x.Refused
	}
	if x.Known+x.Brought+x.Released == 0 {
		return "it continues; nothing was on its way."
	}
	verb := "it continues"
	if c.DryRun {
		verb = "it would continue"
	}
	return fmt.Sprintf("%s; of what was on its way, %d had been delivered, %d delivered out of the spool, %d to be "+
		"fetched again.", verb, x.Known, x.Brought, x.Released)
}
