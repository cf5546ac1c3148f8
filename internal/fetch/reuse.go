package fetch

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Unique-ids are never to be used again (RFC 1939 section 7), but there are
// servers that number their messages, and start again at 1 with an empty maildrop.
// What is new then has the name of what was delivered long ago, and would never
// arrive.
//
// So a settled message that is listed with a size that no message of its
// unique-id had is a suspect, and its header is read. Where Message-ID, Date,
// From and Subject are another message's, it is fetched, under the next ordinal
// of that unique-id. Where they are the same, the size is settled as one more
// name of the same message. Either way the listing is familiar from then on, and
// nothing is looked at twice. Without TOP there is no header, and the unique-id
// is believed. Another message of just the same size is not noticed.
//
// By IMAP it is the same with UIDs, but what follows is another thing: see
// renumber.go.
//
// A server that counts octets in its own way makes suspects of most of its
// messages, and is left alone.

const (
	// suspectsAtOnce are looked at in one visit; the next continues.
	suspectsAtOnce = 200
	// suspectsAlways are looked at however few messages there are beside them.
	suspectsAlways = 20
	// watchedAtOnce are looked at whatever their size, where UIDs were used again.
	watchedAtOnce = 50
	// mostSuspects are kept of those that are to be looked at.
	mostSuspects = 10_000
)

// suspect is a message whose UIDL, or UID, the server may have reused.
type suspect struct {
	item  mail.Item
	place int  // In the listing.
	next  int  // The first free ordinal of its unique-id.
	sized bool // It has the size that it had: only its header can show that it is another.
}

// renamed is the name of a suspect that is another message.
func (s suspect) renamed() mail.ID {
	return mail.ID{UID: s.item.ID.UID, UIDL: s.item.ID.UIDL, Ordinal: s.next}
}

// succeeds reports whether a settled message may be the one that has a listed
// unique-id now, after others that are gone.
func succeeds(id mail.ID, listed *listingIndex) bool {
	return id.Ordinal > 0 && !strings.Contains(id.UIDL, " ") && listed.has(mail.ID{UIDL: id.UIDL})
}

// noteSuspects notes the suspects that are to be looked at. One that was found to be
// another message and skipped is tried when that is due; those are returned, as they
// are still there.
func (v *visit) noteSuspects(p *plan, l *mail.Listing, c *comparison,
	now time.Time,
) (there map[mail.ID]bool, err error) {
	slices.SortFunc(c.suspects, func(a, b suspect) int { return a.place - b.place })
	if most := c.differ > suspectsAlways && 2*c.differ > c.known; most && v.byUID() {
		// Or all of them are others: the newest show which.
		c.suspects = c.suspects[len(c.suspects)-suspectsAlways:]
	} else if most {
		v.log.Info("the server lists other sizes than it sends", "messages", c.known, "differ", c.differ)
		return nil, nil
	}
	there = map[mail.ID]bool{}
	for _, s := range c.suspects {
		items, err := l.Page(s.place, 1)
		if err != nil {
			return nil, err
		}
		s.item = items[0]
		w, ok := p.waiting[s.renamed()]
		there[s.renamed()] = ok
		if !ok || w.due(now) {
			p.suspects = append(p.suspects, s)
			p.verdicts[s.place] = VerdictSuspect
		}
	}
	if v.byUID() && (v.renumbers(p.folder) || reappeared(p, c)) {
		return there, v.watch(p, l, c)
	}
	return there, nil
}

// reappeared reports whether more is there under UIDs that are settled than there
// was of anything: so it shows at a server without UIDNEXT, whose mailbox was
// emptied and filled again.
func reappeared(p *plan, c *comparison) bool {
	was := p.folder.Cursor
	return was.UIDNext != 0 && c.verdicts.count(VerdictSettled)+c.verdicts.count(VerdictSuspect) > int(was.Messages)
}

// watch adds the newest of the messages that have the size that they had.
func (v *visit) watch(p *plan, l *mail.Listing, c *comparison) error {
	for at, n := l.Len()-1, 0; at >= 0 && n < watchedAtOnce; at-- {
		known := func(s suspect) bool { return s.place == at }
		if c.verdicts[at] != VerdictSettled || slices.ContainsFunc(c.suspects, known) {
			continue
		}
		items, err := l.Page(at, 1)
		if err != nil {
			return err
		}
		p.suspects = append(p.suspects, suspect{item: items[0], place: at, sized: true})
		n++
	}
	return nil
}

// examineSuspects looks at the suspects. A folder in which a UID is another message's is
// listed and compared again as a whole.
func (v *visit) examineSuspects(ctx context.Context) error {
	var again []*plan
	for _, p := range v.plans {
		if len(p.suspects) == 0 {
			continue
		}
		part := p.suspects[:min(len(p.suspects), suspectsAtOnce)]
		headers, err := v.headersOf(ctx, p, part)
		if err != nil {
			return err
		}
		if len(headers) == 0 {
			p.believe() // There is no TOP.
			continue
		}
		known, err := v.Journal.HeadersOf(ctx, v.lease, p.folder, idsOf(part))
		if err != nil {
			return err
		}
		var same, others []suspect
		for _, s := range part {
			header, came := headers[s.item.ID]
			switch hashes := known[s.item.ID]; {
			case s.sized && (!came || len(hashes) == 0 || slices.Contains(hashes, header)):
			case !came: // No answer is no proof: it stays suspect, and the next visit asks again.
			case len(hashes) == 0 || slices.Contains(hashes, header):
				same = append(same, s)
			case v.byUID():
				others = append(others, s)
			default:
				v.log.InfoContext(ctx, "a unique-id was used again", "folder", p.name(), "ordinal", s.next)
				if p.renamed == nil {
					p.renamed = map[int]mail.ID{}
				}
				p.renamed[s.place] = s.renamed()
				p.judge(s.place, VerdictFetch)
			}
		}
		if len(others) > 0 {
			came, is, err := v.another(ctx, p, others, known)
			switch {
			case err != nil:
				return err
			case is:
				v.renumber(p, "UIDs are other messages' now")
				again = append(again, p)
				continue
			}
			for _, s := range others {
				if !came {
					p.judge(s.place, VerdictSuspect)
				} else if !s.sized {
					same = append(same, s)
				}
			}
		}
		for _, s := range same {
			p.judge(s.place, VerdictSettled)
			v.same = append(v.same, Alias{Ref: Ref{p.folder.ID, p.folder.Epoch, s.renamed()}, Size: s.item.Size})
		}
	}
	return v.listAgain(ctx, again)
}

// believe takes the suspects for what their names say.
func (p *plan) believe() {
	for _, s := range p.suspects {
		p.verdicts[s.place] = VerdictSettled
	}
}

// another reports whether a message whose header is not that of its UID is another
// by its own text. There are servers that make up the header that they are asked for
// alone: all of theirs would seem to be others, at each visit. The smallest of those in
// question shows it; came says that it was sent.
func (v *visit) another(ctx context.Context, p *plan, others []suspect,
	known map[mail.ID][][16]byte,
) (came, is bool, err error) {
	s := slices.MinFunc(others, func(a, b suspect) int { return cmp.Compare(a.item.Size, b.item.Size) })
	want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity, Items: []mail.Item{s.item}}
	v.Step("reuse.message")
	err = v.session.Fetch(ctx, []mail.Want{want}, func(_ mail.Folder, _ mail.Item, body io.Reader) error {
		scanner := mail.NewScanner()
		if _, err := io.Copy(scanner, body); err != nil {
			return err
		}
		came, is = true, !slices.Contains(known[s.item.ID], scanner.Sum().Header)
		return nil
	}, func(_ mail.Folder, _ mail.Item, why *fault.Error) {
		v.log.WarnContext(ctx, "a message under a known UID did not come", "folder", p.name(), "error", why)
	})
	if came && !is {
		v.log.InfoContext(ctx, "the server's headers are not those of its messages", "folder", p.name())
	}
	return came, is, err
}

func idsOf(ss []suspect) []mail.ID {
	ids := make([]mail.ID, len(ss))
	for i, s := range ss {
		ids[i] = s.item.ID
	}
	return ids
}

// headersOf reads the suspects' headers and returns their hashes.
func (v *visit) headersOf(ctx context.Context, p *plan, ss []suspect) (map[mail.ID][16]byte, error) {
	want := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity}
	for _, s := range ss {
		want.Items = append(want.Items, s.item)
	}
	v.Step("reuse.headers")
	out := map[mail.ID][16]byte{}
	scanner := mail.NewScanner()
	err := v.session.Headers(ctx, []mail.Want{want}, func(_ mail.Folder, it mail.Item, header []byte) error {
		scanner.Reset()
		if _, err := scanner.Write(header); err != nil {
			return err
		}
		out[it.ID] = scanner.Sum().Header
		return nil
	})
	return out, err
}
