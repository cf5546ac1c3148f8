package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// IMAPCommand is a command that was sent and not yet completed.
type IMAPCommand struct {
	tag, verb string // verb in upper case; "UID FETCH" is one.
	wanted    uidSet // UID FETCH: what was asked for.
	bodies    bool   // UID FETCH: whether bodies were asked for,
	headers   bool   // … headers alone,
	global    string // … or, with a listing, which name over all folders.

	questions bool // AUTHENTICATE: the server speaks first.

	// What came back so far.
	caps     []byte // LOGIN, AUTHENTICATE: capabilities sent before the completion.
	answered uidSet
	disorder int // Answers that did not come in ascending order.
	globals  globalNames
	below    uint32       // The highest UID answered that is lower than any that was asked for: "n:*" of an end.
	literals atomic.Int32 // LOGIN: announced, each for a continuation request.
	rounds   int          // Continuation requests.
	answers  int          // Untagged answers passed on,
	states   int          // … of LIST, those to STATUS that came with it.
	held     uint64       // Bodies and headers that were held until it was known whose they are.
	unread   int          // Answers that could not be read.
	dropped  int          // Lines dropped, and their octets.
	dropSize int64
}

// globalNames is what messages are called over all folders: those that the
// filter passed on and the sender did not read yet, in their order.
type globalNames struct {
	mu   sync.Mutex
	next []globalName
}

type globalName struct {
	uid  uint32
	name string
}

func (g *globalNames) add(uid uint32, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = append(g.next, globalName{uid, name})
}

// take returns the name of a message, "" if it has none, once it was passed on.
func (g *globalNames) take(uid uint32) (name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.next) > 0 && g.next[0].uid == uid {
		name, g.next = g.next[0].name, g.next[1:]
	}
	return name
}

// imapQueue is the commands under way, oldest first. The guard adds to it what
// goes out, the filter takes from it what is completed; what comes in between
// belongs to the oldest. Servers answer in order wherever order matters (RFC
// 9051 section 5.5): who sends two UID FETCH sends an EXAMINE in between.
type imapQueue struct {
	mu   sync.Mutex
	open []*IMAPCommand
	last *IMAPCommand
	due  func(answer bool) // Told when the first command goes out and the last is completed; may be nil.
}

func (q *imapQueue) push(c *IMAPCommand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = append(q.open, c)
	q.last = c
	if len(q.open) == 1 && q.due != nil {
		q.due(true)
	}
}

// newest returns the command sent last, completed or not.
func (q *imapQueue) newest() *IMAPCommand {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

// current returns the command that the server is answering, or nil.
func (q *imapQueue) current() *IMAPCommand {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		return nil
	}
	return q.open[0]
}

// answering reports whether the server is answering the named command.
func (q *imapQueue) answering(verb string) bool {
	c := q.current()
	return c != nil && c.verb == verb
}

// lists reports whether the server is listing folders, and no command of this
// tag is under way: then a line that is no answer is part of one that cannot be read.
func (q *imapQueue) lists(tag string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.open) > 0 && (q.open[0].verb == verbList || q.open[0].verb == verbStatus) &&
		!slices.ContainsFunc(q.open, func(c *IMAPCommand) bool { return c.tag == tag })
}

// behindLogin reports whether a command was sent after a login that is not
// completed.
func (q *imapQueue) behindLogin(tag string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.open {
		if c.tag == tag {
			break
		}
		if c.verb == verbLogin || c.verb == verbAuthenticate {
			return true
		}
	}
	return false
}

// finish takes a completed command out. A server may complete some commands
// out of order, but none before an EXAMINE or UID FETCH that was sent earlier:
// whose answers would those be?
func (q *imapQueue) finish(tag string) (*IMAPCommand, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, c := range q.open {
		if c.tag == tag {
			q.open = append(q.open[:i], q.open[i+1:]...)
			if len(q.open) == 0 && q.due != nil {
				q.due(false)
			}
			return c, nil
		}
		if c.verb == verbExamine || c.verb == verbFetch {
			break
		}
	}
	return nil, fmt.Errorf("%w: completion of a command that is not under way", errIMAPProtocol)
}

// uidSet is a set of UIDs as ascending ranges that do not touch: what a server
// claims costs no memory, what it sends costs little.
type uidSet []uidRange

type uidRange struct{ lo, hi uint32 }

// find returns the index of the first range that ends at uid or above.
func (s uidSet) find(uid uint32) int {
	lo, hi := 0, len(s)
	if n := len(s); n > 0 && s[n-1].hi < uid { // Servers answer in ascending order.
		return n
	}
	for lo < hi {
		if mid := (lo + hi) / 2; s[mid].hi < uid {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (s uidSet) has(uid uint32) bool {
	i := s.find(uid)
	return i < len(s) && s[i].lo <= uid
}

// len counts the UIDs.
func (s uidSet) len() (n uint64) {
	for _, r := range s {
		n += uint64(r.hi-r.lo) + 1
	}
	return n
}

func (s *uidSet) add(uid uint32) {
	t := *s
	i := t.find(uid)
	if i < len(t) && t[i].lo <= uid {
		return
	}
	left := i > 0 && t[i-1].hi == uid-1
	right := i < len(t) && t[i].lo == uid+1
	switch {
	case left && right:
		t[i-1].hi = t[i].hi
		*s = append(t[:i], t[i+1:]...)
	case left:
		t[i-1].hi = uid
	case right:
		t[i].lo = uid
	default:
		t = append(t, uidRange{})
		copy(t[i+1:], t[i:])
		t[i] = uidRange{uid, uid}
		*s = t
	}
}

// parseUIDSet reads a sequence set as we send it: ascending, without "*" but
// at the end of the last range.
func parseUIDSet(text string) (uidSet, bool) {
	var s uidSet
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, ":")
		lo, err := strconv.ParseUint(from, 10, 32)
		hi := lo
		if err == nil && ranged {
			if to == "*" {
				hi = 1<<32 - 1
			} else {
				hi, err = strconv.ParseUint(to, 10, 32)
			}
		}
		if err != nil || lo == 0 || hi < lo {
			return nil, false
		}
		if n := len(s); n > 0 && uint32(lo) <= s[n-1].hi {
			return nil, false
		}
		s = append(s, uidRange{uint32(lo), uint32(hi)})
	}
	return s, true
}

// Unread counts the answers to the command that could not be read.
func (c *IMAPCommand) Unread() int { return c.unread }

// Below is the highest UID that was answered below those that were asked for; 0: none
// was. It is how a server answers "n:*" whose n is beyond its last message (RFC 9051
// section 9, seq-range).
func (c *IMAPCommand) Below() uint32 { return c.below }

// NamedBy is the item by which messages over all folders are named in the answers; ""
// where they are not.
func (c *IMAPCommand) NamedBy() string { return c.global }

// TakeName returns, once, what the message with a UID is called over all folders, or "".
func (c *IMAPCommand) TakeName(uid uint32) string { return c.globals.take(uid) }
