package wire

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/words"
)

func (f *imapFilter) continuation(b []byte) error {
	c := f.queue.current()
	if c == nil || c.verb != verbAuthenticate && (c.verb != verbLogin || c.rounds >= int(c.literals.Load())) {
		return protocolError("a request to continue that nobody waits for")
	}
	b = bytes.TrimSpace(b)
	if c.rounds++; c.rounds > f.max.rounds || len(b) > 16<<10 {
		return protocolError("too many requests to continue")
	}
	if _, err := base64.StdEncoding.Decode(make([]byte, len(b)), b); err != nil {
		b = nil // Words for people, in place of an empty challenge.
	}
	if len(b) == 0 && c.questions {
		b = []byte("=") // The library takes nothing at all for the wish to hear us first.
	}
	f.out = append(append(append(f.out, "+ "...), b...), "\r\n"...)
	return nil
}

func (f *imapFilter) tagged(b []byte) error {
	tag, rest, _ := bytes.Cut(b, []byte(" "))
	s := imapScanner{f, bytes.TrimLeft(rest, " ")}
	word := s.word()
	kind := ""
	for _, k := range []string{"OK", "NO", "BAD"} {
		if is(word, k) {
			kind = k
		}
	}
	if kind == "" && f.queue.lists(string(tag)) { // A name with a line break in it, most likely.
		f.leaveOut(b)
		return f.dropAnswer(b)
	}
	if kind == "" {
		return protocolError("a completion that is neither OK, NO nor BAD")
	}
	if kind == "OK" && f.queue.behindLogin(string(tag)) {
		// What came for it was taken for an answer to the login.
		return protocolError("a completion before the login's")
	}
	c, err := f.queue.finish(string(tag))
	if err != nil {
		return err
	}
	if c.verb == verbStatus || c.verb == verbFetch && !c.bodies {
		f.r.Settled() // All that there is to say of a folder.
	} else {
		f.r.answered()
	}
	code, args, text := f.words(s.b)
	f.out = append(append(append(append(f.out, tag...), ' '), kind...), ' ')
	switch login := c.verb == verbLogin || c.verb == verbAuthenticate; {
	case kind == "OK" && code == "CAPABILITY":
		f.out = append(AppendCapabilities(append(f.out, '['), args), "] "...)
	case kind == "OK" && login && c.caps != nil:
		f.out = append(AppendCapabilities(append(f.out, '['), c.caps), "] "...)
	case kind == "OK" && login:
		// The library would ask by itself, at a moment nobody knows.
		f.out = append(f.out, "[CAPABILITY IMAP4rev1 "+CapUnknown+"] "...)
	case kind != "OK" && code != "" && code != "CAPABILITY":
		f.out = append(append(append(f.out, '['), code...), "] "...)
	}
	if kind == "OK" || c.verb == verbCapability {
		f.said.note(Reply{kind, code, string(args), text})
	}
	f.out = append(append(f.out, text...), "\r\n"...)
	return nil
}

// CapUnknown is what the filter passes to the library when a login was answered
// without capabilities: they have to be asked for.
const CapUnknown = "X-NOT-TOLD"

// responseText takes apart what follows OK, NO, BAD, BYE (RFC 9051 section
// 7.1): a code in upper case, its arguments, and words, never empty.
func responseText(b []byte) (code string, args []byte, text string) {
	b = bytes.TrimLeft(b, " ")
	if len(b) > 0 && b[0] == '[' {
		if end := bytes.IndexByte(b, ']'); end > 0 {
			word, rest, _ := bytes.Cut(b[1:end], []byte(" "))
			args = rest
			if len(word) <= 40 && isAtom(string(bytes.ToUpper(word))) {
				code = string(bytes.ToUpper(word))
			}
			b = b[end+1:]
		}
	}
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("?"))
	}
	if text = words.Clean(string(b[:min(len(b), 1000)]), 400); text == "" {
		text = "-"
	}
	return code, args, text
}

// words is responseText without what the server repeats of secrets.
func (f *imapFilter) words(b []byte) (code string, args []byte, text string) {
	code, args, text = responseText(b)
	if f.redact != nil {
		text = f.redact(text)
	}
	return code, args, text
}

// AppendCapabilities appends CAPABILITY and those of the words that can be one.
func AppendCapabilities(dst, args []byte) []byte {
	dst = append(dst, "CAPABILITY"...)
	for _, w := range bytes.Fields(args) {
		if len(w) <= 100 && bytes.IndexFunc(w, func(r rune) bool {
			return r <= ' ' || r >= 127 || bytes.ContainsRune([]byte(`(){%*"\]`), r)
		}) < 0 {
			dst = append(append(dst, ' '), w...)
		}
	}
	return dst
}

// state handles an untagged OK, NO, BAD or BYE: it passes on the codes that
// are about the folder being opened. A BYE ends the session, whether the server
// closes the connection or not (RFC 9051 section 7.1.5).
func (f *imapFilter) state(kind string, b []byte) error {
	code, args, text := f.words(b)
	said := Reply{kind, code, string(args), text}
	f.said.note(said)
	bits := 32
	switch {
	case kind == BYE && !f.queue.answering(verbLogout):
		return f.farewell(said)
	case kind == BAD:
		// It may be all the answer there is.
		if _, known := said.Means(); known && f.queue.current() != nil {
			f.r.doubted()
		}
		return f.drop(b)
	case kind == "OK" && code == "CAPABILITY":
		f.out = append(AppendCapabilities(append(f.out, "* "...), args), "\r\n"...)
		return nil
	case kind != "OK" || !f.queue.answering(verbExamine):
		return f.drop(b)
	case code == "HIGHESTMODSEQ":
		bits = 64
	case code != "UIDVALIDITY" && code != "UIDNEXT":
		return f.drop(b)
	}
	n, ok := parseNumber(bytes.TrimSpace(args), bits)
	if !ok {
		return f.drop(b)
	}
	f.out = append(append(append(f.out, "* OK ["...), code...), ' ')
	f.out = append(strconv.AppendUint(f.out, n, 10), "] -\r\n"...)
	return nil
}
