package source

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

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
	// listPatience is for LIST and UIDL together, and for each window of TOPs.
	listPatience = 5 * time.Minute
	// maxHeaderRead is how much of a header counts.
	maxHeaderRead = 256 << 10
)

// Messages without a usable unique-id are named by what they are; those that
// share one, by it, a blank, and what they are, so that it does not matter which
// of them goes and which comes. The blank keeps these names apart from every
// unique-id there can be.
const (
	byTOP  = "top "  // Then a digest of the answer to TOP n 0, and of the size.
	byRETR = "retr " // Then a digest of the whole message.
)

// parseNumbered takes "number rest" apart.
func parseNumbered(line []byte) (n uint32, rest string, ok bool) {
	num, rest, _ := strings.Cut(string(line), " ")
	v, err := strconv.ParseUint(num, 10, 31)
	if err != nil || v == 0 || num[0] < '1' {
		return 0, "", false
	}
	return uint32(v), rest, true
}

// parseUIDL reads one line of UIDL. id is empty when the number is good and
// the unique-id is not: blank, too long, or with characters outside 0x21-0x7E.
func parseUIDL(line []byte) (n uint32, id string, ok bool) {
	n, rest, ok := parseNumbered(line)
	if !ok {
		return 0, "", false
	}
	rest = strings.Trim(rest, " ")
	if len(rest) > maxUIDL || strings.ContainsFunc(rest, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return n, "", true
	}
	return n, rest, true
}

// parseLIST reads one line of LIST. What may follow the size (RFC 1939 section
// 5) is left alone.
func parseLIST(line []byte) (n uint32, size int64, ok bool) {
	n, rest, ok := parseNumbered(line)
	if !ok {
		return 0, 0, false
	}
	num, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	size, err := strconv.ParseInt(num, 10, 64)
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

// listing is what LIST and UIDL told together.
type listing struct {
	sizes map[uint32]int64
	ids   map[uint32]string
	bad   int  // Lines that said nothing that could be used.
	uidl  bool // The server has UIDL.
}

// ask sends LIST and UIDL and reads both answers.
func (s *pop3Session) ask(ctx context.Context) (*listing, error) {
	l := &listing{sizes: map[uint32]int64{}, ids: map[uint32]string{}}
	each := map[pop3Verb]func([]byte, bool){
		popLIST: func(line []byte, whole bool) {
			n, size, ok := parseLIST(line)
			if _, twice := l.sizes[n]; !ok || !whole || twice {
				l.bad++
				return
			}
			l.sizes[n] = size
		},
		popUIDL: func(line []byte, whole bool) {
			n, id, ok := parseUIDL(line)
			if _, twice := l.ids[n]; !ok || !whole || twice {
				l.bad++
				return
			}
			l.ids[n] = id
		},
	}
	verbs := []pop3Verb{popLIST, popUIDL}
	w := s.wire
	defer s.link.within(ctx, listPatience)()
	ahead := s.capas.has("PIPELINING")
	if ahead {
		if err := w.send(pop3Command{verb: popLIST}, pop3Command{verb: popUIDL}); err != nil {
			return nil, err
		}
	}
	for _, v := range verbs {
		if !ahead {
			if err := w.send(pop3Command{verb: v}); err != nil {
				return nil, err
			}
		}
		err := s.answer(v, each[v])
		var no *pop3Refusal
		switch {
		case errors.As(err, &no) && v == popUIDL:
		case errors.As(err, &no):
			return nil, popFault("listing messages", no.text, fault.ServerUnavailable, s.cred)
		case err != nil:
			return nil, err
		case v == popUIDL:
			l.uidl = true
		}
	}
	return l, nil
}

func (s *pop3Session) answer(v pop3Verb, each func([]byte, bool)) error {
	if _, err := s.wire.status(); err != nil {
		return err
	}
	return s.wire.lines(each)
}

// list returns the messages by ascending number, each with its identity. left
// counts messages that are there and cannot be named; why is the reason for
// which the folder as a whole cannot be read.
func (s *pop3Session) list(ctx context.Context) (items []mail.Item, why *fault.Error, err error) {
	l, err := s.ask(ctx)
	if err != nil {
		return nil, nil, err
	}
	if l.bad > 0 {
		s.client.opts.Log.WarnContext(ctx, "listing has unreadable lines", "host", s.server.Host, "lines", l.bad)
	}
	for n := range l.ids {
		if _, ok := l.sizes[n]; !ok {
			l.sizes[n] = 0
		}
	}
	for n, size := range l.sizes {
		items = append(items, mail.Item{ID: mail.ID{UIDL: l.ids[n]}, Number: n, Size: size})
	}
	slices.SortFunc(items, func(a, b mail.Item) int { return int(int64(a.Number) - int64(b.Number)) })
	if why, err = s.identify(ctx, items); why != nil || err != nil {
		return nil, why, err
	}
	items = slices.DeleteFunc(items, func(it mail.Item) bool { return it.ID.UIDL == "" })
	seen := map[string]int{}
	for i := range items {
		id := &items[i].ID
		id.Ordinal = seen[id.UIDL]
		seen[id.UIDL]++
	}
	return items, nil, nil
}

// unclear returns the messages that have no usable unique-id, and those that
// share one.
func unclear(items []mail.Item) (nameless, shared []int) {
	bearers := map[string]int{}
	for _, it := range items {
		bearers[it.ID.UIDL]++
	}
	for i, it := range items {
		switch {
		case it.ID.UIDL == "":
			nameless = append(nameless, i)
		case bearers[it.ID.UIDL] > 1:
			shared = append(shared, i)
		}
	}
	return nameless, shared
}

// identify names the messages that the server gives no usable unique-id, by
// header and size, or where there is no TOP, and not too many, by all of them.
// A message for which that fails stays nameless.
//
// Those that share a unique-id are told apart in the same way; where they are
// too many for it, by their order, which holds as long as none of them goes.
func (s *pop3Session) identify(ctx context.Context, items []mail.Item) (*fault.Error, error) {
	const op = "telling messages apart"
	nameless, shared := unclear(items)
	if len(nameless)+len(shared) == 0 {
		return nil, nil
	}
	prefix, verb, most := byTOP, popTOP, maxByTOP
	switch yes, err := s.canTOP(ctx, items[slices.Concat(nameless, shared)[0]].Number); {
	case err != nil:
		return nil, err
	case !yes:
		prefix, verb, most = byRETR, popRETR, maxByRETR
	}
	if len(nameless) > most {
		return fault.New(fault.FolderFailed, op, fmt.Sprintf(
			"The server gives %d messages no identity of their own (%s), and there are too many to read them all at each visit; at most %d are.",
			len(nameless), "UIDL", most)), nil
	}
	if len(nameless)+len(shared) > most {
		s.client.opts.Log.WarnContext(ctx, "too many messages share a unique-id", "host", s.server.Host, "messages", len(shared))
		shared = nil
	}
	todo := slices.Concat(nameless, shared)
	slices.Sort(todo)
	window := 1
	if s.capas.has("PIPELINING") {
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
		done := s.link.within(ctx, listPatience)
		for _, at := range part {
			sum, err := s.digest(items[at].Size, verb == popTOP)
			var no *pop3Refusal
			switch id := &items[at].ID; {
			case err != nil && !errors.As(err, &no):
				done()
				return nil, err
			case err != nil:
				id.UIDL = ""
			case id.UIDL == "":
				id.UIDL = prefix + sum
			default:
				id.UIDL += " " + prefix + sum
			}
		}
		done()
	}
	return nil, nil
}

// digest reads the answer to TOP or RETR and returns what identifies it.
func (s *pop3Session) digest(size int64, header bool) (string, error) {
	if _, err := s.wire.status(); err != nil {
		return "", err
	}
	h := sha256.New()
	most := s.client.opts.MaxMessageBytes
	if header {
		fmt.Fprintf(h, "%d\n", size)
		most = maxHeaderRead
	}
	body := s.wire.body()
	if _, err := io.Copy(h, io.LimitReader(body, most)); err != nil {
		return "", err
	}
	if err := s.wire.skip(body, s.client.opts.MaxMessageBytes); err != nil {
		return "", err
	}
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:20]), nil
}
