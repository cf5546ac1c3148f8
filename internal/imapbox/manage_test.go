package imapbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// office is a Dovecot with a master user, and a store of ours that works with it by a clock of
// its own.
type office struct {
	*mailtest.Dovecot
	*Store
	t        testing.TB
	settings string // A part of the server's configuration that a test may write.
	dotted   bool   // Its folders are named as "INBOX.Gmail.Sent".

	mu       sync.Mutex
	now      time.Time
	password string // The master's.
	log      bytes.Buffer
	dialled  atomic.Int64
}

func anna() owner.Owner { return user("anna@firma.test") }

func user(address string) owner.Owner {
	o, err := owner.Parse(address)
	if err != nil {
		panic(err)
	}
	return o
}

// newOffice starts it. extra are further lines of the configuration.
func newOffice(t testing.TB, extra ...string) *office {
	t.Helper()
	dir, err := os.MkdirTemp("", "imapbox")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := &office{t: t, now: time.Now(), password: "master", settings: filepath.Join(dir, "settings.conf")}
	masters := filepath.Join(dir, "masters")
	f.write(masters, "mailbrook:{PLAIN}master\n")
	f.write(f.settings, "")
	users := map[string]string{}
	for _, name := range []string{"anna", "ben", "cleo", "dan"} {
		users[name+"@firma.test"] = "sekret"
	}
	f.Dovecot = mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Users: users, Extra: append([]string{
		"auth_master_user_separator = *",
		"passdb {\n  driver = passwd-file\n  master = yes\n  args = " + masters + "\n  result_success = continue\n}",
		"service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}",
		"!include " + f.settings,
	}, extra...)})
	f.Store = f.store()
	return f
}

func (f *office) write(path, text string) {
	f.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// store makes one more store, as of another process.
func (f *office) store() *Store {
	s := New(Options{
		Server: remote.Server{Host: "127.0.0.1", Port: f.IMAP, Security: remote.None}, Key: []byte("key"),
		Login: func(_ context.Context, o owner.Owner) (Login, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return Login{Credential: remote.Credential{
				Username: o.String() + "*mailbrook", Secret: remote.NewSecret(f.password),
			}}, nil
		},
		Quiet: 20 * time.Millisecond, TempDir: f.t.TempDir(), Now: f.clock,
		Pause: func(nth int) time.Duration { return time.Duration(nth) * time.Minute },
		Log:   slog.New(slog.NewTextHandler(lines{f}, nil)),
	})
	s.dial = dialling(f, func() string { return f.Addr("imap") })
	return s
}

// dialling reaches an address without a connector, and counts.
func dialling(f *office, address func() string) func(context.Context, Login) (*wire.Link, error) {
	return func(ctx context.Context, _ Login) (*wire.Link, error) {
		f.dialled.Add(1)
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address())
		if err != nil {
			return nil, err
		}
		server := remote.Server{Host: "127.0.0.1", Security: remote.None}
		return wire.NewLink(conn, server, wire.LinkLimits{}, wire.NewSessionPace(wire.Patience{})), nil
	}
}

type lines struct{ f *office }

func (l lines) Write(p []byte) (int, error) {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	return l.f.log.Write(p)
}

func (f *office) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// outages counts the lines that say that an outage began, and that it ended.
func (f *office) outages() (began, ended int) {
	return strings.Count(f.logged(), "out of order"), strings.Count(f.logged(), "mail is delivered again")
}

func (f *office) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *office) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *office) setPassword(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.password = to
}

// configure changes the part of the configuration that is a test's.
func (f *office) configure(text string) {
	f.t.Helper()
	f.write(f.settings, text)
	f.Stop()
	f.Start()
}

// open opens a delivery, which is closed with the test.
func (f *office) open(o owner.Owner, epoch int64, limit owner.Limit) *Delivery {
	f.t.Helper()
	d, err := f.Open(f.t.Context(), o, "journal", epoch, limit)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = d.Close() })
	return d
}

// stage stages messages of this size, and tells where they go.
func (f *office) stage(d *Delivery, folder string, n, size int) []mail.Placement {
	f.t.Helper()
	var ps []mail.Placement
	for i := range n {
		text := fmt.Sprintf("Subject: message %d\r\nMessage-ID: <%d@there.test>\r\n\r\n", i, i)
		text += strings.Repeat("x", max(0, size-len(text)-2)) + "\r\n"
		token := mail.TokenFor([]byte("key"), "journal", folder, 1, mail.ID{UID: uint32(i + 1)})
		st, err := d.Stage(f.t.Context(), token, strings.NewReader(text), time.Now(), 10<<20)
		if err != nil {
			f.t.Fatal(err)
		}
		ps = append(ps, mail.Placement{
			Spool: st.Spool, Token: token, Fingerprint: st.Fingerprint, Folder: folder, Received: st.Received,
			FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		})
	}
	return ps
}

// deliver delivers messages of this size into a folder.
func (f *office) deliver(d *Delivery, folder string, n, size int) {
	f.t.Helper()
	ps := f.stage(d, folder, n, size)
	sealed, err := d.Seal(f.t.Context(), ps)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range ps {
		if ps[i].Spool = sealed[i].Spool; sealed[i].Refused != nil {
			f.t.Fatal(sealed[i].Refused)
		}
	}
	if _, err := d.Publish(f.t.Context(), ps); err != nil {
		f.t.Fatal(err)
	}
}

// is fails unless an error has this code.
func is(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// One user who is not there is no outage, and is distinguished from our own login being refused.
func TestWhoseTroubleARefusedLoginIs(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()

	nobody := user("nobody@firma.test")
	_, _, err := f.Usage(ctx, nobody)
	is(t, err, fault.LocalMailboxUnavailable)
	if !errors.Is(err, owner.ErrNoMailbox) || errors.Is(err, errOutage) || !f.Available() {
		t.Errorf("the server knows who we are, and not this user: %v", err)
	}
	if there, err := f.Exists(ctx, nobody); there || err != nil {
		t.Error(there, err)
	}
	if there, err := f.Exists(ctx, anna()); !there || err != nil {
		t.Error(there, err)
	}

	// With nobody else to compare with, three that are refused are our own doing.
	f.setPassword("wrong")
	s := f.store()
	for i, name := range []string{"anna", "ben", "cleo"} {
		err := s.Make(ctx, user(name+"@firma.test"))
		is(t, err, fault.LocalMailboxUnavailable)
		if errors.Is(err, owner.ErrNoMailbox) || errors.Is(err, errOutage) != (i == 2) {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := f.dialled.Load()
	if err := s.Make(ctx, user("dan@firma.test")); !errors.Is(err, errOutage) || f.dialled.Load() != before {
		t.Errorf("it is tried once more: %v", err)
	}
	if s.Available() || s.Check(ctx) == nil {
		t.Error("nobody hears of it")
	}

	// Somebody else was let in: it is that user's trouble, or ours at once.
	f.setPassword("master")
	f.pass(time.Hour)
	if err := s.Make(ctx, user("dan@firma.test")); err != nil || !s.Available() {
		t.Fatal(err)
	}
	f.pass(time.Hour)
	f.setPassword("wrong")
	if err := s.Make(ctx, anna()); !errors.Is(err, errOutage) || errors.Is(err, owner.ErrNoMailbox) {
		t.Error(err)
	}
	f.setPassword("master")
	f.pass(time.Hour)
	if err := s.Make(ctx, user("dan@firma.test")); err != nil {
		t.Error(err)
	}
	f.pass(time.Hour)
	login := s.o.Login
	s.o.Login = func(ctx context.Context, o owner.Owner) (Login, error) {
		l, err := login(ctx, o)
		if o == anna() {
			l.Credential.Secret = remote.NewSecret("refused")
		}
		return l, err
	}
	if err := s.Make(ctx, anna()); !errors.Is(err, owner.ErrNoMailbox) || !s.Available() {
		t.Error(err)
	}
	if out, back := f.outages(); out != 2 || back != 2 {
		t.Errorf("%d and %d lines of two outages:\n%s", out, back, f.logged())
	}
	if strings.Contains(f.logged(), "wrong") {
		t.Error("a password is logged")
	}
}

// An outage stops all deliveries before anything is asked for, and is found over by one connection.
func TestAnOutage(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	f.deliver(d, "Gmail", 2, 1000)
	if err := f.Check(ctx); err != nil {
		t.Error(err)
	}
	f.Stop()
	f.pass(2 * time.Minute)
	if err := d.Reserve(ctx, 1, 1000); err != nil { // It was asked already, and nothing was noticed yet.
		t.Error(err)
	}
	if _, err := d.Seal(ctx, f.stage(d, "Gmail", 1, 1000)); err == nil {
		t.Fatal("sealed at a server that is not there")
	}
	is(t, d.Reserve(ctx, 1, 1000), fault.LocalMailboxUnavailable)
	if f.Available() {
		t.Fatal("not noticed")
	}
	dialled := f.dialled.Load()
	for range 3 {
		for _, name := range []string{"anna", "ben", "cleo"} {
			_, err := f.Open(ctx, user(name+"@firma.test"), "journal", 2, owner.Limit{})
			is(t, err, fault.LocalMailboxUnavailable)
			var of *fault.Error
			if !errors.Is(err, errOutage) || !errors.As(err, &of) || of.RetryAfter <= 0 || of.RetryAfter > time.Minute {
				t.Errorf("%s: %v", name, err)
			}
		}
		is(t, d.Reserve(ctx, 1, 1000), fault.LocalMailboxUnavailable)
		if err := f.Check(ctx); !errors.Is(err, errOutage) {
			t.Error(err)
		}
	}
	if n := f.dialled.Load() - dialled; n != 0 {
		t.Errorf("dialled %d times during an outage", n)
	}
	// The pauses grow, and one tries for all.
	for tries := int64(1); tries < 4; tries++ {
		f.pass(time.Duration(tries) * time.Minute)
		is(t, f.Make(ctx, anna()), fault.LocalMailboxUnavailable)
		is(t, f.Make(ctx, user("ben@firma.test")), fault.LocalMailboxUnavailable)
		if n := f.dialled.Load() - dialled; n != tries {
			t.Fatalf("%d instead of %d connections", n, tries)
		}
	}
	f.Start()
	is(t, f.Make(ctx, anna()), fault.LocalMailboxUnavailable) // Before the pause is over.
	f.pass(4 * time.Minute)
	f.open(user("ben@firma.test"), 2, owner.Limit{})
	if !f.Available() || f.Check(ctx) != nil {
		t.Error("it is back, and nobody noticed")
	}
	if out, back := f.outages(); out != 1 || back != 1 {
		t.Errorf("%d and %d lines of one outage:\n%s", out, back, f.logged())
	}
}

// Whoever asks for readiness finds out that the server is gone, and that it is back.
func TestCheckAsksByItself(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()
	if err := f.Check(ctx); err != nil || f.dialled.Load() != 1 {
		t.Fatal(err) // By a greeting alone.
	}
	if err := f.Check(ctx); err != nil || f.dialled.Load() != 1 {
		t.Error("asked once more within a minute", err)
	}
	if err := f.Make(ctx, anna()); err != nil {
		t.Fatal(err)
	}
	f.Stop()
	f.pass(time.Hour)
	if err := f.Check(ctx); !errors.Is(err, errOutage) || f.Available() {
		t.Error(err)
	}
	f.Start()
	f.pass(time.Hour)
	if err := f.Check(ctx); err != nil || !f.Available() {
		t.Error(err)
	}
	f.setPassword("wrong")
	f.pass(time.Hour)
	if err := f.Check(ctx); err == nil && !f.Available() {
		t.Error("an outage, and no error")
	}
}
