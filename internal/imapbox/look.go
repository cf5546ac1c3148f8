package imapbox

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// identity is what a message of ours is recognised by in a user's folder: the date that it was
// given and all its octets.
type identity struct {
	received int64
	digest   [32]byte
}

func identityOf(p mail.Placement) identity {
	return identity{p.Received.Unix(), p.Fingerprint.Digest}
}

// candidate is a message in a folder that is equal to one of ours. It is taken for one of them at most.
type candidate struct {
	uid uint32
	identity
	header [16]byte
	used   bool
}

// view is what a folder holds from some UID on.
type view struct {
	validity, next uint32
	there          map[uint32]bool
	candidates     []*candidate // By their UIDs.
}

// take returns the first candidate that is equal to a message, is not used and lies at from or
// above it; nil: there is none.
func (v *view) take(id identity, from uint32) *candidate {
	for _, k := range v.candidates {
		if !k.used && k.identity == id && k.uid >= from {
			k.used = true
			return k
		}
	}
	return nil
}

// is reports whether a message may be a candidate, by all that is known of it.
func (k *candidate) is(p mail.Placement) bool {
	like := k.received == p.Received.Unix() && k.header == p.Fingerprint.Header
	return k.identity == identityOf(p) || like && isLoose(p)
}

// takeAny takes what is equal, else what is like it, if that is enough.
func (v *view) takeAny(p mail.Placement, from uint32) *candidate {
	k := v.take(identityOf(p), from)
	if k == nil && isLoose(p) {
		k = v.takeLike(p, from)
	}
	return k
}

// takeLike does the same where a server may have changed the message: the date and the header fields
// that nobody changes are equal.
func (v *view) takeLike(p mail.Placement, from uint32) *candidate {
	for _, k := range v.candidates {
		if !k.used && k.received == p.Received.Unix() && k.header == p.Fingerprint.Header && k.uid >= from {
			k.used = true
			return k
		}
	}
	return nil
}

// looking looks into folders, perhaps several times. What was read stays known.
type looking struct {
	kept map[lies]mail.Fingerprint
}

// lies is where a message lies.
type lies struct {
	folder        string
	validity, uid uint32
}

// dateLayout is date-time of RFC 9051 section 9.
const dateLayout = "_2-Jan-2006 15:04:05 -0700"

// into opens a folder again and reads what in it is equal to one of ps, from the UID on that from returns for
// its UIDVALIDITY. Nil: there is no such folder.
func (l *looking) into(c *conn, folder string, ps []mail.Placement, from func(validity uint32) uint32) (*view, error) {
	at, err := c.examines(folder)
	if errors.As(err, new(*wire.Refused)) {
		if there, also := c.exists(folder); also != nil || there {
			return nil, errors.Join(err, also) // It is there and cannot be opened now.
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &view{validity: at.validity, next: at.next, there: map[uint32]bool{}}
	type outside struct{ size, received int64 } // A size of -1 is any.
	wanted := map[outside]bool{}
	for _, p := range ps {
		wanted[outside{p.Fingerprint.Size, p.Received.Unix()}] = true
		if isLoose(p) {
			wanted[outside{-1, p.Received.Unix()}] = true
		}
	}
	var unread []uint32
	first := max(1, from(v.validity))
	_, err = c.Do(fmt.Sprintf("UID FETCH %d:* (UID RFC822.SIZE INTERNALDATE)", first), func(a wire.Answer) error {
		uid, items := fetched(a)
		if uid < first {
			return nil
		}
		v.there[uid] = true
		date, err := time.Parse(dateLayout, items["INTERNALDATE"].Text)
		if err != nil || !wanted[outside{items["RFC822.SIZE"].Number(), date.Unix()}] && !wanted[outside{-1, date.Unix()}] {
			return nil
		}
		v.candidates = append(v.candidates, &candidate{uid: uid, identity: identity{received: date.Unix()}})
		if _, known := l.kept[lies{folder, v.validity, uid}]; !known {
			unread = append(unread, uid)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := l.read(c, folder, v.validity, unread); err != nil {
		return nil, err
	}
	v.candidates = slices.DeleteFunc(v.candidates, func(k *candidate) bool {
		kept, known := l.kept[lies{folder, v.validity, k.uid}]
		k.digest, k.header = kept.Digest, kept.Header
		return !known // It is gone since.
	})
	slices.SortFunc(v.candidates, func(a, b *candidate) int { return cmp.Compare(a.uid, b.uid) })
	return v, nil
}

// read takes the fingerprints of messages of the folder that is open.
func (l *looking) read(c *conn, folder string, validity uint32, uids []uint32) error {
	if l.kept == nil {
		l.kept = map[lies]mail.Fingerprint{}
	}
	return c.fingerprints(uids, func(uid uint32, p mail.Fingerprint) { l.kept[lies{folder, validity, uid}] = p })
}

// fingerprints reads messages of the folder that is open, and calls take for each that is there.
func (c *conn) fingerprints(uids []uint32, take func(uid uint32, p mail.Fingerprint)) error {
	scan := mail.NewScanner()
	came := false
	c.Body = func(r io.Reader, _ int64) error {
		scan.Reset()
		came = true
		_, err := io.Copy(scan, r)
		return err
	}
	defer func() { c.Body = nil }()
	for some := range slices.Chunk(uids, 100) {
		_, err := c.Do("UID FETCH "+wire.UIDs(some)+" (UID BODY.PEEK[])", func(a wire.Answer) error {
			if uid, _ := fetched(a); uid != 0 && came {
				take(uid, scan.Sum())
			}
			came = false
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// examines opens a folder for reading, as it is at this moment, and says where it stands.
func (c *conn) examines(name string) (standing, error) {
	c.selected, c.validity, c.next = "", 0, 0
	if _, err := c.Do("EXAMINE "+wire.Quote(name), nil); err != nil {
		return standing{}, err
	}
	if c.validity == 0 {
		return standing{}, fault.Wrap(fault.LocalMailboxUnavailable, "looking into a folder",
			fmt.Errorf("%s has no UIDVALIDITY", name))
	}
	return standing{c.validity, c.next}, nil
}
