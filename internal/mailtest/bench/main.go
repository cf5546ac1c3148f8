// Command bench measures "mailbrook pull" beside the programs that people use
// for the same today: mbsync, mpop, fetchmail, offlineimap, getmail.
//
//	go run ./internal/mailtest/bench [-cases A0,C40] [-rounds 3] [-only mailbrook,mbsync] [-scale 0.1]
//
// It starts a private Dovecot, fills it with mail that is the same each time,
// builds mailbrook, and lets every program pull, one after the other and in
// turns (A B C, B C A, …), each as a process of its own, over TLS with its
// certificate verified, everything synced to the disk. A proxy of its own adds
// the distance and counts round trips. Only figures of one run compare: by
// their ratio. It prints a page of Markdown, and each run as a line of JSON
// where -json says, and leaves no process and no file behind.
//
// Programs that are missing are installed where that is allowed (Debian, as
// root), else named in the report.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// options are the command line.
type options struct {
	cases, only, scratch, json, mailbrook, destination string
	rounds, serialRounds                               int
	scale                                              float64
	limit                                              time.Duration
}

// everyCase is measured where -cases does not say which, into a Maildir.
const everyCase = "A0,S40,B0,B40,C40,T40,D40,G0,H0,W0"

func main() {
	if len(os.Args) > 2 {
		for name, part := range map[string]func([]string) error{launcher: launch, copier: copyAll} {
			if os.Args[1] != name {
				continue
			}
			if err := part(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	var o options
	flag.StringVar(&o.cases, "cases", everyCase, "which cases, as in the report's headings; "+
		"the number is the round trip in ms")
	flag.StringVar(&o.only, "only", "", "beginnings of the names of the programs to measure; empty: all")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured")
	flag.IntVar(&o.serialRounds, "serial-rounds", 1, "the same, for first pulls by programs that go message by message")
	flag.Float64Var(&o.scale, "scale", 1, "of the number of messages, for a quick look")
	flag.StringVar(&o.scratch, "scratch", "/var/tmp", "where to work: a real disk, or fsync costs nothing, with 15 GB "+
		"free at full scale")
	flag.StringVar(&o.json, "json", "", "file to which each run is appended as a line of JSON")
	flag.StringVar(&o.mailbrook, "mailbrook", "", "the program to measure; empty: built from this module")
	flag.StringVar(&o.destination, "destination", "maildir", "maildir, or imap: into mailboxes at a second "+
		"server (cases A and S)")
	flag.DurationVar(&o.limit, "limit", 10*time.Minute, "the most that one run may take")
	flag.Parse()
	if o.destination == "imap" && o.cases == everyCase {
		o.cases = "A0,S40"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := measure(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// stage is testing.TB for the parts of mailtest, outside of a test.
type stage struct {
	testing.TB // Nil: what is not below is not used.
	cleanups   []func()
	failed     bool
}

// fatal is what Fatalf panics with.
type fatal struct{ error }

func (s *stage) Helper()                   {}
func (s *stage) Failed() bool              { return s.failed }
func (s *stage) Cleanup(f func())          { s.cleanups = append(s.cleanups, f) }
func (s *stage) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, f+"\n", a...) }
func (s *stage) Errorf(f string, a ...any) { s.failed = true; s.Logf(f, a...) }
func (s *stage) Fatalf(f string, a ...any) { s.failed = true; panic(fatal{fmt.Errorf(f, a...)}) }

func (s *stage) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// bench is one run of this program.
type bench struct {
	options
	dovecot *mailtest.Dovecot
	target  *mailtest.Dovecot // Of -destination imap; nil: mail goes into Maildirs.
	work    string            // Directory for everything that peers write.
	binary  string
	far     map[string]*distance // Proxies by protocol and milliseconds, as "imap 40".
	mail    map[string]mailboxSize
	out     io.Writer
	aside   int // Directories put aside.
}

type mailboxSize struct {
	messages int
	octets   int64
}

// measure is main, with its cleaning up.
func measure(ctx context.Context, o options, out io.Writer) (err error) {
	cases, err := parseCases(o.cases)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.scratch, "mailbrook-bench-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	s := &stage{}
	b := &bench{
		options: o, work: filepath.Join(dir, "work"), far: map[string]*distance{}, mail: map[string]mailboxSize{},
		out: out,
	}
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(fatal)
			if !ok {
				panic(p)
			}
			err = f.error
		}
		for _, d := range b.far {
			d.close()
		}
		s.end()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	os.Setenv("TMPDIR", dir) // The server's mail belongs on the same disk.
	if err := os.MkdirAll(b.work, 0o755); err != nil {
		return err
	}
	peers := b.chosen()
	b.install(ctx, peers)
	if err := b.build(ctx, filepath.Join(dir, "bin")); err != nil {
		return err
	}
	if err := b.serve(ctx, s, cases); err != nil {
		return err
	}
	if b.destination == "imap" {
		b.serveTarget(s)
	}
	debug.FreeOSMemory() // The corpus is written.
	return b.all(ctx, cases, peers)
}

// chosen returns the peers that -only names.
func (b *bench) chosen() []peer {
	all := b.allPeers()
	if b.destination == "imap" {
		all = b.peersIntoIMAP()
	}
	if b.only == "" {
		return all
	}
	return slices.DeleteFunc(all, func(p peer) bool {
		return !slices.ContainsFunc(strings.Split(b.only, ","), func(s string) bool { return strings.HasPrefix(p.name, s) })
	})
}

// build makes the program to be measured as "make build" does.
func (b *bench) build(ctx context.Context, dir string) (err error) {
	if b.options.mailbrook != "" {
		b.binary, err = filepath.Abs(b.options.mailbrook)
		return err
	}
	root, err := quietly(ctx, "", command{argv: []string{"go", "env", "GOMOD"}})
	if err != nil {
		return err
	}
	b.binary = filepath.Join(dir, "mailbrook")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.binary, "./cmd/mailbrook")
	cmd.Dir = filepath.Dir(root)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building mailbrook: %w\n%s", err, said)
	}
	return nil
}

// scaled is a number of messages.
func (b *bench) scaled(n int) int { return max(10, int(float64(n)*b.scale)) }

// serve starts the server and fills the mailboxes that the cases need.
func (b *bench) serve(ctx context.Context, s *stage, cases []benchCase) error {
	need := map[string]bool{}
	for _, c := range cases {
		need[c.user] = true
		if c.kind == "W" {
			need["tree"] = true
		}
	}
	users := map[string]string{}
	for _, u := range []string{"big", "small", "tree", "huge", "large"} {
		users[u], users[u+"-marks"] = password, password
	}
	b.dovecot = mailtest.StartDovecot(s, mailtest.DovecotOptions{Users: users})
	for _, m := range []struct {
		user    string
		n       int
		folders []string
		one     int
	}{
		{"big", b.scaled(10_000), []string{"INBOX"}, 0},
		{"small", b.scaled(500), []string{"INBOX"}, 0},
		{"tree", b.scaled(5_000), mailtest.Tree(), 0},
		{"huge", 1, nil, 200 << 20},
		{"large", 1, nil, 45 << 20},
	} {
		if !need[m.user] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		l := newLetters(uint64(len(m.user)), 1)
		size := mailboxSize{messages: m.n}
		var err error
		if m.one > 0 {
			msg := l.next("INBOX", m.one)
			size.octets = int64(len(msg.Data))
			err = mailtest.WriteMaildir(b.dovecot.Store(m.user), []mailtest.Message{msg})
		} else {
			size.octets, err = l.fill(b.dovecot.Store(m.user), m.folders, m.n)
		}
		if err != nil {
			return err
		}
		b.mail[m.user] = size
		if _, err := quietly(ctx, "", command{argv: []string{"cp", "-al", b.dovecot.Store(m.user), b.dovecot.Store(
			m.user + "-marks")}}); err != nil {
			return err
		}
		for _, u := range []string{m.user, m.user + "-marks"} {
			b.dovecot.Own(b.dovecot.Store(u))
			b.warm(u)
		}
		fmt.Fprintf(os.Stderr, "mailbox %s: %d messages, %d MB\n", m.user, m.n, size.octets/1e6)
	}
	return nil
}

// warm has the server build its indexes, so that every client meets the same
// server.
func (b *bench) warm(user string) {
	b.dovecot.Adm("-o", "stats_writer_socket_path=", "fetch", "-u", user, "size.virtual date.received flags", "mailbox",
		"*")
	b.dovecot.Adm("-o", "stats_writer_socket_path=", "fetch", "-u", user, "size.virtual", "mailbox", "INBOX")
}

// port is where a client finds the server, so far away.
func (b *bench) port(protocol string, ms int) int {
	direct := map[string]int{"imap": b.dovecot.IMAPS, "pop3": b.dovecot.POP3S}[protocol]
	if d := b.far[proxyKey(protocol, ms)]; d != nil {
		return d.port()
	}
	return direct
}

func proxyKey(protocol string, ms int) string { return protocol + " " + strconv.Itoa(ms) }

// proxy starts the proxies of a distance, unless they run.
func (b *bench) proxy(ms int) error {
	if ms == 0 {
		return nil
	}
	if b.target != nil && b.far[targetKey(ms)] == nil {
		d, err := newDistance(b.target.Addr("imaps"), time.Duration(ms)*time.Millisecond)
		if err != nil {
			return err
		}
		b.far[targetKey(ms)] = d
	}
	for _, protocol := range []string{"imap", "pop3"} {
		if b.far[proxyKey(protocol, ms)] != nil {
			continue
		}
		d, err := newDistance(b.dovecot.Addr(protocol+"s"), time.Duration(ms)*time.Millisecond)
		if err != nil {
			return err
		}
		b.far[proxyKey(protocol, ms)] = d
	}
	return nil
}

// record writes one run to the file of -json.
func (b *bench) record(r result) error {
	if b.json == "" {
		return nil
	}
	f, err := os.OpenFile(b.json, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(r)
}
