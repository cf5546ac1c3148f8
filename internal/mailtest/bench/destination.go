package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// With -destination imap mail goes into mailboxes at a second private Dovecot. Beside the
// peers there is a floor: this program, which reads one folder and appends what comes, fifty
// messages to a command, and remembers nothing.

// masterUser signs in for everybody at the second server.
const masterUser = "mailbrook"

// serveTarget starts the second server: whoever is named has a mailbox there.
func (b *bench) serveTarget(s *stage) {
	b.target = mailtest.StartDovecot(s, mailtest.DovecotOptions{Separator: "/", Extra: []string{
		"auth_master_user_separator = *\n",
		"passdb {\n  driver = static\n  master = yes\n  args = password=" + password + "\n}\n",
		"passdb {\n  driver = static\n  args = password=" + password + "\n}\n",
	}})
}

func (b *bench) peersIntoIMAP() []peer {
	return []peer{
		{name: "mailbrook", protocol: "imap", cases: "AS", prepare: b.mailbrook("imap")},
		{name: "mbsync", protocol: "imap", program: "mbsync", pack: "isync", cases: "AS", prepare: b.mbsyncIntoIMAP},
		{name: "floor", protocol: "imap", cases: "AS", prepare: b.floor},
	}
}

// into gives a run a mailbox of its own at the second server.
func (b *bench) into(p *place, ms int) {
	b.aside++
	p.owner = fmt.Sprintf("bench%d@local.test", b.aside)
	p.dst = b.target.Store(p.owner)
	p.target = b.target.IMAPS
	if d := b.far[targetKey(ms)]; d != nil {
		p.target = d.port()
	}
}

func targetKey(ms int) string { return "target " + strconv.Itoa(ms) }

// authorities writes a file that vouches for both servers.
func (b *bench) authorities() (string, error) {
	all := filepath.Join(b.work, "both.pem")
	var text []byte
	for _, file := range []string{b.dovecot.CA.File, b.target.CA.File} {
		one, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		text = append(text, one...)
	}
	return all, os.WriteFile(all, text, 0o644)
}

// mailbrookInto is what the configuration has beside that of every run.
func (b *bench) mailbrookInto(p place) ([]string, error) {
	secret := filepath.Join(p.dir, "master")
	return []string{
		"MAILBROOK_DATA_DIR=" + filepath.Join(p.dir, "data"), "MAILBROOK_MAILBOX=imap",
		"MAILBROOK_IMAP_ADDRESS=localhost:" + strconv.Itoa(p.target), "MAILBROOK_IMAP_SECURITY=tls",
		"MAILBROOK_IMAP_CA_FILE=" + b.target.CA.File, "MAILBROOK_IMAP_LOGIN={user}*" + masterUser,
		"MAILBROOK_IMAP_PASSWORD_FILE=" + secret,
	}, write(secret, password)
}

func (b *bench) mbsyncIntoIMAP(_ context.Context, p place) (command, error) {
	both, err := b.authorities()
	if err != nil {
		return command{}, err
	}
	if err := os.MkdirAll(filepath.Join(p.dir, "state"), 0o755); err != nil {
		return command{}, err
	}
	rc := filepath.Join(p.dir, "mbsyncrc")
	return command{argv: []string{"mbsync", "-q", "-c", rc, "c"}}, write(rc, fmt.Sprintf(`FSync yes
IMAPStore far
Host localhost
Port %d
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore near
Host localhost
Port %d
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

Channel c
Far :far:
Near :near:
Patterns INBOX
Sync Pull
Create Near
Expunge None
CopyArrivalDate yes
SyncState %s/state/
`, p.port, p.user, password, both, p.target, p.owner, password, both, p.dir))
}

// copier is the argument by which this program becomes the floor.
const copier = "copy-without-a-journal"

func (b *bench) floor(_ context.Context, p place) (command, error) {
	both, err := b.authorities()
	self, exe := os.Executable()
	return command{argv: []string{
		self, copier, "-from", strconv.Itoa(p.port), "-user", p.user, "-to", strconv.Itoa(p.target), "-owner", p.owner,
		"-ca", both,
	}}, errors.Join(err, exe)
}

// together is how many messages the floor appends with one command.
const together = 50

// copyAll is the floor: it reads an inbox and appends it to another as fast as the protocol allows.
func copyAll(args []string) error {
	f := flag.NewFlagSet(copier, flag.ContinueOnError)
	from, to := f.Int("from", 0, "port of the source"), f.Int("to", 0, "port of the target")
	user, owner := f.String("user", "", "at the source"), f.String("owner", "", "at the target")
	ca := f.String("ca", "", "file of certificates")
	if err := f.Parse(args); err != nil {
		return err
	}
	source, err := dialRaw(*from, *ca, *user)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := dialRaw(*to, *ca, *owner)
	if err != nil {
		return err
	}
	defer target.Close()
	for _, c := range []struct {
		conn    *raw
		command string
	}{{source, "EXAMINE INBOX"}, {target, "SELECT INBOX"}} {
		if err := c.conn.do(c.command); err != nil {
			return err
		}
	}
	answered := make(chan error, 1)
	sent := make(chan string, 1<<16)
	go func() {
		var err error
		for tag := range sent {
			err = errors.Join(err, target.await(tag))
		}
		answered <- err
	}()
	err = copyMessages(source, target, sent)
	close(sent)
	return errors.Join(err, <-answered)
}

func copyMessages(source, target *raw, sent chan<- string) error {
	fetch := source.send("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
	if err := source.w.Flush(); err != nil {
		return err
	}
	tag, n := "", 0
	end := func() error {
		if n == 0 {
			return nil
		}
		n = 0
		target.w.WriteString("\r\n")
		sent <- tag
		return target.w.Flush()
	}
	for {
		line, err := source.r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, fetch+" ") {
			return end()
		}
		open, found := strings.CutSuffix(strings.TrimRight(line, "\r\n"), "}")
		at := strings.LastIndexByte(open, '{')
		if !found || at < 0 {
			continue
		}
		size, err := strconv.ParseInt(open[at+1:], 10, 64)
		if err != nil {
			return err
		}
		if n == 0 {
			tag = target.send(`APPEND "INBOX"`)
		}
		_, flags, _ := strings.Cut(line, "FLAGS (")
		flags, _, _ = strings.Cut(flags, ")")
		_, date, _ := strings.Cut(line, `INTERNALDATE "`)
		date, _, _ = strings.Cut(date, `"`)
		flags = strings.Join(strings.Fields(strings.ReplaceAll(flags, `\Recent`, "")), " ")
		fmt.Fprintf(target.w, " (%s) \"%s\" {%d+}\r\n", flags, date, size)
		if _, err := io.CopyN(target.w, source.r, size); err != nil {
			return err
		}
		if n++; n == together {
			if err := end(); err != nil {
				return err
			}
		}
	}
}

// raw is a connection with nothing around it.
type raw struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer
	n int
}

func dialRaw(port int, ca, user string) (*raw, error) {
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), &tls.Config{
		RootCAs: pool, ServerName: "localhost",
	})
	if err != nil {
		return nil, err
	}
	c := &raw{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
	if _, err := c.r.ReadString('\n'); err != nil {
		return nil, err
	}
	return c, c.do(fmt.Sprintf(`LOGIN "%s" "%s"`, user, password))
}

// send writes a command; that of an APPEND continues with its messages.
func (c *raw) send(command string) (tag string) {
	c.n++
	tag = "a" + strconv.Itoa(c.n)
	c.w.WriteString(tag + " " + command)
	if !strings.HasPrefix(command, "APPEND") {
		c.w.WriteString("\r\n")
	}
	return tag
}

func (c *raw) await(tag string) error {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return fmt.Errorf("the server says %q", rest)
			}
			return nil
		}
	}
}

func (c *raw) do(command string) error {
	tag := c.send(command)
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.await(tag)
}
