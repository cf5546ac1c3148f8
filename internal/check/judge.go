package check

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// judgeMissing distinguishes a mailbox that is gone from one that was never there. A journal
// that knows of delivered messages is proof as good as what is noted.
func (c Checker) judgeMissing(ctx context.Context, o owner.Owner, f *Findings, reports []JournalReport) error {
	if !f.Missing {
		return nil
	}
	gone, err := c.Journals.MailboxSeen(ctx, o)
	if err != nil {
		return err
	}
	if gone || slices.ContainsFunc(reports, func(l JournalReport) bool { return len(l.Messages) > 0 }) {
		f.add(GoneMailbox, "", "", "The mailbox was there and is gone: it has no cur and no new. Put it back, or "+
			"remove the user: until then nothing is fetched.")
	}
	return nil
}

func has(m map[string]int64, key string) bool {
	_, ok := m[key]
	return ok
}

// judgeSpool compares open batches, the spool's note and its files.
func (f *Findings) judgeSpool(l *JournalReport, row *Checked, still bool) {
	if !still {
		return
	}
	note, staged := f.mailbox.Notes[l.Journal], false
	needed := map[string]bool{}
	for _, b := range l.Open {
		for i := range b.Members {
			m := &b.Members[i]
			staged = true
			needed[f.spoolName(m.Placement.Spool)] = true
			if !f.mailbox.ByContent && note < l.Generation && !has(f.mailbox.Spools[l.Journal], m.Placement.Spool) &&
				len(f.files[m.Placement.Token]) == 0 {
				f.add(LostInSpool, l.Account, m.Placement.Token, "It was staged, its spool file is gone, and it was not "+
					"delivered; the next visit fetches it again.")
			}
		}
	}
	switch {
	case f.mailbox.ByContent: // There is no note.
	case note > l.Generation:
		f.add(OldDatabase, l.Account, "", fmt.Sprintf("The spool has seen %d batches, the journal knows of %d: the "+
			"database was restored; the next visit finds what it forgot.", note, l.Generation))
	case note < l.Generation && !staged && !f.Missing:
		f.add(OldMailbox, l.Account, "", fmt.Sprintf("The journal knows of %d batches, the spool has seen %d: the mailbox "+
			"was restored or its spool emptied.", l.Generation, note))
	}
	for _, name := range slices.Sorted(maps.Keys(f.mailbox.Spools[l.Journal])) {
		if !needed[name] {
			row.Stray++
			f.add(StraySpool, l.Account, "", fmt.Sprintf("%s, %d octets.", name, f.mailbox.Spools[l.Journal][name]))
		}
	}
}

// judgeFolders looks for the chosen folders in the mailbox.
func (f *Findings) judgeFolders(l *JournalReport) {
	if l.Account == "" || f.Missing {
		return
	}
	dirs := map[string]LocalFolder{}
	for _, d := range f.mailbox.Folders {
		dirs[d.Dir] = d
	}
	for _, x := range l.Folders {
		d, ok := dirs[f.dirName(x.Local)]
		switch {
		case !x.Selected:
		case !ok:
			f.add(NoFolder, l.Account, "", fmt.Sprintf("%s has no local folder %s.", x.Remote, x.Local))
		case !d.Subscribed:
			f.add(NotSubscribed, l.Account, "", fmt.Sprintf("%s is not subscribed.", x.Local))
		}
	}
}

// judgeUnknown looks for messages that have names of ours which no journal
// explains. One whose content a journal knows, while it misses the name that
// belongs to it, was delivered before the remote gave it a new identity.
func (c Checker) judgeUnknown(ctx context.Context, o owner.Owner, f *Findings, reports []JournalReport,
	rows map[string]*Checked,
) error {
	var unknown []mail.Token
	for t := range f.files {
		if e := f.entries[t]; e == nil || e.message == nil && e.member == nil {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	known := map[string]bool{}
	for _, l := range reports {
		known[l.Journal] = true
	}
	kind, why := UnknownToken, "No journal knows it."
	for journal := range f.mailbox.Spools {
		if !known[journal] {
			kind, why = Forgotten, "No journal knows it; that of a removed account, which may have, is forgotten."
		}
	}
	var gone []fetch.Known
	owner := map[fetch.Ref]*entry{}
	for t, e := range f.entries {
		if e.message != nil && !e.message.Alias && e.member == nil && len(f.files[t]) == 0 {
			gone = append(gone, e.message.Known)
			owner[e.message.Ref] = e
		}
	}
	type text struct{ header, body [16]byte }
	byContent := map[text][]fetch.Known{} // The same octets are the same in these, too.
	for _, k := range gone {
		of := text{k.Fingerprint.Header, k.Fingerprint.Body}
		byContent[of] = append(byContent[of], k)
	}
	for _, t := range unknown {
		file := f.files[t][0].Found
		mark, err := c.Mailboxes.Fingerprint(ctx, o, file)
		if err != nil && ctx.Err() != nil {
			return err
		}
		of := text{mark.Header, mark.Body}
		if err != nil || len(byContent[of]) == 0 {
			f.add(kind, "", t, path(file)+": "+why)
			continue
		}
		e := owner[byContent[of][0].Ref]
		byContent[of] = byContent[of][1:]
		row := rows[e.journal.Journal]
		row.Gone--
		row.Present++
		row.ByContent++
		e.state, e.renamed = "delivered and present, under the name of an earlier identity", true
		f.entries[t] = e
	}
	return nil
}

// judgeFiles looks at the files of delivered messages.
func (f *Findings) judgeFiles() {
	for _, t := range slices.Sorted(maps.Keys(f.files)) {
		files := f.files[t]
		var a account.ID
		if e := f.entries[t]; e != nil {
			a = e.journal.Account
		}
		for i, file := range files {
			if i > 0 {
				f.add(DoubledToken, a, t, path(files[0].Found)+" and "+path(file.Found)+".")
			}
			if file.Named >= 0 && file.Named != file.Size {
				f.add(WrongSize, a, t, fmt.Sprintf("%s has %d octets.", path(file.Found), file.Size))
			}
		}
	}
}
