package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/words"
)

// A listing is compared with the journal without either being in memory: the
// listing is indexed, by a few octets of each name, and the journal is read row by
// row and looked up there. What comes of it is a bit for each message, and from
// then on the listing is worked through in windows, newest first.

// DefaultWindow is how many messages of an account are worked through at a time
// unless Options says otherwise.
const DefaultWindow = 20_000

// What a listed message takes in the index, in octets, while that is made.
const (
	uidCost  = 8
	nameCost = 20
	// What its verdict takes, for the rest of the visit.
	verdictCost = 1
)

// listingIndex finds the messages of a listing by their names.
type listingIndex struct {
	n     int
	uids  []uint32 // By IMAP: ascending. Their place is that in the listing.
	names []name   // By POP3: in order.
	sizes []uint32 // By place: as listed, as far as that fits.
	// bases are the unique-ids that several messages share, which have names that
	// begin with them: see regrouped.
	bases map[string]bool
}

// name is a hash of a POP3 message's name, and its place in the listing.
type name struct {
	sum [12]byte
	at  uint32
}

func sumOf(id mail.ID) (sum [12]byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(id.Ordinal))
	whole := sha256.Sum256(append(n[:], id.UIDL...))
	copy(sum[:], whole[:])
	return sum
}

// taken takes memory from the visit's share.
func taken(ctx context.Context, n int64) error {
	err := memory.Of(ctx).Take(ctx, n)
	if errors.Is(err, memory.ErrTooMuch) {
		return &fault.Error{
			Code: fault.FolderFailed, Op: "comparing", Err: err,
			Detail: words.Detail{words.Say("The folder has too many messages to be compared.")},
		}
	}
	return err
}

// cost is what the index of a listing takes.
func (v *visit) cost(l *mail.Listing) int64 {
	if v.byUID() {
		return int64(l.Len()) * uidCost
	}
	return int64(l.Len()) * nameCost
}

// indexListing makes the index of a listing.
func (v *visit) indexListing(l *mail.Listing) (*listingIndex, error) {
	r := &listingIndex{n: l.Len()}
	r.sizes = make([]uint32, 0, r.n)
	if v.byUID() {
		r.uids = make([]uint32, 0, r.n)
	} else {
		r.names = make([]name, 0, r.n)
	}
	err := v.eachPage(l, func(at int, items []mail.Item) error {
		for i := range items {
			it := &items[i]
			r.sizes = append(r.sizes, sizeMark(it.Size))
			if v.byUID() {
				r.uids = append(r.uids, it.ID.UID)
				continue
			}
			r.names = append(r.names, name{sumOf(it.ID), uint32(at + i)})
			if b := base(it.ID); b != it.ID.UIDL && b != "" {
				if r.bases == nil {
					r.bases = map[string]bool{}
				}
				r.bases[b] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(r.names, func(a, b name) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	return r, nil
}

// sizeMark is a size in an index; 0 where the server gave none.
func sizeMark(size int64) uint32 { return uint32(max(0, min(size, 1<<32-1))) }

// find returns a message's place in the listing.
func (r *listingIndex) find(id mail.ID) (at int, ok bool) {
	if id.UID != 0 {
		return slices.BinarySearch(r.uids, id.UID)
	}
	sum := sumOf(id)
	i := sort.Search(len(r.names), func(i int) bool { return bytes.Compare(r.names[i].sum[:], sum[:]) >= 0 })
	if i == len(r.names) || r.names[i].sum != sum {
		return 0, false
	}
	return int(r.names[i].at), true
}

func (r *listingIndex) has(id mail.ID) bool {
	_, ok := r.find(id)
	return ok
}

// bits is a set of places in a listing.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) set(at int)      { b[at/64] |= 1 << (at % 64) }
func (b bits) has(at int) bool { return len(b) > 0 && b[at/64]&(1<<(at%64)) != 0 }

// eachPage calls do for a listing's messages, a page at a time, oldest first.
func (v *visit) eachPage(l *mail.Listing, do func(at int, items []mail.Item) error) error {
	for at := 0; at < l.Len(); at += v.Window {
		items, err := l.Page(at, min(v.Window, l.Len()-at))
		if err == nil {
			err = do(at, items)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// comparison is what a listing and the journal say of each other.
type comparison struct {
	index    *listingIndex
	verdicts verdicts        // By place: settled or to be fetched.
	rows     int             // Of the journal.
	still    int             // Of these, how many are listed.
	missing  map[string]bool // Unique-ids of messages that are not, of those that the listing has in a name.
	lost     bool            // A message with a unique-id is missing,
	anybody  bool            // … and one that was given none.
	suspects []suspect
	differ   int // Listed with a size that no message of the UID or unique-id had.
	known    int // Listed and settled.
}

// compareWithJournal reads the journal and looks each row up in the index.
func (v *visit) compareWithJournal(ctx context.Context, p *plan, r *listingIndex) (*comparison, error) {
	c := &comparison{index: r, verdicts: make(verdicts, r.n), missing: map[string]bool{}}
	var group sameName
	err := v.Journal.Settled(ctx, v.lease, p.folder, p.from, func(id mail.ID, size int64) error {
		c.rows++
		at, listed := r.find(id)
		if listed {
			c.verdicts[at] = VerdictSettled
			c.known++
		}
		if listed || succeeds(id, r) {
			c.still++
		} else if id.UIDL != "" {
			c.miss(base(id))
		}
		if of := (mail.ID{UID: id.UID, UIDL: id.UIDL}); of != group.of {
			c.suspectName(group)
			group = sameName{of: of}
		}
		group.add(id, size, r)
		return nil
	})
	c.suspectName(group)
	return c, err
}

// miss notes what a missing message was called, as far as regrouped needs it: see
// regrouped.
func (c *comparison) miss(base string) {
	c.lost = true
	if base == "" {
		c.anybody = true
		return
	}
	if !c.index.bases[base] && !c.index.has(mail.ID{UIDL: base}) {
		return
	}
	c.missing[base] = true
}

// sameName is the rows of one UID or unique-id, as the journal is read.
type sameName struct {
	of   mail.ID
	at   int    // Where it is listed,
	mark uint32 // … with that size,
	is   bool   // … and it is settled.
	next int
	same bool // One had that size.
	two  bool // Several are listed.
}

// add takes a row. Rows come by ascending ordinal.
func (g *sameName) add(id mail.ID, size int64, r *listingIndex) {
	if id.Ordinal == 0 && !strings.Contains(id.UIDL, " ") {
		if g.at, g.is = r.find(id); g.is {
			g.mark = r.sizes[g.at]
			g.two = id.UID == 0 && r.has(mail.ID{UIDL: id.UIDL, Ordinal: 1})
		}
	}
	g.next = max(g.next, id.Ordinal+1)
	g.same = g.same || sizeMark(size) == g.mark
}

// suspectName notes a listed message whose UID or unique-id was another's, perhaps: none of
// those that had it before had its size, and where several have it at once they are
// distinguished by their order.
func (c *comparison) suspectName(g sameName) {
	if !g.is || g.mark == 0 || g.same || g.two {
		return
	}
	if c.differ++; c.differ <= mostSuspects {
		c.suspects = append(c.suspects, suspect{place: g.at, next: g.next})
	}
}
