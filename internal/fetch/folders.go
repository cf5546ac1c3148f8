package fetch

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// matchFolders matches the remote folders with the journal's, takes up new ones, and
// makes a plan for each that is chosen and can be read.
func (v *visit) matchFolders(ctx context.Context, remotes []mail.Folder) error {
	back, err := v.readMarks(ctx, remotes)
	if err != nil {
		return err
	}
	v.reportUnlisted(remotes)
	v.reportMissing(remotes)
	known, taken := foldersByWire(v.folders), map[string]bool{}
	for i := range v.folders {
		taken[strings.ToLower(v.folders[i].Local)] = true
	}
	readable := v.readable(remotes, known, back)
	var fresh []Folder
	for _, r := range readable {
		now := v.asListed(r, back)
		if f := known[r.Wire]; f != nil {
			v.update(ctx, f, now, func() string { return v.localName(r, taken) })
			continue
		}
		now.Local = v.localName(r, taken)
		fresh = append(fresh, now)
	}
	if err := v.takeUp(ctx, fresh); err != nil {
		return err
	}
	known = foldersByWire(v.folders)
	for _, r := range readable {
		if f := known[r.Wire]; f.Selected {
			p := v.planFor(*f, r)
			// Until a folder was settled once, a visit that was broken off may
			// have left some of it to be rematched.
			p.mayRematch = p.mayRematch || f.Cursor == Cursor{}
			v.plans = append(v.plans, p)
		}
	}
	sort.SliceStable(v.plans, func(i, j int) bool { return rank(v.plans[i].remote) < rank(v.plans[j].remote) })
	return nil
}

func foldersByWire(fs []Folder) map[string]*Folder {
	known := map[string]*Folder{}
	for i := range fs {
		known[fs[i].Wire] = &fs[i]
	}
	return known
}

// readable returns the remote folders that can be read, each once, without those that
// are marks. Of one that cannot be read the reason is reported.
func (v *visit) readable(remotes []mail.Folder, known map[string]*Folder, back back) (rs []mail.Folder) {
	twice := map[string]bool{}
	for _, r := range remotes {
		if f := known[r.Wire]; f != nil && r.Guessed {
			r.Shared = r.Shared || f.Shared // What the server said holds until it says otherwise.
		}
		if r.Problem != nil {
			if !r.Shared || v.selects(r) {
				v.noteFailure(fault.FolderFailed, folderWhat(r.Name()), r.Problem)
			}
			continue
		}
		v.present[r.Wire] = true
		if r.Selectable && !twice[r.Wire] && !back.marks[r.Wire] {
			twice[r.Wire] = true
			rs = append(rs, r)
		}
	}
	return rs
}

// asListed is a remote folder as the journal would remember it, but for its place here.
func (v *visit) asListed(r mail.Folder, back back) Folder {
	f := Folder{
		Wire: r.Wire, Remote: r.Name(), SpecialUse: r.SpecialUse, Selected: v.selects(r), Shared: r.Shared,
		UIDValidity: r.Status.UIDValidity,
	}
	if f.Selected && back.leads(r.Path) {
		f.Selected, f.LeadsBack = false, true
		v.leftOut = append(v.leftOut, f.Remote)
	}
	return f
}

// update brings what the journal remembers of a folder up to date with how it is listed
// now. rename names a new place for it here.
func (v *visit) update(ctx context.Context, f *Folder, now Folder, rename func() string) {
	before := *f
	f.Selected, f.Shared, f.LeadsBack, f.SpecialUse = now.Selected, now.Shared, now.LeadsBack, now.SpecialUse
	if before.Selected && !f.Selected && f.Shared {
		v.log.InfoContext(ctx, "a folder of others is no longer fetched; what was stays", "folder", now.Remote)
	}
	if v.keeps() && !below(f.Local, v.lease.Route.Folder) {
		// The account's folder was renamed: what comes from now on goes there.
		f.Local = rename()
	}
	if *f != before {
		v.touched[f.ID] = *f
	}
}

// takeUp has the journal remember new folders, and makes those that are chosen.
func (v *visit) takeUp(ctx context.Context, fresh []Folder) error {
	if len(fresh) == 0 {
		return nil
	}
	added, err := v.Journal.AddFolders(ctx, v.lease, fresh)
	if err != nil {
		return fmt.Errorf("remembering new folders: %w", err)
	}
	v.folders = append(v.folders, added...)
	var locals []string
	for _, f := range added {
		if f.Selected {
			locals = append(locals, f.Local)
		}
	}
	if err := v.delivery.EnsureFolders(ctx, locals); err != nil {
		return fault.Wrap(fault.LocalMailboxUnavailable, "making folders", err)
	}
	return nil
}

// reportUnlisted reports folders that had mail where the server lists none at all, and
// refuses nothing: it may have lost them, and has not said so.
func (v *visit) reportUnlisted(remotes []mail.Folder) {
	for _, r := range remotes {
		if !r.Unlisted {
			return
		}
	}
	for i := range v.folders {
		if f := &v.folders[i]; f.Selected && f.Wire != "INBOX" && (f.Remaining > 0 || f.Fetched > 0) {
			v.noteFailure(fault.FolderFailed, folderWhat(f.Remote), fault.New(fault.FolderFailed, "listing folders",
				words.Say("The server lists no folders, not even this one, which it had before.")))
		}
	}
}

// reportMissing reports folders that were chosen by name or special use and that the
// server does not have: otherwise nobody would notice that their mail never comes. While
// folders cannot be read by name, it may be one of them.
func (v *visit) reportMissing(remotes []mail.Folder) {
	missing := v.lease.Route.Folders.Unmet(func(rule route.FolderRules) bool {
		return slices.ContainsFunc(remotes, func(r mail.Folder) bool {
			return r.Problem != nil || r.Selectable && rule.Selects(r.Name(), r.SpecialUse)
		})
	})
	if len(missing) > 0 {
		v.noteFailure(fault.FolderFailed, what{alone: words.Say(fault.NotThere, strings.Join(missing, ", "))},
			fault.New(fault.FolderFailed, "choosing folders"))
	}
}

// rank orders folders: the inbox first, for that is where today's mail is; last
// those that show what lies in others (RFC 6154 section 2), so that a message
// that is in several is put where its user filed it.
func rank(f mail.Folder) int {
	switch {
	case len(f.Path) == 0:
		return 0
	case f.SpecialUse == `\All`:
		return 3
	case f.SpecialUse == `\Flagged`, f.SpecialUse == `\Important`:
		return 2
	}
	return 1
}

func (v *visit) localName(r mail.Folder, taken map[string]bool) string {
	name := v.LocalName(v.lease.Route, r, func(s string) bool { return taken[strings.ToLower(s)] })
	taken[strings.ToLower(name)] = true
	return name
}

func below(local, folder string) bool {
	return local == folder || strings.HasPrefix(local, folder+"/")
}
