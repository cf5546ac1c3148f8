package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// imapBoxes are mailboxes at an IMAP server. What the store has of methods counts, the rest is refused by unserved.
type imapBoxes struct {
	*imapbox.Store
	rest
}

// rest keeps unserved below what the store has.
type rest struct{ unserved }

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
		Connections: a.cfg.IMAP.Connections, TempDir: a.cfg.DataDir, Log: a.log,
	})}, link, nil
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
func (m imapBoxes) Open(ctx context.Context, o owner.Owner, journal string, epoch int64, limit owner.Limit) (
	fetch.Delivery, error,
) {
	d, err := m.Store.Open(ctx, o, journal, epoch, limit)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Make implements fetch.Mailbox. It is not called: the server makes mailboxes.
func (m imapBoxes) Make(context.Context, owner.Owner) error { return notServed("making a mailbox") }

// Usage implements account.Mailboxes.
func (m imapBoxes) Usage(context.Context, owner.Owner) (account.Size, error) {
	return account.Size{}, notServed("measuring a mailbox")
}

// Shares implements account.Mailboxes.
func (m imapBoxes) Shares(context.Context, owner.Owner, []string) (account.Size, []account.Size, error) {
	return account.Size{}, nil, notServed("measuring a mailbox")
}

// Exists implements mailboxes.
func (m imapBoxes) Exists(context.Context, owner.Owner) (bool, error) { return false, nil }

// unserved refuses what is not done at an IMAP server yet.
type unserved struct{}

func notServed(op string) error {
	return &fault.Error{
		Code: fault.LocalMailboxUnavailable, Op: op,
		Detail: "This is not done yet where users' own mailboxes are at an IMAP server.",
	}
}

func (unserved) InboxValidity(context.Context, owner.Owner) (uint32, error) { return 0, nil }

func (unserved) InboxMessage(context.Context, owner.Owner, uint32, uint32) (mail.Fingerprint, bool, error) {
	return mail.Fingerprint{}, false, nil
}

func (unserved) RemoveFolder(context.Context, owner.Owner, string) error {
	return notServed("removing an account folder")
}

func (unserved) RemoveEmptyFolder(context.Context, owner.Owner, string) error { return nil }

func (unserved) Forget(context.Context, owner.Owner) error { return nil }

func (unserved) Challenge(context.Context, owner.Owner) (string, func() error, error) {
	return "", func() error { return nil }, nil
}

func (unserved) OwnLimit(context.Context, owner.Owner, owner.Limit) (owner.Limit, error) {
	return owner.Limit{}, nil
}

func (unserved) Inspect(context.Context, owner.Owner) (check.Inventory, error) {
	return check.Inventory{}, notServed("reading a mailbox")
}

func (unserved) Fingerprint(context.Context, owner.Owner, mail.Found) (mail.Fingerprint, error) {
	return mail.Fingerprint{}, notServed("reading a message")
}

func (unserved) Check(context.Context) error { return nil }
