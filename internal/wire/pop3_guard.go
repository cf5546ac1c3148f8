package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
)

var errPOP3Refused = errors.New("pop3 guard: refused to send")

// pop3Guard lets through only POP3 commands that are allowed, whoever writes them, and
// only as many lines as were announced: what a line break inside an argument would
// make of it is not sent. It passes on whole lines; after the first refusal it sends nothing any more.
type pop3Guard struct {
	w       io.Writer
	allowed map[POP3Verb]func(args string, has bool) bool
	refused *atomic.Int64 // Counts refusals; may be nil.
	lines   int           // Announced and not yet written.
	sasl    bool          // An AUTH is under way: an answer may be written.
	buf     []byte
	err     error
}

func (g *pop3Guard) refuse(why string) error {
	g.err = fmt.Errorf("%w: %s", errPOP3Refused, why)
	if g.refused != nil {
		g.refused.Add(1)
	}
	return g.err
}

// Write takes commands in pieces of any size.
func (g *pop3Guard) Write(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	total := len(p)
	var out []byte // Whole lines, in one write: pipelined commands share a segment.
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			g.buf = append(g.buf, p...)
			if len(g.buf) > maxPOP3Command {
				return 0, g.refuse("a line too long")
			}
			break
		}
		g.buf, p = append(g.buf, p[:n]...), p[n:]
		if err := g.check(g.buf); err != nil {
			clear(g.buf)
			return 0, err
		}
		out = append(out, g.buf...)
		clear(g.buf) // A password may have been in it.
		g.buf = g.buf[:0]
	}
	if len(out) == 0 {
		return total, nil
	}
	defer clear(out)
	if _, err := g.w.Write(out); err != nil {
		g.err = err
		return 0, err
	}
	return total, nil
}

func (g *pop3Guard) check(raw []byte) error {
	line, ok := bytes.CutSuffix(raw, []byte("\r\n"))
	switch {
	case !ok || bytes.ContainsAny(line, "\r\n\x00"):
		return g.refuse("control character in a command")
	case len(raw) > maxPOP3Command:
		return g.refuse("a line too long")
	case g.lines == 0:
		return g.refuse("a line that nobody announced")
	}
	g.lines--
	if g.sasl {
		if string(line) == "*" || isSASLAnswer(line) {
			return nil
		}
		// Pipelined commands, STAT and its like, look like it.
		return g.refuse("an answer to a challenge that is not base64")
	}
	verb, arg, has := strings.Cut(string(line), " ")
	if fits := g.allowed[POP3Verb(verb)]; fits == nil || !fits(arg, has) {
		return g.refuse("a command outside the list of those that may be sent")
	}
	g.sasl = POP3Verb(verb) == PopAUTH
	return nil
}

func isSASLAnswer(line []byte) bool {
	return len(bytes.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")) == 0
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func isNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 31)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}
