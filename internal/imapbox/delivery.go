package imapbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Delivery puts messages into one user's mailbox, for one account and one lease. It connects
// once something has to be asked of the server: a visit without news asks nothing.
//
// Stage may be called concurrently with everything but Close.
type Delivery struct {
	store   *Store
	owner   owner.Owner
	box     *box
	journal string
	epoch   int64
	limit   owner.Limit

	made  bool            // Our staging folder is there,
	fresh bool            // … and nobody has put anything into it before us.
	ours  map[uint32]bool // The UIDs of what we have.
	took  bool            // The server has taken a message.
	batch int             // How many were sealed for direct delivery.
	sweep bool            // What earlier leases left is to be swept once there is a connection.

	placed []mail.Placed   // What the server said since Placed was asked last.
	moved  map[uint32]lies // By UID in the staging folder: where it said that it moved it; nil: nothing is moved.

	mu       sync.Mutex // Guards what follows.
	staged   map[string]*staged
	reserved use // Of box.reserved; guarded by box.mu.
	closed   bool
}

// Open prepares delivery for one account into one user's mailbox. journal and epoch name the
// staging folder; limit is enforced by Reserve, beside the server's own.
func (s *Store) Open(ctx context.Context, o owner.Owner, journal string, epoch int64, limit owner.Limit) (
	*Delivery, error,
) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if journal == "" || len(journal) > 100 || !wire.IsASCII(journal) || strings.ContainsAny(journal, "%*\"\\/. ") ||
		epoch < 0 {
		return nil, internal("opening the mailbox", "the journal's name cannot be a folder's")
	}
	d := &Delivery{
		store: s, owner: o, box: s.take(o), journal: journal, epoch: epoch, limit: limit, staged: map[string]*staged{},
	}
	if !s.Available() { // Nothing is begun before it is known that the server is back.
		if err := d.use(ctx, "opening the mailbox", func(*conn) error { return nil }); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	return d, nil
}

// Close gives back what is still reserved, and ends the connection if nobody else needs it.
func (d *Delivery) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	for _, m := range d.staged {
		m.discard()
	}
	d.staged = nil
	d.mu.Unlock()
	d.unclaim()
	d.box.mu.Lock()
	d.box.reserved = d.box.reserved.minus(d.reserved)
	d.reserved = use{}
	d.box.mu.Unlock()
	d.store.give(d.box)
	return nil
}

// use does something over the connection. What earlier leases left is swept first.
func (d *Delivery) use(ctx context.Context, op string, do func(c *conn) error) error {
	return d.store.use(ctx, op, d.owner, d.box, func(c *conn) error {
		if d.sweep {
			d.sweep = false
			if err := d.sweepNow(c); err != nil {
				return err
			}
		}
		return do(c)
	})
}

// Generation says that there is no place for a note: what is in the staging folder tells enough.
func (d *Delivery) Generation(context.Context) (int64, bool, error) { return 0, false, mail.ErrNoNote }

// SetGeneration does nothing.
func (d *Delivery) SetGeneration(context.Context, int64) error { return nil }

// NoteSpool does nothing.
func (d *Delivery) NoteSpool(context.Context) error { return nil }

// Present does nothing: a mailbox that is gone takes nothing.
func (d *Delivery) Present(context.Context) error { return nil }

// stagingName is the staging folder of an epoch, as the server calls it.
func (d *Delivery) stagingName(c *conn, epoch int64) string {
	return c.prefix + mail.StagingFolder(d.store.o.Key, d.journal, epoch)
}

// place is where a sealed message lies, and where its folder stood when it was sealed.
type place struct {
	epoch         int64
	validity, uid uint32
	// Of the folder that it goes to; 0: it was not there.
	folderValidity, folderNext uint32

	loose bool // It may have other octets at the server than it was sent with.
}

// String is what the journal keeps, as Placement.Spool.
func (p place) String() string {
	return fmt.Sprintf("imap%s.%d.%d.%d.%d.%d", loosely(p.loose), p.epoch, p.validity, p.uid, p.folderValidity,
		p.folderNext)
}

// looseMark ends the first part of the name of a message that may have other octets at the server than it was
// sent with.
const looseMark = "-loose"

func isLoose(p mail.Placement) bool {
	kind, _, _ := strings.Cut(p.Spool, ".")
	return strings.HasSuffix(kind, looseMark)
}

func loosely(loose bool) string {
	if loose {
		return looseMark
	}
	return ""
}

func placeOf(m mail.Placement) (p place, err error) {
	parts := strings.Split(m.Spool, ".")
	kind, loose := strings.CutSuffix(parts[0], looseMark)
	if len(parts) == 6 && kind == "imap" {
		var n [5]uint64
		for i := range n {
			if n[i], err = strconv.ParseUint(parts[i+1], 10, 63); err != nil || i > 0 && n[i] > 1<<32-1 {
				return p, notSealed(m)
			}
		}
		if n[1] > 0 && n[2] > 0 {
			return place{int64(n[0]), uint32(n[1]), uint32(n[2]), uint32(n[3]), uint32(n[4]), loose}, nil
		}
	}
	return p, notSealed(m)
}

// nobodys is the epoch of no lease.
const nobodys = -1

// Anothers reports whether a message was staged for another destination, before the
// configuration changed: its name is none of those that are made here.
func Anothers(m mail.Placement) bool {
	kind, _, _ := strings.Cut(m.Spool, ".")
	kind = strings.TrimSuffix(kind, looseMark)
	return kind != "imap" && kind != "append"
}

// Anothers is the function of that name.
func (d *Delivery) Anothers(m mail.Placement) bool { return Anothers(m) }

func notSealed(m mail.Placement) error {
	return internal("delivering messages", fmt.Sprintf("%q is no message in a staging folder", m.Spool))
}

// Mark makes the account folder and, in it, an empty folder of this name that is not
// subscribed. Where that is there, by all that is known, nothing is done.
func (d *Delivery) Mark(ctx context.Context, folder, mark string) error {
	key := folder + "/" + mark
	select {
	case d.box.turn <- struct{}{}:
	case <-ctx.Done():
		return wire.Interrupted(ctx)
	}
	known := d.store.isMarked(d.box, key)
	<-d.box.turn
	if known {
		return nil
	}
	return d.use(ctx, "marking the account folder", func(c *conn) error {
		if err := d.store.ensure(c, []string{folder}); err != nil {
			return err
		}
		name := d.store.wireName(c, key)
		if !c.folders[name] {
			d.store.o.Step("mark.create")
			if _, err := c.Do("CREATE "+wire.Quote(name), nil); err != nil {
				if there, also := c.exists(name); also != nil || !there {
					return err
				}
			}
			c.folders[name] = true
		}
		d.box.marked[key] = true
		return nil
	})
}

// EnsureFolders makes and subscribes folders that hold nothing yet.
func (d *Delivery) EnsureFolders(ctx context.Context, folders []string) error {
	if len(folders) == 0 {
		return nil
	}
	return d.use(ctx, "making folders", func(c *conn) error { return d.store.ensure(c, folders) })
}

// Tokens finds nothing: messages at an IMAP server have no token, as nothing is written into
// them.
func (d *Delivery) Tokens(context.Context, func(mail.Token, mail.Found)) error { return nil }

// Fingerprint is of what Tokens found.
func (d *Delivery) Fingerprint(context.Context, mail.Found) (mail.Fingerprint, error) {
	return mail.Fingerprint{}, fault.New(fault.Internal, "reading a delivered message")
}
