package fetch

import (
	"cmp"
	"context"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What is fetched from may itself be a mailbox of this installation: a
// colleague's, one that fetches this one, or the very mailbox that is delivered
// into, under another name. Then what this installation fetched there is not
// fetched again, and a mailbox is never fetched into itself: see
// docs/decisions/0022-loops.md.
//
// By IMAP the remote shows it: each account folder holds a mark. By POP3 a
// message that has the same UID under the same UIDVALIDITY and the same octets
// as one in a user's inbox here is that one.

// localUsers are the users of this installation whose mailbox the remote is,
// or shows, and what that means for a visit.
type localUsers struct {
	owners  []owner.Owner
	brought []textSum // In order: digests of what was fetched for them, as far as it may be among this window.
	charged int64     // What these take in memory.

	leftOut []string // Folders that the account's rules choose and that hold what was fetched there.
	tried   int      // POP3: messages that were compared with inboxes here.
}

// triesOfInboxes is how many messages of a maildrop are compared with inboxes
// here: if the maildrop is one of them, the first is there already, unless its
// user has removed it meanwhile.
const triesOfInboxes = 3

// keeps reports whether mail keeps going the route. What goes once can form no loop: all that is in the mailbox goes,
// also what this installation brought there.
func (v *visit) keeps() bool { return v.lease.Route.Kind != route.Once }

// mark makes the account folder with its mark. That has to be there before the
// session is opened, along with which the remote's folders are asked for, and
// through which a server need not show what is made later.
func (v *visit) mark(ctx context.Context) error {
	if !v.keeps() {
		return nil
	}
	v.Step("mark")
	rt := v.lease.Route
	err := v.delivery.Mark(ctx, rt.Folder, mail.MarkFor(v.TokenKey, rt.Journal))
	return fault.Wrap(fault.LocalMailboxUnavailable, "marking the account folder", err)
}

// back is what the marks in a remote's folders say.
type back struct {
	marks map[string]bool // Folders of ours that hold no mail, by wire name.
	trees [][]string      // What lies at or below these was fetched there.
}

// leads reports whether a folder holds what was fetched there.
func (b back) leads(path []string) bool {
	return slices.ContainsFunc(b.trees, func(tree []string) bool {
		return len(path) >= len(tree) && slices.Equal(path[:len(tree)], tree)
	})
}

// readMarks looks for marks among the remote's folders. A mark of another
// installation counts as well, since two installations can fetch each other. It
// fails with mail_loop where the remote is the mailbox that is delivered into.
func (v *visit) readMarks(ctx context.Context, remotes []mail.Folder) (back, error) {
	rt := v.lease.Route
	b := back{marks: map[string]bool{}}
	own := strings.Split(rt.Folder, "/")
	for _, r := range remotes {
		if len(r.Path) == 0 {
			continue
		}
		around, name := r.Path[:len(r.Path)-1], r.Path[len(r.Path)-1]
		holdsMail := r.Status.Known && r.Status.Messages > 0 // Somebody's doing, and not to be left out in silence.
		if mail.IsChallenge(name) {
			b.marks[r.Wire] = !holdsMail
			continue
		}
		journal, marks := mail.ReadMark(v.TokenKey, name)
		if !marks {
			continue
		}
		b.marks[r.Wire] = !holdsMail
		if len(around) == 0 || !v.keeps() {
			continue // Somebody moved it out of the account folder, or what is in it goes too.
		}
		b.trees = append(b.trees, around)
		if journal == "" {
			continue
		}
		o, known, err := v.Journal.OwnerOf(ctx, journal)
		if err != nil {
			return b, err
		}
		above := len(around) - len(own)
		switch {
		case !known:
		case o != rt.Owner:
			if len(around) > 1 || v.mayBe(ctx, o, remotes) {
				v.addLocalUser(o)
			}
		case journal != rt.Journal || above < 0 || !slices.Equal(around[above:], own):
		case above > 0: // Somebody shares the own mailbox with whoever signs in there.
			b.trees = append(b.trees, around[:above])
		case v.mayBe(ctx, o, remotes):
			return b, intoItself(words.Say("The folder %s there is the one into which this account is fetched.",
				strconv.Quote(rt.Folder)))
		}
	}
	return b, nil
}

// mayBe reports whether the remote may be the mailbox of a user here: copies of
// it, made by a program that copies mailboxes, have its marks too, but not
// the UIDVALIDITY of its inbox.
func (v *visit) mayBe(ctx context.Context, o owner.Owner, remotes []mail.Folder) bool {
	i := slices.IndexFunc(remotes, func(r mail.Folder) bool { return len(r.Path) == 0 })
	if i < 0 || remotes[i].Status.UIDValidity == 0 {
		return true
	}
	here, err := v.Mailbox.InboxValidity(ctx, o)
	if err != nil {
		v.log.WarnContext(ctx, "reading an inbox", "user", o, "error", err)
	}
	return err != nil || here == 0 || here == remotes[i].Status.UIDValidity
}

func intoItself(detail ...words.Sentence) error {
	return &fault.Error{Code: fault.MailLoop, Op: "visiting", Final: true, Detail: append(words.Detail{
		words.Say("This is your own mailbox, and would be fetched into itself."),
	}, detail...)}
}

func (v *visit) addLocalUser(o owner.Owner) {
	if !slices.Contains(v.owners, o) {
		v.owners = append(v.owners, o)
		v.log.Info("the remote is a mailbox of this installation", "user", o)
	}
}

// loadFetchedHere finds out what of the mail that is to be fetched may have been
// fetched for the remote's own user.
func (v *visit) loadFetchedHere(ctx context.Context) error {
	if len(v.owners) == 0 {
		return nil
	}
	memory.Of(ctx).Give(v.charged)
	v.brought, v.charged = nil, 0
	sizes, times := map[int64]bool{}, map[int64]bool{}
	for _, p := range v.plans {
		for _, it := range p.todo {
			sizes[it.Size] = true
			if !it.Received.IsZero() {
				times[it.Received.Unix()] = true
			}
		}
	}
	if len(sizes) == 0 {
		return nil
	}
	var full error
	for _, o := range v.owners {
		// By either: servers count a message's octets in more than one way.
		err := v.Journal.Brought(ctx, o, func(size int64, received time.Time, digest [32]byte) {
			if full != nil || !sizes[size] && !times[received.Unix()] {
				return
			}
			if len(v.brought)%rowsAtOnce == 0 {
				if full = taken(ctx, rowsAtOnce*knownCost); full != nil {
					return
				}
				v.charged += rowsAtOnce * knownCost
			}
			v.brought = append(v.brought, textSum(digest[:len(textSum{})]))
		})
		if err = cmp.Or(err, full); err != nil {
			return err
		}
	}
	slices.SortFunc(v.brought, compareSums)
	return nil
}

// has reports whether a message of this digest was fetched for one of them.
func (n *localUsers) has(digest [32]byte) bool {
	_, ok := slices.BinarySearchFunc(n.brought, textSum(digest[:len(textSum{})]), compareSums)
	return ok
}

// discardLoop reports whether a staged message was fetched by this installation for
// the user whose mailbox the remote is, and came here through it. It is then
// thrown away and listed as skipped, from where its owner can ask for it.
func (p *pipeline) discardLoop(ctx context.Context, pl *plan, at int, it mail.Item, st mail.Staged) (bool, error) {
	if !p.visit.byUID() && p.visit.keeps() {
		if err := p.compareInboxes(ctx, it, st); err != nil {
			return false, err
		}
	}
	if !p.visit.localUsers.has(st.Fingerprint.Digest) || pl.waiting[it.ID].Requested {
		return false, nil
	}
	p.visit.delivery.Discard([]mail.Staged{st})
	p.visit.delivery.Release(1, it.Size)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list(pl, at, it, fault.New(fault.MailLoop, "fetching",
		words.Say("It was fetched into that mailbox from another one, and its user moved or copied it.")))
	return true, nil
}

// compareInboxes finds out whether a maildrop is the inbox of a user here.
func (p *pipeline) compareInboxes(ctx context.Context, it mail.Item, st mail.Staged) error {
	validity, uid := uidOf(it.ID.UIDL)
	if uid == 0 || len(p.visit.owners) > 0 || p.visit.tried >= triesOfInboxes {
		return nil
	}
	p.visit.tried++
	rt := p.visit.lease.Route
	suspects, err := p.visit.Journal.Suspects(ctx, validity, []string{rt.From.Username, rt.From.Email})
	if err != nil {
		return err
	}
	for _, o := range append([]owner.Owner{rt.Owner}, suspects...) {
		f, there, err := p.visit.Mailbox.InboxMessage(ctx, o, validity, uid)
		switch {
		case err != nil:
			p.visit.log.WarnContext(ctx, "reading an inbox", "user", o, "error", err)
			continue
		case !there || f.Digest != st.Fingerprint.Digest:
			continue
		case o == rt.Owner:
			p.visit.delivery.Discard([]mail.Staged{st})
			p.visit.delivery.Release(1, it.Size)
			return intoItself(words.Say("Its messages are those of your inbox."))
		}
		p.visit.addLocalUser(o)
		return p.visit.loadFetchedHere(ctx)
	}
	return nil
}

// The unique-ids that servers of Maildir++ mailboxes make of UIDVALIDITY and UID.
var (
	hexUIDL     = regexp.MustCompile(`^[0-9A-Fa-f]{16}$`)                // Dovecot: %08Xu%08Xv.
	dottedUIDL  = regexp.MustCompile(`^([0-9]{1,10})\.([0-9]{1,10})$`)   // Dovecot and Cyrus: %v.%u.
	courierUIDL = regexp.MustCompile(`^UID([0-9]{1,10})-([0-9]{1,10})$`) // Courier: UID and then UIDVALIDITY.
)

// uidOf reads UIDVALIDITY and UID from a unique-id; 0 where it holds none.
func uidOf(uidl string) (validity, uid uint32) {
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	if hexUIDL.MatchString(uidl) {
		if b, err := hex.DecodeString(uidl); err == nil {
			return uint32(b[4])<<24 | uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7]), uint32(b[0])<<24 | uint32(
				b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		}
	}
	if m := dottedUIDL.FindStringSubmatch(uidl); m != nil {
		return number(m[1]), number(m[2])
	}
	if m := courierUIDL.FindStringSubmatch(uidl); m != nil {
		return number(m[2]), number(m[1])
	}
	return 0, 0
}

// loopNotice is the notice to the user about folders and messages that were left out; nil
// where nothing was.
func (n localUsers) loopNotice(doubled int) *fault.Error {
	var parts words.Detail
	if len(n.leftOut) > 0 {
		names := n.leftOut[:min(len(n.leftOut), 3)]
		listed := strings.Join(names, ", ")
		if more := len(n.leftOut) - len(names); more > 0 {
			parts = append(parts,
				words.Say("Folders that hold mail fetched from elsewhere are left out: %s and %d more.",
					listed, more))
		} else {
			parts = append(parts, words.Say("Folders that hold mail fetched from elsewhere are left out: %s.", listed))
		}
	}
	if doubled > 0 {
		parts = append(parts, words.Say("Messages that were fetched there from elsewhere are skipped: %d.", doubled))
	}
	if len(parts) == 0 {
		return nil
	}
	return fault.New(fault.MailLoop, "visiting", parts.Clipped(300)...)
}
