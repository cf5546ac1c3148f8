package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// generations compares how many batches the journal has seen staged with what is
// noted beside the spool. The note is written after the commit and before the
// first rename, so the two tell what happened:
//
//	note == journal   the usual case
//	note >  journal   the database went back in time: see reconcile
//	note <  journal   a crash right after the commit, with all files in the
//	                  spool; else the spool is not the one it was: see find
type generations struct {
	generation int64 // The journal's.
	unnoted    bool  // The destination keeps no note: noted is the journal's when the visit began.
	noted      int64 // Beside the spool.
	// restored says that the journal lacks deliveries which the spool has seen,
	// and that they are not all found again yet.
	restored bool
	index    mailboxIndex // What lies in the mailbox; nil until it was looked through.
}

// compareGenerations finds out whether journal and spool belong together. The
// spool's note is read first: then a worker who has lost the account, while
// another delivers, cannot take what that one notes for a restored database.
func (v *visit) compareGenerations(ctx context.Context) error {
	v.Step("reconcile.compare")
	noted, known, err := v.delivery.Generation(ctx)
	if v.unnoted = errors.Is(err, mail.ErrNoNote); v.unnoted {
		v.generation, err = v.Journal.Generation(ctx, v.lease)
		v.noted = v.generation
		return err
	}
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "reading the spool's generation", err)
	}
	if v.generation, err = v.Journal.Generation(ctx, v.lease); err != nil {
		return err
	}
	v.noted = noted
	if !known {
		v.noted = 0
	}
	if v.restored = v.noted > v.generation; v.restored {
		v.log.WarnContext(ctx, "the database is older than the mailbox: comparing before anything is fetched",
			"journal_generation", v.generation, "spool_generation", v.noted)
	}
	return nil
}

// noteGeneration notes beside the spool how far the journal is. While not all
// is found again that a restored journal forgot, the note stays ahead of it.
func (v *visit) noteGeneration(ctx context.Context) error {
	n := v.generation
	if v.restored {
		n = max(v.noted, v.generation+1)
	}
	if n == v.noted || v.unnoted {
		return nil
	}
	v.Step("deliver.note")
	if err := v.delivery.SetGeneration(ctx, n); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "noting the spool's generation", err)
	}
	v.noted = n
	return nil
}

// mailboxIndex is what lies in the mailbox, by few octets of each name, in order.
type mailboxIndex []indexed

type indexed struct {
	sum      [12]byte
	received uint32 // To the second, as in the name; 0 where it has none.
	virtual  uint32 // As sizeMark.
}

// indexedCost is what a message takes in the index, while that grows.
const indexedCost = 50

func sumOfToken(t mail.Token) (sum [12]byte) {
	whole := sha256.Sum256([]byte(t))
	copy(sum[:], whole[:])
	return sum
}

func (s mailboxIndex) find(t mail.Token) (indexed, bool) {
	sum := sumOfToken(t)
	at, ok := slices.BinarySearchFunc(s, sum, func(o indexed, sum [12]byte) int { return bytes.Compare(o.sum[:], sum[:]) })
	if !ok {
		return indexed{}, false
	}
	return s[at], true
}

// indexMailbox finds what lies in the mailbox, once in a visit.
func (v *visit) indexMailbox(ctx context.Context) error {
	if v.index != nil {
		return nil
	}
	v.Step("reconcile.look")
	all := mailboxIndex{}
	var full error
	err := v.delivery.Tokens(ctx, func(t mail.Token, f mail.Found) {
		if full == nil && len(all)%rowsAtOnce == 0 {
			full = taken(ctx, rowsAtOnce*indexedCost)
		}
		if full == nil {
			all = append(all, indexed{sumOfToken(t), sizeMark(f.Received), sizeMark(f.VirtualSize)})
		}
	})
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "looking through the local mailbox", err)
	}
	if full != nil {
		return full
	}
	slices.SortStableFunc(all, func(a, b indexed) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	v.index = slices.CompactFunc(all, func(a, b indexed) bool { return a.sum == b.sum })
	return nil
}

// locate finds the files of messages that are in the index. What the user removes
// at this moment is not found.
func (v *visit) locate(ctx context.Context, tokens map[mail.Token]mail.Found) error {
	err := v.delivery.Tokens(ctx, func(t mail.Token, f mail.Found) {
		if _, wanted := tokens[t]; wanted {
			tokens[t] = f
		}
	})
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "looking through the local mailbox", err)
	}
	return nil
}

// find asks the destination, after a crash, what became of the messages that were staged
// and not confirmed, and returns those that are to be published. What is lost is fetched again.
func (v *visit) find(ctx context.Context, open []Batch) (pending map[BatchKey][]mail.Placement, err error) {
	var staged []Member
	for _, b := range open {
		staged = append(staged, b.Members...)
	}
	noted := v.noted >= v.generation
	if !noted && len(staged) == 0 {
		v.log.WarnContext(ctx, "the spool does not know of all that the journal counts as delivered: was the mailbox "+
			"restored from a backup?", "journal_generation", v.generation, "spool_generation", v.noted)
	}
	v.Step("recover.find")
	fates, err := v.delivery.Find(ctx, placements(staged), noted)
	if err == nil && len(fates) != len(staged) {
		err = fault.New(fault.Internal, "finding out what was delivered",
			words.Say("the destination did not answer for each message"))
	}
	if err != nil {
		return nil, fault.Wrap(fault.LocalMailboxUnavailable, "finding out what was delivered", err)
	}
	pending = map[BatchKey][]mail.Placement{}
	var lost []Member
	for _, b := range open {
		for i, p := range placements(b.Members) {
			switch fates[i] {
			case mail.Pending:
				pending[b.Key] = append(pending[b.Key], p)
			case mail.Lost:
				lost = append(lost, b.Members[i])
			case mail.Delivered:
			}
		}
		fates = fates[len(b.Members):]
	}
	if err := v.unsettle(ctx, lost); err != nil {
		return nil, err
	}
	if !noted {
		if err := v.noteGeneration(ctx); err != nil {
			return nil, err
		}
	}
	return pending, fault.Wrap(fault.LocalMailboxUnavailable, "noting whose the spool is", v.delivery.NoteSpool(ctx))
}

// unsettle has staged messages fetched again that are lost.
func (v *visit) unsettle(ctx context.Context, lost []Member) error {
	if len(lost) == 0 {
		return nil
	}
	v.log.WarnContext(ctx, "messages are gone from the spool and not in the mailbox: they are fetched again",
		"lost", len(lost))
	again := map[int64]bool{}
	for _, m := range lost {
		again[m.FolderID] = true
	}
	folders, err := v.Journal.Folders(ctx, v.lease)
	if err != nil {
		return err
	}
	e := Entry{Unsettle: lost}
	for _, f := range folders {
		if again[f.ID] {
			f.Cursor = Cursor{} // It is listed as a whole, wherever they stand in it.
			e.Folders = append(e.Folders, f)
		}
	}
	v.Step("recover.unsettle")
	return v.Journal.Commit(ctx, v.lease, e)
}

// reconcile follows a database that was restored to an older state. What was
// delivered since is not in the journal, but in the mailbox, under names that
// are computed from the messages' identities and that moving, copying and
// flagging leave as they are. So everything that is listed and not in the
// journal is looked up there first, and what is found is settled without a
// download. What the user has deleted since the backup comes once more: nothing
// distinguishes it from what never came.
func (v *visit) reconcile(ctx context.Context) error {
	if !v.restored {
		return nil
	}
	if err := v.indexMailbox(ctx); err != nil {
		return err
	}
	total := 0
	for _, p := range v.plans {
		if err := v.chooseEpoch(p); err != nil {
			return err
		}
		err := v.eachPage(&p.listing, func(at int, items []mail.Item) error {
			found := map[mail.Token]Member{}
			for i := range items {
				if p.verdicts[at+i] != VerdictFetch {
					continue
				}
				it := p.item(at+i, items[i])
				t := v.token(p.folder, it.ID)
				if f, ok := v.index.find(t); ok && !p.doubtful(f, &it) {
					m := Member{FolderID: p.folder.ID, FolderEpoch: p.folder.Epoch, ID: it.ID, Global: it.Global}
					m.Fingerprint.Size, m.Placement.Received = it.Size, time.Unix(int64(f.received), 0).UTC()
					found[t] = m
					p.judge(at+i, VerdictFound)
				}
			}
			total += len(found)
			return v.writeFound(ctx, found)
		})
		if err != nil {
			return err
		}
	}
	n, err := v.findSkipped(ctx)
	if err != nil {
		return err
	}
	return v.finishReconcile(ctx, total+n)
}

// findSkipped looks up what was skipped when the backup was made and delivered
// later: it may not be due yet, and by then nobody would look.
func (v *visit) findSkipped(ctx context.Context) (int, error) {
	folders := map[int64]Folder{}
	for _, f := range v.folders {
		folders[f.ID] = f
	}
	found := map[mail.Token]Member{}
	for _, s := range v.skipped {
		folder, ok := folders[s.FolderID]
		if !ok {
			continue
		}
		folder.Epoch = s.FolderEpoch
		t := v.token(folder, s.ID)
		if f, ok := v.index.find(t); ok {
			m := Member{FolderID: s.FolderID, FolderEpoch: s.FolderEpoch, ID: s.ID}
			m.Fingerprint.Size, m.Placement.Received = s.Size, time.Unix(int64(f.received), 0).UTC()
			found[t] = m
			v.unskip = append(v.unskip, s)
		}
	}
	return len(found), v.writeFound(ctx, found)
}

// writeFound settles messages that lie in the mailbox, with their fingerprints.
func (v *visit) writeFound(ctx context.Context, found map[mail.Token]Member) error {
	if len(found) == 0 {
		return nil
	}
	files := make(map[mail.Token]mail.Found, len(found))
	for t := range found {
		files[t] = mail.Found{}
	}
	if err := v.locate(ctx, files); err != nil {
		return err
	}
	members := make([]Member, 0, min(len(found), rowsAtOnce))
	for t, m := range found {
		mark, err := v.delivery.Fingerprint(ctx, files[t])
		if err != nil {
			// The user moves it at this moment: it is there all the same.
			v.log.DebugContext(ctx, "a found message was not read", "error", err)
			mark = mail.Fingerprint{Size: m.Fingerprint.Size}
		}
		m.Fingerprint = mark
		if members = append(members, m); len(members) == rowsAtOnce {
			if err := v.commitFound(ctx, members, 0); err != nil {
				return err
			}
			members = members[:0]
		}
	}
	if len(members) == 0 {
		return nil
	}
	return v.commitFound(ctx, members, 0)
}

// commitFound writes what was found; generation is not 0 with the last of it.
func (v *visit) commitFound(ctx context.Context, members []Member, generation int64) error {
	v.Step("reconcile.commit")
	return v.Journal.Commit(ctx, v.lease, Entry{
		Folders: v.revalidated(), Found: members, Restored: generation,
		Progress: v.progress,
	})
}

// finishReconcile ends the reconciliation if every folder could be listed. If
// not, the next visit continues it.
func (v *visit) finishReconcile(ctx context.Context, n int) error {
	if !v.listedAll() {
		v.log.WarnContext(ctx, "reconciled what could be listed; the rest follows with the next visit", "found", n)
		return nil
	}
	if err := v.commitFound(ctx, nil, v.noted); err != nil {
		return err
	}
	v.generation, v.restored, v.index = v.noted, false, nil
	v.log.InfoContext(ctx, "reconciled the journal with the mailbox", "found", n)
	return nil
}

// listedAll reports whether every folder that changed since the backup was
// listed to its end.
func (v *visit) listedAll() bool {
	for _, p := range v.plans {
		if v.failing != nil && !p.examined() && !v.unchanged(p) {
			return false
		}
	}
	return true
}

func (v *visit) token(f Folder, id mail.ID) mail.Token {
	return mail.TokenFor(v.TokenKey, v.lease.Route.Journal, f.Wire, f.Epoch, id)
}

// uncertain says that the folder's epoch may not be the one under which its
// messages were delivered: it has another UIDVALIDITY than in the restored
// journal, or is not in it at all.
func (p *plan) uncertain() bool {
	return p.folder.UIDValidity != 0 && (p.revalidated || p.folder.Cursor == Cursor{} && p.folder.Fetched == 0)
}

// doubtful reports whether a file that has an item's token may be another
// message, of an epoch that the journal has forgotten.
func (p *plan) doubtful(f indexed, it *mail.Item) bool {
	return p.uncertain() && (f.virtual != sizeMark(it.Size) || !it.Received.IsZero() &&
		f.received != sizeMark(it.Received.Unix()))
}

// epochsTried is how many forgotten changes of a folder's UIDVALIDITY are
// allowed for.
const epochsTried = 8

// chooseEpoch finds out how often a folder's UIDVALIDITY has changed since the
// backup: its epoch is the one under which most of its messages are found. With
// none found it is one under which nothing was ever delivered, so that no two
// messages get one name.
func (v *visit) chooseEpoch(p *plan) error {
	if !p.uncertain() || !v.byUID() || p.verdicts.count(VerdictFetch) == 0 {
		return nil
	}
	var hits, sure [epochsTried]int
	err := v.eachPage(&p.listing, func(at int, items []mail.Item) error {
		for i := range items {
			if p.verdicts[at+i] != VerdictFetch {
				continue
			}
			f := p.folder
			for e := range hits {
				if on, ok := v.index.find(v.token(f, items[i].ID)); ok {
					hits[e]++
					if !p.doubtful(on, &items[i]) {
						sure[e]++
					}
				}
				f.Epoch++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	best, most, unused := 0, 0, -1
	for e := range hits {
		if sure[e] > most {
			best, most = e, sure[e]
		}
		if hits[e] == 0 && unused < 0 {
			unused = e
		}
	}
	if most == 0 && unused >= 0 {
		best = unused
	}
	if best > 0 {
		p.folder.Epoch += int64(best)
		p.revalidated = true
	}
	return nil
}
