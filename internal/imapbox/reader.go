package imapbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Reader reads a mailbox over one connection, for comparing it with what was delivered. It opens folders by EXAMINE and
// reads by BODY.PEEK[] (RFC 9051 sections 6.3.3 and 6.4.5): nothing changes by that, no flag either. It is used by one
// goroutine at a time.
type Reader struct {
	store *Store
	owner owner.Owner
	box   *box
}

// Reader returns what reads a user's mailbox. It has to be closed.
func (s *Store) Reader(o owner.Owner) *Reader { return &Reader{store: s, owner: o, box: s.take(o)} }

// Close lets the connection end.
func (r *Reader) Close() error {
	r.store.give(r.box)
	return nil
}

func (r *Reader) use(ctx context.Context, op string, do func(c *conn) error) error {
	return r.store.use(ctx, op, r.owner, r.box, do)
}

// Name is how the server calls a folder, "/" between its parts, as deliveries name it.
func (r *Reader) Name(ctx context.Context, folder string) (name string, err error) {
	err = r.use(ctx, "naming a folder", func(c *conn) error {
		name = r.store.wireName(c, folder)
		return nil
	})
	return name, err
}

// Folders returns the folders in which messages can lie, as the server calls them, in the order of their names; without
// those of others, and those in which we stage mail.
func (r *Reader) Folders(ctx context.Context) (names []string, err error) {
	err = r.use(ctx, "listing folders", func(c *conn) error {
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(c.folders)), func(name string) bool {
			return c.isForeign(name) || r.store.isStaging(name)
		})
		return nil
	})
	return names, err
}

// listedAtOnce is how many UIDs one FETCH asks for.
const listedAtOnce = 500_000

// Look calls each for every message of a folder, by its name at the server: with the size that the server tells, which
// may be wrong, and its internal date in Unix seconds. there is false where there is no such folder. A server that
// lists fewer messages than it counts is an error: nothing is said of what could not be seen.
func (r *Reader) Look(ctx context.Context, name string, each func(uid uint32, size, received int64) error) (
	validity uint32, there bool, err error,
) {
	err = r.use(ctx, "looking into a folder", func(c *conn) error {
		var counted uint32
		counted, there, err = c.counts(name)
		if err != nil || !there {
			return err
		}
		validity = c.validity
		return c.listAll(counted, each)
	})
	return validity, there, err
}

// counts opens a folder for reading, and says how many messages it has.
func (c *conn) counts(name string) (n uint32, there bool, err error) {
	c.selected, c.validity, c.next = "", 0, 0
	_, err = c.Do("EXAMINE "+wire.Quote(name), func(a wire.Answer) error {
		if a.Kind == "EXISTS" {
			n = a.Number
		}
		return nil
	})
	if errors.As(err, new(*wire.Refused)) {
		if is, also := c.exists(name); also != nil || is {
			return 0, false, errors.Join(err, also)
		}
		return 0, false, nil
	}
	if err == nil && c.validity == 0 {
		err = fault.Wrap(fault.LocalMailboxUnavailable, "looking into a folder", fmt.Errorf("%s has no UIDVALIDITY", name))
	}
	return n, err == nil, err
}

// listAll lists the folder that is open and had n messages.
func (c *conn) listAll(n uint32, each func(uid uint32, size, received int64) error) error {
	if n == 0 {
		return nil
	}
	came, gone, last := uint32(0), uint32(0), uint32(0)
	for _, set := range c.spans(n) {
		_, err := c.Do("UID FETCH "+set+" (UID RFC822.SIZE INTERNALDATE)", func(a wire.Answer) error {
			if a.Kind == "EXPUNGE" {
				gone++
			}
			uid, items := fetched(a)
			received, known := receivedIn(items)
			if uid == 0 || !known || uid == last { // Flags that changed; or what "*" brings twice.
				return nil
			}
			came, last = came+1, uid
			return each(uid, sizeOf(items), received)
		})
		if err != nil {
			return err
		}
	}
	if came+gone < n {
		return fault.Wrap(fault.LocalMailboxUnavailable, "looking into a folder",
			fmt.Errorf("the server counts %d messages and lists %d", n, came))
	}
	return nil
}

// spans are sets of UIDs that have all messages of the folder that is open, of which there are n.
func (c *conn) spans(n uint32) (sets []string) {
	const most = 4000 // A folder whose UIDs lie so far apart is asked for as a whole.
	if n <= listedAtOnce || c.next == 0 || c.next/listedAtOnce > most {
		return []string{"1:*"}
	}
	for from := uint64(1); from < uint64(c.next); from += listedAtOnce {
		sets = append(sets, fmt.Sprintf("%d:%d", from, from+listedAtOnce-1))
	}
	return append(sets, fmt.Sprintf("%d:*", c.next)) // What came meanwhile, and the last one once more.
}

// receivedIn is the internal date of a message in Unix seconds.
func receivedIn(items map[string]wire.Value) (received int64, known bool) {
	date, err := time.Parse(dateLayout, items["INTERNALDATE"].Text)
	return date.Unix(), err == nil
}

func sizeOf(items map[string]wire.Value) int64 {
	if size, known := items["RFC822.SIZE"]; known {
		return size.Number()
	}
	return -1
}

// Read takes the fingerprints of messages of a folder, and calls take for each that is there. Where the folder has
// another UIDVALIDITY by now none is.
func (r *Reader) Read(ctx context.Context, name string, validity uint32, uids []uint32,
	take func(uid uint32, p mail.Fingerprint),
) error {
	if len(uids) == 0 {
		return nil
	}
	return r.use(ctx, "reading messages", func(c *conn) error {
		_, there, err := c.counts(name)
		if err != nil || !there || c.validity != validity {
			return err
		}
		return c.fingerprints(slices.Clone(uids), take)
	})
}
