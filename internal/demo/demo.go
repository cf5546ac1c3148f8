// Package demo is a small mail provider inside the process: an IMAP and a POP3
// server with sample mail on loopback, for `mailbrook demo` and for tests.
//
// It is read over TLS only, by a certificate of its own authority. Nothing that
// a client says changes what it holds; Deliver does. It knows nothing of the
// rest of the product.
package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Options says how a provider is set up. The zero value is good.
type Options struct {
	Dir  string       // Where the CA's certificate is written; "": a temporary directory.
	Log  *slog.Logger // Nil: nothing is logged.
	Now  time.Time    // The sample mail is older than this; zero: the time of Start.
	Seed uint64       // Of what Deliver chooses; 0: by chance.
}

// Account is one mailbox at the provider, with all that a user would be given.
type Account struct {
	Email    string
	Username string
	Password string
	Protocol string // "imap" or "pop3".
	Host     string // "localhost", which the certificate names.
	Port     int
	Messages int // How many it holds now.
}

// Arrival is a message that was delivered.
type Arrival struct {
	Email   string // Of the account.
	Folder  string // "INBOX" for POP3.
	Subject string
	Size    int // Octets.
}

// Provider is a running provider.
type Provider struct {
	// CAFile is the path of the PEM file with the certificate to trust.
	CAFile string

	log    *slog.Logger
	dir    string // To be removed; "" if it is the caller's.
	cancel context.CancelFunc
	wg     sync.WaitGroup
	conns  *connections
	imap   *imapserver.Server
	ports  map[string]int

	anna *user // Read by IMAP.
	jan  *user // Read by POP3.
	ewa  *user // Read by either, by whoever adds it.

	mu   sync.Mutex
	rand *rand.Rand
	next int
}

// Start starts a provider. It ends with ctx or Close, whichever comes first;
// Close must be called in any case.
func Start(ctx context.Context, o Options) (*Provider, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	o.Seed = cmp.Or(o.Seed, rand.Uint64())
	p := &Provider{
		log: o.Log, conns: newConnections(), ports: make(map[string]int),
		anna: newUser("anna@poczta.example.test", "zielona-herbata-7"),
		jan:  newUser("jan.kowalski@dostawca.example.test", "stary-rower-42"),
		ewa:  newUser("ewa.lis@poczta.example.test", "niebieski-czajnik-3"),
		rand: rand.New(rand.NewPCG(o.Seed, 1)),
	}
	for _, s := range annaSamples() {
		p.anna.add(s.folder, s.message(p.anna.name, o.Now.Add(-s.age)))
	}
	for _, s := range janSamples() {
		p.jan.add("INBOX", s.message(p.jan.name, o.Now.Add(-s.age)))
	}
	for _, s := range ewaSamples() {
		p.ewa.add("INBOX", s.message(p.ewa.name, o.Now.Add(-s.age)))
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "mailbrook-provider-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for the demo provider: %w", err)
		}
		p.dir, o.Dir = dir, dir
	}
	if err := p.start(ctx, o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the demo provider: %w", err), p.Close())
	}
	return p, nil
}

func (p *Provider) start(ctx context.Context, dir string) error {
	ca, cert, err := certificates()
	if err != nil {
		return err
	}
	p.CAFile = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(p.CAFile, ca, 0o644); err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	p.imap = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &session{users: []*user{p.anna, p.ewa}}, nil, nil
		},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapListExtended: {}, imap.CapListStatus: {},
			imap.CapSpecialUse: {}, imap.CapChildren: {}, imap.CapStatusSize: {},
		},
		// What a client does wrong is the client's business.
		Logger: log.New(io.Discard, "", 0),
	})
	imapListener, err := p.listen("imap", config)
	if err != nil {
		return err
	}
	pop3Listener, err := p.listen("pop3", config)
	if err != nil {
		return errors.Join(err, imapListener.Close())
	}
	ctx, p.cancel = context.WithCancel(ctx)
	p.wg.Go(func() {
		if err := p.imap.Serve(imapListener); err != nil {
			p.log.Warn("demo_imap_stopped", "error", err)
		}
	})
	p.wg.Go(func() { servePOP3(pop3Listener, p.jan, p.ewa) })
	p.wg.Go(func() {
		<-ctx.Done()
		// Connections first: closing TLS above a peer that does not read waits.
		p.conns.end()
		err := errors.Join(p.imap.Close(), ignoreClosed(imapListener.Close()), ignoreClosed(pop3Listener.Close()))
		if err != nil {
			p.log.Warn("demo_close_failed", "error", err)
		}
	})
	return nil
}

func (p *Provider) listen(name string, config *tls.Config) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.ports[name] = l.Addr().(*net.TCPAddr).Port
	return tls.NewListener(p.conns.track(l), config), nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close ends the servers and every connection, and waits until nothing is left.
func (p *Provider) Close() error {
	if p.cancel != nil {
		p.cancel()
	}
	p.wg.Wait()
	p.conns.wait()
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// Accounts returns the mailboxes that get new mail, each by the protocol it is read by.
func (p *Provider) Accounts() []Account {
	return []Account{p.account(p.anna, "imap"), p.account(p.jan, "pop3")}
}

// Spare returns one more mailbox, for somebody to add: by IMAP and by POP3.
func (p *Provider) Spare() (imap, pop3 Account) {
	return p.account(p.ewa, "imap"), p.account(p.ewa, "pop3")
}

func (p *Provider) account(u *user, protocol string) Account {
	return Account{
		Email: u.name, Username: u.name, Password: u.password, Protocol: protocol,
		Host: "localhost", Port: p.ports[protocol], Messages: u.count(),
	}
}

// Deliver puts n new messages into folders of either mailbox, by chance.
func (p *Provider) Deliver(n int) []Arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Arrival
	for range n {
		p.next++
		u, folder := p.jan, "INBOX"
		if p.rand.IntN(3) > 0 {
			folders := []string{"INBOX", "INBOX", "Faktury", "Zażółć gęślą jaźń", "Archive/2024"}
			u, folder = p.anna, folders[p.rand.IntN(len(folders))]
		}
		s := freshSample(p.rand, p.next)
		m := s.message(u.name, time.Now())
		u.add(folder, m)
		all = append(all, Arrival{Email: u.name, Folder: folder, Subject: s.subject, Size: len(m.data)})
	}
	return all
}

// Trickle delivers one message each time every passes, until ctx ends. It
// reports each to, which may be nil.
func (p *Provider) Trickle(ctx context.Context, every time.Duration, to func(Arrival)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, a := range p.Deliver(1) {
				if to != nil {
					to(a)
				}
			}
		}
	}
}

// Message is one message as the provider holds it.
type Message struct {
	Email  string
	Folder string
	UID    uint32
	Data   []byte // Lines end in CRLF. Not to be changed.
	Flags  []string
	Date   time.Time
}

// Messages returns everything that the provider holds for Accounts, by account, folder
// and UID.
func (p *Provider) Messages() []Message {
	var all []Message
	for _, u := range []*user{p.anna, p.jan} {
		for _, f := range u.list() {
			for i, m := range f.all() {
				var flags []string
				for _, fl := range m.flags {
					flags = append(flags, string(fl))
				}
				all = append(all, Message{
					Email: u.name, Folder: f.name, UID: uint32(i + 1), Data: m.data, Flags: flags,
					Date: m.date,
				})
			}
		}
	}
	return all
}
