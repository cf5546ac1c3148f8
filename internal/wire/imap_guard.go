package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// errIMAPRefused says that something was about to be sent that is not on the
// list of what may be. It is a defect of ours, never of a server.
var errIMAPRefused = errors.New("imap guard: refused to send")

// The commands that the filter distinguishes.
const (
	verbAuthenticate = "AUTHENTICATE"
	verbCapability   = "CAPABILITY"
	verbExamine      = "EXAMINE"
	verbFetch        = "UID FETCH"
	verbID           = "ID"
	verbList         = "LIST"
	verbLogin        = "LOGIN"
	verbLogout       = "LOGOUT"
	verbNamespace    = "NAMESPACE"
	verbNoop         = "NOOP"
	verbSTARTTLS     = "STARTTLS"
	verbStatus       = "STATUS"
)

const (
	maxCommandLine    = 16 << 10 // An XOAUTH2 answer with a long token fits.
	maxCommandLiteral = 4 << 10
)

// imapGuard lets through only IMAP commands that are allowed, whoever writes them:
// it parses everything about to be sent, passes on whole commands only, and after
// the first refusal nothing at all. What the server is sent may differ from what the
// library wrote: see the grammars.
type imapGuard struct {
	w       io.Writer
	allowed map[string]imapGrammar
	queue   *imapQueue
	refused *atomic.Int64          // Counts refusals; may be nil.
	log     func(dir, line string) // The transcript; may be nil.

	aborted func(error) error // Told of a refusal; may be nil.

	// global is the item by which the server names a message over all folders;
	// "" where it does not. Each listing asks for it.
	global string

	buf     []byte // The line, or the literal, that is being collected.
	literal int    // Octets of a literal still to come.
	args    int    // Arguments of an unfinished LOGIN; 0 outside one.
	err     error
}

func (g *imapGuard) refuse(why string) error {
	g.err = fmt.Errorf("%w: %s", errIMAPRefused, why)
	if g.refused != nil {
		g.refused.Add(1)
	}
	if g.aborted != nil {
		_ = g.aborted(&fault.Error{Code: fault.Internal, Op: "sending to the server", Err: g.err}) // It is g.err.
	}
	return g.err
}

// Write takes commands in pieces of any size.
func (g *imapGuard) Write(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	total := len(p)
	for len(p) > 0 {
		if g.literal > 0 {
			n := min(g.literal, len(p))
			g.buf, p = append(g.buf, p[:n]...), p[n:]
			if g.literal -= n; g.literal > 0 {
				break
			}
			if err := g.sendLiteral(); err != nil {
				return 0, err
			}
			continue
		}
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			n = len(p)
		}
		g.buf, p = append(g.buf, p[:n]...), p[n:]
		if len(g.buf) > maxCommandLine {
			return 0, g.refuse("a line too long")
		}
		if g.buf[len(g.buf)-1] != '\n' {
			break
		}
		if err := g.sendLine(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (g *imapGuard) send(octets []byte) error {
	_, g.err = g.w.Write(octets)
	clear(g.buf) // A password may have been in it.
	g.buf = g.buf[:0]
	return g.err
}

func (g *imapGuard) sendLiteral() error {
	// Without line breaks it cannot be taken for commands by a server that
	// does not see a literal in it.
	if bytes.ContainsAny(g.buf, "\x00\r\n") {
		return g.refuse("control character in a literal")
	}
	g.note("***")
	return g.send(g.buf)
}

func (g *imapGuard) sendLine() error {
	line, ok := strings.CutSuffix(string(g.buf), "\r\n")
	if !ok || strings.ContainsAny(line, "\x00\r\n") {
		return g.refuse("control character in a command")
	}
	if g.args > 0 {
		return g.continueLogin(line)
	}
	if c := g.queue.current(); c != nil && c.verb == verbAuthenticate {
		if !isBase64(line) {
			return g.refuse("an answer to a challenge that is not base64")
		}
		g.note("***")
		if line == "=" {
			// Nothing, as the library writes it also where the line has to be
			// empty; it is "=" beside the command only (RFC 4959 section 3).
			return g.send([]byte("\r\n"))
		}
		return g.send(g.buf)
	}
	tag, rest, _ := strings.Cut(line, " ")
	verb, args, hasArgs := strings.Cut(rest, " ")
	if verb == "UID" {
		var next string
		next, args, hasArgs = strings.Cut(args, " ")
		verb += " " + next
	}
	if !isTag(tag) {
		return g.refuse("a bad tag")
	}
	return g.sendCommand(&IMAPCommand{tag: tag, verb: verb}, args, hasArgs)
}

// sendCommand checks one command by its own grammar. What is not allowed is not
// sent.
func (g *imapGuard) sendCommand(c *IMAPCommand, args string, hasArgs bool) error {
	grammar := g.allowed[c.verb]
	if grammar == nil {
		return g.refuse(strconv.QuoteToASCII(c.verb))
	}
	instead, shown, why := grammar(g, c, args, hasArgs)
	if why != "" {
		return g.refuse(why)
	}
	g.queue.push(c)
	g.note(strings.TrimSuffix(c.tag+" "+c.verb+" "+shown, " "))
	switch {
	case c.verb == verbLogin:
		return g.continueLogin(" " + args)
	case instead != nil:
		return g.send(instead)
	}
	return g.send(g.buf)
}

// continueLogin checks what follows LOGIN, or a literal of it: at most two
// strings, of which the last may be the announcement of a literal.
func (g *imapGuard) continueLogin(rest string) error {
	if g.args == 0 {
		g.args = 1 // Of which none is complete.
	}
	for rest != "" {
		if rest[0] != ' ' || g.args > 2 {
			return g.refuse("LOGIN with bad arguments")
		}
		rest = rest[1:]
		g.args++
		if size, ok := announced(rest); ok {
			if size > maxCommandLiteral {
				return g.refuse("a literal too long")
			}
			g.literal = size
			if c := g.queue.newest(); c != nil {
				c.literals.Add(1)
			}
			return g.send(g.buf)
		}
		n := quotedLen(rest)
		if n == 0 {
			return g.refuse("LOGIN with bad arguments")
		}
		rest = rest[n:]
	}
	if g.args != 3 {
		return g.refuse("LOGIN with bad arguments")
	}
	g.args = 0
	return g.send(g.buf)
}

func (g *imapGuard) note(line string) {
	if g.log != nil {
		g.log("C", line)
	}
}

var (
	statusItems = []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ"}
	fetchItems  = []string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"}
)

// headersAsked is how the library asks for headers alone, the only form that is
// let through; headersSent is the same without the quotes, which not every
// server expects there.
const (
	headersAsked = `(UID BODY.PEEK[HEADER.FIELDS ("MESSAGE-ID" "DATE" "FROM" "SUBJECT")])`
	headersSent  = `(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])`
)

// The items that name a message over all folders: of Gmail's extension
// X-GM-EXT-1, and of RFC 8474 (OBJECTID).
const (
	ItemGmailID = "X-GM-MSGID"
	ItemEmailID = "EMAILID"
)

func isGlobalItem(item string) bool { return item == ItemGmailID || item == ItemEmailID }

// Software is our name for servers.
const Software = "Mailbrook"

// isIntroduction reports whether the arguments of ID are the program's name and
// version, and nothing else.
func isIntroduction(args string) bool {
	rest, ok := strings.CutPrefix(args, `("name" "`+Software+`"`)
	if version, given := strings.CutPrefix(rest, ` "version" `); ok && given {
		n := quotedLen(version)
		rest, ok = version[n:], n > 0 && n <= 66
	}
	return ok && rest == ")"
}

// isItemList reports whether text is " (A B)" with names of the list only.
func isItemList(text string, names []string) bool {
	inner, opens := strings.CutPrefix(text, " (")
	inner, closes := strings.CutSuffix(inner, ")")
	if !opens || !closes {
		return false
	}
next:
	for item := range strings.SplitSeq(inner, " ") {
		for _, name := range names {
			if item == name {
				continue next
			}
		}
		return false
	}
	return true
}

// cutAlias takes a quoted alias off the arguments of a command and returns the
// name that it stands for.
func cutAlias(args string) (name, rest string, ok bool) {
	if !strings.HasPrefix(args, `"`) {
		return "", "", false
	}
	alias, rest, ok := strings.Cut(args[1:], `"`)
	if !ok {
		return "", "", false
	}
	name, long, ok := FromAlias(alias)
	return name, rest, ok && !long && Askable(name)
}

// announced reads "{12}" or "{12+}".
func announced(s string) (int, bool) {
	inner, opens := strings.CutPrefix(s, "{")
	inner, closes := strings.CutSuffix(inner, "}")
	if !opens || !closes {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(inner, "+"), 10, 31)
	return int(n), err == nil && n > 0
}

// quotedLen returns how long the quoted string is that s begins with, or 0.
func quotedLen(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

func isTag(s string) bool {
	return s != "" && len(s) <= 20 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func isAtom(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func isBase64(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=*") == ""
}
