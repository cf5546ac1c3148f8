package imapbox

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// shape is what about a message may make a server refuse it, or keep it in another form.
type shape struct {
	nul  bool // A NUL octet.
	bare bool // A CR or LF that stands alone.
	high bool // An octet above 127 in the header.
	torn bool // A line of the header that is no field's.

	body  bool // The header has ended.
	line  int  // How long the header's line under way is.
	field bool // It is a field's.
	last  byte // The octet before.
}

// plain reports whether there is nothing of that kind.
func (s *shape) plain() bool {
	return !s.nul && !s.bare && !s.high && !s.torn && s.last != '\r' && (s.body || s.line == 0 || s.field)
}

// write takes the next octets.
func (s *shape) write(p []byte) {
	if len(p) == 0 {
		return
	}
	s.nul = s.nul || bytes.IndexByte(p, 0) >= 0
	ends, crs, lfs := bytes.Count(p, []byte("\r\n")), bytes.Count(p, []byte("\r")), bytes.Count(p, []byte("\n"))
	if s.last == '\r' { // It was not counted with its piece.
		crs++
		if p[0] == '\n' {
			ends++
		}
	}
	last := p[len(p)-1]
	if last == '\r' {
		crs--
	}
	s.bare = s.bare || ends != crs || ends != lfs
	for i := 0; i < len(p) && !s.body; i++ {
		switch c := p[i]; {
		case c == '\n':
			s.torn = s.torn || s.line > 0 && !s.field
			s.body, s.line, s.field = s.line == 0, 0, false
		case c != '\r':
			s.field = s.field || s.line > 0 && c == ':' || s.line == 0 && (c == ' ' || c == '\t')
			s.line++
			s.high = s.high || c >= 0x80
		}
	}
	s.last = last
}

// limit is how large a message may be, by the server's word (RFC 7889), and as a literal.
func (c *conn) limit() int64 {
	most := int64(math.MaxInt32)
	for name := range c.caps {
		if digits, ok := strings.CutPrefix(name, "APPENDLIMIT="); ok {
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 {
				most = min(most, n)
			}
		}
	}
	return most
}

// unsent says why a message of this size need not be sent to be refused; nil: it may be taken.
func (c *conn) unsent(size int64) error {
	const op = "appending a message"
	switch most := c.limit(); {
	case size == 0: // Its announcement would be no message's (RFC 3502).
		return fault.New(fault.MessageFailed, op, words.Say("The message is empty."))
	case size > most:
		return &fault.Error{
			Code: fault.MessageFailed, Op: op, TooLarge: true,
			Detail: words.Detail{words.Say("The message is %s large; the server of the mailbox takes %s.",
				words.Octets(size), words.Octets(most))},
		}
	}
	return nil
}

// whole is the error of a batch of which it is not the messages that the server refuses: several were,
// none was ever taken, and there is nothing about any of them that a server may dislike.
func (a *appending) whole() error {
	var why error
	n := 0
	if a.d.took = a.d.took || len(a.taken) > 0; a.d.took {
		return nil
	}
	for i, err := range a.refused {
		if err == nil {
			continue
		}
		if known := fault.Of(err); known.Err == nil || known.TooLarge || !a.messages[i].shape.plain() {
			return nil
		}
		why = err
		n++
	}
	if n < 2 {
		return nil
	}
	return why
}

// keywords are those of a message that the folder it is appended to keeps.
func (a *appending) keywords(i int) mail.Keywords {
	k := a.ps[i].Keywords
	if a.bare[i] {
		return ""
	}
	if k == "" || a.c.keeps == nil || a.c.keeps[`\*`] || a.c.selected != a.to[i] {
		return k
	}
	var kept []string
	for _, word := range k.List() {
		if a.c.keeps[strings.ToLower(word)] {
			kept = append(kept, word)
		}
	}
	return mail.Keywords(strings.Join(kept, " "))
}

// DroppedKeywords is how many keywords of messages were not kept so far, as the server takes no
// others than it has, or not these.
func (s *Store) DroppedKeywords() int64 { return s.dropped.Load() }

// dateOf is a date of arrival that can be written: one in a zone where it is of another century is
// written in UTC.
func dateOf(t time.Time) time.Time {
	if y := t.Year(); y < 1970 || y >= 2200 {
		return t.UTC()
	}
	return t
}
