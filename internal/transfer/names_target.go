package transfer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// targetNames is what the target has.
type targetNames struct {
	there    map[string]bool   // Folders by name: whether messages can lie there.
	spelled  map[string]string // By key: how the target writes it.
	special  map[string]string // By key: the use of a folder, by the server's word.
	holders  map[string]string // By use: the folder that has it.
	notOwn   map[string]bool   // By key: first parts of what belongs to others.
	ownFirst map[string]bool
	gmail    bool
}

func (w *namer) readTarget(folders []mail.Folder) targetNames {
	t := targetNames{
		there: map[string]bool{}, spelled: map[string]string{}, special: map[string]string{},
		holders: map[string]string{}, notOwn: map[string]bool{}, ownFirst: map[string]bool{},
	}
	// What cannot be asked for by our names is as if it were not there.
	own := slices.DeleteFunc(slices.Clone(folders), func(f mail.Folder) bool {
		if f.Shared && len(f.Path) > 0 {
			t.notOwn[w.fold.key(f.Path[0])] = true
		}
		return f.Shared || f.Problem != nil || slices.ContainsFunc(f.Path, func(p string) bool {
			return p == "" || !utf8.ValidString(p) || strings.Contains(p, "/") || strings.ContainsFunc(p, mail.IsUnfit)
		})
	})
	slices.SortFunc(own, func(a, b mail.Folder) int {
		return cmp.Or(cmp.Compare(len(a.Path), len(b.Path)), slices.Compare(a.Path, b.Path))
	})
	ranks := map[string]int{}
	for _, f := range own {
		name := f.Name()
		key := w.fold.key(name)
		t.there[name] = t.there[name] || f.Selectable
		if t.spelled[key] == "" {
			t.spelled[key] = name
		}
		if len(f.Path) > 0 {
			t.ownFirst[w.fold.key(f.Path[0])] = true
		}
		use := useWord(f.SpecialUse)
		if use == "" || !f.Selectable || isInbox(f.Path) {
			continue
		}
		t.special[key] = use
		t.gmail = t.gmail || use == useAll && isGmailRoot(f.Path[0])
		if t.holders[use] == "" {
			t.holders[use], ranks[use] = name, -1
		}
	}
	for _, f := range own {
		named := w.byName(f.Path)
		rank, has := ranks[named.use]
		if named.use == "" || !f.Selectable || t.special[w.fold.key(f.Name())] != "" || has && rank <= named.rank {
			continue
		}
		t.holders[named.use], ranks[named.use] = f.Name(), named.rank
	}
	return t
}
