package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// imapBoxes are mailboxes at an IMAP server.
type imapBoxes struct{ *imapbox.Store }

var _ mailboxes = imapBoxes{}

// newIMAPBoxes makes what delivers to the server of imap.address. Nothing is connected yet.
func (a *app) newIMAPBoxes() (imapBoxes, *wire.Connector, error) {
	dialer, err := a.cfg.imapDialer(a.store.Now)
	if err != nil {
		return imapBoxes{}, nil, err
	}
	link := destinationLink(dialer, a.log)
	logins := a.cfg.newMailboxLogins(a.store, a.vault, a.dialer.Trusted(), a.store.Now)
	return imapBoxes{Store: imapbox.New(imapbox.Options{
		Connector: link, Server: a.cfg.IMAP.server(), Login: logins.login, Key: a.vault.TokenKey(), Root: a.cfg.IMAP.Root,
		Connections: a.cfg.IMAP.Connections, Idle: 2 * time.Second, TempDir: a.cfg.DataDir, Now: a.store.Now, Log: a.log,
	})}, link, nil
}

const (
	// probeEvery is how often it is looked whether the server of users' own mailboxes has to be probed, or is back.
	probeEvery = 5 * time.Second
	// Accounts that are tried again as the server is back begin so far apart, and all of them within so long.
	hastenedApart, hastenedWithin = 20 * time.Millisecond, 5 * time.Minute
)

// destinationChores are the upkeep of mailboxes at a server; none where they are files.
func (a *app) destinationChores() []schedule.Chore {
	boxes, ok := a.mailboxes.(imapBoxes)
	if !ok {
		return nil
	}
	return []schedule.Chore{{Name: "probe_destination", Every: probeEvery, Run: a.probing(boxes)}}
}

// mailboxesAvailable tells whether the server of users' own mailboxes is there; nil where they are files.
func (a *app) mailboxesAvailable() func() bool {
	if boxes, ok := a.mailboxes.(imapBoxes); ok {
		return boxes.Available
	}
	return nil
}

// probing returns a chore that asks during an outage whether the server is back, as often as its pauses allow, so that
// it is found out although all accounts rest; and that has those visited soon which rested for it. What an earlier
// process left resting is visited once the server answers.
func (a *app) probing(boxes imapBoxes) func(ctx context.Context) error {
	seen := int64(0)
	return func(ctx context.Context) error {
		if !boxes.Available() || boxes.Returns() == 0 {
			_ = boxes.Check(ctx) // What is wrong was said when the outage began.
		}
		returns := boxes.Returns()
		if returns == seen || !boxes.Available() {
			return nil
		}
		n, err := a.store.Queue().Hasten(ctx, fault.LocalMailboxUnavailable, hastenedApart, hastenedWithin)
		if err != nil {
			return err
		}
		seen = returns
		if n > 0 {
			a.log.InfoContext(ctx, "accounts that rested for the server of the users' mailboxes are visited again",
				"accounts", n)
			a.runner.Nudge()
		}
		return nil
	}
}

// destinationLink makes connections to the server of users' own mailboxes. Until a connection has its writing guard
// it may send what reads alone, of which it needs STARTTLS.
func destinationLink(dialer *outbound.Dialer, log *slog.Logger) *wire.Connector {
	return wire.NewConnector(wire.Limits{
		Dialer: dialer, Allow: wire.Reading(), MaxMessageBytes: route.MostMessageBytes, Log: log,
	})
}

// server is where users' own mailboxes are.
func (c imapConfig) server() remote.Server {
	s := remote.Server{Host: c.Address.Host, Port: c.Address.Port, Security: c.Security}
	if c.Address.Socket != "" {
		s.Host = "localhost" // Nothing is looked up: the socket is dialled.
	}
	return s
}

// imapDialer reaches the server of users' own mailboxes. The operator says where it is, so it may be inside; without
// TLS only where nobody else listens. now tells the time by which certificates are judged.
func (c config) imapDialer(now func() time.Time) (*outbound.Dialer, error) {
	roots, err := outbound.LoadRoots(c.IMAP.CAFile)
	if err != nil {
		return nil, usageError{fmt.Errorf("imap.ca_file: %w", err)}
	}
	o := outbound.Options{
		AllowNetworks: everyNetwork, AllowAnyPort: true, RootCAs: roots, Now: now, Socket: c.IMAP.Address.Socket,
	}
	if c.IMAP.Security == remote.None {
		o.AllowNetworks, o.OnlyNetworks = slices.Concat(loopbackNetworks, c.Remote.AllowNetworks), true
		o.AllowPlaintext = true
	}
	return outbound.New(o), nil
}

// everyNetwork is the whole internet and what is inside.
var everyNetwork = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// ownHosts are the hosts where users' own mailboxes are served, as far as the configuration says so: those that it
// names, and the server that mail is delivered to, unless that is this machine, on which others may be.
func (c config) ownHosts() []string {
	host := c.IMAP.Address.Host
	if !c.byIMAP() || host == "" || loopback(host) || slices.Contains(c.Remote.OwnHosts, host) {
		return c.Remote.OwnHosts
	}
	return append(slices.Clone(c.Remote.OwnHosts), hostname.Normal(host))
}

// Open implements fetch.Mailbox.
func (m imapBoxes) Open(ctx context.Context, r route.Route, epoch int64, limit owner.Limit) (fetch.Delivery, error) {
	d, err := m.Store.Open(ctx, r.Owner, r.Journal, epoch, limit)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Reach implements account.LocalFolders: the mailbox is signed in to, whatever is known of it.
func (m imapBoxes) Reach(ctx context.Context, o owner.Owner) error {
	err := m.Make(ctx, o)
	if errors.Is(err, owner.ErrNoMailbox) {
		return nil
	}
	return err
}

// Usage implements account.Mailboxes.
func (m imapBoxes) Usage(ctx context.Context, o owner.Owner) (account.Size, error) {
	bytes, messages, err := m.Store.Usage(ctx, o)
	return account.Size{Bytes: bytes, Messages: messages}, absent(err)
}

// Shares implements account.Mailboxes.
func (m imapBoxes) Shares(ctx context.Context, o owner.Owner, folders []string) (account.Size, []account.Size, error) {
	all, shares, err := m.Store.Shares(ctx, o, folders)
	return account.Size(all), sizes(shares), absent(err)
}
