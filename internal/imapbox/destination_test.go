package imapbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// everybody lets any user sign in, with one password.
const everybody = "passdb {\n  driver = static\n  args = password=sekret\n}\n"

// place is one user's mailbox at a Dovecot as the suite of destinations sees it.
type mailbox struct {
	t      testing.TB
	d      *mailtest.Dovecot // Nil: another server.
	at     *mailtest.Server
	login  func(o owner.Owner) Login
	user   string
	direct bool  // What Options say.
	away   *away // Nil: the mailbox can be taken away on the disk.
}

var users atomic.Int64

func newPlace(t testing.TB, d *mailtest.Dovecot) mailbox {
	login := func(o owner.Owner) Login {
		return Login{Credential: remote.Credential{Username: o.String(), Secret: remote.NewSecret("sekret")}}
	}
	return mailbox{t: t, d: d, at: &d.Server, login: login, user: fmt.Sprintf("u%d@firma.test", users.Add(1))}
}

func (p mailbox) home() string { return p.d.Store(p.user) }

// store makes a Store as a process of its own has it. call is called before whatever is sent.
func (p mailbox) store(step func(string), call func() error) *Store {
	s := New(Options{
		Server: remote.Server{Host: "127.0.0.1", Port: p.at.IMAP, Security: remote.None}, Key: []byte("key"),
		Login: func(_ context.Context, o owner.Owner) (Login, error) { return p.login(o), nil },
		Quiet: 60 * time.Millisecond, Step: step, TempDir: p.t.TempDir(), Direct: p.direct,
	})
	s.dial = func(ctx context.Context, _ Login) (*wire.Link, error) {
		if err := call(); err != nil {
			return nil, err
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", p.at.Addr("imap"))
		if err != nil {
			return nil, err
		}
		return wire.NewLink(calling{conn, call}, s.o.Server, wire.LinkLimits{}, wire.NewSessionPace(wire.Patience{})), nil
	}
	if p.away != nil {
		s.dial = p.away.dial(s.dial)
	}
	return s
}

// calling asks before each write.
type calling struct {
	net.Conn
	call func() error
}

func (c calling) Write(p []byte) (int, error) {
	if err := c.call(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (p mailbox) Open(ctx context.Context, process destination.Process) (fetch.Delivery, error) {
	l := owner.Limit{}
	if process.Limit > 0 {
		l.Bytes = &process.Limit
	}
	o, err := owner.Parse(p.user)
	if err != nil {
		return nil, err
	}
	return p.store(process.Step, process.Call).Open(ctx, o, "journal", process.Epoch, l)
}

func (p mailbox) Messages() (all []destination.Message, err error) {
	if _, err := os.Stat(p.home()); os.IsNotExist(err) {
		return nil, nil
	}
	for _, d := range mailtest.ReadMaildir(p.t, p.home()) {
		if strings.HasPrefix(d.Folder, "mailbrook-staging-") {
			continue
		}
		text, err := os.ReadFile(d.Path)
		if err != nil {
			return nil, err
		}
		m := destination.Message{
			Folder: d.Folder, Body: strings.ReplaceAll(string(text), "\r\n", "\n"), Received: d.Time, Where: d.Path,
		}
		for letter, flag := range map[string]mail.Flags{
			"D": mail.Draft, "F": mail.Flagged, "R": mail.Answered, "S": mail.Seen,
		} {
			if strings.Contains(d.Flags, letter) {
				m.Flags |= flag
			}
		}
		names, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(d.Path)), "dovecot-keywords"))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		m.Keywords = keywordsOf(filepath.Base(d.Path), string(names))
		all = append(all, m)
	}
	return all, nil
}

// keywordsOf is what the letters of a file's name stand for.
func keywordsOf(name, file string) mail.Keywords {
	names := map[string]string{}
	for line := range strings.Lines(file) {
		n, word, _ := strings.Cut(strings.TrimSpace(line), " ")
		names[n] = word
	}
	var words []string
	_, letters, _ := strings.Cut(name, ":2,")
	for _, l := range letters {
		if 'a' <= l && l <= 'z' {
			words = append(words, names[fmt.Sprint(l-'a')])
		}
	}
	k, _ := mail.KeywordsOf(words)
	return k
}

func (p mailbox) Move(m destination.Message, folder string) error {
	to := filepath.Join(p.home(), "."+strings.ReplaceAll(folder, "/", "."))
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(to, sub), 0o700); err != nil {
			return err
		}
	}
	p.d.Own(to)
	return os.Rename(m.Where, filepath.Join(to, "cur", filepath.Base(m.Where)))
}

func (p mailbox) Delete(m destination.Message) error { return os.Remove(m.Where) }

func (p mailbox) Remove() error {
	return os.Rename(filepath.Dir(p.home()), filepath.Dir(p.home())+".away")
}

// PutBack makes way for the mailbox by removing what was made in its place.
func (p mailbox) PutBack() error {
	home := filepath.Dir(p.home())
	return errors.Join(os.RemoveAll(home), os.Rename(home+".away", home))
}

// A mailbox at an IMAP server keeps the promises of a destination.
func TestDestination(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}})
	destination.Test(t, func(tb testing.TB) destination.Place { return newPlace(tb, d) })
}
