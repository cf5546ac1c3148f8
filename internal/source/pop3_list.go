package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

const (
	// maxUIDL is the longest unique-id taken; RFC 1939 section 7 says 70.
	maxUIDL = 255
	// maxNumber is the highest message number taken.
	maxNumber = 1<<31 - 1
)

// leadingNumber takes a line apart into a message number and the rest.
func leadingNumber(line []byte) (n uint32, rest []byte, ok bool) {
	num, rest, _ := bytes.Cut(line, []byte(" "))
	v, err := strconv.ParseUint(string(num), 10, 31)
	if err != nil || v == 0 || num[0] < '1' {
		return 0, nil, false
	}
	return uint32(v), rest, true
}

// parseUIDL reads one line of UIDL. id is empty when the number is good and
// the unique-id is not: empty, too long, or with characters outside 0x21-0x7E.
func parseUIDL(line []byte) (n uint32, id string, ok bool) {
	n, rest, ok := leadingNumber(line)
	if !ok {
		return 0, "", false
	}
	rest = bytes.Trim(rest, " ")
	if len(rest) > maxUIDL || bytes.ContainsFunc(rest, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return n, "", true
	}
	return n, string(rest), true
}

// parseLIST reads one line of LIST. What may follow the size (RFC 1939 section
// 5) is left alone.
func parseLIST(line []byte) (n uint32, size int64, ok bool) {
	n, rest, ok := leadingNumber(line)
	if !ok {
		return 0, 0, false
	}
	num, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	size, err := strconv.ParseInt(string(num), 10, 64)
	if err != nil || size < 0 || num[0] == '+' {
		return 0, 0, false
	}
	return n, size, true
}

// parseSTAT reads the text of STAT's answer: count and octets.
func parseSTAT(text string) (count uint32, ok bool) {
	num, _, _ := strings.Cut(text, " ")
	v, err := strconv.ParseUint(num, 10, 31)
	if err != nil || num[0] == '+' {
		return 0, false
	}
	return uint32(v), true
}

// listing is what LIST and UIDL returned together. Lines come in any order, and what
// is said of a number a second time does not count. Nearly always they ascend
// and agree; then nothing is searched for, and nothing kept twice.
type listing struct {
	most    int          // Lines of LIST that are kept in memory.
	file    *pageFile    // For more than that.
	long    *longListing // Then, in place of the rest.
	entries []entry      // Of LIST; by ascending number once it is read.
	others  []entry      // Of UIDL alone.
	next    int          // Where in entries the next line of UIDL belongs, most likely.
	bad     int          // Lines that said nothing that could be used,
	broken  int          // … since they could not be read,
	unread  func([]byte) // … which is given each.
}

// entry is one message of a listing.
type entry struct {
	number uint32
	named  bool // UIDL spoke of it.
	size   int64
	id     string
}

func (c *Client) listing(f *pageFile, l *wire.Link) *listing {
	return &listing{most: c.opts.Window, file: f, unread: l.LeaveOut}
}

// leaveOut notes a line that cannot be read.
func (l *listing) leaveOut(line []byte) {
	l.bad++
	l.broken++
	l.unread(line)
}

func (l *listing) takeSize(ctx context.Context, line []byte, whole bool) (used bool, err error) {
	n, size, ok := parseLIST(line)
	if !ok || !whole {
		l.leaveOut(line)
		return false, nil
	}
	if l.long == nil && len(l.entries) >= l.most {
		if err := l.lengthen(ctx); err != nil {
			return false, err
		}
	}
	if l.long != nil {
		return true, l.long.takeSize(n, size)
	}
	l.entries = append(l.entries, entry{number: n, size: size})
	return true, nil
}

// lengthen continues as a long listing.
func (l *listing) lengthen(ctx context.Context) error {
	l.long = &longListing{ctx: ctx, pages: &pages{file: l.file}}
	for _, e := range l.entries {
		if err := l.long.takeSize(e.number, e.size); err != nil {
			return err
		}
	}
	l.entries = nil
	return nil
}

// sizesRead ends LIST.
func (l *listing) sizesRead() {
	if l.long != nil {
		l.bad += l.long.sorted()
		return
	}
	l.entries = l.distinct(l.entries)
}

func (l *listing) takeID(_ context.Context, line []byte, whole bool) (used bool, err error) {
	n, id, ok := parseUIDL(line)
	if !ok || !whole {
		l.leaveOut(line)
		return false, nil
	}
	if l.long != nil {
		known, err := l.long.takeID(n, id)
		if !known {
			l.bad++
		}
		return known, err
	}
	at := l.next
	if at >= len(l.entries) || l.entries[at].number != n {
		var listed bool
		if at, listed = slices.BinarySearchFunc(l.entries, n, func(e entry, n uint32) int {
			return cmp.Compare(e.number, n)
		}); !listed {
			if len(l.others) >= l.most {
				l.bad++
				return false, nil
			}
			l.others = append(l.others, entry{number: n, id: id})
			return true, nil
		}
	}
	e := &l.entries[at]
	if e.named {
		l.bad++
		return false, nil
	}
	e.named, e.id = true, id
	l.next = at + 1
	return true, nil
}

// distinct sorts entries by number and leaves the first of each.
func (l *listing) distinct(es []entry) []entry {
	byNumber := func(a, b entry) int { return cmp.Compare(a.number, b.number) }
	if !slices.IsSortedFunc(es, byNumber) {
		slices.SortStableFunc(es, byNumber)
	}
	left := slices.CompactFunc(es, func(a, b entry) bool { return a.number == b.number })
	l.bad += len(es) - len(left)
	return left
}

// items returns the messages by ascending number.
func (l *listing) items() []mail.Item {
	if len(l.others) > 0 {
		l.entries = l.distinct(append(l.entries, l.distinct(l.others)...))
	}
	items := make([]mail.Item, len(l.entries))
	for i, e := range l.entries {
		items[i] = mail.Item{ID: mail.ID{UIDL: e.id}, Number: e.number, Size: e.size}
	}
	return items
}

// listQuestions are what a listing is made of, in the order in which read
// expects the answers.
var listQuestions = []wire.POP3Command{{Verb: wire.PopLIST}, {Verb: wire.PopUIDL}}

// read reads the answers to LIST and UIDL. ask, unless nil, is called before
// each to send the question. Both may be refused: refused says by which verb.
func (l *listing) read(ctx context.Context, w *wire.POP3,
	ask func(wire.POP3Command) error,
) (refused map[wire.POP3Verb]*wire.POP3Refusal, err error) {
	for _, q := range listQuestions {
		if ask != nil {
			if err := ask(q); err != nil {
				return nil, err
			}
		}
		_, err := w.Status()
		var no *wire.POP3Refusal
		switch {
		case errors.As(err, &no):
			if refused == nil {
				refused = map[wire.POP3Verb]*wire.POP3Refusal{}
			}
			refused[q.Verb] = no
			continue
		case err != nil:
			return nil, err
		}
		each := l.takeSize
		if q.Verb == wire.PopUIDL {
			each = l.takeID
		}
		if err := w.Lines(func(line []byte, whole bool) (bool, error) { return each(ctx, line, whole) }); err != nil {
			return nil, err
		}
		if q.Verb == wire.PopLIST {
			l.sizesRead()
		}
	}
	return refused, nil
}

// ask returns what LIST and UIDL give: what was asked for along with the login,
// the first time.
func (s *pop3Session) ask(ctx context.Context) (*listing, error) {
	if l := s.pipelined; l != nil {
		s.pipelined = nil
		return l, nil
	}
	send := func(c wire.POP3Command) error { return s.wire.Send(c) }
	if s.pipelines() {
		if err := s.wire.Send(listQuestions...); err != nil {
			return nil, err
		}
		send = nil
	}
	l := s.client.listing(s.file, s.link)
	refused, err := l.read(ctx, s.wire, send)
	if err != nil {
		return nil, err
	}
	if no := refused[wire.PopLIST]; no != nil {
		return nil, wire.POP3Reply(no.Text).Judge(wire.AskingAccount, "listing messages", s.cred)
	}
	return l, nil
}

// list returns the messages by ascending number, each with its identity; those
// that cannot be named are left out, and unread says how many these are, with those
// of which nothing can be read. why is the reason for which the folder as a whole
// cannot be read.
func (s *pop3Session) list(ctx context.Context) (items []mail.Item, long *pages, unread int, why *fault.Error,
	err error,
) {
	l, err := s.ask(ctx)
	if err != nil {
		return nil, nil, 0, nil, err
	}
	if l.bad > 0 {
		s.client.opts.Log.WarnContext(ctx, "listing has unreadable lines", "host", s.server.Host, "lines", l.bad)
	}
	if l.long != nil {
		if long, err = l.long.finish(); err == nil {
			told := long.Len()
			why, err = s.listLong(ctx, long)
			unread = l.missing(s.count, told) + told - long.Len()
		}
		return nil, long, unread, why, err
	}
	items = l.items()
	if err := take(ctx, int64(len(items))*itemCost); err != nil {
		return nil, nil, 0, nil, err
	}
	told := len(items)
	unread = l.missing(s.count, told)
	unidentified, shared := unclear(items)
	if len(unidentified)+len(shared) == 0 {
		return items, nil, unread, nil, nil
	}
	if why, err = s.identify(ctx, items, unidentified, shared); why != nil || err != nil {
		return nil, nil, 0, why, err
	}
	items = slices.DeleteFunc(items, func(it mail.Item) bool { return it.ID.UIDL == "" })
	number(items)
	return items, nil, unread + told - len(items), nil, nil
}

// missing is how many messages are counted of which no line could be read; a count
// that does not fit otherwise says nothing.
func (l *listing) missing(counted uint32, told int) int {
	if l.broken == 0 {
		return 0
	}
	return max(int(counted)-told, 0)
}
