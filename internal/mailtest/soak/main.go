// Command soak lets everything go wrong for a while, and then asks whether
// each message was delivered exactly once.
//
//	go run ./internal/mailtest/soak [-for 2m] [-seed N] [-kills=false] [-monsters=false]
//
// Thirty accounts of fifteen users, by IMAP and POP3, are polled by two
// installations, one on SQLite and one on PostgreSQL, of two "mailbrook serve"
// processes each. Twenty of them are at two private Dovecots and two demo
// providers, ten at servers that are hostile, each in its own way: see vice.
// Meanwhile processes are killed and stopped, connections are cut, stalled and
// refused, the Dovecots are restarted, mail arrives, and the users move and
// delete what was delivered. Whatever becomes visible in a mailbox is read at once.
//
// Each installation also has bystanders, whose connections nobody touches, and
// monsters, who would harm all the others if they could: as many accounts at a
// tarpit as a process has workers, mailboxes of a million messages, users who
// mistype a server, one who guesses a password, rings of users who fetch
// each other, and processes whose clocks jump by most of a day. How late the
// bystanders are visited is reported; without kills it may be one interval at most.
//
// Then all of it is healed, except for the hostile servers, and once everything
// is at rest the mailboxes and the record of what was deleted are compared with
// what the servers hold, octet by octet, and these with what was put there.
// Nothing else may ever have been visible. Every account at an honest server has
// to be well again, every other one well or with a diagnosis. Then the processes
// are asked to end, and "mailbrook check" has to find journals and mailboxes
// consistent.
//
// It prints counts and a verdict; its status is 0 only if all is well. The seed
// that it prints makes the same choices again, though not at the same instants.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// options are the command line.
type options struct {
	time, patience            time.Duration
	seed                      uint64
	scratch, mailbrook, trace string
	control                   string
	kills, monsters           bool
}

func main() {
	var o options
	flag.DurationVar(&o.time, "for", 2*time.Minute, "how long things go wrong")
	flag.DurationVar(&o.patience, "patience", 5*time.Minute, "how long it may then take until everything is at rest")
	flag.Uint64Var(&o.seed, "seed", 0, "of all choices; 0: by chance")
	flag.StringVar(&o.scratch, "scratch", "", "where to work; empty: the temporary directory")
	flag.StringVar(&o.mailbrook, "mailbrook", "", "the program; empty: built from this module")
	flag.StringVar(&o.trace, "trace", "", "file for everything that was done, and when")
	flag.StringVar(&o.control, "control", "", "before the verdict, lose, double or alter one delivered message: the "+
		"verdict has to notice")
	flag.BoolVar(&o.kills, "kills", true, "whether processes are killed and stopped")
	flag.BoolVar(&o.monsters, "monsters", true, "whether there are users who would harm all the others")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := soak(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// stage is testing.TB for the parts of mailtest, outside of a test.
type stage struct {
	testing.TB // Nil: what is not below is not used.
	cleanups   []func()
	errors     []string
}

// fatal is what Fatalf panics with.
type fatal struct{ error }

func (s *stage) Helper()                   {}
func (s *stage) Failed() bool              { return false } // Else Dovecot prints its log.
func (s *stage) Cleanup(f func())          { s.cleanups = append(s.cleanups, f) }
func (s *stage) Logf(string, ...any)       {}
func (s *stage) Error(a ...any)            { s.errors = append(s.errors, fmt.Sprint(a...)) }
func (s *stage) Errorf(f string, a ...any) { s.errors = append(s.errors, fmt.Sprintf(f, a...)) }
func (s *stage) Fatalf(f string, a ...any) { panic(fatal{fmt.Errorf(f, a...)}) }

// catch turns what a part of mailtest gave up with into an error.
func catch(err *error) {
	if p := recover(); p != nil {
		f, ok := p.(fatal)
		if !ok {
			panic(p)
		}
		*err = errors.Join(*err, f.error)
	}
}

// soak is main, with its cleaning up.
func soak(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.scratch, "mailbrook-soak-")
	if err != nil {
		return err
	}
	s := &stage{}
	w := &world{
		options: o, stage: s, dir: dir, out: out, rand: rand.New(rand.NewPCG(o.seed, 1)), trace: io.Discard,
		began: time.Now(),
	}
	defer func() {
		for _, f := range slices.Backward(s.cleanups) {
			f()
		}
		if err != nil {
			err = fmt.Errorf("%w\nseed %d; what there was is kept in %s", err, o.seed, dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	defer catch(&err)
	if o.trace != "" {
		f, err := os.Create(o.trace)
		if err != nil {
			return err
		}
		defer f.Close()
		w.trace = f
	}
	fmt.Fprintf(out, "seed %d\n", o.seed)
	if err := w.build(ctx); err != nil {
		return err
	}
	if err := w.misrule(ctx); err != nil {
		return err
	}
	if err := w.heal(ctx); err != nil {
		return err
	}
	bad := w.misdeeds()
	bad = append(bad, w.settle(ctx)...)
	bad = append(bad, w.standing(ctx)...)
	if o.control != "" {
		if err := w.sabotage(); err != nil {
			return err
		}
		bad = w.verdict()
	}
	bad = append(bad, w.remotes()...)
	bad = append(bad, w.check(ctx)...)
	bad = append(bad, s.errors...)
	w.report(len(bad) == 0)
	if len(bad) > 0 {
		slices.Sort(bad)
		return errors.New(strings.Join(bad[:min(len(bad), 40)], "\n"))
	}
	return ctx.Err()
}

// counts is what was done, and what the check said of it.
type counts struct {
	kills, stops, cuts, stalls, refusals, restarts, arrived, moved, deleted, retried int

	jumps   int   // Of clocks.
	guesses int   // Refused logins at mailboxes of others.
	visits  int   // Of bystanders, while things went wrong,
	memory  int64 // The most that a process had, in octets.
	late    [3]time.Duration

	lost, doubled, foreign                                 int // As of the last verdict.
	present, gone, elsewhere, staged, intended, stray, bad int // Of "mailbrook check".
}

func (w *world) report(well bool) {
	c := w.counts
	verdict := "each message was delivered exactly once, octet by octet, and the servers hold what was put there"
	if !well {
		verdict = "NOT WELL"
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w.out, "%-16s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("time", "%v, of which %v of harm", time.Since(w.began).Round(time.Second), w.time)
	row("processes", "%d kills, %d stops", c.kills, c.stops)
	row("connections", "%d cuts, %d stalls, %d refusals, %d server restarts", c.cuts, c.stalls, c.refusals, c.restarts)
	for _, a := range w.accounts {
		if h := a.hostile; h != nil {
			row("hostile "+a.protocol, "%d times: %s; at the end %s", h.count(), h.vice, a.state)
		}
	}
	if w.monsters {
		row("monsters", "%d accounts at a tarpit and %d with %d messages in each of %d installations, %d typing errors, "+
			"rings; %d guesses; %d jumps of clocks",
			tarpitUsers*accountsEach, accountsEach, poisonMessages, len(w.sites), 2*typists, c.guesses, c.jumps)
	}
	row("bystanders", "%d visits every %v; late by %v (median), %v (p99), %v (most)", c.visits, calm,
		c.late[0].Round(time.Millisecond), c.late[1].Round(time.Millisecond), c.late[2].Round(time.Millisecond))
	row("memory", "%d MB at most in a process", c.memory>>20)
	row("messages", "%d arrived in %d accounts; %d different ones were seen in mailboxes", c.arrived, len(w.accounts),
		w.watch.count())
	row("users", "moved %d, deleted %d", c.moved, c.deleted)
	row("skipped", "%d, asked for again at the end", c.retried)
	row("lost", "%d", c.lost)
	row("doubled", "%d", c.doubled)
	row("not as sent", "%d", c.foreign)
	row("check", "%d findings; %d present, %d gone, %d elsewhere, %d staged, %d intended, %d stray",
		c.bad, c.present, c.gone, c.elsewhere, c.staged, c.intended, c.stray)
	row("verdict", "%s", verdict)
}

// did notes what was done, for whoever looks for the cause.
func (w *world) did(format string, args ...any) {
	fmt.Fprintf(w.trace, "%8.3f %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}
