package wire

import (
	"bytes"
	"errors"
	"net"
	"strings"

	"github.com/knadh/go-pop3"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// POP3Verb is a POP3 command. These are all that exist here: what would change
// a mailbox (RFC 1939 section 5, DELE) has no name.
type POP3Verb string

// The commands: of RFC 1939, and CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034) and
// UTF8 (RFC 6856).
const (
	PopCAPA POP3Verb = "CAPA"
	PopSTLS POP3Verb = "STLS"
	PopUSER POP3Verb = "USER"
	PopPASS POP3Verb = "PASS"
	PopAUTH POP3Verb = "AUTH"
	PopAPOP POP3Verb = "APOP"
	PopUTF8 POP3Verb = "UTF8"
	PopSTAT POP3Verb = "STAT"
	PopLIST POP3Verb = "LIST"
	PopUIDL POP3Verb = "UIDL"
	PopTOP  POP3Verb = "TOP"
	PopRETR POP3Verb = "RETR"
	PopNOOP POP3Verb = "NOOP"
	PopRSET POP3Verb = "RSET"
	PopQUIT POP3Verb = "QUIT"
)

const (
	// maxPOP3Status bounds a status line; RFC 2449 section 4 allows 512 octets.
	maxPOP3Status = 8 << 10
	// maxPOP3Command bounds what we send: tokens of providers reach some KiB.
	maxPOP3Command = 16 << 10
)

// POP3Command is one command on its way.
type POP3Command struct {
	Verb   POP3Verb
	Arg    string
	Secret bool // The argument is left out of the transcript.
}

// Line is the command without its end.
func (c POP3Command) Line() string {
	if c.Arg == "" {
		return string(c.Verb)
	}
	return string(c.Verb) + " " + c.Arg
}

// POP3Refusal is a server's -ERR: the answer is no, and the dialogue continues.
type POP3Refusal struct{ Text string }

// Error implements error.
func (r *POP3Refusal) Error() string { return "the server refused: " + words.Clean(r.Text, 200) }

// POP3 is one connection in POP3's terms. go-pop3 writes the commands and
// reads the status lines, as a codec; below it stand the guard, and a reader
// that hands it status lines one at a time, checked, so that its buffer is
// always empty when a body or a list follows, or TLS. Those are read from
// the link directly: go-pop3 takes LF "." LF for the end of a message and ends
// a list at the first line it does not understand.
type POP3 struct {
	*Link
	guard pop3Guard
	codec *pop3.Conn
	rest  []byte // Of a status line that is being handed over.

	ok   bool   // The status last read was +OK.
	more bool   // … was a challenge.
	text string // What followed it.
	imap bool   // The last line was one of IMAP's.

	asked  []askedVerb // What was sent and is not answered, in order.
	fresh  bool        // Nothing is known of the server from earlier sessions.
	keeps  bool        // A command that was pipelined with the login was answered,
	lost   bool        // … or was not.
	pushed []byte      // A status line that came with the end of a message.
	bare   bool        // The last message ended without its LF, which may come yet.

	challenge string // As it came, in base64; "" where the server merely waits.
	greeted   string // The words of the greeting.

	// read says that messages were read, some of which the server may mark as
	// seen unless RSET takes that back.
	read bool
}

// NewPOP3 reads the greeting. It may return both a wire and a *pop3Refusal.
func NewPOP3(l *Link) (*POP3, error) {
	w := &POP3{Link: l, guard: pop3Guard{w: l, allowed: l.limits.Allow.pop3, refused: l.refused}}
	codec, err := pop3.New(pop3.Opt{Dialer: wireDialer{w}}).NewConn()
	w.codec, w.greeted = codec, w.text
	if err != nil {
		return w, w.refusal(err)
	}
	return w, nil
}

// wireDialer gives go-pop3 the connection there is.
type wireDialer struct{ w *POP3 }

// Dial implements pop3.Dialer.
func (d wireDialer) Dial(string, string) (net.Conn, error) { return d.w, nil }

// Write implements net.Conn for go-pop3: everything goes through the guard.
func (w *POP3) Write(p []byte) (int, error) {
	n, err := w.guard.Write(p)
	if errors.Is(err, errPOP3Refused) {
		err = w.Abort(&fault.Error{Code: fault.Internal, Op: "writing to the server", Err: err})
	}
	return n, err
}

// Read implements net.Conn for go-pop3: it returns at most one status line.
func (w *POP3) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		line, err := w.statusLine()
		if err != nil {
			return 0, err
		}
		if err := w.parse(line); err != nil {
			return 0, err
		}
		w.rest = line
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// statusLine reads a line, also one that came with the end of a message, or after
// the rest of it.
func (w *POP3) statusLine() ([]byte, error) {
	if line := w.pushed; line != nil {
		w.pushed = nil
		return line, nil
	}
	line, err := w.ReadLine(maxPOP3Status)
	if err == nil && w.bare && string(line) == "\n" {
		line, err = w.ReadLine(maxPOP3Status)
	}
	w.bare = false
	return line, err
}

// askedVerb is a question that is under way.
type askedVerb struct {
	verb  POP3Verb
	ahead bool // It was pipelined: sent before another one was answered.
}

// due reports whether the answer that comes next should be there already: its
// command was pipelined with another one, which was answered. What decides on a login
// may take longer at a server that was seen to keep what is pipelined, and is not to
// be asked twice; so may anything once this connection has shown it.
func (w *POP3) due() bool {
	if len(w.asked) == 0 || !w.asked[0].ahead || w.keeps {
		return false
	}
	switch w.asked[0].verb {
	case PopPASS, PopAUTH, PopAPOP:
		return w.fresh
	}
	return true
}

// done notes that a question was answered.
func (w *POP3) done() {
	if len(w.asked) == 0 {
		return
	}
	switch q := w.asked[0]; q.verb {
	case PopUIDL, PopTOP, PopRETR: // What goes along with the login ends with UIDL.
		w.keeps = w.keeps || q.ahead
	}
	w.asked = w.asked[1:]
}

// parse takes only what RFC 1939 section 3 calls a status: "+OK" or "-ERR",
// alone or followed by a space, ended by CRLF. While an AUTH is under way, "+"
// alone or followed by a space is a challenge (RFC 5034 section 4).
func (w *POP3) parse(line []byte) error {
	text, crlf := strings.CutSuffix(string(line), "\r\n")
	w.ok, w.more, w.challenge, w.text = false, false, "", ""
	word, rest, _ := strings.Cut(text, " ")
	w.text = rest
	switch {
	case !crlf:
	case word == "+OK":
		w.ok, w.guard.sasl = true, false
	case word == "-ERR":
		w.guard.sasl, w.text = false, w.secrets.Redact(rest)
	case word == "+" && w.guard.sasl:
		w.more, w.text, w.challenge = true, "", strings.TrimSpace(rest)
	default:
		crlf = false
	}
	if !crlf {
		w.imap = word == "*"
		return w.Abort(fault.New(fault.ProtocolError, "reading from the server",
			words.Say("The server's answer is not one of POP3.")))
	}
	w.note("S", text)
	return nil
}

// ErrChallenge says that the server wants an answer before it gives its own.
var ErrChallenge = errors.New("the server sent a challenge")

// refusal says what go-pop3's error on a status line was.
func (w *POP3) refusal(err error) error {
	broken := w.Failure()
	switch {
	case broken != nil:
		return broken
	case w.more:
		return ErrChallenge
	case !w.ok:
		return &POP3Refusal{Text: w.text}
	}
	return w.Abort(&fault.Error{
		Code: fault.ProtocolError, Op: "reading from the server", Err: err,
		Detail: words.Detail{words.Say("The server's answer is not one of POP3.")},
	})
}

// Send writes commands, all at once.
func (w *POP3) Send(cmds ...POP3Command) error {
	lines := make([]string, len(cmds))
	for i, c := range cmds {
		lines[i] = c.Line()
		w.read = w.read || c.Verb == PopRETR || c.Verb == PopTOP
		if strings.ContainsAny(c.Arg, "\r\n\x00") {
			return w.Abort(&fault.Error{Code: fault.Internal, Op: "writing to the server", Err: w.guard.refuse(
				"control character in an argument")})
		}
		shown := c.Arg
		if c.Secret {
			shown = "***"
			if mechanism, _, found := strings.Cut(c.Arg, " "); found && c.Verb == PopAUTH {
				shown = mechanism + " ***"
			}
		}
		w.note("C", POP3Command{Verb: c.Verb, Arg: shown}.Line())
	}
	for _, c := range cmds {
		w.asked = append(w.asked, askedVerb{c.Verb, len(w.asked) > 0})
	}
	w.guard.lines += len(cmds)
	return w.write(strings.Join(lines, "\r\n"))
}

// Answer writes the answer to a challenge.
func (w *POP3) Answer(base64 string) error {
	w.note("C", "***")
	w.guard.lines++
	return w.write(base64)
}

func (w *POP3) write(lines string) error {
	if err := w.codec.Send(lines); err != nil {
		return w.fail("writing to the server", err)
	}
	return nil
}

// Status reads the answer to one command: its text, a *pop3Refusal, or what
// broke the connection.
func (w *POP3) Status() (string, error) {
	due := w.due()
	release := func() {}
	if due {
		release = w.await()
	}
	_, err := w.codec.ReadOne()
	release()
	if err == nil {
		w.done()
		w.answered()
		return w.text, nil
	}
	if err = w.refusal(err); errors.As(err, new(*POP3Refusal)) {
		w.done()
		w.answered()
	}
	w.lost = due && Silent(err)
	return "", err
}

// Ask sends one command and reads its status.
func (w *POP3) Ask(c POP3Command) (string, error) {
	if err := w.Send(c); err != nil {
		return "", err
	}
	return w.Status()
}

// maxPOP3Lines bounds a list: more messages than any mailbox holds.
const maxPOP3Lines = 2_000_000

// Lines reads what follows a +OK up to the line with a dot alone, and gives
// each line without its end. ok is false for a line that does not end in CRLF.
// A line that was of use lists a message. each's error ends the connection.
func (w *POP3) Lines(each func(line []byte, ok bool) (used bool, err error)) error {
	for range maxPOP3Lines {
		line, err := w.ReadLine(linkBuffer)
		if err != nil {
			return err
		}
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if ok && len(text) > 0 && text[0] == '.' {
			if len(text) == 1 {
				return nil
			}
			text = text[1:]
		}
		used, err := each(text, ok)
		if err != nil {
			return w.Abort(err)
		}
		if used {
			w.Listed()
		}
	}
	return w.Abort(fault.New(fault.ProtocolError, "reading a list",
		words.Say("the server's list has more than %d lines", maxPOP3Lines)))
}

// Greeted returns the words of the greeting.
func (w *POP3) Greeted() string { return w.greeted }

// SpeaksIMAP reports whether the last line was one of IMAP's.
func (w *POP3) SpeaksIMAP() bool { return w.imap }

// Unknown says whether nothing is known of the server from earlier sessions.
func (w *POP3) Unknown(fresh bool) { w.fresh = fresh }

// Challenge returns what the server asks, in base64; "" where it merely waits.
func (w *POP3) Challenge() string { return w.challenge }

// ExpectChallenge says whether "+" is an answer to what was sent.
func (w *POP3) ExpectChallenge(due bool) { w.guard.sasl = due }

// Lost reports whether a pipelined command was not answered.
func (w *POP3) Lost() bool { return w.lost }

// HasRead says that messages were read, some of which the server may mark as seen
// unless RSET takes that back.
func (w *POP3) HasRead() bool { return w.read }
