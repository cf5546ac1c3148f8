package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/demo"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// world is all that takes part.
type world struct {
	options
	*stage
	dir    string
	out    io.Writer
	trace  io.Writer
	rand   *rand.Rand
	began  time.Time
	counts counts

	ca         *mailtest.CA
	dovecots   []*mailtest.Dovecot
	demos      []*demo.Provider
	sites      []*site
	users      []*user
	accounts   []*account // Whose connections are harmed.
	bystanders []*account // Those of users whom nobody harms.
	rings      []*ring
	corpus     uint64    // Corpora that were taken so far.
	named      int       // Accounts that were named so far.
	nextJump   time.Time // When a clock jumps next at the earliest.
	watch      *watch
	harmed     time.Time // When harm began,
	healed     time.Time // and ended.
}

// user is a mailbox at our side.
type user struct {
	*site
	name     string
	accounts []*account
	deleted  map[[32]byte]int
}

// account is a mailbox at the other side.
type account struct {
	id, protocol, username, password, email string
	proxy                                   *mailtest.Proxy
	dovecot                                 *mailtest.Dovecot // Nil: at a demo provider.
	demo                                    *demo.Provider
	oracle                                  mailtest.Oracle // Of what was put there, at a Dovecot.
	hostile                                 *hostile        // In front of the Dovecot; nil: nobody.
	// What a hostile server makes of the oracle's messages, if it changes them.
	served [][32]byte
	next   time.Time // When its connections are healed.
	state  string    // At the end, with its diagnosis.
}

const password = "sekret"

// build starts the servers and adds the accounts.
func (w *world) build(ctx context.Context) error {
	if w.mailbrook == "" {
		if err := w.buildMailbrook(ctx); err != nil {
			return err
		}
	}
	w.ca = mailtest.NewCA(w.stage)
	roots, err := os.ReadFile(w.ca.File)
	if err != nil {
		return err
	}
	for d := range 2 {
		users := map[string]string{}
		for i := range 8 {
			users["remote"+strconv.Itoa(i)] = password
		}
		for i := range 10 {
			users["hostile"+strconv.Itoa(i)] = password
		}
		for i := range 2 * bystanders {
			users["bystander"+strconv.Itoa(i)] = password
		}
		separator := []string{".", "/"}[d]
		w.dovecots = append(w.dovecots, mailtest.StartDovecot(w.stage, mailtest.DovecotOptions{
			Users: users, CA: w.ca,
			Separator: separator,
		}))
	}
	for i := range 2 {
		p, err := demo.Start(ctx, demo.Options{Dir: w.path(), Seed: w.seed + uint64(i) + 1})
		if err != nil {
			return err
		}
		w.Cleanup(func() { p.Close() })
		w.demos = append(w.demos, p)
		ca, err := os.ReadFile(p.CAFile) // The next one writes its own over it.
		if err != nil {
			return err
		}
		roots = append(roots, ca...)
	}
	if err := os.WriteFile(w.path("roots.pem"), roots, 0o644); err != nil {
		return err
	}
	if who := mailtest.MailOwner(); who != nil {
		if err := os.Chown(w.dir, int(who.Uid), int(who.Gid)); err != nil {
			return err
		}
	}
	w.sites = []*site{
		{world: w, number: 0, name: "sqlite", database: "sqlite:" + w.path("sqlite.db")},
		{world: w, number: 1, name: "postgres", database: mailtest.StartPostgres(w.stage)},
	}
	for _, s := range w.sites {
		if err := output(s.command(ctx, "migrate", "up")); err != nil {
			return err
		}
	}
	if err := w.enrol(ctx); err != nil {
		return err
	}
	if err := w.attend(ctx); err != nil || !w.monsters {
		return err
	}
	return w.unleash(ctx)
}

// beset adds the accounts at hostile servers, one for each vice.
func (w *world) beset() error {
	n := 0
	for _, protocol := range []string{"imap", "pop3"} {
		for i, v := range vices[protocol] {
			d := w.dovecots[i%len(w.dovecots)]
			name := "hostile" + strconv.Itoa(n)
			n++
			h, err := w.startHostile(v, protocol, d.Addr(protocol), uint64(n)<<32)
			if err != nil {
				return err
			}
			a := &account{
				protocol: protocol, username: name, password: password, email: name + "@hostile.test", dovecot: d, hostile: h,
				proxy: mailtest.StartProxy(w.stage, h.l.Addr().String()),
			}
			w.accounts = append(w.accounts, a)
			w.arrive(a, 12)
		}
	}
	return nil
}

// enrol gives each user two accounts, and each account mail and a proxy.
func (w *world) enrol(ctx context.Context) error {
	for _, d := range w.dovecots {
		for i := range 8 {
			protocol, service := "imap", "imaps"
			if i%2 == 1 {
				protocol, service = "pop3", "pop3s"
			}
			name := "remote" + strconv.Itoa(i)
			a := &account{
				protocol: protocol, username: name, password: password, email: name + "@dovecot.test", dovecot: d,
				proxy: mailtest.StartProxy(w.stage, d.Addr(service)),
			}
			w.accounts = append(w.accounts, a)
			w.arrive(a, 12)
		}
	}
	for _, p := range w.demos {
		for _, known := range p.Accounts() {
			w.accounts = append(w.accounts, &account{
				protocol: known.Protocol, username: known.Username, password: known.Password, email: known.Email, demo: p,
				proxy: mailtest.StartProxy(w.stage, net.JoinHostPort("127.0.0.1", strconv.Itoa(known.Port))),
			})
			w.counts.arrived += known.Messages
		}
	}
	if err := w.beset(); err != nil {
		return err
	}
	w.rand.Shuffle(len(w.accounts), func(i, j int) { w.accounts[i], w.accounts[j] = w.accounts[j], w.accounts[i] })
	for i, a := range w.accounts {
		if i%2 == 0 {
			w.users = append(w.users, &user{
				site: w.sites[i/2%len(w.sites)], name: fmt.Sprintf("user%d@firma.test", i/2),
				deleted: map[[32]byte]int{},
			})
		}
		u := w.users[i/2]
		if err := u.add(ctx, a, place{"localhost", a.proxy.Port(), "tls"}); err != nil {
			return err
		}
	}
	return nil
}

// add has a user add an account, untested.
func (u *user) add(ctx context.Context, a *account, p place, more ...string) error {
	u.named++
	args := []string{
		"account", "add", "--user", u.name, "--email", a.email, "--name", fmt.Sprintf("Account %d", u.named),
		"--protocol", a.protocol, "--host", p.host, "--port", strconv.Itoa(p.port), "--security", p.security,
		"--username", a.username, "--password-stdin", "--skip-test",
	}
	cmd := u.command(ctx, append(args, more...)...)
	cmd.Stdin = strings.NewReader(a.password + "\n")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("adding an account: %w: %s", err, said.String())
	}
	a.id, _, _ = strings.Cut(out.String(), "\n")
	u.accounts = append(u.accounts, a)
	return nil
}

// arrive puts n messages into a mailbox at a Dovecot, or some into both of a
// demo provider.
func (w *world) arrive(a *account, n int) {
	if a.demo != nil {
		w.counts.arrived += len(a.demo.Deliver(n))
		return
	}
	w.corpus++
	sent := mailtest.Corpus(w.seed+w.corpus<<20, n, a.protocol == "imap")
	got := mailtest.Append(w.stage, a.dovecot.Addr("imaps"), w.ca.Client(), a.username, password, sent)
	w.counts.arrived += len(got)
	a.oracle = append(a.oracle, got...)
	if a.hostile != nil && a.hostile.vice == falseEnds {
		taken := map[[32]byte]bool{}
		for _, e := range got {
			taken[e.SHA] = true
		}
		for _, m := range sent {
			if taken[sha256.Sum256(m.Wire())] {
				a.served = append(a.served, a.hostile.served(m))
			}
		}
	}
}

// wanted is what has to be delivered of an account, by digest.
func (w *world) wanted(a *account) map[[32]byte]int {
	all := map[[32]byte]int{}
	switch {
	case a.demo != nil:
		for _, m := range a.demo.Messages() {
			if m.Email == a.email {
				all[sha256.Sum256(m.Data)]++
			}
		}
	case a.served != nil:
		for _, sha := range a.served {
			all[sha]++
		}
	case a.protocol == "pop3":
		for _, m := range mailtest.ReadPOP3(w.stage, a.dovecot.Addr("pop3s"), w.ca.Client(), a.username, password) {
			all[m.SHA]++
		}
	default:
		for _, e := range a.oracle {
			all[e.SHA]++
		}
	}
	return all
}

// remotes says where a mailbox at a Dovecot differs from what was put there,
// flags and dates included.
func (w *world) remotes() (bad []string) {
	for _, a := range slices.Concat(w.accounts, w.bystanders) {
		if a.dovecot != nil {
			held := mailtest.ReadIMAP(w.stage, a.dovecot.Addr("imaps"), w.ca.Client(), a.username, password)
			for _, d := range mailtest.Differences(a.oracle, held, "") {
				bad = append(bad, fmt.Sprintf("at the server, %s by %s: %s", a.username, a.protocol, d))
			}
		}
	}
	return bad
}

// output runs a command and says what it printed when it fails.
func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
