package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// mailboxLogins says how users' own mailboxes are signed in to.
type mailboxLogins struct {
	cfg    imapConfig
	tokens *oauth.Client
}

func (c config) newMailboxLogins(client *http.Client, now func() time.Time) *mailboxLogins {
	o := c.IMAP.OAuth
	return &mailboxLogins{cfg: c.IMAP, tokens: oauth.NewClient(oauth.ClientOptions{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scope: o.Scope, HTTP: client, Now: now,
	})}
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
		token, err := l.tokens.Token(ctx)
		if err != nil {
			return imapbox.Login{}, &fault.Error{
				Code: fault.LocalMailboxUnavailable, Op: "signing in to the mailbox", Err: err,
				Detail: "There is no access token for the server of the users' mailboxes.",
			}
		}
		return imapbox.Login{Credential: remote.Credential{Auth: remote.OAuth2, Username: o.String(), Secret: token}}, nil
	}
	return imapbox.Login{Credential: remote.Credential{
		Auth: remote.Password, Username: strings.Replace(l.cfg.Login, "{user}", o.String(), 1), Secret: l.cfg.Password,
	}}, nil
}
