package wire

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// imapFetched is one FETCH answer as far as it was read.
type imapFetched struct {
	open    bool // Its body is being passed on.
	command *IMAPCommand
	number  uint32
	uid     uint32
	named   uint32 // The UID that was passed on before the body.
	flags   mail.Flags
	words   []byte // Keywords, with a space before each.
	date    [26]byte
	dateLen int
	size    uint64
	sized   bool // The server mentioned the size or date: it answers a listing.
	known   bool // The size is a number.
	global  string
	held    *heldBody
}

// fetch handles a FETCH answer (RFC 9051 section 7.5.2).
func (f *imapFilter) fetch(number uint32, s imapScanner) error {
	f.part = imapFetched{command: f.queue.current(), number: number, words: f.part.words[:0]}
	whole := s.b[:min(len(s.b), unreadKept)]
	s.b = s.b[1:]
	err := f.fetchItems(&s)
	part := &f.part
	if errors.Is(err, errNoSize) {
		return protocolError(errNoSize.Error())
	}
	if !errors.As(err, new(*unreadableError)) || part.open {
		return err
	}
	if part.held != nil {
		part.held.close()
		part.held = nil
	}
	f.leaveOut(whole)
	if err := f.dropAnswer(s.b); err != nil {
		return err
	}
	if c := part.command; c.bodies || c.headers || part.uid == 0 {
		return nil // Asked for once more, alone, or counted as not listed.
	}
	part.sized, part.command.unread = true, part.command.unread-1
	return f.fetched() // Its UID is all that is needed to fetch it.
}

// afterBody continues with an answer whose body was passed on.
func (f *imapFilter) afterBody() error {
	b, err := f.line()
	if err != nil {
		return err
	}
	if len(b) == 0 || b[0] != ' ' && b[0] != ')' {
		return protocolError("a body that does not end where it should")
	}
	return f.fetchItems(&imapScanner{f, b})
}

func (f *imapFilter) fetchItems(s *imapScanner) error {
	part := &f.part
	for {
		s.spaces()
		if s.take(')') {
			if s.spaces(); len(s.b) > 0 && part.open {
				return protocolError("something after the end of an answer")
			} else if len(s.b) > 0 {
				if err := f.dropAnswer(s.b); err != nil {
					return err
				}
			}
			return f.fetched()
		}
		item := s.word()
		if len(item) == 0 {
			return unreadable("an answer that does not end")
		}
		var err error
		switch {
		case is(item, "UID"):
			s.spaces()
			n, ok := s.number(32)
			if !ok && !part.open {
				return unreadable("a UID that is no number")
			}
			part.uid = uint32(n)
		case is(item, "FLAGS"):
			s.spaces()
			part.flags, part.words, err = s.flags(part.words[:0])
		case is(item, "INTERNALDATE"):
			s.spaces()
			err = part.readDate(s)
		case is(item, "RFC822.SIZE"):
			s.spaces()
			part.size, part.known = s.number(63)
			part.sized = true
		case part.command.global != "" && is(item, part.command.global):
			s.spaces()
			err = part.readGlobal(s)
		case part.command.headers && isHeaderItem(item):
			s.spaces()
			err = f.fetchHeader(s)
		case is(item, "BODY[]"), is(item, "BODY[]<0>"):
			s.spaces()
			var passing bool
			if passing, err = f.fetchBody(s); passing {
				return nil
			}
		default:
			if s.spaces(); part.open && (s.next() == ')' || s.next() == 0) {
				return protocolError("something without meaning after a body")
			}
			err = s.skip()
		}
		if err != nil {
			return err
		}
	}
}

func (p *imapFetched) readDate(s *imapScanner) error {
	if s.next() != '"' {
		return s.skip()
	}
	date, ok := s.quoted()
	if !ok {
		return unreadable("a quoted string that does not end")
	}
	p.sized = true
	if !usableDate(date) { // In another form, it is a date all the same.
		if t := mail.ParseDate(string(date)); !t.IsZero() {
			date = t.AppendFormat(nil, imapDateLayout)
		}
	}
	if usableDate(date) {
		p.dateLen = copy(p.date[:], date)
	}
	return nil
}

// readGlobal takes the message's name over all folders: a number of 64 bits by
// Gmail, an objectid in parentheses by RFC 8474 section 7. Anything else is none.
func (p *imapFetched) readGlobal(s *imapScanner) error {
	try := *s
	if p.command.global == ItemGmailID {
		if n, ok := try.number(64); ok && n != 0 {
			p.global = "gm:" + strconv.FormatUint(n, 10)
			*s = try
			return nil
		}
		return s.skip()
	}
	if try.take('(') {
		if id := try.word(); isObjectID(id) && try.take(')') {
			p.global = "em:" + string(id)
			*s = try
			return nil
		}
	}
	return s.skip()
}

// isObjectID reports whether b is an objectid of RFC 8474 section 7.
func isObjectID(b []byte) bool {
	return len(b) > 0 && len(b) <= 255 &&
		len(bytes.Trim(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")) == 0
}

// isHeaderItem reports whether an answer's item is the header that was asked
// for, however the server repeats the question.
func isHeaderItem(item []byte) bool {
	const head = "BODY[HEADER"
	return len(item) > len(head) && is(item[:len(head)], head)
}

// fetchHeader handles the value of BODY[HEADER.FIELDS (…)], which is held until
// the answer has said whose it is. What is too long is cut.
func (f *imapFilter) fetchHeader(s *imapScanner) error {
	part := &f.part
	if part.held != nil {
		return s.skip()
	}
	if s.next() == '"' {
		text, ok := s.quoted()
		if !ok {
			return unreadable("a quoted string that does not end")
		}
		part.held = &heldBody{}
		_, err := part.held.Write(text)
		return err
	}
	size, literal, err := s.announced()
	if err != nil {
		return err
	}
	if !literal {
		return s.skip()
	}
	kept := min(size, f.max.literal)
	part.held = &heldBody{}
	if _, err = io.CopyN(part.held, f.wanted(), kept); err != nil {
		return unexpected(err)
	}
	if err := f.discard(size - kept); err != nil {
		return err
	}
	s.b, err = f.line()
	return err
}

// fetchBody handles the value of BODY[]. passing is true when it is a literal
// that goes straight to the library.
func (f *imapFilter) fetchBody(s *imapScanner) (passing bool, err error) {
	part := &f.part
	var size int64
	var literal bool
	if s.literalAhead() {
		if i := bytes.IndexByte(s.b, '{'); len(s.b) > i+2 && s.b[i+1] == '0' && s.b[i+2] != '}' {
			return false, protocolError("a literal's size that is no number") // Of a body it has to be certain.
		}
		if size, literal, err = s.announced(); err != nil {
			return false, err
		}
	}
	useful := part.command.bodies && !part.open && part.held == nil
	switch {
	case !literal && s.next() == '"' && useful:
		text, ok := s.quoted()
		if !ok {
			return false, unreadable("a quoted string that does not end")
		}
		part.held = &heldBody{}
		_, err = part.held.Write(text)
		return false, err
	case !literal || !useful:
		return false, s.skip()
	case size > f.max.body:
		return false, &OversizeError{UID: part.uid, Size: size}
	case part.uid == 0:
		part.held = &heldBody{}
		if _, err = io.CopyN(part.held, f.wanted(), size); err != nil {
			return false, unexpected(err)
		}
	case f.expects(part.uid):
		f.appendBodyHead(size)
		f.body, part.open, part.named = size, true, part.uid
		if size > 0 {
			return true, nil
		}
	default:
		if err = f.discard(size); err != nil {
			return false, err
		}
	}
	s.b, err = f.line()
	return false, err
}

// expects reports whether the command under way asked for this UID and has not
// had it yet, and notes that it has it now.
func (f *imapFilter) expects(uid uint32) bool {
	c := f.part.command
	if uid == 0 || !c.wanted.has(uid) || c.answered.has(uid) {
		return false
	}
	if n := len(c.answered); n > 1000 && uid < c.answered[n-1].lo {
		c.disorder++ // Each may move all that lies above it.
	}
	c.answered.add(uid)
	return true
}

func (f *imapFilter) appendHead() {
	f.out = strconv.AppendUint(append(f.out, "* "...), uint64(f.part.number), 10)
	f.out = strconv.AppendUint(append(f.out, " FETCH (UID "...), uint64(f.part.uid), 10)
}

// appendBodyHead begins a body, or a header: the library hands on the octets of
// either without comparing what was asked for.
func (f *imapFilter) appendBodyHead(size int64) {
	f.appendHead()
	f.out = append(strconv.AppendInt(append(f.out, " BODY[] {"...), size, 10), "}\r\n"...)
}

// fetched ends a FETCH answer: a body that came before its UID follows now, a
// listing is written again, anything else was not asked for.
func (f *imapFilter) fetched() error {
	part := &f.part
	switch c := part.command; {
	case part.open:
		part.open = false
		if part.uid != part.named {
			return protocolError("one answer for two messages")
		}
		f.out = append(f.out, ")\r\n"...)
		f.r.Settled()
		return nil
	case part.held != nil && f.expects(part.uid):
		if c.bodies {
			f.r.Settled()
		}
		f.appendBodyHead(part.held.size)
		f.held, f.left, part.held = part.held, part.held.size, nil
		return f.held.rewind()
	case !c.bodies && !c.headers && part.sized && f.expects(part.uid):
		if c.disorder > f.max.disorder {
			return protocolError("too many messages out of order")
		}
		if c.answers++; c.answers > f.max.listing {
			return protocolError("too many messages in one folder")
		}
		f.r.Listed()
		if part.global != "" {
			c.globals.add(part.uid, part.global)
		}
		f.appendListed()
		return nil
	case part.uid != 0 && len(c.wanted) > 0 && part.uid < c.wanted[0].lo:
		c.below = max(c.below, part.uid)
	}
	if part.held != nil {
		part.held.close()
		part.held = nil
	}
	return f.drop(nil)
}

func (f *imapFilter) appendListed() {
	part := &f.part
	f.appendHead()
	f.out = append(f.out, " FLAGS ("...)
	for i, name := range [...]string{`\Draft`, `\Flagged`, `\Answered`, `\Seen`} {
		if part.flags&(1<<i) != 0 {
			if f.out[len(f.out)-1] != '(' {
				f.out = append(f.out, ' ')
			}
			f.out = append(f.out, name...)
		}
	}
	if words := part.words; len(words) > 0 {
		if f.out[len(f.out)-1] == '(' {
			words = words[1:]
		}
		f.out = append(f.out, words...)
	}
	f.out = append(f.out, ')')
	if part.dateLen > 0 {
		f.out = append(append(append(f.out, ` INTERNALDATE "`...), part.date[:part.dateLen]...), '"')
	}
	if part.known {
		f.out = strconv.AppendUint(append(f.out, " RFC822.SIZE "...), part.size, 10)
	}
	f.out = append(f.out, ")\r\n"...)
}

// noteFetch writes a FETCH answer into the transcript, without a body.
func (f *imapFilter) noteFetch(b []byte) {
	if i := bytes.Index(bytes.ToUpper(b), []byte("BODY[")); i >= 0 {
		open := bytes.LastIndexByte(b, '{')
		end := i + len("BODY[")
		if n := bytes.IndexByte(b[end:], ']'); n >= 0 {
			end += n + 1
		}
		shown := append([]byte("* "), b[:end]...)
		if open > i {
			shown = append(append(append(shown, ' '), bytes.TrimSuffix(b[open:], []byte("}"))...), " octets}"...)
		}
		f.note(shown)
		return
	}
	f.note(append([]byte("* "), b...))
}
