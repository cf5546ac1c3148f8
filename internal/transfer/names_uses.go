package transfer

import (
	"cmp"
	"slices"
	"strings"
)

// mapUses gives the target's folders for sent mail, drafts and so on to those that the source has for them. Of two for
// one use, one has it, and the other keeps its name.
func (w *namer) mapUses() {
	byUse := map[string][]*node{}
	for _, n := range w.all {
		if !n.selectable() || n.folder.Shared || n.use.use == "" {
			continue
		}
		use := n.use.use
		if use == useAll && len(n.path) == 2 && isGmailRoot(n.path[0]) && !w.target.gmail {
			use = useArchive // What is in no other folder was archived.
		}
		byUse[use] = append(byUse[use], n)
	}
	uses := mappedUses
	if w.target.gmail {
		uses = append(slices.Clone(uses), useAll)
	}
	for _, use := range uses {
		w.mapUse(use, byUse[use])
	}
}

func (w *namer) mapUse(use string, all []*node) {
	if len(w.root.parts) > 0 || len(all) == 0 {
		return
	}
	holder := w.target.holders[use]
	slices.SortFunc(all, func(a, b *node) int {
		return cmp.Or(
			boolFirst(!a.byName, !b.byName), // The server's word.
			boolFirst(a.use.use == use, b.use.use == use),
			boolFirst(sourceName(a) == holder, sourceName(b) == holder),
			cmp.Compare(a.use.rank, b.use.rank), cmp.Compare(len(a.path), len(b.path)), compareNodes(a, b))
	})
	open := slices.DeleteFunc(slices.Clone(all), func(n *node) bool { return n.parts != nil })
	if len(w.Chosen) > 0 && len(open) < len(all) || len(open) == 0 { // One has it already, or its owner placed it.
		if len(open) == 0 && len(w.Chosen) == 0 && holder == "" && w.Takes.SpecialUse {
			all[0].gives = use
		}
		return
	}
	first := open[0]
	name := holder
	if holder == "" {
		if first.use.use == use && w.Takes.SpecialUse {
			first.gives = use
		}
		if isGmailRoot(first.path[0]) {
			w.name(first) // Before a label that is called like it.
		}
		name = strings.Join(first.parts, "/")
	} else {
		key := w.fold.key(holder)
		if by := w.mapped[key]; by != nil {
			w.meet(by, first, holder)
		}
		if w.used[key] != nil { // Of what is gone from the source, or of a name that was chosen.
			return
		}
		first.holds = use
		w.give(first, strings.Split(holder, "/"), RenamedBySpecialUse)
	}
	if len(open) > 1 {
		name = cmp.Or(name, sourceName(first))
		w.clash(w.fold.key(name), name, open...)
	}
}
