package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/owner"
)

type checkCmd struct {
	User    string  `help:"Only this user."`
	Account string  `help:"Only what concerns this account." placeholder:"ID"`
	JSON    bool    `name:"json" help:"Print one JSON object per user."`
	Explain *string `help:"Print all about one message, by its name (F...), UID or UIDL." placeholder:"TOKEN|UID|UIDL"`
}

// Run compares journals, spools and mailboxes. It ends with status 1 when
// something is wrong, or when the message to explain is not known.
func (c checkCmd) Run(ctx context.Context, t terminal, load loader) error {
	if c.Explain != nil && *c.Explain == "" { // Not left out: a script's variable was empty, perhaps.
		return usageError{errors.New("--explain: a message's name, UID or UIDL is needed, and this is empty")}
	}
	return withApp(ctx, t, load, func(a *app) error {
		whole, err := c.database(ctx, t, a)
		if err != nil {
			return err
		}
		owners, err := c.owners(ctx, a)
		if err != nil {
			return err
		}
		checker := check.Checker{
			Journals: a.store, Mailboxes: a.mailboxes, TokenKey: a.vault.TokenKey(), DirName: maildir.DirName,
		}
		shadows, err := a.store.Shadows(ctx)
		if err != nil {
			return err
		}
		ok, explained := whole, 0
		var unread error // Of a mailbox that could not be looked at.
		for _, o := range owners {
			f, err := checker.Check(ctx, o)
			if a.onlyTheirs(ctx, err) {
				f, unread, err = check.Unread(o, err), err, nil
			}
			if err != nil {
				return fmt.Errorf("checking %s: %w", o, err)
			}
			if c.Account != "" {
				f.Only(account.ID(c.Account))
			}
			if c.Explain != nil {
				n, err := c.explain(t, f)
				if err != nil {
					return err
				}
				explained += n
				continue
			}
			for _, x := range shadows {
				if x.User == f.User {
					f.Findings = append(f.Findings, check.Finding{Kind: "user_not_ascii", Detail: x.String()})
				}
			}
			ok = ok && f.OK
			if err := c.print(t, f); err != nil {
				return err
			}
		}
		switch {
		case c.Explain != nil && explained == 0 && unread != nil:
			return unread
		case c.Explain != nil && explained == 0:
			return fmt.Errorf("no journal and no mailbox knows %q", *c.Explain)
		case len(owners) == 0 && !c.JSON:
			fmt.Fprintln(t.out, "no accounts to check")
		}
		if !ok {
			return errQuiet
		}
		return nil
	})
}

// onlyTheirs reports whether an error is of one user's own mailbox: a password of the user's own that is not saved, a
// folder that cannot be opened. Then others' are looked at all the same. An outage is everybody's.
func (a *app) onlyTheirs(ctx context.Context, err error) bool {
	boxes, remote := a.mailboxes.(imapBoxes)
	return err != nil && ctx.Err() == nil && fault.CodeOf(err) == fault.LocalMailboxUnavailable &&
		(!remote || boxes.Available())
}

// database has the database look through itself, when all is to be checked, and
// reports whether it is whole. With --json what it says goes to where errors go.
func (c checkCmd) database(ctx context.Context, t terminal, a *app) (whole bool, err error) {
	if c.User != "" || c.Account != "" || c.Explain != nil {
		return true, nil
	}
	wrong, remark, err := a.store.Integrity(ctx)
	if err != nil {
		return false, err
	}
	out := t.out
	if c.JSON {
		out = t.err
	}
	for _, w := range wrong {
		fmt.Fprintln(out, "WRONG  database ", w)
	}
	switch {
	case len(wrong) > 0:
		fmt.Fprintln(out, "The database is NOT CONSISTENT: restore it from a backup.")
	case remark != "":
		fmt.Fprintf(out, "The database answers; %s.\n\n", remark)
	case !c.JSON:
		fmt.Fprint(out, "The database is consistent in itself.\n\n")
	}
	return len(wrong) == 0, nil
}

// owners returns whose mailboxes are to be checked, having made the account's id
// whole.
func (c *checkCmd) owners(ctx context.Context, a *app) ([]owner.Owner, error) {
	if c.Account != "" {
		acc, err := chosen{ID: c.Account, User: c.User}.find(ctx, a)
		if errors.Is(err, account.ErrNotFound) {
			return nil, usageError{fmt.Errorf("--account %s: %w", c.Account, err)}
		}
		c.Account = string(acc.ID)
		return []owner.Owner{acc.Owner}, err
	}
	if c.User != "" {
		o, err := parseUser(c.User)
		if err != nil {
			return nil, err
		}
		as, err := a.registry.List(ctx, o)
		if err == nil && len(as) == 0 {
			err = a.mustKnow(ctx, "--user", o)
		}
		return []owner.Owner{o}, err
	}
	all, err := a.accountsOf(ctx, "")
	if err != nil {
		return nil, err
	}
	var owners []owner.Owner
	for _, acc := range all {
		if !slices.Contains(owners, acc.Owner) {
			owners = append(owners, acc.Owner)
		}
	}
	return owners, nil
}

// print shows what one user's check says.
func (c checkCmd) print(t terminal, f *check.Findings) error {
	if c.JSON {
		return t.jsonLine(f)
	}
	verdict := "consistent"
	if !f.OK {
		verdict = "NOT CONSISTENT"
	}
	holds := fmt.Sprintf("The mailbox holds %d messages, %d of them from elsewhere.", f.Messages, f.Foreign)
	switch {
	case f.Missing && slices.ContainsFunc(f.Findings, func(x check.Finding) bool { return x.Kind == check.GoneMailbox }):
		holds = "The mailbox was there and is gone."
	case f.Missing:
		holds = "There is no mailbox yet."
	case f.Unread():
		holds = "The mailbox could not be looked at."
	}
	fmt.Fprintf(t.out, "%s: %s. %s\n", f.User, verdict, holds)
	page := t.page()
	known := make([]account.Account, len(f.Accounts))
	for i, a := range f.Accounts {
		known[i].ID = a.Account
	}
	id := shortIDs(known, page)
	tab := newTable("account", "id", "folders", "present", "gone", "elsewhere", "staged", "intended", "stray", "skipped",
		"remark").sparing("stray", "intended", "elsewhere", "staged", "folders", "id").keeping("remark")
	for _, a := range f.Accounts {
		name, remark := page.names(a.Email), ""
		if a.Account == "" {
			name = "(removed)"
		}
		if a.Visiting {
			remark = "is being visited"
		}
		skipped := 0
		var reasons []string
		for _, code := range slices.Sorted(maps.Keys(a.Skipped)) {
			skipped += a.Skipped[code]
			reasons = append(reasons, fmt.Sprintf("%d %s", a.Skipped[code], code))
		}
		if len(reasons) > 0 {
			remark = strings.TrimSpace(remark + " " + strings.Join(reasons, ", "))
		}
		figures := []string{name, id(a.Account)}
		for _, n := range []int{a.Folders, a.Present, a.Gone, a.Elsewhere, a.Staged, a.Intended, a.Stray, skipped} {
			figures = append(figures, strconv.Itoa(n))
		}
		tab.add(append(figures, remark)...)
	}
	if len(f.Accounts) > 0 {
		if err := tab.write(page); err != nil {
			return err
		}
	}
	for _, x := range f.Findings {
		mark := "note "
		if x.Wrong {
			mark = "WRONG"
		}
		fmt.Fprintf(t.out, "%s  %s  %s%s\n", mark, x.Kind, prefixed(string(x.Token), " "), x.Detail)
	}
	fmt.Fprintln(t.out)
	return nil
}

func prefixed(s, sep string) string {
	if s == "" {
		return ""
	}
	return s + sep
}

// explain prints what is known of a message, and returns of how many.
func (c checkCmd) explain(t terminal, f *check.Findings) (int, error) {
	all := f.Explain(*c.Explain)
	for _, x := range all {
		if c.JSON {
			if err := t.jsonLine(x); err != nil {
				return 0, err
			}
			continue
		}
		printExplained(t, f.User, x)
	}
	return len(all), nil
}

func printExplained(t terminal, user string, x check.Explained) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t.out, "  %-13s %s\n", name, value)
		}
	}
	fmt.Fprintf(t.out, "%s: %s\n", user, x.State)
	line("verdict", prefixed(x.Verdict, ": ")+x.Says)
	line("token", string(x.Token))
	line("account", strings.TrimSpace(string(x.Account)+" "+x.Email))
	line("journal", x.Journal)
	if x.Identity != "" {
		line("remote folder", fmt.Sprintf("%s, UIDVALIDITY %d", x.Folder, x.UIDValidity))
		line("identity", fmt.Sprintf("%s in epoch %d (the folder is in epoch %d)", x.Identity, x.Epoch, x.FolderEpoch))
	}
	line("global name", x.Global)
	line("local folder", x.Local)
	line("batch", x.Batch)
	line("spool file", x.Spool)
	if x.Size > 0 {
		line("size", fmt.Sprintf("%d octets as sent", x.Size))
	}
	line("digest", x.Digest)
	line("body", x.Body)
	line("header", x.Header)
	if x.Received != nil {
		line("received", x.Received.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	for _, f := range x.Files {
		line("file", f)
	}
	if s := x.Skipped; s != nil {
		line("skipped", fmt.Sprintf("%s: %s", s.Code, s.Detail))
		line("tries", fmt.Sprintf("%d, the last %s, the next %s", s.Attempts, s.Last.UTC().Format("2006-01-02 15:04"),
			s.Next.UTC().Format("2006-01-02 15:04")))
	}
}
