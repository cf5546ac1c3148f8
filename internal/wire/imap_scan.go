package wire

import (
	"bytes"
	"strconv"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// imapScanner reads the parts of one answer. Slices it returns are good until
// the next call.
type imapScanner struct {
	f *imapFilter
	b []byte // What is left of the line.
}

func (s *imapScanner) spaces() {
	for len(s.b) > 0 && (s.b[0] == ' ' || s.b[0] == '\t') {
		s.b = s.b[1:]
	}
}

func (s *imapScanner) next() byte {
	if len(s.b) == 0 {
		return 0
	}
	return s.b[0]
}

func (s *imapScanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// word takes everything up to a space or parenthesis; what stands in brackets
// belongs to it.
func (s *imapScanner) word() []byte {
	depth, i := 0, 0
	for ; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth <= 0 && (c == ' ' || c == '(' || c == ')' || c == '"'):
			w := s.b[:i]
			s.b = s.b[i:]
			return w
		}
	}
	if depth > 0 { // "[" is a letter like others, unless it is closed.
		return s.flag()
	}
	w := s.b
	s.b = nil
	return w
}

// quoted takes a quoted string; ok is false when there is none that ends.
func (s *imapScanner) quoted() (text []byte, ok bool) {
	escaped := false
	for i := 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			text = s.b[1:i]
			s.b = s.b[i+1:]
			if escaped {
				text = unescape(text)
			}
			return text, true
		}
	}
	return nil, false
}

func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		out = append(out, b[i])
	}
	return out
}

// literalAhead reports whether a literal begins here: "~" is a literal8's only
// before "{" (RFC 9051 section 9), else a letter like others.
func (s *imapScanner) literalAhead() bool {
	return s.next() == '{' || s.next() == '~' && len(s.b) > 1 && s.b[1] == '{'
}

// announced returns the size of the literal that the rest of the line
// announces. ok is false when it announces none; the size is at most what an
// int64 holds, and nothing may be allocated by it. Its error may be errNoSize.
func (s *imapScanner) announced() (size int64, ok bool, err error) {
	b := bytes.TrimPrefix(s.b, []byte("~"))
	if len(b) == 0 || b[0] != '{' {
		return 0, false, nil
	}
	digits, found := bytes.CutSuffix(b[1:], []byte("}"))
	if !found || len(digits) == 0 {
		return 0, false, errNoSize
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false, errNoSize
		}
		if size = size*10 + int64(c-'0'); size > 1e17 {
			return 0, false, protocolError("a literal too long")
		}
	}
	return size, true, nil
}

// errNoSize is a brace that announces no literal. In an answer that may hold
// octets of mail it ends the session: whether some follow nobody knows.
var errNoSize = unreadable("a literal's size that is no number")

// text takes a quoted string, a literal, or a word; NIL in any case is none.
func (s *imapScanner) text() (text []byte, ok bool, err error) {
	switch {
	case s.next() == '"':
		text, ok = s.quoted()
		if !ok {
			return nil, false, unreadable("a quoted string that does not end")
		}
		return text, true, nil
	case s.literalAhead():
		size, ok, err := s.announced()
		if err != nil || !ok {
			return nil, false, err
		}
		if size > s.f.max.literal {
			if err := s.f.discard(size); err != nil {
				return nil, false, err
			}
			if s.b, err = s.f.line(); err != nil {
				return nil, false, err
			}
			return nil, false, unreadable("a literal too long")
		}
		text, err := s.f.literal(size)
		if err != nil {
			return nil, false, err
		}
		s.b, err = s.f.line()
		return text, true, err
	}
	w := s.word()
	if is(w, "NIL") || len(w) == 0 {
		return nil, false, nil
	}
	return w, true, nil
}

// skip passes over one value of any form: word, string, literal, list. It does
// not recurse, whatever the nesting.
func (s *imapScanner) skip() error {
	depth := 0
	for {
		s.spaces()
		switch s.next() {
		case 0:
			if depth > 0 {
				return unreadable("a list that does not end")
			}
			return nil
		case '(':
			s.b = s.b[1:]
			if depth++; depth > s.f.max.depth {
				return protocolError("lists nested too deep")
			}
		case ')':
			if depth == 0 {
				return nil
			}
			s.b = s.b[1:]
			depth--
		case '"':
			if _, ok := s.quoted(); !ok {
				return unreadable("a quoted string that does not end")
			}
		default:
			if err := s.skipWord(); err != nil {
				return err
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

func (s *imapScanner) skipWord() error {
	var size int64
	var ok bool
	var err error
	if s.literalAhead() {
		if size, ok, err = s.announced(); err != nil {
			return err
		}
	}
	if !ok {
		if before := len(s.b); len(s.word()) == 0 && len(s.b) == before {
			s.b = s.b[1:]
		}
		return nil
	}
	if err := s.f.discard(size); err != nil {
		return err
	}
	s.b, err = s.f.line()
	return err
}

// number takes a number of at most the given bits; ok is false for anything else.
func (s *imapScanner) number(bits int) (uint64, bool) {
	return parseNumber(s.word(), bits)
}

func parseNumber(w []byte, bits int) (n uint64, ok bool) {
	if len(w) == 0 || len(w) > 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(w), 10, bits)
	return n, err == nil
}

// flags takes a list of flags and keeps those that travel: four of the system's, and
// keywords, which it appends to words with a space before each, as many as are carried over.
// What is no list is no flags.
func (s *imapScanner) flags(words []byte) (mail.Flags, []byte, error) {
	if s.next() != '(' {
		return 0, words, s.skip()
	}
	s.b = s.b[1:]
	var flags mail.Flags
	for n := 0; ; {
		s.spaces()
		switch s.next() {
		case ')':
			s.b = s.b[1:]
			return flags, words, nil
		case 0:
			return 0, words, unreadable("a list of flags that does not end")
		case '(', '"':
			if err := s.skip(); err != nil {
				return 0, words, err
			}
			continue
		}
		switch w := s.flag(); {
		case len(w) == 0:
		case is(w, `\SEEN`):
			flags |= mail.Seen
		case is(w, `\ANSWERED`):
			flags |= mail.Answered
		case is(w, `\FLAGGED`):
			flags |= mail.Flagged
		case is(w, `\DRAFT`):
			flags |= mail.Draft
		case n < mail.MostKeywords && mail.IsKeyword(w):
			words = append(append(words, ' '), w...)
			n++
		}
	}
}

// flag takes one flag: brackets mean nothing in it, paired or not.
func (s *imapScanner) flag() []byte {
	end := bytes.IndexAny(s.b, " ()\"")
	if end < 0 {
		end = len(s.b)
	}
	w := s.b[:end]
	s.b = s.b[end:]
	return w
}

// imapDateLayout is date-time of RFC 9051 section 9.
const imapDateLayout = "_2-Jan-2006 15:04:05 -0700"

// usableDate reports whether an internal date is one that the library, a file
// system and a reader can take.
func usableDate(b []byte) bool {
	if len(b) < 25 || len(b) > 26 {
		return false
	}
	t, err := time.Parse(imapDateLayout, string(b))
	return err == nil && t.Year() >= 1970 && t.Year() < 2200
}

// is reports whether w is the given word, which is in upper case.
func is(w []byte, upper string) bool {
	if len(w) != len(upper) {
		return false
	}
	for i, c := range w {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}
