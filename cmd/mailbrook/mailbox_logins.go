package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/vault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// errNoLogin says that no login of a user's own is saved, where each has one.
var errNoLogin = fmt.Errorf("%w: none is saved", owner.ErrLocked)

// notPerUser says that there is nothing to save a login for. To a caller of the REST API that is what does not exist.
type notPerUser struct{}

func (notPerUser) Error() string {
	return "no user of this installation has a login of its own: that takes mailbox = \"imap\" and imap.login = \"" +
		loginPerUser + "\""
}

func (notPerUser) Is(target error) bool { return target == account.ErrNotFound }

// mailboxLogins says how users' own mailboxes are signed in to.
type mailboxLogins struct {
	cfg    imapConfig
	own    ownLogins
	tokens func(ctx context.Context, o owner.Owner) (remote.Secret, error) // With xoauth2.
}

func (c config) newMailboxLogins(s *store.Store, v *vault.Vault, client *http.Client,
	now func() time.Time,
) *mailboxLogins {
	return &mailboxLogins{cfg: c.IMAP, own: ownLogins{c, s, v}, tokens: c.IMAP.OAuth.tokens(client, now)}
}

// tokens returns who has access tokens ready: a service account, in the name of each user, or the registration, for
// all of them.
func (o imapOAuthConfig) tokens(client *http.Client, now func() time.Time) func(ctx context.Context, o owner.Owner) (
	remote.Secret, error,
) {
	if account, err := oauth.ParseServiceAccount(o.ServiceAccount.Reveal()); err == nil { // It was read before.
		d := oauth.NewDelegate(oauth.DelegateOptions{Account: account, Scope: o.Scope, HTTP: client, Now: now})
		return func(ctx context.Context, o owner.Owner) (remote.Secret, error) { return d.Token(ctx, o.String()) }
	}
	all := oauth.NewClient(oauth.ClientOptions{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scope: o.Scope, HTTP: client, Now: now,
	})
	return func(ctx context.Context, _ owner.Owner) (remote.Secret, error) { return all.Token(ctx) }
}

// login implements imapbox.Options.Login.
func (l *mailboxLogins) login(ctx context.Context, o owner.Owner) (imapbox.Login, error) {
	switch l.cfg.Login {
	case loginAuthzid:
		return imapbox.Login{
			Credential: remote.Credential{Auth: remote.Password, Username: l.cfg.User, Secret: l.cfg.Password},
			OnBehalfOf: o.String(),
		}, nil
	case loginXOAUTH2:
		token, err := l.tokens(ctx, o)
		if err != nil {
			return imapbox.Login{}, &fault.Error{
				Code: fault.LocalMailboxUnavailable, Op: "signing in to the mailbox", Err: err,
				Detail: words.Detail{words.Say("There is no access token for the server of the users' mailboxes.")},
			}
		}
		return imapbox.Login{Credential: remote.Credential{Auth: remote.OAuth2, Username: o.String(), Secret: token}}, nil
	case loginPerUser:
		name, password, err := l.own.get(ctx, o)
		if errors.Is(err, account.ErrNotFound) {
			return imapbox.Login{}, &fault.Error{
				Code: fault.LocalMailboxUnavailable, Op: "signing in to the mailbox", Err: errNoLogin,
				Detail: words.Detail{words.Say(fault.LoginMissing)},
			}
		}
		return imapbox.Login{Credential: remote.Credential{
			Auth: remote.Password, Username: name, Secret: password,
		}, Own: true}, err
	}
	if sep := separator(l.cfg.Login); strings.Contains(o.String(), sep) && !strings.Contains(inEveryAddress, sep) {
		return imapbox.Login{}, &fault.Error{
			Code: fault.LocalMailboxUnavailable, Op: "signing in to the mailbox",
			Err: fmt.Errorf("the address %q holds %q, the separator of imap.login", o, sep),
			Detail: words.Detail{
				words.Say("The address holds %s, which divides it from the name of who signs in for all: nobody could be "+
					"signed in to safely.", sep),
			},
		}
	}
	return imapbox.Login{Credential: remote.Credential{
		Auth: remote.Password, Username: strings.Replace(l.cfg.Login, "{user}", o.String(), 1), Secret: l.cfg.Password,
	}}, nil
}

// inEveryAddress are separators that tell nothing, as addresses have them.
const inEveryAddress = "@.-"

// separator is what a login of a master has between the user and the master's name. A server that looks for the first
// one takes what is before it for the user: an address that holds one could be read as another user's.
func separator(login string) string {
	_, rest, _ := strings.Cut(login, "{user}")
	for _, r := range rest {
		return string(r)
	}
	return ""
}

// ownLogins are the names and passwords of users' own mailboxes, where each user has one.
type ownLogins struct {
	cfg   config
	rows  *store.Store
	vault *vault.Vault
}

// get returns what is saved of a user; account.ErrNotFound where nothing is.
func (l ownLogins) get(ctx context.Context, o owner.Owner) (name string, password remote.Secret, err error) {
	name, sealed, err := l.rows.MailboxLogin(ctx, o)
	if err != nil {
		return "", remote.Secret{}, err
	}
	password, err = l.vault.Unseal(store.MailboxSecret(o), sealed)
	return name, password, err
}

// Set implements httpapi.MailboxLogins.
func (l ownLogins) Set(ctx context.Context, o owner.Owner, name string, password remote.Secret) error {
	if !l.cfg.byIMAP() || l.cfg.IMAP.Login != loginPerUser {
		return notPerUser{}
	}
	if had, was, err := l.get(ctx, o); err == nil && had == name && was.Reveal() == password.Reveal() {
		return nil
	}
	sealed, err := l.vault.Seal(store.MailboxSecret(o), password)
	if err != nil {
		return err
	}
	return l.rows.SetMailboxLogin(ctx, o, name, sealed)
}

// Forget implements httpapi.MailboxLogins.
func (l ownLogins) Forget(ctx context.Context, o owner.Owner) error {
	return l.rows.ForgetMailboxLogin(ctx, o)
}

type (
	userMailboxCmd struct {
		Set    userMailboxSetCmd    `cmd:"" help:"Save the user's name and password at the server of users' own mailboxes."`
		Forget userMailboxForgetCmd `cmd:"" help:"Forget them: nothing is delivered until others are saved."`
	}
	userMailboxSetCmd struct {
		User          string `arg:"" help:"The user's mailbox address."`
		Username      string `help:"Its name at the server, if that is not the address." placeholder:"NAME"`
		PasswordStdin bool   `help:"Read the password from standard input instead of asking."`
	}
	userMailboxForgetCmd struct {
		User string `arg:"" help:"The user's mailbox address."`
	}
)

// Run saves how a user's own mailbox is signed in to.
func (c userMailboxSetCmd) Run(ctx context.Context, t terminal, load loader) error {
	o, err := parseUser(c.User)
	if err != nil {
		return err
	}
	return quietly(ctx, t, load, func(a *app) error {
		password, err := t.password(ctx, c.PasswordStdin, o.String())
		if err != nil {
			return err
		}
		err = ownLogins{a.cfg, a.store, a.vault}.Set(ctx, o, cmp.Or(c.Username, o.String()), password)
		if errors.Is(err, account.ErrNotFound) {
			return usageError{err}
		}
		if err == nil {
			fmt.Fprintf(t.out, "saved the name and the password that open the mailbox of %s; they are tried at the next "+
				"visit (\"mailbrook pull --user %s\" makes one now)\n", o, o)
		}
		return err
	})
}

// Run forgets how a user's own mailbox is signed in to.
func (c userMailboxForgetCmd) Run(ctx context.Context, t terminal, load loader) error {
	o, err := anyUser(c.User)
	if err != nil {
		return usageError{fmt.Errorf("USER: %w", err)}
	}
	return quietly(ctx, t, load, func(a *app) error {
		if err := (ownLogins{a.cfg, a.store, a.vault}).Forget(ctx, o); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "the name and the password that open the mailbox of %s are not kept any more: nothing is "+
			"delivered there until others are saved\n", o)
		return nil
	})
}
