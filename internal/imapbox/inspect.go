package imapbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Inspect returns all that lies in a user's mailbox, for comparing it with the
// journals: each message by its size and its header, as none has a token. Bodies are not read.
// It changes nothing. A mailbox into which the server does not let us is missing.
func (s *Store) Inspect(ctx context.Context, o owner.Owner) (check.Inventory, error) {
	inv := check.Inventory{
		ByContent: true, SpoolName: spoolName, Spools: map[string]map[string]int64{}, Notes: map[string]int64{},
	}
	b := s.take(o)
	defer s.give(b)
	err := s.use(ctx, "inspecting the mailbox", o, b, func(c *conn) error {
		all, err := c.list()
		if err != nil {
			return err
		}
		root, h := s.o.Root, c.hierarchy
		inv.DirName = func(local string) string { return h.name(root, local) }
		subscribed, err := c.subscribed()
		if err != nil {
			return err
		}
		for _, l := range all {
			if c.isForeign(l.name) {
				continue
			}
			if journal, epoch, ok := mail.ReadStagingFolder(s.o.Key, l.name); ok {
				err = c.inspectStaging(&inv, l, journal, epoch)
			} else {
				inv.Folders = append(inv.Folders, check.LocalFolder{
					Dir: l.name, Subscribed: subscribed[l.name] || strings.EqualFold(l.name, "INBOX"),
				})
				err = c.inspectFolder(&inv, l)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, owner.ErrNoMailbox) {
		inv.Missing, err = true, nil
	}
	return inv, err
}

// spoolName is what an inventory calls a message on its way: where it lies, without where its folder stood.
func spoolName(name string) string {
	p, err := placeOf(mail.Placement{Spool: name})
	if err != nil {
		return name
	}
	return lyingAt(p.epoch, p.validity, p.uid)
}

func lyingAt(epoch int64, validity, uid uint32) string {
	return fmt.Sprintf("imap.%d.%d.%d", epoch, validity, uid)
}

// subscribed returns the names of the folders that are.
func (c *conn) subscribed() (map[string]bool, error) {
	names := map[string]bool{}
	_, err := c.Do(`LSUB "" "*"`, func(a wire.Answer) error {
		if a.Kind == "LSUB" && len(a.Values) >= 3 {
			names[a.Values[2].Text] = true
		}
		return nil
	})
	return names, err
}

// opened opens a folder for reading; false: it is gone, or cannot be opened.
func (c *conn) opened(l listed) (bool, error) {
	if !l.selects {
		return false, nil
	}
	_, err := c.examines(l.name)
	if no := (*wire.Refused)(nil); refusedAs(err, &no) {
		there, also := c.exists(l.name)
		if there { // Nothing is said of what could not be looked at.
			also = errors.Join(err, also)
		}
		return false, also
	}
	return err == nil, err
}

func (c *conn) inspectStaging(inv *check.Inventory, l listed, journal string, epoch int64) error {
	if inv.Spools[journal] == nil {
		inv.Spools[journal] = map[string]int64{}
	}
	if open, err := c.opened(l); err != nil || !open {
		return err
	}
	validity := c.validity
	_, err := c.Do("UID FETCH 1:* (UID RFC822.SIZE)", func(a wire.Answer) error {
		if uid, items := fetched(a); uid != 0 {
			inv.Spools[journal][lyingAt(epoch, validity, uid)] = items["RFC822.SIZE"].Number()
		}
		return nil
	})
	return err
}

func (c *conn) inspectFolder(inv *check.Inventory, l listed) error {
	if open, err := c.opened(l); err != nil || !open {
		return err
	}
	validity := c.validity
	scan := mail.NewScanner()
	c.Body = func(r io.Reader, _ int64) error {
		_, err := io.Copy(scan, r)
		return err
	}
	defer func() { c.Body = nil }()
	_, err := c.Do("UID FETCH 1:* (UID RFC822.SIZE BODY.PEEK[HEADER])", func(a wire.Answer) error {
		header := scan.Sum().Header
		scan.Reset()
		uid, items := fetched(a)
		size, known := items["RFC822.SIZE"]
		if uid == 0 || !known {
			return nil // Flags that changed.
		}
		n := size.Number()
		inv.Files = append(inv.Files, check.LocalFile{
			Found: mail.Found{Where: where(l.name, validity, uid), Received: -1, VirtualSize: n},
			Named: -1, Size: n, Dir: l.name, Header: header, Inode: uint64(len(inv.Files)) + 1, Links: 1,
		})
		inv.Measured.Messages++
		inv.Measured.Bytes += n
		return nil
	})
	return err
}

// Fingerprints reads messages that Inspect found, each in few questions, and calls yield for each that is still there.
func (s *Store) Fingerprints(ctx context.Context, o owner.Owner, all []mail.Found,
	yield func(f mail.Found, sum mail.Fingerprint),
) error {
	const op = "reading messages"
	wanted := map[lies]mail.Found{}
	folders := map[lies][]uint32{} // By folder and UIDVALIDITY.
	for _, f := range all {
		folder, validity, uid, ok := readWhere(f.Where)
		if !ok {
			return internal(op, fmt.Sprintf("%q is no message at a server", f.Where))
		}
		wanted[lies{folder, validity, uid}] = f
		in := lies{folder: folder, validity: validity}
		folders[in] = append(folders[in], uid)
	}
	b := s.take(o)
	defer s.give(b)
	return s.use(ctx, op, o, b, func(c *conn) error {
		for in, uids := range folders {
			if open, err := c.opened(listed{name: in.folder, selects: true}); err != nil {
				return err
			} else if !open || c.validity != in.validity {
				continue
			}
			slices.Sort(uids)
			var l looking
			if err := l.read(c, in.folder, in.validity, uids); err != nil {
				return err
			}
			for at, sum := range l.kept {
				yield(wanted[at], sum)
			}
		}
		return nil
	})
}

// where names a message as URLs of IMAP do (RFC 5092).
func where(folder string, validity, uid uint32) string {
	return fmt.Sprintf("%s;UIDVALIDITY=%d/;UID=%d", folder, validity, uid)
}

// readWhere takes such a name apart.
func readWhere(text string) (folder string, validity, uid uint32, ok bool) {
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 32)
		ok = ok && err == nil && n > 0
		return uint32(n)
	}
	rest, last, found := cutLast(text, "/;UID=")
	folder, first, also := cutLast(rest, ";UIDVALIDITY=")
	ok = found && also
	return folder, number(first), number(last), ok
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}

// Fingerprint reads a message that Inspect found.
func (s *Store) Fingerprint(ctx context.Context, o owner.Owner, f mail.Found) (sum mail.Fingerprint, err error) {
	const op = "reading a message"
	folder, validity, uid, ok := readWhere(f.Where)
	if !ok {
		return sum, internal(op, fmt.Sprintf("%q is no message at a server", f.Where))
	}
	b := s.take(o)
	defer s.give(b)
	err = s.use(ctx, op, o, b, func(c *conn) error {
		if _, err := c.examines(folder); err != nil {
			return err
		}
		there := false
		var err error
		if c.validity == validity {
			sum, there, err = c.fingerprint(uid)
		}
		if err == nil && !there {
			err = fault.Wrap(fault.LocalMailboxUnavailable, op, errors.New("the message is no longer there"))
		}
		return err
	})
	return sum, err
}
