package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
)

// errIMAPProtocol says that the server's answers cannot be followed any further.
var errIMAPProtocol = errors.New("imap: unusable answer")

func protocolError(what string) error { return fmt.Errorf("%w: %s", errIMAPProtocol, what) }

// unreadableError says that one answer cannot be read. The next can, so it costs
// what it is about and nothing else.
type unreadableError struct{ what string }

func (e *unreadableError) Error() string { return errIMAPProtocol.Error() + ": " + e.what }
func (e *unreadableError) Unwrap() error { return errIMAPProtocol }

func unreadable(what string) error { return &unreadableError{what} }

// OversizeError says that a body is longer than bodies may be; UID is 0 when
// the server did not say whose it is.
type OversizeError struct {
	UID  uint32
	Size int64
}

// Error implements error.
func (e *OversizeError) Error() string {
	return fmt.Sprintf("imap: message %d has %d octets, more than allowed", e.UID, e.Size)
}

// imapLimits bounds what a server may send.
type imapLimits struct {
	line     int   // Octets of one line, literals left out.
	literal  int64 // Octets of a literal that is no message, and of a header: what is longer is cut.
	body     int64 // Octets of a message.
	depth    int   // Nesting of lists.
	dropped  int   // Useless lines per command, and their octets.
	dropSize int64
	folders  int // Answers to LIST.
	listing  int // Answers to UID FETCH without bodies,
	disorder int // … of which so many may come out of order.
	rounds   int // Continuation requests per command.
}

func defaultIMAPLimits(body int64) imapLimits {
	return imapLimits{
		line: 1 << 20, literal: 256 << 10, body: body, depth: 32,
		dropped: 10_000, dropSize: 4 << 20, folders: 10_000, listing: 2_000_000, disorder: 50_000, rounds: 4,
	}
}

// imapFilter stands between the server and the library. It reads every answer
// within limits and passes on, written again in the plainest form, only what
// answers the command under way; bodies pass untouched. So nothing that a
// server sends reaches a part of the library that cannot take it: unknown
// answers, odd flags, foreign folder names, UIDs after bodies, deep nesting.
//
// After a failure it keeps the cause and returns io.EOF for ever, but first
// fills up the body under way with zeros: at an early end of a body the library
// would let two goroutines read at the same time. Whoever reads bodies looks at
// filled before believing an octet.
type imapFilter struct {
	r     answerReader
	queue *imapQueue
	max   imapLimits
	said  *imapSaid
	log   func(dir, line string) // The transcript; may be nil.
	fail  func(error)            // Told the cause once, at once.
	// redact cuts secrets out of the words for people; nil: they stay.
	redact func(string) string
	unread func(answer []byte) // Told of each answer that is left out as it cannot be read; may be nil.

	out  []byte // Written again, still to be read by the library.
	sent int    // How much of out was read.
	body int64  // Octets of a body still to be passed on.
	held *heldBody
	left int64       // Octets of held still to be passed on.
	part imapFetched // The FETCH answer under way.
	err  error
	fill int64 // Zeros still to be passed on.

	filled atomic.Bool // Zeros are being passed on.
}

// answerReader is what the filter needs of a link.
type answerReader interface {
	io.Reader
	ReadLine(max int) ([]byte, error)

	// What was asked for and has come: see Patience.
	named()
	Listed()
	brought(octets int)
	answered()
	Settled()
	// A refusal that answers nothing: an answer is hardly to be expected.
	doubted()
}

func newIMAPFilter(r answerReader, q *imapQueue, max imapLimits, said *imapSaid) *imapFilter {
	return &imapFilter{r: r, queue: q, max: max, said: said}
}

// replay makes the library read an answer that the server gave before the
// library was there.
func (f *imapFilter) replay(line string) { f.out = append(f.out, line...) }

// Read gives the library what it may see.
func (f *imapFilter) Read(p []byte) (int, error) {
	for f.err == nil && len(p) > 0 {
		switch {
		case f.sent < len(f.out):
			n := copy(p, f.out[f.sent:])
			f.sent += n
			return n, nil
		case f.body > 0:
			if n := f.passBody(p); n > 0 {
				return n, nil
			}
		case f.held != nil:
			n, err := f.held.Read(p)
			f.left -= int64(n)
			if n > 0 {
				return n, nil
			}
			if f.left > 0 {
				f.pad(f.left)
				f.stop(unexpected(err))
				break
			}
			f.held.close()
			f.held = nil
			f.out, f.sent = append(f.out[:0], ")\r\n"...), 0
		default:
			f.out, f.sent = f.out[:0], 0
			if err := f.answer(); err != nil {
				f.stop(err)
			}
		}
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case f.fill > 0:
		n := int(min(int64(len(p)), f.fill))
		clear(p[:n])
		f.fill -= int64(n)
		return n, nil
	}
	return 0, io.EOF
}

// pad has zeros passed on in place of what is left of a body.
func (f *imapFilter) pad(n int64) {
	f.fill = n
	f.filled.Store(true)
}

// passBody hands on a piece of a body. The last piece is kept back until the
// answer has proved to end where the body should: a server that miscounts
// must not have the wrong octets taken for a message.
func (f *imapFilter) passBody(p []byte) int {
	n, err := f.r.Read(p[:min(int64(len(p)), f.body)])
	if f.body -= int64(n); f.body == 0 {
		f.out, f.sent = f.out[:0], 0
		err = f.answer()
	}
	if err != nil {
		f.pad(f.body + int64(n))
		f.stop(err)
		return 0
	}
	f.r.brought(n)
	return n
}

func (f *imapFilter) stop(err error) {
	if f.err != nil || err == nil {
		return
	}
	f.err = err
	if f.held != nil {
		f.held.close()
	}
	if f.part.held != nil {
		f.part.held.close()
	}
	if f.fail != nil {
		f.fail(err)
	}
}

// line reads one line without its end. It is good until the next read.
func (f *imapFilter) line() ([]byte, error) {
	b, err := f.r.ReadLine(f.max.line)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")), nil
}

// literal reads a literal that is no message. Memory follows what arrives.
func (f *imapFilter) literal(size int64) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f.r, size); err != nil {
		return nil, unexpected(err)
	}
	return b.Bytes(), nil
}

// discard passes over a literal of any kind.
func (f *imapFilter) discard(size int64) error {
	if size > f.max.body {
		return protocolError("a literal too long")
	}
	_, err := io.CopyN(io.Discard, f.r, size)
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// answer reads one answer, or what is left of it after a body, and writes it
// again into out, or drops it.
func (f *imapFilter) answer() error {
	if f.part.open {
		return f.afterBody()
	}
	b, err := f.line()
	if err != nil {
		return err
	}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return f.drop(b)
	case b[0] == '+':
		f.note(b)
		return f.continuation(b[1:])
	case b[0] == '*' && len(b) > 1 && b[1] == ' ':
		return f.untagged(bytes.TrimLeft(b[2:], " "))
	}
	f.note(b)
	return f.tagged(b)
}

func (f *imapFilter) note(b []byte) {
	if f.log != nil {
		f.log("S", string(b[:min(len(b), 400)]))
	}
}

// drop counts an answer that nobody needs, so that they cannot come without end.
func (f *imapFilter) drop(b []byte) error {
	c := f.queue.current()
	if c == nil {
		return nil // Bounded by the patience for silence: nothing is asked.
	}
	c.dropped++
	c.dropSize += int64(len(b))
	if c.dropped > f.max.dropped || c.dropSize > f.max.dropSize {
		return protocolError("too many answers that nobody asked for")
	}
	return nil
}

// dropAnswer drops an answer with its literals.
func (f *imapFilter) dropAnswer(b []byte) error {
	for {
		if err := f.drop(b); err != nil {
			return err
		}
		i := bytes.LastIndexByte(b, '{')
		if i < 0 || b[len(b)-1] != '}' {
			return nil
		}
		s := imapScanner{f, b[i:]}
		size, ok, err := s.announced()
		if errors.Is(err, errNoSize) && !f.queue.answering(verbFetch) {
			return nil
		}
		if err != nil || !ok {
			return err
		}
		if err := f.discard(size); err != nil {
			return err
		}
		if b, err = f.line(); err != nil {
			return err
		}
	}
}

// untagged handles what follows "* ".
func (f *imapFilter) untagged(b []byte) error {
	s := imapScanner{f, b}
	word := s.word()
	s.spaces()
	if len(word) > 0 && '0' <= word[0] && word[0] <= '9' {
		n, ok := parseNumber(word, 32)
		kind := s.word()
		s.spaces()
		switch {
		case ok && n > 0 && is(kind, "FETCH") && f.queue.answering(verbFetch) && s.next() == '(':
			if f.log != nil {
				f.noteFetch(b)
			}
			return f.fetch(uint32(n), s)
		case is(kind, "FETCH") && f.queue.answering(verbFetch):
			f.note(b)
			f.leaveOut(b)
		case ok && is(kind, "EXISTS") && f.queue.answering(verbExamine):
			f.note(b)
			f.out = append(strconv.AppendUint(append(f.out, "* "...), n, 10), " EXISTS\r\n"...)
			return nil
		}
		return f.dropAnswer(b)
	}
	f.note(b)
	switch {
	case is(word, "OK"), is(word, "NO"), is(word, "BAD"), is(word, "BYE"), is(word, "PREAUTH"):
		return f.state(string(bytes.ToUpper(word)), s.b)
	case is(word, "CAPABILITY") && (f.queue.answering(verbLogin) || f.queue.answering(verbAuthenticate)):
		// Told with the completion, so that the library does not ask again.
		f.queue.current().caps = bytes.Clone(s.b)
		return f.drop(b)
	case is(word, "CAPABILITY"):
		f.out = append(AppendCapabilities(append(f.out, "* "...), s.b), "\r\n"...)
		return nil
	case is(word, "LIST") && f.queue.answering(verbList):
		whole := bytes.Clone(b[:min(len(b), unreadKept)]) // Good until the next line is read.
		if err := f.list(&s); !isUnreadable(err) {
			return err
		}
		return f.listUnread(whole, &s)
	case is(word, "STATUS") && f.queue.answering(verbList):
		return f.recover(f.listStatus(&s), b, &s)
	case is(word, "STATUS") && f.queue.answering(verbStatus):
		return f.recover(f.status(&s), b, &s)
	case is(word, "NAMESPACE") && f.queue.answering(verbNamespace):
		return f.recover(f.namespace(&s), b, &s)
	}
	return f.dropAnswer(b)
}

// errSkipAnswer says that one answer was bad and is left out.
var errSkipAnswer = errors.New("imap: answer left out")

func isUnreadable(err error) bool {
	return errors.Is(err, errSkipAnswer) || errors.As(err, new(*unreadableError))
}

// unreadShown is how much of an answer that cannot be read is shown, in octets, and
// unreadKept what of it is looked through before for secrets that end after that.
const unreadShown, unreadKept = 200, 2000

// leaveOut reports an answer that cannot be read.
func (f *imapFilter) leaveOut(whole []byte) {
	f.out = f.out[:0]
	if c := f.queue.current(); c != nil {
		c.unread++
	}
	if f.unread != nil {
		f.unread(whole)
	}
}

// recover leaves an answer out that cannot be read, with what was not read of
// it. whole is what is still there of it.
func (f *imapFilter) recover(err error, whole []byte, s *imapScanner) error {
	if !isUnreadable(err) {
		return err
	}
	f.leaveOut(whole)
	return f.dropAnswer(s.b)
}

// listUnread gives the library a folder of which nothing but the answer
// is known.
func (f *imapFilter) listUnread(whole []byte, s *imapScanner) error {
	f.leaveOut(whole)
	if f.redact != nil { // It is shown to people, and saved.
		whole = []byte(f.redact(string(whole)))
	}
	if err := f.dropAnswer(s.b); err != nil {
		return err
	}
	f.out = append(append(append(f.out[:0], "* LIST () NIL "...), unreadAlias(whole)...), "\r\n"...)
	return nil
}

// wanted is the server; what is read of it counts as brought, as long as the
// command under way may have messages to come.
func (f *imapFilter) wanted() io.Reader {
	c := f.part.command
	if c.held++; c.held > c.wanted.len() {
		return f.r
	}
	return bringing{f.r}
}

// bringing counts what is read as brought.
type bringing struct{ answerReader }

// Read implements io.Reader.
func (b bringing) Read(p []byte) (int, error) {
	n, err := b.answerReader.Read(p)
	b.brought(n)
	return n, err
}
