package mailtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Snapshot describes everything of a remote mailbox that a reader must leave
// as it was: folders, subscriptions, UIDVALIDITY, UIDNEXT, and of each message
// UID, flags, size and date. Two are equal, as strings, exactly if nothing
// changed. It looks by EXAMINE, so it changes nothing itself; \Recent, which any
// look may change, is left out. A nil config means plaintext.
func Snapshot(tb testing.TB, addr string, config *tls.Config, user, pass string) string {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	subscribed := make(map[string]bool)
	for _, f := range c.list("LSUB") {
		subscribed[f.wire] = true
	}
	var b strings.Builder
	for _, f := range c.list("LIST") {
		fmt.Fprintf(&b, "%q delimiter %q %s", f.wire, f.delim, strings.Join(f.attrs, " "))
		if subscribed[f.wire] {
			b.WriteString(" subscribed")
		}
		if !f.selectable() {
			b.WriteString("\n")
			continue
		}
		validity, next := c.examine(f.wire)
		fmt.Fprintf(&b, " uidvalidity %d uidnext %d\n", validity, next)
		for _, m := range c.messages("UID FLAGS INTERNALDATE RFC822.SIZE") {
			fmt.Fprintf(&b, "\tuid %d flags %s size %d date %s\n", m.uid, strings.Join(m.flags, " "), m.size,
				m.date.UTC().Format(time.RFC3339))
		}
	}
	return b.String()
}

// ReadIMAP returns every message of a mailbox as IMAP serves it, folders below
// the personal namespace. It changes nothing.
func ReadIMAP(tb testing.TB, addr string, config *tls.Config, user, pass string) []Delivered {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	prefix := c.namespace()
	var all []Delivered
	for _, f := range c.list("LIST") {
		if !f.selectable() {
			continue
		}
		c.examine(f.wire)
		for _, m := range c.messages("UID FLAGS INTERNALDATE BODY.PEEK[]") {
			d := Delivered{
				Folder: f.path(tb, prefix), SHA: sha256.Sum256(m.body), Size: int64(len(m.body)), Time: m.date, S: -1,
				W: -1, ID: strconv.Itoa(m.uid),
			}
			for _, pair := range []struct{ flag, letter string }{
				{`\Draft`, "D"},
				{`\Flagged`, "F"},
				{`\Answered`, "R"},
				{`\Seen`, "S"},
			} {
				if slices.Contains(m.flags, pair.flag) {
					d.Flags += pair.letter
				}
			}
			all = append(all, d)
		}
	}
	return all
}

// OpenFolders opens every folder for writing and leaves it again, as a mail
// program of the user's does.
func OpenFolders(tb testing.TB, addr string, config *tls.Config, user, pass string) {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	for _, f := range c.list("LIST") {
		if f.selectable() {
			c.do("SELECT " + quote(f.wire))
			c.do("CLOSE")
		}
	}
}

// SubscribedIMAP returns the subscribed folders as IMAP lists them, sorted.
func SubscribedIMAP(tb testing.TB, addr string, config *tls.Config, user, pass string) []string {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	prefix := c.namespace()
	var all []string
	for _, f := range c.list("LSUB") {
		all = append(all, f.path(tb, prefix))
	}
	slices.Sort(all)
	return all
}

// Append puts messages into a mailbox over IMAP, with their flags and dates,
// makes and subscribes their folders, and returns the oracle of those that the
// server took: Cyrus wants a header, say, and no % in a folder's name.
func Append(tb testing.TB, addr string, config *tls.Config, user, pass string, msgs []Message) Oracle {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	prefix, delim := c.namespace(), c.delimiter()
	wire := make(map[string]string)
	refused := make(map[string]bool)
	var taken []Message
	for _, m := range msgs {
		if refused[m.Folder] {
			continue
		}
		if wire[m.Folder] == "" {
			wire[m.Folder] = m.Folder
			if m.Folder != "INBOX" {
				name := prefix + EncodeName(strings.ReplaceAll(m.Folder, "/", delim))
				if _, err := c.try("CREATE " + quote(name)); err != nil && !strings.Contains(strings.ToUpper(err.Error()),
					"EXISTS") {
					tb.Logf("this server takes no folder %q: %v", m.Folder, err)
					refused[m.Folder] = true
					continue
				}
				c.do("SUBSCRIBE " + quote(name))
				wire[m.Folder] = name
			}
		}
		if err := c.append(wire[m.Folder], m); err != nil {
			tb.Logf("this server takes no message with %q: %v", m.Odd, err)
			continue
		}
		taken = append(taken, m)
	}
	return ByIMAP(taken)
}

// ReadPOP3 returns every message of a POP3 mailbox, without deleting any.
func ReadPOP3(tb testing.TB, addr string, config *tls.Config, user, pass string) []Delivered {
	tb.Helper()
	c := dialPOP3(tb, addr, config, user, pass)
	defer c.close()
	var all []Delivered
	for i := range c.count() {
		body, id := c.retrieve(i+1), strings.Fields(c.say("UIDL %d", i+1))
		all = append(all, Delivered{
			Folder: "INBOX", SHA: sha256.Sum256(body), Size: int64(len(body)), S: -1, W: -1, ID: id[len(id)-1],
		})
	}
	return all
}

// AwaitPOP3 waits until a POP3 server that lets one session at a time into a
// mailbox lets another one in.
func AwaitPOP3(tb testing.TB, addr string, config *tls.Config, user, pass string) {
	tb.Helper()
	dialPOP3(tb, addr, config, user, pass).quit()
}

// SnapshotPOP3 describes everything of a POP3 mailbox that a reader must leave
// as it was: of each message identity, size and digest.
func SnapshotPOP3(tb testing.TB, addr string, config *tls.Config, user, pass string) string {
	tb.Helper()
	c := dialPOP3(tb, addr, config, user, pass)
	defer c.close()
	var b strings.Builder
	for i := range c.count() {
		identity, size := c.say("UIDL %d", i+1), c.say("LIST %d", i+1)
		fmt.Fprintf(&b, "%s, %s, %x\n", identity, size, sha256.Sum256(c.retrieve(i+1)))
	}
	return b.String()
}

// DeleteFirstPOP3 removes the first message, as a mail program of the user's
// does, and returns its digest.
func DeleteFirstPOP3(tb testing.TB, addr string, config *tls.Config, user, pass string) [32]byte {
	tb.Helper()
	c := dialPOP3(tb, addr, config, user, pass)
	body := c.retrieve(1)
	c.say("DELE 1")
	c.quit()
	return sha256.Sum256(body)
}

// pop3Conn is a small POP3 client for well-behaved servers. Any surprise fails
// the test.
type pop3Conn struct {
	tb   testing.TB
	addr string
	c    *textproto.Conn
}

func dialPOP3(tb testing.TB, addr string, config *tls.Config, user, pass string) *pop3Conn {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); ; <-tick.C {
		c := &pop3Conn{tb: tb, addr: addr, c: textproto.NewConn(dial(tb, addr, config))}
		c.answer()
		c.say("USER %s", user)
		answer, err := c.ask("PASS %s", pass)
		// The session before this one may hold its lock a little longer than its client stays.
		if err == nil && strings.HasPrefix(answer, "-ERR [IN-USE]") && time.Now().Before(until) {
			c.c.Close()
			continue
		}
		if err != nil || !strings.HasPrefix(answer, "+OK") {
			tb.Fatalf("POP3 at %s: PASS: %q, %v", addr, answer, err)
		}
		return c
	}
}

// close ends the session so that nothing that was read is marked as seen.
func (c *pop3Conn) close() {
	c.tb.Helper()
	c.say("RSET")
	c.quit()
}

// quit waits for the server to hang up: its lock on the mailbox is gone then.
func (c *pop3Conn) quit() {
	c.tb.Helper()
	c.say("QUIT")
	io.Copy(io.Discard, c.c.R) // However it hangs up.
	c.c.Close()
}

func (c *pop3Conn) ask(format string, args ...any) (string, error) {
	if err := c.c.PrintfLine(format, args...); err != nil {
		return "", err
	}
	return c.c.ReadLine()
}

func (c *pop3Conn) answer() string {
	c.tb.Helper()
	line, err := c.c.ReadLine()
	if err != nil || !strings.HasPrefix(line, "+OK") {
		c.tb.Fatalf("POP3 at %s: %q, %v", c.addr, line, err)
	}
	return line
}

func (c *pop3Conn) say(format string, args ...any) string {
	c.tb.Helper()
	line, err := c.ask(format, args...)
	if err != nil || !strings.HasPrefix(line, "+OK") {
		c.tb.Fatalf("POP3 at %s: %q, %v", c.addr, line, err)
	}
	return line
}

func (c *pop3Conn) count() int {
	c.tb.Helper()
	var n, size int
	if _, err := fmt.Sscanf(c.say("STAT"), "+OK %d %d", &n, &size); err != nil {
		c.tb.Fatalf("POP3 at %s: reading STAT: %v", c.addr, err)
	}
	return n
}

func (c *pop3Conn) retrieve(n int) []byte {
	c.tb.Helper()
	c.say("RETR %d", n)
	// Not ReadDotBytes: that one rewrites line ends.
	var body []byte
	for {
		line, err := c.c.R.ReadBytes('\n')
		if err != nil {
			c.tb.Fatalf("POP3 at %s: reading message %d: %v", c.addr, n, err)
		}
		if string(line) == ".\r\n" {
			return body
		}
		body = append(body, bytes.TrimPrefix(line, []byte("."))...)
	}
}

func dial(tb testing.TB, addr string, config *tls.Config) net.Conn {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err == nil && config != nil {
		conn = tls.Client(conn, config)
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(2 * patience))
	}
	if err != nil {
		tb.Fatalf("connecting to %s: %v", addr, err)
	}
	return conn
}

// imapConn is a small IMAP client for well-behaved servers. Any surprise fails
// the test.
type imapConn struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
	n    int
}

// imapLine is one line of a response with its literals, whose places in the
// text still say {n}.
type imapLine struct {
	text     string
	literals [][]byte
}

func dialIMAP(tb testing.TB, addr string, config *tls.Config, user, pass string) *imapConn {
	tb.Helper()
	conn := dial(tb, addr, config)
	c := &imapConn{tb: tb, conn: conn, r: bufio.NewReaderSize(conn, 1<<16)}
	c.line()
	c.do("LOGIN " + quote(user) + " " + quote(pass))
	return c
}

func (c *imapConn) close() {
	c.do("LOGOUT")
	c.conn.Close()
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

var literalPattern = regexp.MustCompile(`\{(\d+)\}$`)

func (c *imapConn) line() imapLine {
	c.tb.Helper()
	var l imapLine
	for {
		s, err := c.r.ReadString('\n')
		if err != nil {
			c.tb.Fatalf("IMAP at %s: %v after %q", c.conn.RemoteAddr(), err, s)
		}
		l.text += strings.TrimRight(s, "\r\n")
		m := literalPattern.FindStringSubmatch(l.text)
		if m == nil {
			return l
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			c.tb.Fatalf("IMAP at %s: %v", c.conn.RemoteAddr(), err)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.tb.Fatalf("IMAP at %s: %v within a literal", c.conn.RemoteAddr(), err)
		}
		l.literals = append(l.literals, b)
	}
}

func (c *imapConn) write(s string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.tb.Fatalf("IMAP at %s: %v", c.conn.RemoteAddr(), err)
	}
}

// try sends a command and returns its untagged answers, or what the server has
// against it.
func (c *imapConn) try(cmd string) ([]imapLine, error) {
	c.tb.Helper()
	c.n++
	c.write(fmt.Sprintf("t%d %s\r\n", c.n, cmd))
	return c.answers()
}

func (c *imapConn) answers() ([]imapLine, error) {
	c.tb.Helper()
	tag := fmt.Sprintf("t%d ", c.n)
	var all []imapLine
	for {
		l := c.line()
		if rest, ok := strings.CutPrefix(l.text, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				return all, fmt.Errorf("the server says %q", rest)
			}
			return all, nil
		}
		all = append(all, l)
	}
}

func (c *imapConn) do(cmd string) []imapLine {
	c.tb.Helper()
	all, err := c.try(cmd)
	if err != nil {
		verb, _, _ := strings.Cut(cmd, " ")
		c.tb.Fatalf("IMAP at %s: %s: %v", c.conn.RemoteAddr(), verb, err)
	}
	return all
}

func (c *imapConn) append(wire string, m Message) error {
	c.tb.Helper()
	var flags []string
	for _, l := range m.Flags {
		flags = append(flags, map[rune]string{'D': `\Draft`, 'F': `\Flagged`, 'R': `\Answered`, 'S': `\Seen`}[l])
	}
	data := m.Wire()
	c.n++
	c.write(fmt.Sprintf("t%d APPEND %s (%s) %q {%d}\r\n", c.n, quote(wire), strings.Join(flags, " "), m.Date.Format(
		"_2-Jan-2006 15:04:05 -0700"), len(data)))
	if next, err := c.r.Peek(1); err == nil && next[0] != '+' {
		_, err := c.answers()
		return err
	}
	c.line()
	c.write(string(data) + "\r\n")
	_, err := c.answers()
	return err
}

// namespace returns the prefix of the personal namespace.
func (c *imapConn) namespace() string {
	c.tb.Helper()
	lines, err := c.try("NAMESPACE")
	if err != nil {
		return ""
	}
	for _, l := range lines {
		if m := regexp.MustCompile(`^\* NAMESPACE \(\("([^"]*)"`).FindStringSubmatch(l.text); m != nil {
			return m[1]
		}
	}
	return ""
}

func (c *imapConn) delimiter() string {
	c.tb.Helper()
	for _, l := range c.do(`LIST "" ""`) {
		if m := listPattern.FindStringSubmatch(l.text); m != nil {
			return strings.ReplaceAll(strings.Trim(m[3], `"`), `\\`, `\`)
		}
	}
	c.tb.Fatalf("IMAP at %s: no delimiter", c.conn.RemoteAddr())
	return ""
}

type imapFolder struct {
	wire, delim string
	attrs       []string
}

func (f imapFolder) selectable() bool {
	return !slices.ContainsFunc(f.attrs, func(attr string) bool {
		return strings.EqualFold(attr, `\Noselect`) || strings.EqualFold(attr, `\NonExistent`)
	})
}

func (f imapFolder) path(tb testing.TB, prefix string) string {
	tb.Helper()
	if strings.EqualFold(f.wire, "INBOX") {
		return "INBOX"
	}
	levels := strings.Split(strings.TrimPrefix(f.wire, prefix), f.delim)
	for i, l := range levels {
		name, err := DecodeName(l)
		if err != nil {
			tb.Fatalf("folder %q: %v", f.wire, err)
		}
		levels[i] = name
	}
	return strings.Join(levels, "/")
}

var listPattern = regexp.MustCompile(`^\* (LIST|LSUB) \(([^)]*)\) ("(?:[^"\\]|\\.)"|NIL) (.*)$`)

func (c *imapConn) list(cmd string) []imapFolder {
	c.tb.Helper()
	var all []imapFolder
	for _, l := range c.do(cmd + ` "" "*"`) {
		m := listPattern.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		f := imapFolder{wire: m[4], delim: strings.ReplaceAll(strings.Trim(m[3], `"`), `\\`, `\`)}
		if len(l.literals) > 0 {
			f.wire = string(l.literals[0])
		} else if strings.HasPrefix(f.wire, `"`) {
			f.wire = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(f.wire[1 : len(f.wire)-1])
		}
		for _, a := range strings.Fields(m[2]) {
			// Whether there is something new is no property of the folder.
			if !strings.EqualFold(a, `\Marked`) && !strings.EqualFold(a, `\Unmarked`) {
				f.attrs = append(f.attrs, a)
			}
		}
		slices.Sort(f.attrs)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b imapFolder) int { return strings.Compare(a.wire, b.wire) })
	return all
}

func (c *imapConn) examine(wire string) (validity, next int) {
	c.tb.Helper()
	for _, l := range c.do("EXAMINE " + quote(wire)) {
		fmt.Sscanf(l.text, "* OK [UIDVALIDITY %d]", &validity)
		fmt.Sscanf(l.text, "* OK [UIDNEXT %d]", &next)
	}
	return validity, next
}

type imapMessage struct {
	uid, size int
	flags     []string
	date      time.Time
	body      []byte
}

var (
	fetchPattern = regexp.MustCompile(`^\* \d+ FETCH \(`)
	uidPattern   = regexp.MustCompile(`\bUID (\d+)`)
	flagsPattern = regexp.MustCompile(`\bFLAGS \(([^)]*)\)`)
	datePattern  = regexp.MustCompile(`\bINTERNALDATE "([^"]*)"`)
	bytesPattern = regexp.MustCompile(`\bRFC822\.SIZE (\d+)`)
	emptyPattern = regexp.MustCompile(`\bBODY\[\] (""|NIL)`)
)

func (c *imapConn) messages(items string) []imapMessage {
	c.tb.Helper()
	lines, err := c.try("UID FETCH 1:* (" + items + ")")
	if err != nil {
		c.tb.Fatalf("IMAP at %s: FETCH: %v", c.conn.RemoteAddr(), err)
	}
	var all []imapMessage
	for _, l := range lines {
		if !fetchPattern.MatchString(l.text) {
			continue
		}
		var m imapMessage
		if f := uidPattern.FindStringSubmatch(l.text); f != nil {
			m.uid, _ = strconv.Atoi(f[1])
		}
		if f := bytesPattern.FindStringSubmatch(l.text); f != nil {
			m.size, _ = strconv.Atoi(f[1])
		}
		if f := flagsPattern.FindStringSubmatch(l.text); f != nil {
			m.flags = slices.DeleteFunc(strings.Fields(f[1]), func(s string) bool { return s == `\Recent` })
			slices.Sort(m.flags)
		}
		if f := datePattern.FindStringSubmatch(l.text); f != nil {
			if m.date, err = time.Parse("_2-Jan-2006 15:04:05 -0700", f[1]); err != nil {
				c.tb.Fatalf("IMAP at %s: %v", c.conn.RemoteAddr(), err)
			}
		}
		if strings.Contains(items, "BODY") {
			switch {
			case len(l.literals) == 1:
				m.body = l.literals[0]
			case !emptyPattern.MatchString(l.text):
				c.tb.Fatalf("IMAP at %s: message %d came without its bytes: %.200s", c.conn.RemoteAddr(), m.uid, l.text)
			}
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b imapMessage) int { return a.uid - b.uid })
	return all
}

// DeleteFirst removes the first message of the inbox, as a mail program of the
// user's does, and returns its digest.
func DeleteFirst(tb testing.TB, addr string, config *tls.Config, user, pass string) [32]byte {
	tb.Helper()
	c := dialIMAP(tb, addr, config, user, pass)
	defer c.close()
	c.do("SELECT INBOX")
	all := c.messages("UID BODY.PEEK[]")
	if len(all) == 0 {
		tb.Fatalf("IMAP at %s: the inbox is empty", addr)
	}
	c.do(fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, all[0].uid))
	c.do("EXPUNGE")
	return sha256.Sum256(all[0].body)
}
