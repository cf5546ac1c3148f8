package wire

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// folderAttributes are those that matter: the rest, known or not, is left out.
var folderAttributes = []string{
	`\NoSelect`, `\NonExistent`, `\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`, `\Important`,
}

// list handles an answer to LIST (RFC 9051 section 7.3.1).
func (f *imapFilter) list(s *imapScanner) error {
	c := f.queue.current()
	if c.answers++; c.answers > f.max.folders {
		return &fault.Error{
			Code: fault.FolderFailed, Op: "listing folders",
			Detail: words.Detail{words.Say(fault.TooManyFolders, f.max.folders)},
		}
	}
	f.out = append(f.out, "* LIST ("...)
	if !s.take('(') {
		return errSkipAnswer
	}
	for first := true; ; {
		s.spaces()
		if s.take(')') {
			break
		}
		w := s.word()
		if len(w) == 0 {
			return errSkipAnswer
		}
		for _, known := range folderAttributes {
			if bytes.EqualFold(w, []byte(known)) {
				if !first {
					f.out = append(f.out, ' ')
				}
				f.out = append(f.out, known...)
				first = false
			}
		}
	}
	f.out = append(f.out, ") "...)
	s.spaces()
	delim, ok, err := s.text()
	if err != nil {
		return err
	}
	f.out = append(appendDelimiter(f.out, delim, ok), ' ')
	s.spaces()
	name, err := s.mailbox(true)
	if err != nil {
		return err
	}
	f.out = append(appendAlias(f.out, name), "\r\n"...)
	for len(s.b) > 0 { // Extended data: useless, but it may hold literals.
		if s.next() == ')' {
			return errSkipAnswer
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
	f.r.named()
	return nil
}

// listStatus handles a STATUS that comes with LIST (RFC 5819). There may be one
// for each folder.
func (f *imapFilter) listStatus(s *imapScanner) error {
	if err := f.status(s); err != nil {
		return err
	}
	if c := f.queue.current(); c.states < c.answers {
		c.states++
		f.r.Settled()
	}
	return nil
}

// appendDelimiter writes a hierarchy delimiter: one printable ASCII character,
// or NIL.
func appendDelimiter(dst, delim []byte, ok bool) []byte {
	if !ok || len(delim) != 1 || delim[0] <= ' ' || delim[0] >= 127 {
		return append(dst, "NIL"...)
	}
	return appendQuoted(dst, string(delim))
}

// mailbox takes a mailbox name. An unquoted one may hold what it should not;
// where nothing but data of a list can follow (last), it may even hold spaces.
func (s *imapScanner) mailbox(last bool) ([]byte, error) {
	if s.next() == '"' || s.literalAhead() {
		name, ok, err := s.text()
		if err == nil && (!ok || len(name) == 0) {
			err = errSkipAnswer
		}
		return name, err
	}
	end := bytes.Index(s.b, []byte(" ("))
	if end < 0 && last {
		end = len(s.b)
	}
	if end <= 0 {
		return nil, errSkipAnswer
	}
	name := s.b[:end]
	s.b = s.b[end:]
	return name, nil
}

// status handles an answer to STATUS. Only what statusItems names matters.
func (f *imapFilter) status(s *imapScanner) error {
	name, err := s.mailbox(false)
	if err != nil {
		return err
	}
	f.out = append(appendAlias(append(f.out, "* STATUS "...), name), " ("...)
	s.spaces()
	if !s.take('(') {
		return errSkipAnswer
	}
	for first := true; ; {
		s.spaces()
		if s.take(')') {
			break
		}
		item := bytes.ToUpper(s.word())
		s.spaces()
		bits := 32
		if string(item) == "HIGHESTMODSEQ" {
			bits = 64
		}
		if len(item) == 0 {
			return errSkipAnswer
		}
		if c := s.next(); c < '0' || c > '9' {
			if err := s.skip(); err != nil {
				return err
			}
			if len(s.b) == 0 {
				return errSkipAnswer
			}
			continue
		}
		n, ok := s.number(bits)
		if !ok || !isItemList(" ("+string(item)+")", statusItems) {
			continue
		}
		if !first {
			f.out = append(f.out, ' ')
		}
		f.out = strconv.AppendUint(append(append(f.out, item...), ' '), n, 10)
		first = false
	}
	f.out = append(f.out, ")\r\n"...)
	return nil
}

// maxNamespaces is how many namespaces of a kind are passed on.
const maxNamespaces = 500

// namespace handles an answer to NAMESPACE (RFC 2342 section 5): the personal
// namespaces, those of other users, and the shared ones, each without what may
// follow its delimiter. What cannot be read is left out, with all that follows, and
// counted; so is an answer of which the personal ones cannot be read.
func (f *imapFilter) namespace(s *imapScanner) error {
	whole := bytes.Clone(s.b[:min(len(s.b), unreadKept)]) // Good until the next line is read.
	f.out = append(f.out, "* NAMESPACE"...)
	kinds, more := 0, false
	for ; kinds < 3; kinds++ {
		start := len(f.out)
		most, err := f.namespaces(s)
		if err != nil && (kinds == 0 || !isUnreadable(err)) {
			return err
		}
		if more = more || most; err != nil {
			f.out = f.out[:start]
			break
		}
	}
	if kinds < 3 || more {
		told := f.out
		f.leaveOut(whole)
		f.out = told
	}
	for ; kinds < 3; kinds++ {
		f.out = append(f.out, " NIL"...)
	}
	f.out = append(f.out, "\r\n"...)
	return f.dropAnswer(s.b)
}

// namespaces passes on the namespaces of a kind: NIL or a list of them. most says
// that there are more than are passed on.
func (f *imapFilter) namespaces(s *imapScanner) (most bool, err error) {
	s.spaces()
	if !s.take('(') {
		if _, other, err := s.text(); err != nil || other {
			return false, cmp.Or(err, errSkipAnswer)
		}
		f.out = append(f.out, " NIL"...)
		return false, nil
	}
	f.out = append(f.out, ' ')
	for n := 0; ; n++ {
		s.spaces()
		if s.take(')') {
			if n == 0 {
				f.out = append(f.out, "NIL"...)
			} else {
				f.out = append(f.out, ')')
			}
			return n > maxNamespaces, nil
		}
		start := len(f.out)
		if err := f.oneNamespace(s); err != nil {
			return false, err
		}
		switch {
		case n >= maxNamespaces:
			f.out = f.out[:start]
		case n == 0:
			f.out = slices.Insert(f.out, start, '(')
		default: // The library wants a space, which the RFC has not.
			f.out = slices.Insert(f.out, start, ' ')
		}
	}
}

func (f *imapFilter) oneNamespace(s *imapScanner) error {
	if !s.take('(') {
		return errSkipAnswer
	}
	prefix, ok, err := s.text()
	if err != nil {
		return err
	}
	if !ok || len(prefix) > maxFolderName || !Askable(string(prefix)) {
		return errSkipAnswer
	}
	f.out = append(appendQuoted(append(f.out, '('), string(prefix)), ' ')
	s.spaces()
	delim, ok, err := s.text()
	if err != nil {
		return err
	}
	f.out = append(appendDelimiter(f.out, delim, ok), ')')
	for s.spaces(); !s.take(')'); s.spaces() { // Extensions.
		if len(s.b) == 0 {
			return errSkipAnswer
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
	return nil
}
