package source

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

const (
	// maxUIDL is the longest unique-id taken; RFC 1939 section 7 says 70.
	maxUIDL = 255
	// maxNumber is the highest message number taken.
	maxNumber = 1<<31 - 1
	// maxByRETR is how many messages may be told apart by reading all of them.
	maxByRETR = 500
	// maxByTOP is how many messages may be told apart by their headers.
	maxByTOP = 20_000
	// maxAlike is how many octets of messages are read at each visit to tell those
	// apart whose headers do not.
	maxAlike = 64 << 20
	// maxHeaderRead is how much of a header counts.
	maxHeaderRead = 256 << 10
)

// Messages without a usable unique-id are named by what they are; those that
// share one, by it, a blank, and what they are, so that it does not matter which
// of them goes and which comes. The blank keeps these names apart from every
// unique-id there can be. What such a name is of, and of how many words it is:
//
//	top DIGEST                      no unique-id: header and size
//	top DIGEST retr DIGEST          … which others have too, or may have
//	retr DIGEST                     … without TOP
//	UNIQUE-ID top DIGEST            a shared one
//	UNIQUE-ID top DIGEST retr DIGEST
//	UNIQUE-ID retr DIGEST
//
// An odd number of words begins with a unique-id, which the engine goes by.
const (
	byTOP  = "top "  // Then a digest of the answer to TOP n 0, and of the size.
	byRETR = "retr " // Then a digest of the whole message.
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
// the unique-id is not: blank, too long, or with characters outside 0x21-0x7E.
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

// listing is what LIST and UIDL told together. Lines come in any order, and what
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
	unread  func([]byte) // … which is told of each.
}

// entry is one message of a listing.
type entry struct {
	number uint32
	named  bool // UIDL spoke of it.
	size   int64
	id     string
}

func (c *Client) listing(f *pageFile, l *link) *listing {
	return &listing{most: c.opts.Window, file: f, unread: c.leavesOut(l)}
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

// lengthen goes on as a long listing.
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
var listQuestions = []pop3Command{{verb: popLIST}, {verb: popUIDL}}

// read reads the answers to LIST and UIDL. ask, unless nil, is called before
// each to send the question. Both may be refused: refused says by which verb.
func (l *listing) read(ctx context.Context, w *pop3Wire,
	ask func(pop3Command) error,
) (refused map[pop3Verb]*pop3Refusal, err error) {
	for _, q := range listQuestions {
		if ask != nil {
			if err := ask(q); err != nil {
				return nil, err
			}
		}
		_, err := w.status()
		var no *pop3Refusal
		switch {
		case errors.As(err, &no):
			if refused == nil {
				refused = map[pop3Verb]*pop3Refusal{}
			}
			refused[q.verb] = no
			continue
		case err != nil:
			return nil, err
		}
		each := l.takeSize
		if q.verb == popUIDL {
			each = l.takeID
		}
		if err := w.lines(func(line []byte, whole bool) (bool, error) { return each(ctx, line, whole) }); err != nil {
			return nil, err
		}
		if q.verb == popLIST {
			l.sizesRead()
		}
	}
	return refused, nil
}

// ask returns what LIST and UIDL tell: what was asked for along with the login,
// the first time.
func (s *pop3Session) ask(ctx context.Context) (*listing, error) {
	if l := s.early; l != nil {
		s.early = nil
		return l, nil
	}
	send := func(c pop3Command) error { return s.wire.send(c) }
	if s.pipelines() {
		if err := s.wire.send(listQuestions...); err != nil {
			return nil, err
		}
		send = nil
	}
	l := s.client.listing(s.file, s.link)
	refused, err := l.read(ctx, s.wire, send)
	if err != nil {
		return nil, err
	}
	if no := refused[popLIST]; no != nil {
		return nil, popReply(no.text).judge(askingAccount, "listing messages", s.cred)
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
	nameless, shared := unclear(items)
	if len(nameless)+len(shared) == 0 {
		return items, nil, unread, nil, nil
	}
	if why, err = s.identify(ctx, items, nameless, shared); why != nil || err != nil {
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

// number tells messages that bear one name apart by their order.
func number(items []mail.Item) {
	seen := map[string]int{}
	for i := range items {
		id := &items[i].ID
		id.Ordinal = seen[id.UIDL]
		seen[id.UIDL]++
	}
}

// unclear returns the messages that have no usable unique-id, and those that
// share one.
func unclear(items []mail.Item) (nameless, shared []int) {
	order := make([]int32, len(items))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(items[a].ID.UIDL, items[b].ID.UIDL) })
	for len(order) > 0 {
		id, n := items[order[0]].ID.UIDL, 1
		for n < len(order) && items[order[n]].ID.UIDL == id {
			n++
		}
		for _, i := range order[:n] {
			switch {
			case id == "":
				nameless = append(nameless, int(i))
			case n > 1:
				shared = append(shared, int(i))
			}
		}
		order = order[n:]
	}
	slices.Sort(nameless)
	slices.Sort(shared)
	return nameless, shared
}

// identify names the messages that the server gives no usable unique-id, by
// header and size, or where there is no TOP, and not too many, by all of them.
// A message for which that fails stays nameless.
//
// Those that share a unique-id are told apart in the same way; where they are
// too many for it, by their order, which holds as long as none of them goes.
func (s *pop3Session) identify(ctx context.Context, items []mail.Item, nameless, shared []int) (*fault.Error, error) {
	const op = "telling messages apart"
	prefix, verb, most := byTOP, popTOP, maxByTOP
	switch yes, err := s.canTOP(ctx, items[slices.Concat(nameless, shared)[0]].Number); {
	case err != nil:
		return nil, err
	case !yes:
		prefix, verb, most = byRETR, popRETR, maxByRETR
	}
	if len(nameless) > most {
		return fault.New(fault.FolderFailed, op, fmt.Sprintf(
			"The server gives %d messages no identity of their own (%s), and there are too many to read them all at each "+
				"visit; at most %d are.",
			len(nameless), "UIDL", most)), nil
	}
	if len(nameless)+len(shared) > most {
		s.client.opts.Log.WarnContext(ctx, "too many messages share a unique-id", "host", s.server.Host, "messages", len(
			shared))
		shared = nil
	}
	todo := slices.Concat(nameless, shared)
	slices.Sort(todo)
	plain, err := s.nameBy(ctx, items, todo, verb, prefix, false)
	if err != nil || verb == popRETR {
		return nil, err
	}
	for _, at := range shared { // The next of it gets another unique-id, most likely.
		delete(plain, at)
	}
	alike := alike(items, todo, plain)
	octets := int64(0)
	for _, at := range alike {
		octets += items[at].Size
	}
	if len(alike) > maxByRETR || octets > maxAlike {
		s.client.opts.Log.WarnContext(ctx, "too many messages have one header and size", "host", s.server.Host,
			"messages", len(alike), "octets", octets)
		return nil, nil
	}
	_, err = s.nameBy(ctx, items, alike, popRETR, byRETR, true)
	return nil, err
}

// alike returns the messages, of those that were named by header and size, whose
// name another one bears, or may bear at another visit.
func alike(items []mail.Item, todo []int, plain map[int]bool) (which []int) {
	bearers := map[string]int{}
	for _, at := range todo {
		bearers[items[at].ID.UIDL]++
	}
	for _, at := range todo {
		if id := items[at].ID.UIDL; id != "" && (bearers[id] > 1 || plain[at]) {
			which = append(which, at)
		}
	}
	return which
}

// nameBy adds to the names of messages what the answer to verb is. One that is
// refused is left without a name, unless keep says that the one it has will do.
// plain are those whose header has nothing of their own.
func (s *pop3Session) nameBy(ctx context.Context, items []mail.Item, todo []int, verb pop3Verb,
	prefix string, keep bool,
) (plain map[int]bool, err error) {
	plain = map[int]bool{}
	window := 1
	if s.pipelines() {
		window = maxWindow
	}
	for len(todo) > 0 {
		part := todo[:min(window, len(todo))]
		todo = todo[len(part):]
		cmds := make([]pop3Command, len(part))
		for i, at := range part {
			cmds[i] = topCommand(items[at].Number)
			if verb == popRETR {
				cmds[i] = pop3Command{verb: popRETR, arg: strconv.Itoa(int(items[at].Number))}
			}
		}
		if err := s.wire.send(cmds...); err != nil {
			return nil, err
		}
		for _, at := range part {
			sum, own, err := s.digest(items[at].Size, verb == popTOP)
			if !own {
				plain[at] = true
			}
			var no *pop3Refusal
			switch id := &items[at].ID; {
			case err != nil && !errors.As(err, &no):
				return nil, err
			case err != nil && !keep:
				id.UIDL = ""
			case err != nil:
			case id.UIDL == "":
				id.UIDL = prefix + sum
			default:
				id.UIDL += " " + prefix + sum
			}
		}
	}
	return plain, nil
}

// digest reads the answer to TOP or RETR and returns what identifies it. own is
// false for a header that has no field by which it could be no other's.
func (s *pop3Session) digest(size int64, header bool) (sum string, own bool, err error) {
	if _, err := s.wire.status(); err != nil {
		return "", false, err
	}
	h := sha256.New()
	fields := &ownFields{}
	var into io.Writer = h
	most := s.client.opts.MaxMessageBytes
	if header {
		fmt.Fprintf(h, "%d\n", size)
		most = maxHeaderRead
		into = io.MultiWriter(h, fields)
	}
	body := s.wire.body(most)
	if _, err := io.Copy(into, io.LimitReader(body, most)); err != nil {
		return "", false, err
	}
	if err := s.wire.skip(body, s.client.opts.MaxMessageBytes); err != nil {
		return "", false, err
	}
	s.link.listed()
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:20]), fields.found, nil
}

// ownFields looks for a field in a header that differs from message to message,
// however alike they are.
type ownFields struct {
	line  []byte // What begins the line, as far as it matters.
	found bool
}

// Write takes a header in pieces of any size.
func (o *ownFields) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !o.found {
		line, _, ends := bytes.Cut(p, []byte{'\n'})
		p = p[min(len(line)+1, len(p)):]
		const longest = len("message-id:")
		o.line = append(o.line, line[:min(len(line), longest-min(len(o.line), longest))]...)
		for _, field := range []string{"message-id:", "received:", "date:"} {
			o.found = o.found || len(o.line) >= len(field) && strings.EqualFold(string(o.line[:len(field)]), field)
		}
		if ends {
			o.line = o.line[:0]
		}
	}
	return n, nil
}
