// Package source reads external accounts by IMAP and POP3, and cannot write to
// them: below the protocol libraries sits a connection of our own (package wire) that
// sends nothing but commands that change nothing, and hands up nothing that was not
// bounded and made plain first.
//
// Absence of an answer is never proof: what was asked for and did not come is
// asked for again, alone, on a new connection, and then reported as missed.
// Bytes are opaque; no message is parsed.
//
// It knows nothing of journals, local mailboxes or schedules, and logs no
// secret and no mail.
package source

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Options say how a Client works. Only Dialer is required. How long reaching a
// server and its TLS handshake may take is the dialer's business.
type Options struct {
	Dialer          *outbound.Dialer
	Gate            wire.Gate // Nil: nobody counts logins.
	MaxMessageBytes int64     // 0: DefaultMaxMessageBytes.
	Log             *slog.Logger
	// Transcript is given each line that is sent ("C: …") and received
	// ("S: …"), without secrets and bodies. It may be called from several
	// goroutines. Nil: none is written.
	Transcript func(line string)
	Patience   wire.Patience
	// Version is this program's, which is sent to servers that ask for it (IMAP's
	// ID); "": the name alone. Printable ASCII.
	Version string
	// IDFirst says whether an account's server opens nothing before it was sent
	// by ID who asks. Nil: none does.
	IDFirst func(m remote.Mailbox) bool
	// CloseOnly says at which accounts a POP3 session ends without QUIT, by which
	// their provider would hide what was read from other programs. Nil: at none.
	CloseOnly func(remote.Mailbox) bool
	// Window is how many listed messages a session keeps in memory: what is
	// longer lies in an unlinked file in TempDir. 0: DefaultWindow.
	Window int
	// TempDir is where such files are made; "": where the system has them.
	TempDir string
}

// Client opens sessions at external servers. It is safe for concurrent use.
type Client struct {
	opts Options
	wire *wire.Connector
}

// New returns a client.
func New(o Options) *Client {
	if o.MaxMessageBytes <= 0 {
		o.MaxMessageBytes = wire.DefaultMaxMessageBytes
	}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{opts: o, wire: wire.NewConnector(wire.Limits{
		Dialer: o.Dialer, Allow: wire.Reading(), Patience: o.Patience, MaxMessageBytes: o.MaxMessageBytes,
		Log: o.Log, Transcript: o.Transcript,
	})}
}

// WithTranscript returns a client that works as c does and gives write each line
// that is sent and received: see Options.Transcript.
func (c *Client) WithTranscript(write func(line string)) *Client {
	with := *c
	with.wire = c.wire.With(func(l *wire.Limits) { l.Transcript = write })
	return &with
}

// Refused counts the commands that were about to be sent and were refused
// because they are not on the list of those that change nothing. Anything but 0
// is a defect.
func (c *Client) Refused() int64 { return c.wire.Refused() }

// Unreadable counts the answers of servers that could not be read and were left
// out, each with what it is about.
func (c *Client) Unreadable() int64 { return c.wire.Unreadable() }

// Session reads one mailbox at a server, and cannot change anything there. It is
// used by one goroutine at a time, except for Close. What its methods promise stands
// where they are called, at the engine's port: fetch.Session, which cmd/mailbrook
// makes of it.
type Session struct{ protocol }

// protocol is what a Session does by IMAP or POP3.
type protocol interface {
	Folders(ctx context.Context) ([]mail.Folder, error)
	List(ctx context.Context, queries []mail.Query, yield yieldFunc) error
	Fetch(ctx context.Context, wants []mail.Want, take takeFunc, miss missFunc) error
	Headers(ctx context.Context, wants []mail.Want, take headerFunc) error
	Capabilities() string
	Leave(ctx context.Context) error
	Close() error
}

// What the callers of a Session hand in.
type (
	yieldFunc  = func(l mail.Listing, err error) error
	takeFunc   = func(f mail.Folder, it mail.Item, body io.Reader) error
	missFunc   = func(f mail.Folder, it mail.Item, why *fault.Error)
	headerFunc = func(f mail.Folder, it mail.Item, header []byte) error
)

// Open connects, secures, greets and signs in. ctx governs the opening only.
// Its error is a *fault.Error, or wraps ctx's.
func (c *Client) Open(ctx context.Context, m remote.Mailbox, cred remote.Credential) (*Session, error) {
	opened, err := c.open(ctx, m, cred, nil)
	if err != nil {
		return nil, err
	}
	return &Session{opened}, nil
}

func (c *Client) open(ctx context.Context, m remote.Mailbox, cred remote.Credential,
	observe func(remote.Step),
) (protocol, error) {
	who := wire.NewSigner(c.opts.Gate, m)
	if m.Protocol == remote.IMAP {
		return openIMAP(ctx, c, who, cred, observe)
	}
	return renewing(ctx, &cred, func(cred remote.Credential) (protocol, error) {
		return openPOP3(ctx, c, who, cred, observe)
	})
}

// renewing opens, and once more with another secret when the server refuses one
// that may have run out meanwhile. The new one is kept in cred.
func renewing[T any](ctx context.Context, cred *remote.Credential,
	open func(remote.Credential) (T, error),
) (T, error) {
	got, err := open(*cred)
	if cred.Renew == nil || fault.CodeOf(err) != fault.OAuthReauthorizationRequired {
		return got, err
	}
	secret, err := cred.Renew(ctx, cred.Secret)
	if err != nil {
		var none T
		return none, err
	}
	cred.Secret = secret
	return open(*cred)
}

const (
	// probeIdle is how long a connection test waits for the next octet.
	probeIdle = 20 * time.Second
	// probeCounts is for how long it asks how many messages folders hold: some
	// servers take half a second for each (Courier, Exchange, Domino), and it is
	// no reason to refuse an account.
	probeCounts = 20 * time.Second
	// countsPipelined is how many of these questions are under way at a time.
	countsPipelined = 8
)

// own counts the account's own folders of mail: what cannot be opened is none.
func own(folders []mail.Folder) (n int) {
	for _, f := range folders {
		if !f.Shared && (f.Selectable || f.Problem != nil) {
			n++
		}
	}
	return n
}

// SignIn signs in at an IMAP server and leaves again: whether the credential is
// right is all that is asked.
func (c *Client) SignIn(ctx context.Context, m remote.Mailbox, cred remote.Credential) error {
	m.Secret.Subject, m.LoginProof, m.Capabilities = "", "", ""
	// As for a test, nothing is pipelined.
	session, err := openIMAP(ctx, c, wire.NewSigner(c.opts.Gate, m), cred, func(remote.Step) {})
	if err != nil {
		return err
	}
	_ = session.Close() // It was right, whatever becomes of the connection.
	return nil
}

// Probe is Open and Folders, and by IMAP opening the inbox, for a connection test: it
// reports each step to observe as it ends and returns the folders with their counts.
// Steps that were not reached are not reported. The account may be one that is not saved,
// or that is saved with other settings: what was known of its login is not used.
func (c *Client) Probe(ctx context.Context, m remote.Mailbox, cred remote.Credential,
	observe func(remote.Step),
) ([]mail.Folder, error) {
	m.Secret.Subject, m.LoginProof, m.Capabilities = "", "", ""
	impatient := *c
	if idle := &impatient.opts.Patience.Idle; *idle == 0 || *idle > probeIdle {
		*idle = probeIdle
	}
	impatient.wire = c.wire.With(func(l *wire.Limits) { l.Patience = impatient.opts.Patience })
	session, err := impatient.open(ctx, m, cred, observe)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if reads, ok := session.(*imapSession); ok {
		reads.conn.countUntil = time.Now().Add(probeCounts)
	}
	folders, err := wire.Timed(observe, remote.StepFolders, func() ([]mail.Folder, words.Detail, error) {
		fs, err := session.Folders(ctx)
		if reads, ok := session.(*imapSession); ok && err == nil {
			err = reads.opensAny(ctx, fs)
		}
		return fs, countOf(own(fs)), err
	})
	if err != nil {
		return nil, err
	}
	return folders, session.Leave(ctx)
}

// countOf says how many folders there are.
func countOf(folders int) words.Detail {
	if folders == 1 {
		return words.Detail{words.Say("1 folder")}
	}
	return words.Detail{words.Say("%d folders", folders)}
}
