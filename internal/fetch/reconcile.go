package fetch

import (
	"context"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// reckoning compares how many batches the journal has seen staged with what is
// noted beside the spool. The note is written after the commit and before the
// first rename, so the two tell what happened:
//
//	note == journal   the usual case
//	note >  journal   the database went back in time: see reconcile
//	note <  journal   a crash right after the commit, with all files in the
//	                  spool; else the spool is not the one it was: see checkSpool
type reckoning struct {
	generation int64 // The journal's.
	noted      int64 // Beside the spool.
	// restored says that the journal lacks deliveries which the spool has seen,
	// and that they are not all found again yet.
	restored bool
	tokens   map[mail.Token]mail.Found // What lies in the mailbox; nil until it was looked through.
}

// compareGenerations finds out whether journal and spool belong together. The
// spool's note is read first: then a worker who has lost the account, while
// another delivers, cannot take what that one notes for a restored database.
func (v *visit) compareGenerations(ctx context.Context) error {
	v.Step("reconcile.compare")
	noted, known, err := v.delivery.Generation(ctx)
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
		v.log.WarnContext(ctx, "the database is older than the mailbox: comparing before anything is fetched", "journal_generation", v.generation, "spool_generation", v.noted)
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
	if n == v.noted {
		return nil
	}
	v.Step("deliver.note")
	if err := v.delivery.SetGeneration(ctx, n); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "noting the spool's generation", err)
	}
	v.noted = n
	return nil
}

// lookThrough finds what lies in the mailbox, once in a visit.
func (v *visit) lookThrough(ctx context.Context) (err error) {
	if v.tokens != nil {
		return nil
	}
	v.Step("reconcile.look")
	if v.tokens, err = v.delivery.Tokens(ctx); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "looking through the local mailbox", err)
	}
	if v.tokens == nil {
		v.tokens = map[mail.Token]mail.Found{}
	}
	return nil
}

// checkSpool sees to it that "gone from the spool" is proof of delivery before
// recover relies on it. It is none where the spool's note is behind: then no
// rename of the last batch was begun, and whatever is missing was taken away
// with the spool. What lies in the mailbox all the same is delivered; the rest
// is fetched again, which may bring back what the user has deleted since.
func (v *visit) checkSpool(ctx context.Context, open []Batch) error {
	if v.noted >= v.generation {
		return nil
	}
	var staged []Member
	for _, b := range open {
		staged = append(staged, b.Members...)
	}
	if len(staged) == 0 {
		v.log.WarnContext(ctx, "the spool does not know of all that the journal counts as delivered: was the mailbox restored from a backup?",
			"journal_generation", v.generation, "spool_generation", v.noted)
		return v.noteGeneration(ctx)
	}
	spooled, err := v.delivery.Spooled(ctx)
	if err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "looking into the spool", err)
	}
	var missing []Member
	for _, m := range staged {
		if !spooled[m.Placement.Spool] {
			missing = append(missing, m)
		}
	}
	if len(missing) > 0 {
		if err := v.unsettle(ctx, missing); err != nil {
			return err
		}
	}
	return v.noteGeneration(ctx)
}

// unsettle has staged messages whose spool files were lost fetched again,
// unless they lie in the mailbox.
func (v *visit) unsettle(ctx context.Context, missing []Member) error {
	if err := v.lookThrough(ctx); err != nil {
		return err
	}
	var e Entry
	again := map[int64]bool{}
	for _, m := range missing {
		if _, ok := v.tokens[m.Placement.Token]; !ok {
			e.Unsettle = append(e.Unsettle, Ref{m.FolderID, m.FolderEpoch, m.ID})
			again[m.FolderID] = true
		}
	}
	v.log.WarnContext(ctx, "the spool was emptied by somebody", "lost", len(e.Unsettle), "delivered", len(missing)-len(e.Unsettle))
	if len(e.Unsettle) == 0 {
		return nil
	}
	folders, err := v.Journal.Folders(ctx, v.lease)
	if err != nil {
		return err
	}
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
// tells it from what never came.
func (v *visit) reconcile(ctx context.Context) error {
	if !v.restored {
		return nil
	}
	if err := v.lookThrough(ctx); err != nil {
		return err
	}
	found := map[Ref]bool{}
	var members []Member
	add := func(m Member, f mail.Found) error {
		mark, err := v.delivery.Fingerprint(ctx, f)
		if err != nil {
			// The user moves it at this moment: it is there all the same.
			v.log.DebugContext(ctx, "a found message was not read", "error", err)
			mark = mail.Fingerprint{Size: m.Fingerprint.Size}
		}
		m.Fingerprint, m.Placement.Received = mark, time.Unix(max(0, f.Received), 0).UTC()
		found[Ref{m.FolderID, m.FolderEpoch, m.ID}] = true
		members = append(members, m)
		if len(members) < adoptAtOnce {
			return nil
		}
		err = v.settleFound(ctx, members, 0)
		members = nil
		return err
	}
	for _, p := range v.plans {
		v.chooseEpoch(p)
		var left []mail.Item
		for _, it := range p.todo {
			f, ok := v.tokens[v.token(p.folder, it.ID)]
			if !ok || p.doubtful(f, it) {
				left = append(left, it)
				continue
			}
			m := Member{FolderID: p.folder.ID, FolderEpoch: p.folder.Epoch, ID: it.ID, Global: it.Global}
			m.Fingerprint.Size = it.Size
			if err := add(m, f); err != nil {
				return err
			}
		}
		p.changed = p.changed || len(left) < len(p.todo)
		p.todo = left
	}
	if err := v.findSkipped(found, add); err != nil {
		return err
	}
	for _, s := range v.skipped {
		if found[Ref{s.FolderID, s.FolderEpoch, s.ID}] {
			v.unskip = append(v.unskip, s)
		}
	}
	return v.finishReconcile(ctx, members, len(found))
}

// findSkipped looks up what was skipped when the backup was made and delivered
// later: it is not due yet, and by then nobody would look.
func (v *visit) findSkipped(found map[Ref]bool, add func(Member, mail.Found) error) error {
	folders := map[int64]Folder{}
	for _, f := range v.folders {
		folders[f.ID] = f
	}
	for _, s := range v.skipped {
		folder, ok := folders[s.FolderID]
		if !ok || found[Ref{s.FolderID, s.FolderEpoch, s.ID}] {
			continue
		}
		folder.Epoch = s.FolderEpoch
		if f, ok := v.tokens[v.token(folder, s.ID)]; ok {
			m := Member{FolderID: s.FolderID, FolderEpoch: s.FolderEpoch, ID: s.ID}
			m.Fingerprint.Size = s.Size
			if err := add(m, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleFound writes what was found; generation is not 0 with the last of it.
func (v *visit) settleFound(ctx context.Context, members []Member, generation int64) error {
	v.Step("reconcile.commit")
	return v.Journal.Commit(ctx, v.lease, Entry{Folders: v.revalidated(), Found: members, Restored: generation, Progress: v.progress})
}

// finishReconcile ends the reconciliation if every folder could be listed. If
// not, the next visit goes on with it.
func (v *visit) finishReconcile(ctx context.Context, members []Member, n int) error {
	if !v.listedAll() {
		v.log.WarnContext(ctx, "reconciled what could be listed; the rest follows with the next visit", "found", n)
		if len(members) == 0 {
			return nil
		}
		return v.settleFound(ctx, members, 0)
	}
	if err := v.settleFound(ctx, members, v.noted); err != nil {
		return err
	}
	v.generation, v.restored, v.tokens = v.noted, false, nil
	v.log.InfoContext(ctx, "reconciled the journal with the mailbox", "found", n)
	return nil
}

// listedAll reports whether every folder that changed since the backup was
// listed to its end.
func (v *visit) listedAll() bool {
	for _, p := range v.plans {
		if v.failing != nil && !p.settles && !v.unchanged(p) {
			return false
		}
	}
	return true
}

func (v *visit) token(f Folder, id mail.ID) mail.Token {
	return mail.TokenFor(v.TokenKey, v.lease.Account.Journal, f.Wire, f.Epoch, id)
}

// uncertain says that the folder's epoch may not be the one under which its
// messages were delivered: it has another UIDVALIDITY than in the restored
// journal, or is not in it at all.
func (p *plan) uncertain() bool {
	return p.folder.UIDValidity != 0 && (p.revalidated || p.folder.Cursor == Cursor{} && p.folder.Fetched == 0)
}

// doubtful reports whether a file that bears an item's token may be another
// message, of an epoch that the journal has forgotten.
func (p *plan) doubtful(f mail.Found, it mail.Item) bool {
	return p.uncertain() && (f.VirtualSize != it.Size || !it.Received.IsZero() && f.Received != it.Received.Unix())
}

// epochsTried is how many forgotten changes of a folder's UIDVALIDITY are
// reckoned with.
const epochsTried = 8

// chooseEpoch finds out how often a folder's UIDVALIDITY has changed since the
// backup: its epoch is the one under which most of its messages are found. With
// none found it is one under which nothing was ever delivered, so that no two
// messages get one name.
func (v *visit) chooseEpoch(p *plan) {
	if !p.uncertain() || !v.byUID() || len(p.todo) == 0 {
		return
	}
	best, most, unused := p.folder.Epoch, 0, int64(-1)
	for e := p.folder.Epoch; e < p.folder.Epoch+epochsTried; e++ {
		f := p.folder
		f.Epoch = e
		hits, sure := 0, 0
		for _, it := range p.todo {
			if on, ok := v.tokens[v.token(f, it.ID)]; ok {
				hits++
				if !p.doubtful(on, it) {
					sure++
				}
			}
		}
		if sure > most {
			best, most = e, sure
		}
		if hits == 0 && unused < 0 {
			unused = e
		}
	}
	if most == 0 && unused >= 0 {
		best = unused
	}
	if best != p.folder.Epoch {
		p.folder.Epoch, p.revalidated = best, true
	}
}

// describe names a message for people.
func describe(id mail.ID) string {
	switch {
	case id.UID != 0:
		return fmt.Sprintf("UID %d", id.UID)
	case id.Ordinal > 0:
		return fmt.Sprintf("UIDL %q, number %d of that name", id.UIDL, id.Ordinal+1)
	}
	return fmt.Sprintf("UIDL %q", id.UIDL)
}
