package wire

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Writer is a connection to an IMAP server to which mail is delivered. Whatever is sent
// passes its guard, which knows no command that changes or takes away what is there: see
// [Permission]. The first refusal ends the connection.
//
// Commands are buffered until Flush or Answer and may be sent without waiting for the
// answers to those before. It is used by one goroutine at a time, but for Close.
//
// It has no Read and no Write, and gives out no connection that has: there is no way past its guard.
type Writer struct {
	link  *Link
	guard writingGuard
	out   *bufio.Writer
	in    *imapFilter // Its limits and the reading of literals.
	tags  int
	open  string   // The tag of the APPEND under way; "": there is none.
	early []Answer // Completions that came while leave was waited for.

	// Heard is called with each untagged OK, NO and BAD that has a code. It may be nil.
	Heard func(a Answer)
	// Body takes the octets of a message, or of its header, that Answer meets, and has to read them all. Nil: none are
	// asked for.
	Body func(r io.Reader, size int64) error
}

// NewWriter puts the writing guard above a link whose greeting was read. refused counts; nil:
// nobody does.
func NewWriter(l *Link, may Permission) *Writer {
	w := &Writer{
		link: l, guard: writingGuard{may: may, refused: l.refused},
		in: &imapFilter{r: l, max: defaultIMAPLimits(l.limits.Body)},
	}
	w.out = bufio.NewWriterSize(sender{l}, linkBuffer)
	return w
}

// Bind ends the connection with a context, until it is released.
func (w *Writer) Bind(ctx context.Context) (release func()) { return w.link.Bind(ctx) }

// Failure returns the error that ended the connection, or nil.
func (w *Writer) Failure() error { return w.link.Failure() }

// Abort ends the connection with err, unless an earlier error did, and returns the one that did.
func (w *Writer) Abort(err error) error { return w.link.Abort(err) }

// Close ends the connection at once. It may be called again, and at any time.
func (w *Writer) Close() error { return w.link.Close() }

// SignedIn records that the server took the login.
func (w *Writer) SignedIn() { w.link.SignedIn() }

// SASL makes a mechanism: see [Link.SASL].
func (w *Writer) SASL(mechanism string, cred remote.Credential) SASLClient {
	return w.link.SASL(mechanism, cred)
}

// SASLFor makes PLAIN on behalf of another user: see [Link.SASLFor].
func (w *Writer) SASLFor(behalf string, cred remote.Credential) SASLClient {
	return w.link.SASLFor(behalf, cred)
}

// sender counts what the server takes as progress: a message on its way there is what was
// asked of us.
type sender struct{ l *Link }

// Write implements io.Writer.
func (s sender) Write(p []byte) (int, error) {
	n, err := s.l.Write(p)
	s.l.brought(n)
	return n, err
}

// Quote writes a folder's name, or another text, as a quoted string.
func Quote(text string) string { return string(appendQuoted(nil, text)) }

// UIDs writes a set of UIDs, which is sorted.
func UIDs(set []uint32) string {
	slices.Sort(set)
	set = slices.Compact(set)
	var b strings.Builder
	for i := 0; i < len(set); {
		j := i
		for j+1 < len(set) && set[j+1] == set[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(set[i]), 10))
		if j > i {
			b.WriteString(":" + strconv.FormatUint(uint64(set[j]), 10))
		}
		i = j + 1
	}
	return b.String()
}

// Send sends a command without waiting for its answer, and returns its tag.
func (w *Writer) Send(command string) (tag string, err error) {
	if err := w.guard.command(command); err != nil {
		return "", w.poison(command, err)
	}
	return w.put(command)
}

func (w *Writer) put(command string) (tag string, err error) {
	w.tags++
	tag = "m" + strconv.Itoa(w.tags)
	w.guard.sent(tag)
	w.link.note("C", tag+" "+shownCommand(command))
	_, err = w.out.WriteString(tag + " " + command + "\r\n")
	return tag, err
}

// shownCommand leaves secrets out.
func shownCommand(command string) string {
	for _, verb := range []string{verbLogin, verbAuthenticate} {
		if strings.HasPrefix(command, verb+" ") {
			return verb + " ***"
		}
	}
	return command
}

func (w *Writer) poison(command string, err error) error {
	verb, _, _ := strings.Cut(command, " ")
	return w.Abort(&fault.Error{
		Code: fault.Internal, Op: "sending to the server", Err: fmt.Errorf("%w: %s", err, words.Clean(verb, 20)),
	})
}

// Flush sends what is buffered.
func (w *Writer) Flush() error { return w.out.Flush() }

// Message is how a message is announced that is appended.
type Message struct {
	Flags    mail.Flags
	Keywords mail.Keywords
	Received time.Time
	Size     int64
}

func (m Message) announce(plus string) string {
	var flags []string
	for _, f := range []struct {
		flag mail.Flags
		name string
	}{{mail.Seen, `\Seen`}, {mail.Answered, `\Answered`}, {mail.Flagged, `\Flagged`}, {mail.Draft, `\Draft`}} {
		if m.Flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	flags = append(flags, m.Keywords.List()...)
	return fmt.Sprintf(` (%s) "%s" {%d%s}`, strings.Join(flags, " "), m.Received.Format(imapDateLayout), m.Size, plus)
}

// Append begins to append a message to a folder, or, between Append and EndAppend, one
// more with the same command (MULTIAPPEND, RFC 3502). Its octets, exactly as many as were announced,
// are sent unless the server is to be asked first: without ahead (LITERAL+, or LITERAL- and
// at most 4096 octets: RFC 7888) its leave is waited for. A refusal is returned as *Refused.
func (w *Writer) Append(folder string, m Message, body io.Reader, ahead bool) error {
	plus := ""
	if ahead {
		plus = "+"
	}
	text := m.announce(plus)
	if w.open == "" {
		command := verbAppend + " " + Quote(folder) + text
		if err := w.guard.command(command); err != nil {
			return w.poison(verbAppend, err)
		}
		tag, err := w.put(command)
		if err != nil {
			return err
		}
		w.open = tag
	} else {
		if err := w.guard.next(text); err != nil {
			return w.poison(verbAppend, err)
		}
		w.link.note("C", text)
		if _, err := w.out.WriteString(text + "\r\n"); err != nil {
			return err
		}
	}
	if !ahead {
		if err := w.leave(); err != nil {
			return err
		}
	}
	n, err := io.Copy(w.out, io.LimitReader(body, m.Size))
	if err == nil && n != m.Size {
		err = fault.Wrap(fault.Internal, "sending a message", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return w.Abort(err) // What the server has by now is no message.
	}
	return nil
}

// leave waits for the server's leave to send a literal.
func (w *Writer) leave() error {
	if err := w.Flush(); err != nil {
		return err
	}
	for {
		a, err := w.Answer()
		switch {
		case err != nil:
			return err
		case a.Tag == "+":
			return nil
		case a.Tag == w.open && a.Kind != "OK":
			w.open = ""
			return &Refused{a.Reply}
		case a.Tag == w.open:
			return w.Abort(fault.New(fault.ProtocolError, "sending a message",
				words.Say("The server answers before it has the message.")))
		case a.Tag != "*" && len(w.early) == mostEarly:
			return w.Abort(fault.New(fault.ProtocolError, "sending a message",
				words.Say("The server answers what was not asked.")))
		case a.Tag != "*":
			w.early = append(w.early, a)
		}
	}
}

// EndAppend ends the command that Append began, and returns its tag.
func (w *Writer) EndAppend() (tag string, err error) {
	tag, w.open = w.open, ""
	_, err = w.out.WriteString("\r\n")
	return tag, err
}

// Refused is a command's tagged NO or BAD.
type Refused struct{ Reply Reply }

// Error implements error.
func (r *Refused) Error() string {
	code := r.Reply.Code
	if code != "" {
		code = " [" + code + "]"
	}
	return r.Reply.Kind + code + ": " + r.Reply.Text
}

// Await sends what is buffered and reads until the command with this tag is completed.
// Data that comes meanwhile is given to each, which may be nil. A NO or BAD is returned as
// *Refused; the answer to another command is an error, as commands are awaited in the order
// in which they were sent.
func (w *Writer) Await(tag string, each func(a Answer) error) (Answer, error) {
	if err := w.Flush(); err != nil {
		return Answer{}, err
	}
	for answers, folders := 0, 0; ; answers++ {
		a, err := w.next()
		if err != nil {
			return Answer{}, err
		}
		if a.Kind == verbList {
			folders++
		}
		switch {
		case answers > mostAnswers, folders > mostFolders:
			return Answer{}, w.Abort(fault.New(fault.ProtocolError, "reading from the server",
				words.Say("The server sends more than can be read.")))
		case a.Tag == tag:
			w.link.Settled()
			if a.Kind != "OK" {
				return a, &Refused{a.Reply}
			}
			w.guard.completed(tag)
			return a, nil
		case a.Tag == "*":
			if w.Heard != nil && a.Reply.Code != "" {
				w.Heard(a)
			}
			if each != nil && a.Reply.Kind == "" {
				if err := each(a); err != nil {
					return Answer{}, err
				}
			}
		default:
			return Answer{}, w.Abort(fault.New(fault.ProtocolError, "reading from the server",
				words.Say("The server answers what was not asked.")))
		}
	}
}

// next returns the next answer, one that came early first.
func (w *Writer) next() (Answer, error) {
	if len(w.early) > 0 {
		a := w.early[0]
		w.early = w.early[1:]
		return a, nil
	}
	return w.Answer()
}

// Do sends a command and awaits its completion.
func (w *Writer) Do(command string, each func(a Answer) error) (Answer, error) {
	tag, err := w.Send(command)
	if err != nil {
		return Answer{}, err
	}
	return w.Await(tag, each)
}

// Authenticate signs in by a mechanism of SASL (RFC 9051 section 6.2.2). initial says
// whether its first answer may come with the command (SASL-IR, RFC 4959).
func (w *Writer) Authenticate(s SASLClient, initial bool) error {
	mechanism, first, err := s.Start()
	if err != nil {
		return err
	}
	command := verbAuthenticate + " " + mechanism
	if initial && first != nil {
		command += " " + encodeInitial(first)
		first = nil
	}
	tag, err := w.Send(command)
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for rounds := 0; ; {
		a, err := w.Answer()
		switch {
		case err != nil:
			return err
		case a.Tag == tag && a.Kind == "OK":
			return s.Proved()
		case a.Tag == tag:
			return &Refused{a.Reply}
		case a.Tag == "*":
			continue
		case a.Tag != "+" || rounds > defaultIMAPLimits(0).rounds:
			return w.Abort(fault.New(fault.ProtocolError, "signing in", words.Say("The server's answers cannot be used.")))
		}
		rounds++
		answer := first
		if first = nil; answer == nil {
			challenge, err := base64.StdEncoding.DecodeString(a.Reply.Text)
			if err == nil {
				answer, err = s.Next(challenge)
			}
			if err != nil {
				return w.Abort(fault.Wrap(fault.ProtocolError, "signing in", err))
			}
		}
		line := base64.StdEncoding.EncodeToString(answer)
		if err := w.guard.answer(line); err != nil {
			return w.poison(verbAuthenticate, err)
		}
		w.link.note("C", "***")
		if _, err := w.out.WriteString(line + "\r\n"); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func encodeInitial(answer []byte) string {
	if len(answer) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(answer)
}

// Login signs in with a user name and a password, neither of which may hold a line break.
// Data that comes along is given to each.
func (w *Writer) Login(cred remote.Credential, each func(a Answer) error) (Answer, error) {
	w.link.Presents()
	return w.Do(verbLogin+" "+Quote(cred.Username)+" "+Quote(cred.Secret.Reveal()), each)
}
