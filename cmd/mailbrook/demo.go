package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/demo"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// demoUser is the person whose mailbox the demo fills.
const demoUser = "anna@mailbrook.test"

type demoCmd struct {
	Trickle time.Duration `help:"How often new sample mail comes in at the providers." default:"8s"`
	Verbose bool          `help:"Show the log as well."`
}

// Run starts a mail provider in the process and a scratch server beside it,
// adds an account of each kind as a webmail would, and continues to poll until it
// is interrupted. Nothing of it is left afterwards.
func (c demoCmd) Run(ctx context.Context, t terminal, load loader) (err error) {
	cfg, err := load()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mailbrook-demo-")
	if err != nil {
		return fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	p, err := demo.Start(ctx, demo.Options{Dir: scratch})
	if err != nil {
		return fmt.Errorf("starting the sample provider: %w", err)
	}
	defer p.Close()

	cfg = demoConfig(cfg, scratch, p.CAFile)
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = newLogger(cfg, t.err)
	}
	if err := cfg.makeDataDir(); err != nil {
		return err
	}
	cfg.May = founds
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer a.close()
	l, err := listenOrElsewhere(cfg.Listen)
	if err != nil {
		return err
	}
	address, err := cfg.publicURL(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d := demonstration{app: a, t: t, provider: p, address: address, scratch: scratch}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.serve(ctx, l, nil, []string{roleAPI}) })
	g.Go(func() error {
		if err := d.show(ctx); err != nil {
			return stopped(ctx, err)
		}
		g.Go(func() error { return a.runner.Run(ctx) })
		g.Go(func() error { return stopped(ctx, d.watch(ctx)) })
		p.Trickle(ctx, c.Trickle, nil)
		return nil
	})
	err = g.Wait()
	fmt.Fprintln(t.out, "\nStopped. The scratch directory is gone.")
	return err
}

// stopped makes the end by interruption no failure.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// demoConfig points a configuration at the scratch directory and at the
// provider on the loopback interface.
func demoConfig(cfg config, scratch, caFile string) config {
	cfg.DataDir = filepath.Join(scratch, "data")
	cfg.Database = "sqlite:" + filepath.Join(cfg.DataDir, "mailbrook.db")
	cfg.Mailbox = "maildir:" + filepath.Join(cfg.DataDir, "mail", "{domain}", "{local}")
	cfg.Ops = ""
	cfg.Web = webConfig{} // What is configured is about another server.
	cfg.Remote.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	cfg.Remote.AllowPorts.Any = true
	cfg.Remote.CAFile = caFile
	cfg.Poll.Interval, cfg.Poll.MinInterval = 5*time.Second, 5*time.Second
	return cfg
}

// listenOrElsewhere listens at the address given, or on a free port if somebody
// else does there already.
func listenOrElsewhere(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	host, _, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// demonstration is what the demo shows on its terminal.
type demonstration struct {
	*app
	t        terminal
	provider *demo.Provider
	address  string
	scratch  string
}

// show adds the accounts, fetches for the first time, and says how to continue.
func (d *demonstration) show(ctx context.Context) error {
	o, err := parseUser(demoUser)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.t.out, "Mailbrook demo: a mail provider with sample mail runs inside this process; %s adds two "+
		"accounts there.\n\n", demoUser)
	for _, at := range d.provider.Accounts() {
		protocol := remote.Protocol(at.Protocol)
		security := remote.TLS
		name, _, _ := strings.Cut(owner.Domain(at.Email), ".")
		name = strings.ToUpper(name[:1]) + name[1:]
		acc, err := d.registry.Create(ctx, o, account.Draft{
			Settings: account.Settings{
				Email: &at.Email, Name: &name, Protocol: &protocol, Host: &at.Host, Port: &at.Port, Security: &security,
				Username: &at.Username,
			},
			Password: remote.NewSecret(at.Password),
		})
		if err != nil {
			return d.explain(d.t, acc, err)
		}
		fmt.Fprintf(d.t.out, "  added %-28s by %-4s  %s:%d  into folder %s\n", acc.Email, acc.Protocol, acc.Server.Host,
			acc.Server.Port, acc.Folder)
	}
	fmt.Fprintln(d.t.out)
	accounts, err := d.registry.List(ctx, o)
	if err != nil {
		return err
	}
	if _, err := d.pull(ctx, d.t, accounts, pullCmd{}); err != nil {
		return err
	}
	if err := d.printFolders(ctx, o, accounts); err != nil {
		return err
	}
	if err := d.printLinks(ctx, o); err != nil {
		return err
	}
	d.printSpare()
	return d.printCurl(o, accounts)
}

// printFolders shows what arrived where.
func (d *demonstration) printFolders(ctx context.Context, o owner.Owner, accounts []account.Account) error {
	tbl := newTable("account", "remote folder", "local folder", "messages")
	for _, acc := range accounts {
		folders, err := d.registry.FolderTree(ctx, o, acc.ID)
		if err != nil {
			return err
		}
		for _, f := range folders {
			tbl.add(acc.Name, f.RemoteName, f.LocalName, fmt.Sprint(f.Fetched))
		}
	}
	fmt.Fprintln(d.t.out)
	return tbl.write(d.t.page())
}

// printLinks prints addresses that open the pages.
func (d *demonstration) printLinks(ctx context.Context, o owner.Owner) error {
	var addresses [2]string
	for i := range addresses {
		var err error
		addresses[i], err = httpapi.NewLink(ctx, links{d.store.Links()}, d.address, httpapi.Link{
			Owner: o, Admin: i == 1, ReturnTo: []string{"/", "/admin"}[i], Expires: d.store.Now().Add(httpapi.LinkMaxLife),
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(d.t.out, `
The web pages, signed in (each address works once; "mailbrook link" makes more for a real server):

  %s
  %s   as administrator
`, addresses[0], addresses[1])
	return nil
}

// printSpare prints all that the page asks for, to add a mailbox by hand.
func (d *demonstration) printSpare() {
	imap, pop3 := d.provider.Spare()
	fmt.Fprintf(d.t.out, `
To add an account yourself on the first of these pages, take this mailbox of the sample provider:

  address, user name  %s
  password            %s
  server              %s, port %d for IMAP or %d for POP3, with TLS
`, imap.Email, imap.Password, imap.Host, imap.Port, pop3.Port)
}

// printCurl prints commands that work when pasted.
func (d *demonstration) printCurl(o owner.Owner, accounts []account.Account) error {
	keys := signingKeys(d.cfg, d.vault)
	user, err := keys.Sign(o, false, 12*time.Hour)
	if err != nil {
		return err
	}
	root, err := keys.Sign(o, true, 12*time.Hour)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.t.out, `
The local mailbox is a Maildir++ in %s
The REST API answers at %s; paste these into another terminal:

  TOKEN=%s
  ADMIN=%s
  curl -s -H "Authorization: Bearer $TOKEN" %[2]s/v1/accounts
  curl -s -H "Authorization: Bearer $TOKEN" %[2]s/v1/accounts/%[5]s/folders
  curl -s -H "Authorization: Bearer $TOKEN" -X POST %[2]s/v1/accounts/%[5]s/fetch
  curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"`+
		` -d '{"account_id": "%[5]s"}' %[2]s/v1/connection-tests
  curl -s -H "Authorization: Bearer $TOKEN" %[2]s/v1/quota
  curl -s -H "Authorization: Bearer $ADMIN" %[2]s/v1/admin/stats
  curl -s %[2]s/openapi.yaml

New sample mail keeps coming in and is fetched every few seconds. Ctrl-C ends the demo.

`, filepath.Join(d.cfg.DataDir, "mail", "mailbrook.test", "anna"), d.address, user, root, accounts[0].ID)
	return nil
}

// watch prints a line whenever mail has arrived.
func (d *demonstration) watch(ctx context.Context) error {
	o, err := parseUser(demoUser)
	if err != nil {
		return err
	}
	seen := map[account.ID]int64{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for first := true; ; first = false {
		accounts, err := d.registry.List(ctx, o)
		if err != nil {
			return err
		}
		for _, acc := range accounts {
			if n := acc.Status.Totals.Messages - seen[acc.ID]; n > 0 && !first {
				fmt.Fprintf(d.t.out, "%s  %s: %d new (%d in all)\n", time.Now().Format("15:04:05"), acc.Email, n,
					acc.Status.Totals.Messages)
			}
			seen[acc.ID] = acc.Status.Totals.Messages
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
