package imapbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// doorman is a server that does nothing but to let users in, or not.
type doorman struct {
	*office
	mu     sync.Mutex
	greets string
	says   map[string]string // What it says to a user, without the tag; else: OK.
	lists  string            // What it says to LIST, before OK.
}

func newDoorman(t *testing.T) *doorman {
	d := &doorman{
		office: &office{t: t, now: time.Now()}, greets: "* OK [CAPABILITY IMAP4rev1] hello", says: map[string]string{},
	}
	d.Store = New(Options{
		Server: remote.Server{Host: "127.0.0.1", Port: 143, Security: remote.None}, Key: []byte("key"),
		Login: func(_ context.Context, o owner.Owner) (Login, error) {
			return Login{Credential: remote.Credential{Username: o.String(), Secret: remote.NewSecret("x")}}, nil
		},
		Now: d.clock, Pause: func(nth int) time.Duration { return time.Duration(nth) * time.Minute },
		Log: slog.New(slog.NewTextHandler(lines{d.office}, nil)),
	})
	d.dial = func(context.Context, Login) (*wire.Link, error) {
		d.dialled.Add(1)
		ours, its := net.Pipe()
		go d.serve(its)
		return wire.NewLink(ours, d.o.Server, wire.LinkLimits{}, wire.NewSessionPace(wire.Patience{})), nil
	}
	return d
}

func (d *doorman) serve(conn net.Conn) {
	defer conn.Close()
	d.mu.Lock()
	greeting := d.greets
	d.mu.Unlock()
	fmt.Fprint(conn, greeting+"\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		said := "OK done"
		if rest, ok := strings.CutPrefix(command, `LOGIN "`); ok {
			who, _, _ := strings.Cut(rest, `"`)
			d.mu.Lock()
			if s := d.says[who]; s != "" {
				said = s
			}
			d.mu.Unlock()
		}
		d.mu.Lock()
		if strings.HasPrefix(command, "LIST ") {
			said = d.lists + tag + " " + said
		} else {
			said = tag + " " + said
		}
		d.mu.Unlock()
		fmt.Fprint(conn, said+"\r\n")
	}
}

func (d *doorman) say(to, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.says[to+"@firma.test"] = what
}

func (d *doorman) try(name string) error { return d.Make(d.t.Context(), user(name+"@firma.test")) }

// What servers say to a login that they refuse, and whose trouble that is.
func TestWhatServersSayToALogin(t *testing.T) {
	t.Parallel()
	const temporary = "NO [UNAVAILABLE] Temporary authentication failure. [host:2026-11-30]"
	for name, c := range map[string]struct {
		says     string
		first    bool // It is an outage where nobody else was let in.
		after    bool // … and where somebody was, and is.
		nobody   bool // The user has no mailbox, by what is known after that.
		own      bool
		contains string
	}{
		"no such user, says a server that knows us": {says: "NO [AUTHORIZATIONFAILED] no", nobody: true},
		"no":                        {says: "NO no", nobody: true, contains: "has no mailbox of this user"},
		"temporary":                 {says: temporary, first: true, contains: "Temporary authentication failure"},
		"too many connections":      {says: "NO [LIMIT] Maximum number of connections exceeded", contains: "Maximum number"},
		"the user's own password":   {says: "NO [AUTHENTICATIONFAILED] no", own: true, contains: "password that is kept"},
		"own password, and trouble": {says: temporary, own: true, first: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoorman(t)
			login := d.o.Login
			d.o.Login = func(ctx context.Context, o owner.Owner) (Login, error) {
				l, err := login(ctx, o)
				l.Own = c.own
				return l, err
			}
			d.say("anna", c.says)
			err := d.try("anna")
			is(t, err, fault.LocalMailboxUnavailable)
			if errors.Is(err, errOutage) != c.first || d.Available() == c.first {
				t.Errorf("at first: %v", err)
			}
			d.pass(time.Hour)
			if err := d.try("ben"); err != nil || !d.Available() {
				t.Fatal(err)
			}
			d.pass(time.Hour)
			err = d.try("anna")
			is(t, err, fault.LocalMailboxUnavailable)
			if errors.Is(err, errOutage) || !d.Available() || errors.Is(err, owner.ErrNoMailbox) != c.nobody ||
				!strings.Contains(fmt.Sprint(err), c.contains) {
				t.Errorf("after another was let in: %v", err)
			}
		})
	}
}

// Whatever a server says instead of a greeting, it is out of order for all.
func TestAServerThatTurnsEverybodyAway(t *testing.T) {
	t.Parallel()
	for _, greeting := range []string{"* BYE Too many connections", "+OK POP3", "", "* PREAUTH hello", "220 smtp"} {
		d := newDoorman(t)
		d.greets = greeting
		is(t, d.try("anna"), fault.LocalMailboxUnavailable)
		err := d.try("ben")
		if !errors.Is(err, errOutage) || d.dialled.Load() != 1 {
			t.Errorf("%q: %v", greeting, err)
		}
	}
}

// However many find out at the same time, it is one outage, and one who looks whether it is over.
func TestManyMeetAnOutageTogether(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	d.greets = "* BYE down"
	together := func() {
		var wait sync.WaitGroup
		for i := range 40 {
			wait.Go(func() { is(t, d.try(fmt.Sprintf("u%d", i)), fault.LocalMailboxUnavailable) })
		}
		wait.Wait()
	}
	together()
	if n := d.dialled.Load(); n > 16 {
		t.Errorf("%d connections", n)
	}
	for tries := 1; tries < 4; tries++ {
		d.pass(time.Duration(tries) * time.Minute)
		before := d.dialled.Load()
		together()
		if n := d.dialled.Load() - before; n != 1 {
			t.Errorf("%d looked whether it is over, the pause being %d min", n, tries)
		}
	}
	if began, ended := d.outages(); began != 1 || ended != 0 {
		t.Errorf("%d and %d lines", began, ended)
	}
	d.mu.Lock()
	d.greets = "* OK [CAPABILITY IMAP4rev1] hello"
	d.mu.Unlock()
	d.pass(4 * time.Minute)
	if err := d.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if began, ended := d.outages(); began != 1 || ended != 1 {
		t.Errorf("%d and %d lines", began, ended)
	}
	if err := d.try("anna"); err != nil {
		t.Error(err)
	}
}

// Folders that cannot be worked with are a mailbox's trouble, not the server's.
func TestAMailboxThatCannotBeWorkedWith(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	d.lists = "* LIST () \"a\" INBOX\r\n"
	for range 2 {
		err := d.try("anna")
		is(t, err, fault.LocalMailboxUnavailable)
		if errors.Is(err, errOutage) || !d.Available() {
			t.Error(err)
		}
	}
}

// Who is stopped, or has a trouble of our own, says nothing of the server.
func TestNoOutageOfTheServers(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	stopped, cancel := context.WithCancel(t.Context())
	dial := d.dial
	d.dial = func(ctx context.Context, l Login) (*wire.Link, error) {
		cancel()
		return dial(ctx, l)
	}
	if err := d.Make(stopped, anna()); err == nil || !d.Available() {
		t.Error(err)
	}
	d.dial = dial
	d.o.Login = func(context.Context, owner.Owner) (Login, error) { return Login{}, errors.New("no key") }
	err := d.try("anna")
	is(t, err, fault.Internal)
	if !d.Available() {
		t.Error(err)
	}
}

func TestPausesGrowAndSpread(t *testing.T) {
	t.Parallel()
	for nth, seconds := range map[int]int{1: 5, 2: 10, 7: 300, 99: 300} {
		want := time.Duration(seconds) * time.Second
		seen := map[time.Duration]bool{}
		for range 20 {
			p := defaultPause(nth)
			if p < want*3/4 || p > want*5/4 {
				t.Errorf("%d: %v", nth, p)
			}
			seen[p] = true
		}
		if len(seen) < 2 {
			t.Errorf("%d: always the same", nth)
		}
	}
}

// That everybody is let in again is found out by whoever asks for readiness, though nobody ever was; and how often the
// server was found to be there is counted: once at the start, and once after each outage.
func TestWhenTheServerIsBackIsFoundOutAndCounted(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	if n := d.Returns(); n != 0 {
		t.Errorf("before anything was asked it was back %d times", n)
	}
	names := []string{"anna", "ben", "cleo"}
	for _, name := range names {
		d.say(name, "NO no")
		is(t, d.try(name), fault.LocalMailboxUnavailable)
	}
	if d.Available() || d.Returns() != 1 {
		t.Fatalf("available %v, back %d times", d.Available(), d.Returns())
	}
	d.pass(time.Hour)
	dialled := d.dialled.Load()
	if err := d.Check(t.Context()); !errors.Is(err, errOutage) || d.dialled.Load() == dialled {
		t.Errorf("it is not tried again: %v", err)
	}
	for _, name := range names {
		d.say(name, "")
	}
	d.pass(time.Hour)
	if err := d.Check(t.Context()); err != nil || !d.Available() || d.Returns() != 2 {
		t.Errorf("%v; available %v, back %d times", err, d.Available(), d.Returns())
	}
	if err := d.try("anna"); err != nil || d.Returns() != 2 {
		t.Errorf("%v; a login in good times counts: %d", err, d.Returns())
	}
}

// A user's own password that is refused is tried again after growing pauses only, and another one at once, as it is not
// known to be refused. The control is a master's, which is everybody's.
func TestARefusedPasswordOfAUsersOwnIsNotTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	password, own := "x", true
	d.o.Login = func(_ context.Context, o owner.Owner) (Login, error) {
		return Login{
			Credential: remote.Credential{Username: o.String(), Secret: remote.NewSecret(password)}, Own: own,
		}, nil
	}
	d.say("anna", "NO [AUTHENTICATIONFAILED] no")
	tried := func(dials int64, what string) {
		t.Helper()
		before := d.dialled.Load()
		err := d.try("anna")
		is(t, err, fault.LocalMailboxUnavailable)
		if n := d.dialled.Load() - before; n != dials || errors.Is(err, owner.ErrLocked) != own || !d.Available() {
			t.Errorf("%s: %d connections: %v", what, n, err)
		}
	}
	tried(1, "at first")
	tried(0, "at once again")
	d.pass(time.Minute)
	tried(1, "after the pause")
	d.pass(time.Minute)
	tried(0, "before the second pause is over, which is longer")
	d.pass(time.Minute)
	tried(1, "after it")
	password = "y"
	tried(1, "another password")
	d.say("anna", "")
	if err := d.try("anna"); err == nil {
		t.Error("it is tried again before the pause is over")
	}
	password = "z"
	if err := d.try("anna"); err != nil {
		t.Errorf("the right one is not tried: %v", err)
	}
	own = false
	d.say("ben", "NO no")
	for range 2 {
		before := d.dialled.Load()
		if err := d.try("ben"); !errors.Is(err, owner.ErrNoMailbox) || d.dialled.Load() == before {
			t.Errorf("a master's: %v", err)
		}
	}
}
