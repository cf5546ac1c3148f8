package wire

import (
	"bytes"
	"io"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Answer is what a destination said: to a command, or beside it.
type Answer struct {
	Tag    string // A command's; "*": none; "+": it waits for us.
	Kind   string // "OK", "NO", "BAD", "BYE", "LIST", "STATUS", "FETCH", ….
	Number uint32 // Of "* 12 FETCH".
	Reply  Reply  // Of OK, NO, BAD, BYE and "+".
	Values []Value
}

// Value is a part of an answer: a word or string, or a list of values. NIL is the word.
type Value struct {
	Text   string
	Quoted bool // A string, which "NIL" may be.
	List   []Value
	IsList bool
}

// Pairs returns the values that follow names in a list, by name in upper case.
func (v Value) Pairs() map[string]Value {
	all := map[string]Value{}
	for i := 0; i+1 < len(v.List); i += 2 {
		all[string(bytes.ToUpper([]byte(v.List[i].Text)))] = v.List[i+1]
	}
	return all
}

// UID is a value that is a UID, or what stands beside one; 0: it is none of 32 bits.
func (v Value) UID() uint32 {
	n, ok := parseNumber([]byte(v.Text), 32)
	if !ok || v.IsList {
		return 0
	}
	return uint32(n)
}

// Number is a value that is one; 0: it is none of at most 63 bits.
func (v Value) Number() int64 {
	n, ok := parseNumber([]byte(v.Text), 63)
	if !ok || v.IsList {
		return 0
	}
	return int64(n)
}

// What bounds one answer, but for the octets of a message; and all that come to one command.
const (
	mostValues  = 100_000
	mostOctets  = 4 << 20
	mostEarly   = 1000      // Completions while leave is waited for.
	mostAnswers = 2_000_000 // Without a tag, to one command,
	mostFolders = 100_000   // … of which so many are to LIST: folders of others are among them.
)

// budget is what is left of these bounds for the answer that is read.
type budget struct{ values, octets int }

func (b *budget) spend(octets int) error {
	b.values, b.octets = b.values-1, b.octets-octets
	if b.values < 0 || b.octets < 0 {
		return unreadable("more than an answer has")
	}
	return nil
}

// Answer sends nothing. It reads what the server says next; BYE is an error, as is what cannot
// be read.
func (w *Writer) Answer() (Answer, error) {
	for {
		line, err := w.in.line()
		if err != nil {
			return Answer{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		w.link.note("S", string(line[:min(len(line), 400)]))
		a, err := w.read(line)
		if isUnreadable(err) {
			w.link.LeaveOut(line)
			err = fault.New(fault.ProtocolError, "reading from the server",
				words.Say("The server sent an answer that cannot be used."))
		}
		if err != nil {
			return Answer{}, w.Abort(err)
		}
		if a.Kind == BYE && a.Tag == "*" {
			return Answer{}, w.Abort(a.Reply.Judge(AskingAccount, "talking to the server", remote.Credential{}))
		}
		return a, nil
	}
}

func (w *Writer) read(line []byte) (a Answer, err error) {
	s := imapScanner{w.in, line}
	if s.take('+') {
		s.spaces()
		a.Tag, a.Reply.Text = "+", string(s.b)
		return a, nil
	}
	a.Tag = string(s.flag())
	if a.Tag != "*" && !isTag(a.Tag) {
		return a, unreadable("a tag")
	}
	s.spaces()
	word := s.word()
	if n, ok := parseNumber(word, 32); ok && a.Tag == "*" {
		a.Number = uint32(n)
		s.spaces()
		word = s.word()
	}
	a.Kind = string(bytes.ToUpper(word))
	switch a.Kind {
	case "OK", NO, BAD, BYE, "PREAUTH":
		code, args, text := responseText(s.b)
		a.Reply = Reply{Kind: a.Kind, Code: code, Args: string(args), Text: w.link.Redact(text)}
		return a, nil
	}
	if a.Tag != "*" {
		return a, unreadable("a completion")
	}
	left := budget{mostValues, mostOctets}
	for s.spaces(); len(s.b) > 0; s.spaces() {
		v, err := w.value(&s, a.Kind == "FETCH", 0, &left)
		if err != nil {
			return a, err
		}
		a.Values = append(a.Values, v)
	}
	return a, nil
}

func (w *Writer) value(s *imapScanner, fetched bool, depth int, left *budget) (v Value, err error) {
	if depth > w.in.max.depth {
		return v, unreadable("lists nested too deep")
	}
	if err := left.spend(0); err != nil {
		return v, err
	}
	switch {
	case s.take(')'):
		return v, unreadable("a list that has no beginning")
	case s.take('('):
		v.IsList = true
		for name := ""; ; {
			s.spaces()
			if s.take(')') {
				return v, nil
			}
			if len(s.b) == 0 {
				return v, unreadable("a list that does not end")
			}
			var item Value
			body := fetched && depth == 0 && w.Body != nil && (name == "BODY[]" || name == "BODY[HEADER]")
			if body && s.literalAhead() {
				err = w.body(s)
			} else if item, err = w.value(s, fetched, depth+1, left); err == nil && body && item.Quoted {
				err = w.Body(strings.NewReader(item.Text), int64(len(item.Text)))
			}
			if err != nil {
				return v, err
			}
			v.List, name = append(v.List, item), string(bytes.ToUpper([]byte(item.Text)))
		}
	case s.next() == '"', s.literalAhead():
		v.Quoted = true
		text, _, err := s.text()
		if err == nil {
			err = left.spend(len(text))
		}
		v.Text = string(text)
		return v, err
	}
	word := s.word()
	if len(word) == 0 {
		return v, unreadable("a value")
	}
	v.Text = string(word)
	return v, left.spend(len(word))
}

// body hands a literal over to Body.
func (w *Writer) body(s *imapScanner) error {
	size, ok, err := s.announced()
	if err != nil || !ok || size > w.in.max.body {
		return unreadable("a message")
	}
	r := io.LimitReader(bringing{w.link}, size)
	if err := w.Body(r, size); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.b, err = w.in.line()
	return err
}
