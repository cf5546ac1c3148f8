package source

import (
	"bytes"
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
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxByRETR is how many messages may be distinguished by reading all of them.
	maxByRETR = 500
	// maxByTOP is how many messages may be distinguished by their headers.
	maxByTOP = 20_000
	// maxAlike is how many octets of messages are read at each visit to distinguish those
	// apart whose headers do not.
	maxAlike = 64 << 20
	// maxHeaderRead is how much of a header counts.
	maxHeaderRead = 256 << 10
)

// Messages without a usable unique-id are named by what they are; those that
// share one, by it, a space, and what they are, so that it does not matter which
// of them goes and which comes. The space keeps these names apart from every
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
	byTOP  = "top "         // Then a digest of the answer to TOP n 0, and of the size.
	byRETR = mail.ByContent // Then a digest of the whole message.
)

// number distinguishes messages that have one name by their order.
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
func unclear(items []mail.Item) (unidentified, shared []int) {
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
				unidentified = append(unidentified, int(i))
			case n > 1:
				shared = append(shared, int(i))
			}
		}
		order = order[n:]
	}
	slices.Sort(unidentified)
	slices.Sort(shared)
	return unidentified, shared
}

// identify names the messages that the server gives no usable unique-id, by
// header and size, or where there is no TOP, and not too many, by all of them.
// A message for which that fails stays unidentified.
//
// Those that share a unique-id are distinguished in the same way; where they are
// too many for it, by their order, which holds as long as none of them goes.
func (s *pop3Session) identify(ctx context.Context, items []mail.Item, unidentified, shared []int) (*fault.Error,
	error,
) {
	const op = "telling messages apart"
	prefix, verb, most := byTOP, wire.PopTOP, maxByTOP
	switch yes, err := s.canTOP(ctx, items[slices.Concat(unidentified, shared)[0]].Number); {
	case err != nil:
		return nil, err
	case !yes:
		prefix, verb, most = byRETR, wire.PopRETR, maxByRETR
	}
	if len(unidentified) > most {
		return fault.New(fault.FolderFailed, op,
			words.Say("The server gives %d messages no identity of their own (%s), and there are too many "+
				"to read them all at each visit; at most %d are.",
				len(unidentified), "UIDL", most)), nil
	}
	if len(unidentified)+len(shared) > most {
		s.client.opts.Log.WarnContext(ctx, "too many messages share a unique-id", "host", s.server.Host, "messages", len(
			shared))
		shared = nil
	}
	todo := slices.Concat(unidentified, shared)
	slices.Sort(todo)
	plain, err := s.nameBy(ctx, items, todo, verb, prefix)
	if err != nil || verb == wire.PopRETR {
		return nil, err
	}
	for _, at := range shared { // The next of it gets another unique-id, most likely.
		delete(plain, at)
	}
	var before map[string]bool
	if s.readWhole != nil {
		if before, err = s.readWhole(ctx); err != nil {
			return nil, err
		}
	}
	alike := alike(items, todo, plain, before)
	octets := int64(0)
	for _, at := range alike {
		octets += items[at].Size
	}
	if len(alike) > maxByRETR || octets > maxAlike {
		s.client.opts.Log.WarnContext(ctx, "too many messages have one header and size", "host", s.server.Host,
			"messages", len(alike), "octets", octets)
		return nil, nil
	}
	_, err = s.nameBy(ctx, items, alike, wire.PopRETR, byRETR)
	return nil, err
}

// alike returns the messages, of those that were named by header and size, whose
// name another one has, had before, or may have at another visit.
func alike(items []mail.Item, todo []int, plain map[int]bool, before map[string]bool) (which []int) {
	bearers := map[string]int{}
	for _, at := range todo {
		bearers[items[at].ID.UIDL]++
	}
	for _, at := range todo {
		if id := items[at].ID.UIDL; id != "" && (bearers[id] > 1 || plain[at] || before[id]) {
			which = append(which, at)
		}
	}
	return which
}

// nameBy adds to the names of messages what the answer to verb is. One that is
// refused is left without a name: the one it has so far is, or was, another's, and
// under it this one would pass as delivered, or come twice. plain are those whose
// header has nothing of their own.
func (s *pop3Session) nameBy(ctx context.Context, items []mail.Item, todo []int, verb wire.POP3Verb,
	prefix string,
) (plain map[int]bool, err error) {
	plain = map[int]bool{}
	window := 1
	if s.pipelines() {
		window = maxWindow
	}
	for len(todo) > 0 {
		part := todo[:min(window, len(todo))]
		todo = todo[len(part):]
		cmds := make([]wire.POP3Command, len(part))
		for i, at := range part {
			cmds[i] = topCommand(items[at].Number)
			if verb == wire.PopRETR {
				cmds[i] = wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(items[at].Number))}
			}
		}
		if err := s.wire.Send(cmds...); err != nil {
			return nil, err
		}
		for _, at := range part {
			sum, own, err := s.digest(items[at].Size, verb == wire.PopTOP)
			if !own {
				plain[at] = true
			}
			var no *wire.POP3Refusal
			switch id := &items[at].ID; {
			case err != nil && !errors.As(err, &no):
				return nil, err
			case err != nil:
				id.UIDL = ""
				s.client.opts.Log.WarnContext(ctx, "a message cannot be distinguished: it is left for the next visit",
					"host", s.server.Host, "number", items[at].Number, "reason", wire.ServerSays(no.Text, s.cred))
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
	if _, err := s.wire.Status(); err != nil {
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
	body := s.wire.Body(most)
	if _, err := io.Copy(into, io.LimitReader(body, most)); err != nil {
		return "", false, err
	}
	if err := s.wire.Skip(body, s.client.opts.MaxMessageBytes); err != nil {
		return "", false, err
	}
	s.link.Listed()
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
