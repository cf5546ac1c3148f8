package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Monsters are users who would harm all the others of an installation if they
// could, each kind in its own way: see docs/delivery.md, I10 and I11.
const (
	tarpitUsers    = 16 // With accountsEach as many accounts as a process has workers.
	accountsEach   = 4
	poisonMessages = 1_000_000
	typists        = 5
	mostGuesses    = 10 // Refused logins that one user may cause at one mailbox in 15 minutes.
)

// place is a remote server as an account names it.
type place struct {
	host     string
	port     int
	security string
}

// unleash adds the monsters to each installation.
func (w *world) unleash(ctx context.Context) error {
	servers := map[string]place{}
	for name, serve := range map[string]func(*dialogue) error{
		"tarpit imap": tarpitIMAP, "tarpit pop3": tarpitPOP3, "poison imap": poisonIMAP, "poison pop3": poisonPOP3,
	} {
		address := "127.0.0.2:0"
		if strings.HasPrefix(name, "poison") {
			address = "127.0.0.3:0"
		}
		p, err := w.listen(address, serve)
		if err != nil {
			return err
		}
		servers[name] = p
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	nobody := closed.Addr().(*net.TCPAddr).Port
	if err := closed.Close(); err != nil {
		return err
	}
	for _, s := range w.sites {
		for i := range tarpitUsers {
			for k := range accountsEach {
				protocol := []string{"imap", "pop3"}[k%2]
				login := fmt.Sprintf("slow%d.%d@tarpit.test", i, k)
				if err := s.monster(ctx, fmt.Sprintf("tarpit%d", i), protocol, login, servers["tarpit "+protocol]); err != nil {
					return err
				}
			}
		}
		for k := range accountsEach {
			protocol := []string{"imap", "pop3"}[k%2]
			login := fmt.Sprintf("large%d@poison.test", k)
			if err := s.monster(ctx, "poison", protocol, login, servers["poison "+protocol], "--poll-interval",
				"10s"); err != nil {
				return err
			}
		}
		for i := range typists {
			user, login := fmt.Sprintf("typist%d", i), fmt.Sprintf("typing%d@dovecot.test", i)
			if err := errors.Join(
				s.monster(ctx, user, "imap", login, place{"localhost", nobody, "tls"}),
				s.monster(ctx, user, "pop3", login, place{"localhost", w.dovecots[0].IMAPS, "starttls"}),
			); err != nil {
				return err
			}
		}
		victim := place{"localhost", w.dovecots[0].IMAPS, "tls"}
		if err := s.monster(ctx, "guesser", "imap", s.victim(), victim); err != nil {
			return err
		}
	}
	return w.closeRings(ctx)
}

// monster adds one monster's account.
func (s *site) monster(ctx context.Context, name, protocol, login string, p place, more ...string) error {
	u := &user{site: s, name: name + "@monster.test"}
	email := login
	if !strings.Contains(email, "@") {
		email += "@dovecot.test"
	}
	a := &account{protocol: protocol, username: login, password: "wrong", email: email}
	if err := u.add(ctx, a, p, more...); err != nil {
		return err
	}
	s.monsters = append(s.monsters, monster{u, a})
	return nil
}

// monster is one monster's account.
type monster struct {
	user    *user
	account *account
}

// dialogue is one connection of a monster's server.
type dialogue struct {
	*textproto.Conn
	ctx context.Context // Ends with the server.
	tag string          // Of the last IMAP command.
}

// listen starts a monster's server, without TLS.
func (w *world) listen(address string, serve func(*dialogue) error) (place, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return place{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				_ = serve(&dialogue{Conn: textproto.NewConn(c), ctx: ctx}) // The client went, or was to go.
			})
		}
	})
	w.Cleanup(func() {
		cancel()
		l.Close()
		wg.Wait()
	})
	a := l.Addr().(*net.TCPAddr)
	return place{a.IP.String(), a.Port, "none"}, nil
}

// say sends a line.
func (d *dialogue) say(format string, args ...any) error { return d.PrintfLine(format, args...) }

// next reads a command: its verb in upper case, for IMAP with "UID" before it,
// and its arguments.
func (d *dialogue) next(imap bool) (verb, args string, err error) {
	line, err := d.ReadLine()
	if err != nil {
		return "", "", err
	}
	if imap {
		d.tag, line, _ = strings.Cut(line, " ")
	}
	verb, args, _ = strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if verb == "UID" {
		verb, args, _ = strings.Cut(args, " ")
		verb = "UID " + strings.ToUpper(verb)
	}
	return verb, args, nil
}

// chat says a line each second until the client goes.
func (d *dialogue) chat(format string) error {
	for n := 1; ; n++ {
		line := format
		if strings.Contains(format, "%d") {
			line = fmt.Sprintf(format, n, n)
		}
		if err := d.say("%s", line); err != nil {
			return err
		}
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// imap serves the part of a dialogue that all IMAP monsters share.
func (d *dialogue) imap(serve func(verb, args string) error) error {
	if err := d.say("* OK monster"); err != nil {
		return err
	}
	for {
		verb, args, err := d.next(true)
		if err != nil {
			return err
		}
		switch verb {
		case "CAPABILITY":
			err = errors.Join(d.say("* CAPABILITY IMAP4rev1"), d.say("%s OK done", d.tag))
		case "LOGIN", "NOOP":
			err = d.say("%s OK done", d.tag)
		case "LOGOUT":
			return errors.Join(d.say("* BYE"), d.say("%s OK done", d.tag))
		default:
			err = serve(verb, args)
		}
		if err != nil {
			return err
		}
	}
}

// pop3 is imap for POP3.
func (d *dialogue) pop3(serve func(verb, args string) error) error {
	if err := d.say("+OK monster"); err != nil {
		return err
	}
	for {
		verb, args, err := d.next(false)
		if err != nil {
			return err
		}
		switch verb {
		case "CAPA":
			err = errors.Join(d.say("+OK"), d.say("UIDL"), d.say("TOP"), d.say("."))
		case "USER", "PASS", "NOOP", "RSET":
			err = d.say("+OK")
		case "STAT":
			err = d.say("+OK %d %d", poisonMessages, poisonMessages*100)
		case "QUIT":
			return d.say("+OK")
		default:
			err = serve(verb, args)
		}
		if err != nil {
			return err
		}
	}
}

// tarpitIMAP lets everybody in and then chats.
func tarpitIMAP(d *dialogue) error {
	return d.imap(func(string, string) error { return d.chat("* OK still here") })
}

// tarpitPOP3 lets everybody in and then lists a message a second.
func tarpitPOP3(d *dialogue) error {
	return d.pop3(func(verb, _ string) error {
		if verb != "UIDL" && verb != "LIST" {
			return d.say("-ERR no such command")
		}
		return errors.Join(d.say("+OK"), d.chat("%d %d"))
	})
}

// asked is the first range of a UID set, and what is asked for of it.
var asked = regexp.MustCompile(`^(\d+)(?::(\d+|\*))? (.*)$`)

// poisonIMAP has a million messages, lists them, and goes when one is asked for.
func poisonIMAP(d *dialogue) error {
	const status = "MESSAGES %[1]d UIDNEXT %[2]d UIDVALIDITY 7"
	return d.imap(func(verb, args string) error {
		switch verb {
		case "LIST":
			return errors.Join(d.say(`* LIST () "/" INBOX`), d.say("%s OK done", d.tag))
		case "STATUS":
			return errors.Join(d.say(`* STATUS INBOX (`+status+`)`, poisonMessages, poisonMessages+1), d.say("%s OK done",
				d.tag))
		case "EXAMINE":
			return errors.Join(d.say("* %d EXISTS", poisonMessages), d.say("* OK [UIDVALIDITY 7] valid"),
				d.say("* OK [UIDNEXT %d] next", poisonMessages+1), d.say("%s OK [READ-ONLY] done", d.tag))
		case "UID FETCH":
			m := asked.FindStringSubmatch(args)
			if m == nil || strings.Contains(m[3], "BODY") {
				return errors.New("it goes")
			}
			from, _ := strconv.Atoi(m[1])
			to, err := strconv.Atoi(m[2])
			if m[2] == "" {
				to = from
			} else if err != nil {
				to = poisonMessages
			}
			for n := max(1, from); n <= min(to, poisonMessages); n++ {
				if _, err := fmt.Fprintf(d.W, "* %d FETCH (UID %d FLAGS () RFC822.SIZE 100 INTERNALDATE \"01-Jan-2026 00:00:00 "+
					"+0000\")\r\n", n, n); err != nil {
					return err
				}
			}
			return d.say("%s OK done", d.tag)
		}
		return d.say("%s BAD no such command", d.tag)
	})
}

// poisonPOP3 is poisonIMAP for POP3.
func poisonPOP3(d *dialogue) error {
	return d.pop3(func(verb, args string) error {
		if args != "" || verb != "UIDL" && verb != "LIST" {
			return errors.New("it goes")
		}
		if err := d.say("+OK"); err != nil {
			return err
		}
		for n := 1; n <= poisonMessages; n++ {
			id := "100"
			if verb == "UIDL" {
				id = fmt.Sprintf("message-%016x", n)
			}
			if _, err := fmt.Fprintf(d.W, "%d %s\r\n", n, id); err != nil {
				return err
			}
		}
		return d.say(".")
	})
}

// victim is the mailbox whose password the installation's guesser guesses. It
// is one of a bystander's, who has the right one.
func (s *site) victim() string { return "bystander" + strconv.Itoa(s.number*bystanders) }

// guess tries passwords until ctx ends, by every door that there is.
func (s *site) guess(ctx context.Context, p *process) {
	m := s.monsters[slices.IndexFunc(s.monsters, func(m monster) bool { return m.user.name == "guesser@monster.test" })]
	own := "/v1/accounts/" + m.account.id
	for n := 0; ctx.Err() == nil; n++ {
		guess := fmt.Sprintf(`"guess %d"`, n)
		_ = errors.Join( // Most of it is refused; what counts is what reaches the server.
			s.send(ctx, p, m.user.name, "PATCH", own, `{"skip_test": true, "password": `+guess+`}`, nil),
			s.send(ctx, p, m.user.name, "POST", own+"/fetch", "", nil),
			s.send(ctx, p, m.user.name, "POST", "/v1/connection-tests", `{"account_id": "`+m.account.id+`", "password": `+guess+
				`}`, nil))
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// refusals counts the logins at victims that the Dovecot refused: those of all
// installations together, which do not know of each other.
func (w *world) refusals() (n int, err error) {
	said, err := os.ReadFile(w.dovecots[0].Log)
	if err != nil {
		return 0, err
	}
	for _, m := range refused.FindAllStringSubmatch(string(said), -1) {
		tries, _ := strconv.Atoi(m[1])
		n += tries
	}
	return n, nil
}

var refused = regexp.MustCompile(`auth failed, (\d+) attempts.*user=<bystander`)

// misdeeds says which monsters had their way while it lasted.
func (w *world) misdeeds() (bad []string) {
	n, err := w.refusals()
	if err != nil {
		bad = append(bad, err.Error())
	}
	w.counts.guesses = n
	periods := 1 + int(w.time/(15*time.Minute))
	if most := len(w.sites) * mostGuesses * periods; n > most {
		bad = append(bad, fmt.Sprintf("%d passwords were tried at mailboxes of others, not at most %d", n, most))
	}
	late, err := w.lateness()
	if err != nil {
		bad = append(bad, err.Error())
	}
	w.counts.visits = len(late)
	w.counts.late = [3]time.Duration{quantile(late, 0.5), quantile(late, 0.99), quantile(late, 1)}
	if p99 := w.counts.late[1]; !w.kills && p99 > calm {
		bad = append(bad, fmt.Sprintf("bystanders were visited up to %v late (p99), which is more than their interval", p99))
	}
	return bad
}
