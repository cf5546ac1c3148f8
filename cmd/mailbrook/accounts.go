package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

type accountCmd struct {
	Add    accountAddCmd    `cmd:"" help:"Add an account: tests the connection, saves, and prints the new id."`
	List   accountListCmd   `cmd:"" help:"List a user's accounts."`
	Show   accountShowCmd   `cmd:"" help:"Show one account."`
	Test   accountTestCmd   `cmd:"" help:"Test an account's connection, step by step."`
	Edit   accountEditCmd   `cmd:"" help:"Change an account's settings."`
	Delete accountDeleteCmd `cmd:"" help:"Delete an account. Nothing is changed at the provider."`
}

// connectionFlags are what a connection test depends on, as flags. Nil: not given.
type connectionFlags struct {
	Email         *string `help:"The address at the other provider."`
	Provider      *string `help:"A provider's id, as \"mailbrook providers\" lists them; by default from the address."`
	Protocol      *string `help:"imap or pop3." enum:"imap,pop3"`
	Host          *string `help:"The server's name."`
	Port          *int    `help:"The server's port."`
	Security      *string `help:"tls, starttls or none." enum:"tls,starttls,none"`
	Username      *string `help:"The name to sign in with; by default as the provider wants it."`
	PasswordStdin bool    `help:"Read the password from standard input instead of asking for it."`
}

// accountFlags are the settings of an account as flags. Nil: not given.
type accountFlags struct {
	connectionFlags
	Name            *string        `help:"The user's own label for the account."`
	SenderName      *string        `help:"The name for the From field."`
	Folder          *string        `help:"The local folder to fetch into; by default the account's name."`
	Include         []string       `help:"A remote folder or use (\\Sent) to fetch; repeatable. Default: all." sep:"none"`
	Exclude         []string       `help:"A remote folder not to fetch; repeatable." sep:"none"`
	Start           *startFlag     `help:"How far back to fetch, such as 30d. Default: all." placeholder:"all|new|30d"`
	MaxMessageBytes *int64         `help:"The largest message to fetch. Default: 50 MiB." placeholder:"BYTES"`
	PollInterval    *time.Duration `help:"How often to poll, such as 5m."`
	SkipTest        bool           `help:"Save without testing the connection."`
}

// startFlag is account.Start as the command line writes it.
type startFlag route.Start

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *startFlag) UnmarshalText(text []byte) error {
	start, err := route.ParseStart(string(text))
	*s = startFlag(start)
	return err
}

func (f connectionFlags) settings() account.Settings {
	return account.Settings{
		Email: f.Email, Provider: f.Provider, Protocol: (*remote.Protocol)(f.Protocol), Host: f.Host, Port: f.Port,
		Security: (*remote.Security)(f.Security), Username: f.Username,
	}
}

func (f accountFlags) settings() account.Settings {
	s := f.connectionFlags.settings()
	s.Name, s.SenderName, s.Folder, s.Start = f.Name, f.SenderName, f.Folder, (*route.Start)(f.Start)
	s.MaxMessageBytes, s.PollInterval = f.MaxMessageBytes, f.PollInterval
	if f.Include != nil {
		s.Include = &f.Include
	}
	if f.Exclude != nil {
		s.Exclude = &f.Exclude
	}
	return s
}

type accountAddCmd struct {
	User string `help:"Whose account it is: a mailbox address of this provider." required:""`
	accountFlags
}

func (c accountAddCmd) Run(ctx context.Context, t terminal, load loader) error {
	owner, err := parseUser(c.User)
	if err != nil {
		return err
	}
	if c.Email == nil {
		return usageError{errors.New("--email is needed: the address at the other provider")}
	}
	if err := c.slip(); err != nil {
		return err
	}
	if err := c.locked(ctx, owner, exchangersOf); err != nil {
		return err
	}
	password, err := t.password(ctx, c.PasswordStdin, *c.Email)
	if err != nil {
		return err
	}
	return founding(ctx, t, hushed(load), func(a *app) error {
		added, err := a.registry.Create(ctx, owner, account.Draft{
			Settings: c.settings(), Password: password, SkipTest: c.SkipTest,
		})
		if err != nil {
			return a.explain(t, added, err)
		}
		fmt.Fprintln(t.out, added.ID)
		names := t.page().names
		fmt.Fprintf(t.out, "%s: %s by %s from %s into folder %q\n", names(added.Name), names(added.Email), added.Protocol,
			names(added.Server.Host), added.Folder)
		t.tellFolder(c.Folder, added.Folder)
		return nil
	})
}

// slip refuses, before a password is asked for, an address whose domain is
// probably mistyped, unless the server or the provider is named.
func (f accountFlags) slip() error {
	if f.Host != nil || f.Provider != nil {
		return nil
	}
	catalog, err := provider.New()
	if err != nil {
		return err
	}
	if meant := catalog.DidYouMean(*f.Email); meant != "" {
		return usageError{fmt.Errorf("--email %s: did you mean %s? If not, name the server with --host", *f.Email, meant)}
	}
	return nil
}

// locked refuses, before a password is asked for, a provider that takes none, unless
// the server is named, and says what helps. Whom a domain belongs to that the catalogue does
// not list its exchangers tell, as they do when the account is made.
func (f accountFlags) locked(ctx context.Context, o owner.Owner, of func(*provider.Catalog) presets) error {
	if f.Host != nil {
		return nil
	}
	catalog, err := provider.New()
	if err != nil {
		return err
	}
	var id string
	if f.Provider != nil {
		id = *f.Provider
	} else {
		id = of(catalog).Suggest(ctx, *f.Email).Provider
	}
	p := catalog.ByID(id)
	if !p.NeedsOAuth() {
		return nil
	}
	return usageError{fmt.Errorf("--email %s: %s lets other programs in only when one signs in on its own page (OAuth2): "+
		"no password is taken. Where a registration there is configured (oauth.*), add the account on the web page. Or have "+
		"its mail forwarded: open forwarding in the settings at %s and enter %s as the address to forward to",
		*f.Email, p.Name, p.Name, o)}
}

// exchangersOf knows domains by the catalogue and by what this machine's resolver says of them.
func exchangersOf(c *provider.Catalog) presets { return presets{c, outbound.New(outbound.Options{})} }

type accountListCmd struct {
	User string `help:"Whose accounts; all users' if not given."`
	JSON bool   `name:"json" help:"Print JSON as the REST API does."`
}

func (c accountListCmd) Run(ctx context.Context, t terminal, load loader) error {
	return quietly(ctx, t, load, func(a *app) error {
		accounts, err := a.accountsOf(ctx, c.User)
		if err != nil {
			return err
		}
		if c.JSON {
			list := make([]any, len(accounts))
			for i, acc := range accounts {
				list[i] = httpapi.AccountJSON(acc, a.advice(), "en")
			}
			return t.json(map[string]any{"accounts": list, "limit": a.registry.MaxPerUser()})
		}
		if len(accounts) == 0 {
			fmt.Fprintln(t.out, "no accounts")
			return nil
		}
		page := t.page()
		tbl := newTable("id", "user", "name", "address", "protocol", "folder", "state", "messages", "next visit").
			sparing("protocol", "next visit", "folder", "name", "messages").
			keeping("state").unbroken("id", "user", "address")
		id := shortIDs(accounts, page)
		for _, acc := range accounts {
			tbl.add(id(acc.ID), page.names(acc.Owner.String()), page.names(acc.Name), page.names(acc.Email),
				string(acc.Protocol), acc.Folder, stateText(acc), fmt.Sprint(acc.Status.Totals.Messages),
				whenText(acc.Status.NextPollAt))
		}
		return tbl.write(page)
	})
}

// leastID is how many letters of an id are shown, and taken, at least.
const leastID = 8

// shortIDs returns how accounts are named on a terminal: by as many letters of
// their ids as tell them apart. Programs, which read no terminal, get all.
func shortIDs(accounts []account.Account, p page) func(account.ID) string {
	length := leastID
	if p.columns == 0 {
		length = math.MaxInt
	}
	for seen := map[account.ID]bool{}; len(seen) < len(accounts) && length < 36; length++ {
		clear(seen)
		for _, a := range accounts {
			seen[a.ID[:min(length, len(a.ID))]] = true
		}
		if len(seen) == len(accounts) {
			break
		}
	}
	return func(id account.ID) string { return string(id[:min(length, len(id))]) }
}

// stateText is an account's state with the reason for it.
func stateText(a account.Account) string {
	if d := a.Status.Diagnosis; d != nil {
		return fmt.Sprintf("%s (%s)", a.Status.State, d.Code)
	}
	return string(a.Status.State)
}

func whenText(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// chosen is one account, named by its id.
type chosen struct {
	ID   string `arg:"" help:"The account's id, or its beginning (8 letters or more)."`
	User string `help:"Whose account it is; found by the id if not given."`
}

func (c chosen) find(ctx context.Context, a *app) (account.Account, error) {
	var o owner.Owner
	if c.User != "" {
		var err error
		if o, err = parseUser(c.User); err != nil {
			return account.Account{}, err
		}
	}
	id, err := c.whole(ctx, a)
	if err != nil {
		return account.Account{}, err
	}
	if c.User == "" {
		return a.store.Accounts().Any(ctx, id)
	}
	return a.registry.Get(ctx, o, id)
}

// whole returns the id that begins as the one that was given, where that is not
// whole.
func (c chosen) whole(ctx context.Context, a *app) (account.ID, error) {
	given := strings.ToLower(c.ID)
	switch {
	case len(given) >= 36:
		return account.ID(c.ID), nil
	case len(given) < leastID:
		return "", usageError{fmt.Errorf("%q is too short for an account's id: give %d letters of it or more", c.ID, leastID)}
	}
	all, err := a.accountsOf(ctx, c.User)
	if err != nil {
		return "", err
	}
	var like []string
	for _, acc := range all {
		if strings.HasPrefix(string(acc.ID), given) {
			like = append(like, string(acc.ID))
		}
	}
	switch len(like) {
	case 0:
		return account.ID(c.ID), nil
	case 1:
		return account.ID(like[0]), nil
	}
	return "", usageError{fmt.Errorf("%d accounts' ids begin with %s: %s", len(like), c.ID, strings.Join(like, ", "))}
}

type accountShowCmd struct {
	chosen
	JSON bool `name:"json" help:"Print JSON (this is how it is shown in any case)."`
}

func (c accountShowCmd) Run(ctx context.Context, t terminal, load loader) error {
	return quietly(ctx, t, load, func(a *app) error {
		acc, err := c.find(ctx, a)
		if err != nil {
			return err
		}
		return t.json(httpapi.AccountJSON(acc, a.advice(), "en"))
	})
}

type accountTestCmd struct {
	chosen
	connectionFlags
	Transcript string `help:"Write what is said with the server into FILE, without secrets." placeholder:"FILE"`
}

func (c accountTestCmd) Run(ctx context.Context, t terminal, load loader) error {
	var password *remote.Secret
	if c.PasswordStdin {
		s, err := t.password(ctx, true, "")
		if err != nil {
			return err
		}
		password = &s
	}
	return quietly(ctx, t, load, func(a *app) error {
		acc, err := c.find(ctx, a)
		if err != nil {
			return err
		}
		rep, err := a.testTranscribed(ctx, acc, account.Patch{
			Settings: c.settings(), Password: password,
		}, c.Transcript)
		if err != nil {
			return a.explain(t, acc, err)
		}
		return a.printReport(t, acc, rep)
	})
}

type accountEditCmd struct {
	chosen
	accountFlags
	Enable   bool `help:"Switch the account on." xor:"enabled"`
	Disable  bool `help:"Pause the account." xor:"enabled"`
	Password bool `help:"Ask for a new password."`
}

func (c accountEditCmd) Run(ctx context.Context, t terminal, load loader) error {
	if c.Email != nil {
		if err := c.slip(); err != nil {
			return err
		}
	}
	var password *remote.Secret
	if c.Password || c.PasswordStdin {
		s, err := t.password(ctx, c.PasswordStdin, c.ID)
		if err != nil {
			return err
		}
		password = &s
	}
	p := account.Patch{Settings: c.settings(), Password: password, SkipTest: c.SkipTest}
	if c.Enable || c.Disable {
		p.Enabled = &c.Enable
	}
	return quietly(ctx, t, load, func(a *app) error {
		acc, err := c.find(ctx, a)
		if err != nil {
			return err
		}
		acc, err = a.registry.Update(ctx, acc.Owner, acc.ID, p)
		if err != nil {
			return a.explain(t, acc, err)
		}
		fmt.Fprintln(t.out, acc.ID)
		t.tellFolder(c.Folder, acc.Folder)
		return nil
	})
}

// tellFolder says that a folder is not called as it was asked for.
func (t terminal) tellFolder(asked *string, is string) {
	if asked != nil && *asked != is {
		fmt.Fprintf(t.err, "the folder is stored as %q: dots, and what is too long, cannot stand in its name\n", is)
	}
}

type accountDeleteCmd struct {
	chosen
	Mail string `help:"What to do with the local folder: keep or delete." enum:"keep,delete" default:"keep"`
	Yes  bool   `help:"Do not ask. Without a terminal nothing is asked."`
}

func (c accountDeleteCmd) Run(ctx context.Context, t terminal, load loader) error {
	return quietly(ctx, t, load, func(a *app) error {
		acc, err := c.find(ctx, a)
		if err != nil {
			return err
		}
		names, keep := t.page().names, c.Mail == "keep"
		question := fmt.Sprintf("Delete the account %s of %s? %s", names(acc.Email), names(acc.Owner.String()),
			t.fateOf([]string{acc.Folder}, keep))
		if keep {
			question += " If the account is added again within 30 days, that mail is not fetched a second time."
		}
		if err := t.confirmDeletion(ctx, question, c.Yes); err != nil {
			return err
		}
		if err := a.registry.Delete(ctx, acc.Owner, acc.ID, keep, nil); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "deleted %s; nothing was changed at %s\n", acc.ID, names(acc.Server.Host))
		return nil
	})
}

// parseUser takes a user's address with the domain in letters too, as tables show it.
func parseUser(s string) (owner.Owner, error) {
	o, err := owner.Parse(account.LabelsOf(s))
	if err != nil {
		return o, usageError{fmt.Errorf("--user: %w", err)}
	}
	return o, nil
}

// password reads a password: a line of standard input, or what is typed at the
// terminal without being shown. It is never an argument, where anybody on the
// machine could read it.
func (t terminal) password(ctx context.Context, fromStdin bool, whose string) (remote.Secret, error) {
	if fd, ok := t.keyboard(); ok && !fromStdin {
		text, err := t.askHidden(ctx, fd, fmt.Sprintf("Password of %s: ", whose))
		switch {
		case errors.Is(err, errQuiet): // Ctrl-D.
			fmt.Fprintln(t.err, "Nothing was saved.")
			return remote.Secret{}, err
		case err != nil:
			return remote.Secret{}, err
		case text == "":
			return remote.Secret{}, usageError{errors.New("no password was typed: nothing was saved")}
		}
		return remote.NewSecret(text), nil
	}
	if !fromStdin {
		return remote.Secret{}, usageError{errors.New("a password is needed, and there is no terminal to ask at: use " +
			"--password-stdin")}
	}
	line, err := bufio.NewReader(io.LimitReader(t.in, account.MaxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return remote.Secret{}, fmt.Errorf("reading the password: %w", err)
	}
	return remote.NewSecret(strings.TrimRight(line, "\r\n")), nil
}

// jsonLine prints a value on one line, for programs that read line by line.
func (t terminal) jsonLine(v any) error { return json.NewEncoder(t.out).Encode(v) }

// json prints a value for people as well as programs.
func (t terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
