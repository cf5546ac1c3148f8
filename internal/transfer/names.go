package transfer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Naming is all by which the folders of a source are named at a target. No name is ever given to two folders, not even
// one that differs in case or Unicode normalisation alone: at a server that has no regard to these they would be one.
//
// Which of a Gmail message's labels count (Options.Labels) makes no difference here: see CompareLabels.
type Naming struct {
	// Source is all that is to be named: the folders that are copied, and what holds others. Those with a Problem are left
	// out. Order does not matter.
	Source []mail.Folder
	Target []mail.Folder // What the target has already.
	Takes  Takes
	// Prefix is the folder of the target below which everything goes, "/" between parts; "": none. The inbox becomes this
	// folder itself. No folder is mapped by its use then.
	Prefix string
	// Map is where its owner wants single folders, by the source's name: the whole name at the target, "INBOX" being the
	// inbox. What lies below such a folder is there, too, unless it is in the map itself. Characters that the target does
	// not take are changed; all else that is wrong is an error.
	Map map[string]string
	// Chosen is what an earlier call returned: these names stay whatever the rest says. Without any it is a beginning, in
	// which names of Map that meet others are an error; later, nobody is asked any more, and the newer gets another name.
	Chosen []FolderName
}

// Takes is which names of folders a target takes. Octets are counted as Octets does; zero limits are defaults.
type Takes struct {
	Part  int // Octets of one part; 0: 200.
	Name  int // Octets of a whole name, with one for each separator; 0: 900.
	Depth int // Parts of a name; 0: 16.
	// Octets is how long a part is as the target writes it, in modified UTF-7 say; nil: in UTF-8.
	Octets func(part string) int
	// Refuses reports whether a character cannot be in a part. What no server takes is known: see mail.IsUnfit.
	Refuses func(r rune) bool
	// Reserved reports whether a part, whatever else is in it, means something else to the target: "cur", "~anna".
	Reserved func(part string) bool
	// Trims says that spaces at the ends of a part are not kept.
	Trims bool
	// InboxHasNone says that no folder can lie below the inbox. What does at the source goes beside it.
	InboxHasNone bool
	// SpecialUse says that a folder can be given a use when it is made (CREATE-SPECIAL-USE, RFC 6154 section 3).
	SpecialUse bool
}

// FolderName is one folder of the source with its name at the target.
type FolderName struct {
	Wire   string // The folder's identity: mail.Folder.Wire.
	Source string // Its name, "/" between parts. Servers may have two of one name.
	Target string // "/" between parts; "INBOX" is the inbox.
	// Renamed is why Target is not Source; "": it is.
	Renamed Renamed
	// SpecialUse is the use that the folder is to be given when it is made; "": none.
	SpecialUse string
	Exists     bool // The target has it already.
	ParentOnly bool // It holds others only: it is made where one of these needs it.
}

// Names returns the source's folders with their names at the target, the inbox first, the others in the order of their
// names, and those of which more than one would have had a name. The same folders have the same names, in whatever
// order they are listed. The error is an *account.InvalidError of `options.folders.map` or `options.prefix`.
func (n Naming) Names() ([]FolderName, []Clash, error) {
	w := newNamer(n)
	w.root.parts = w.checkPrefix()
	if len(w.root.parts) > 0 {
		w.root.why = RenamedByPrefix
	}
	w.grow()
	w.keepChosen()
	w.takeMap()
	if len(w.bad.Fields) > 0 {
		return nil, nil, w.bad
	}
	w.nameInbox()
	w.mapUses()
	for _, level := range w.levels {
		w.nameLevel(level)
	}
	if len(w.bad.Fields) > 0 {
		return nil, nil, w.bad
	}
	return w.result(), w.clashed(), nil
}

// node is a folder of the source, or a part of others' names that is none.
type node struct {
	folder   *mail.Folder // nil: not listed.
	path     []string
	parent   *node
	children map[string]*node
	level    int
	deep     bool // Parts between the parent's and this one's are left out.

	use    namedUse
	byName bool   // The use is its name's, not its server's word.
	holds  string // The use of the target's folder that this one may take; "": none.
	gives  string // FolderName.SpecialUse.

	parts []string // At the target; nil: not named yet.
	why   Renamed
}

// selectable reports whether messages may lie in it, so that nothing else may have its name.
func (n *node) selectable() bool { return n.folder != nil && n.folder.Selectable }

func (n *node) wire() string {
	if n.folder == nil {
		return ""
	}
	return n.folder.Wire
}

func compareNodes(a, b *node) int {
	return cmp.Or(slices.Compare(a.path, b.path), strings.Compare(a.wire(), b.wire()))
}

// namer is a Naming under way.
type namer struct {
	Naming
	limits limits
	fold   folding
	uses   map[string]namedUse
	target targetNames
	bad    *account.InvalidError

	root, inbox *node
	levels      [][]*node
	all         []*node // Those that are listed.

	used    map[string]*node  // By key: who has this name.
	mapped  map[string]*node  // By key: the names that the owner gave.
	next    map[string]int    // By key: the number to be tried next.
	clashes map[string]*Clash // By key.
}

func newNamer(n Naming) *namer {
	w := &namer{
		Naming: n, limits: n.Takes.limits(), fold: newFolding(), bad: &account.InvalidError{}, root: &node{},
		used: map[string]*node{}, mapped: map[string]*node{}, next: map[string]int{}, clashes: map[string]*Clash{},
	}
	w.inbox = &node{path: []string{"INBOX"}, parent: w.root, level: 1}
	w.uses = usesByName()
	w.target = w.readTarget(n.Target)
	return w
}

// grow makes the tree of what the source has.
func (w *namer) grow() {
	sorted := slices.Clone(w.Source)
	slices.SortFunc(sorted, func(a, b mail.Folder) int {
		return cmp.Or(boolFirst(len(a.Path) == 0, len(b.Path) == 0), boolFirst(a.Selectable, b.Selectable),
			strings.Compare(a.Wire, b.Wire))
	})
	seen := make(map[string]bool, len(sorted))
	for i := range sorted {
		f := &sorted[i]
		if f.Problem != nil || seen[f.Wire] {
			continue
		}
		seen[f.Wire] = true
		n := w.at(f.Path)
		if n.folder != nil { // Two of one name. The inbox is one; what else is called so is a folder.
			n = &node{path: f.Path, parent: n.parent, level: n.level, deep: n.deep}
			if isInbox(f.Path) {
				n.path = []string{"INBOX"}
			}
			w.enlist(n)
		}
		n.folder = f
		if n != w.inbox {
			n.use.use = useWord(f.SpecialUse)
		}
		if n.use.use == "" && n != w.inbox {
			n.use, n.byName = w.byName(f.Path), true
		}
		w.all = append(w.all, n)
	}
	slices.SortFunc(w.all, compareNodes)
}

// boolFirst orders what is true before what is not.
func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (w *namer) enlist(n *node) {
	for len(w.levels) <= n.level {
		w.levels = append(w.levels, nil)
	}
	w.levels[n.level] = append(w.levels[n.level], n)
}

// at returns the node of a path, which is made with those above it. What lies deeper than any name at the target is
// hung up where it will be.
func (w *namer) at(path []string) *node {
	if isInbox(path) {
		return w.inbox
	}
	n, from := w.root, 0
	if isInbox(path[:1]) {
		n, from = w.inbox, 1
	}
	for i := from; i < len(path); i++ {
		deep := i+1 >= w.limits.Depth && i+1 < len(path)
		part := path[i]
		if deep {
			i = len(path) - 1
			part = strings.Join(path[n.level:], "/")
		}
		child := n.children[part]
		if child == nil {
			child = &node{path: path[:i+1], parent: n, level: n.level + 1, deep: deep}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[part] = child
			w.enlist(child)
		}
		n = child
	}
	return n
}

// keepChosen gives the names that were chosen before.
func (w *namer) keepChosen() {
	byWire := make(map[string]FolderName, len(w.Chosen))
	for _, c := range w.Chosen {
		byWire[c.Wire] = c
		if !c.ParentOnly {
			w.used[w.fold.key(c.Target)] = &node{path: strings.Split(c.Source, "/")} // Also of what is gone since.
		}
	}
	for _, n := range w.all {
		c, ok := byWire[n.folder.Wire]
		if !ok || c.Target == "" || c.ParentOnly && n.selectable() { // What held others only may share a name.
			continue
		}
		n.parts, n.why, n.gives = strings.Split(c.Target, "/"), c.Renamed, c.SpecialUse
		if n.selectable() {
			w.used[w.fold.key(c.Target)] = n
		}
	}
}

// nameLevel names what lies as deep: first what the target has already, then what stays as it is, then what has to be
// changed, so that nothing has to give way to a name that nobody gave it.
func (w *namer) nameLevel(level []*node) {
	order := make(map[*node]int, len(level))
	for _, n := range level {
		parts, _, changed := w.natural(n)
		switch {
		case w.target.there[strings.Join(parts, "/")]:
		case changed:
			order[n] = 2
		default:
			order[n] = 1
		}
	}
	slices.SortFunc(level, func(a, b *node) int { return cmp.Or(cmp.Compare(order[a], order[b]), compareNodes(a, b)) })
	for _, n := range level {
		w.name(n)
	}
}

// natural is the name of a folder if there were no other: below its parent, wherever that is, with what the target
// does not take changed.
func (w *namer) natural(n *node) (parts []string, why Renamed, changed bool) {
	parent, last, why := w.place(n)
	parts, changed = w.limits.fit(w.root.parts, parent, last, "", n)
	changed = changed || last != n.path[len(n.path)-1]
	if changed {
		why = RenamedForTarget
	}
	return w.spelling(parts), why, changed
}

// place is where a folder goes, and what it is called there.
func (w *namer) place(n *node) (parent []string, last string, why Renamed) {
	parent, why = n.parent.parts, n.parent.why
	last = w.limits.clean(n.path[len(n.path)-1])
	switch {
	case n == w.inbox:
	case w.Takes.InboxHasNone && slices.Equal(parent, []string{"INBOX"}):
		parent, why = nil, RenamedForTarget
	case len(n.path) == 2 && isGmailRoot(n.path[0]) && n.selectable() && n.use.use != "":
		parent, why = w.root.parts, cmp.Or(w.root.why, RenamedBySpecialUse)
	case len(n.path) == 2 && isGmailRoot(n.path[0]) && w.target.gmail:
		parent, why = w.root.parts, cmp.Or(w.root.why, RenamedForTarget)
	}
	return parent, last, why
}

// spelling is a name as the target writes it, where it has one that differs in case or normalisation alone.
func (w *namer) spelling(parts []string) []string {
	name := strings.Join(parts, "/")
	if _, there := w.target.there[name]; there {
		return parts
	}
	if spelled := w.target.spelled[w.fold.key(name)]; spelled != "" {
		return strings.Split(spelled, "/")
	}
	return parts
}

// nameInbox names the inbox, which all that lies below it may need, listed or not.
func (w *namer) nameInbox() {
	n := w.inbox
	if n.parts != nil {
		return
	}
	parts := []string{"INBOX"}
	if len(w.root.parts) > 0 {
		parts = w.root.parts
	}
	key := w.fold.key(strings.Join(parts, "/"))
	switch by := w.used[key]; {
	case n.folder == nil || by == nil:
		w.give(n, parts, w.root.why)
	case w.mapped[key] != nil:
		w.meet(by, n, strings.Join(parts, "/"))
		n.parts = parts
	default: // Its owner once gave the inbox's name to another.
		w.clash(key, strings.Join(parts, "/"), by, n)
		w.give(n, w.numbered(n, key), RenamedForClash)
	}
}

// name gives a folder its name, with a number where that is taken.
func (w *namer) name(n *node) {
	if n.parts != nil {
		return
	}
	parts, why, _ := w.natural(n)
	key := w.fold.key(strings.Join(parts, "/"))
	if by := w.mapped[key]; by != nil && n.selectable() {
		w.meet(by, n, strings.Join(parts, "/"))
	}
	if !w.free(key, parts, n) {
		if by := w.used[key]; by != nil && n.selectable() {
			w.clash(key, strings.Join(parts, "/"), by, n)
		}
		parts, why = w.numbered(n, key), RenamedForClash
	}
	w.give(n, parts, why)
}

func (w *namer) give(n *node, parts []string, why Renamed) {
	n.parts, n.why = parts, why
	if n.selectable() {
		w.used[w.fold.key(strings.Join(parts, "/"))] = n
	}
}

// numbered is a folder's name with the first number with which it is free.
func (w *namer) numbered(n *node, key string) []string {
	parent, last, _ := w.place(n)
	for i := max(w.next[key], 2); ; i++ {
		parts, _ := w.limits.fit(w.root.parts, parent, last, numbered(i), n)
		parts = w.spelling(parts)
		if w.free(w.fold.key(strings.Join(parts, "/")), parts, n) {
			w.next[key] = i + 1
			return parts
		}
	}
}

// free reports whether a folder may have a name. What only holds others may have that of a folder.
func (w *namer) free(key string, parts []string, n *node) bool {
	if len(parts) == 1 && w.target.notOwn[key] && !w.target.ownFirst[key] {
		return false // It would be another's.
	}
	if !n.selectable() {
		return true
	}
	if len(parts) == 1 && (key == "inbox" || w.target.gmail && isGmailRoot(parts[0])) {
		return false
	}
	if special := w.target.special[key]; special != "" && special != n.holds {
		return false // Mail would go where programs delete it, or where none can be put.
	}
	return w.used[key] == nil && (len(w.root.parts) == 0 || key != w.fold.key(strings.Join(w.root.parts, "/")))
}

// clash notes that two folders would have had one name.
func (w *namer) clash(key, name string, nodes ...*node) {
	c := w.clashes[key]
	if c == nil {
		c = &Clash{Target: name}
		w.clashes[key] = c
	}
	for _, n := range nodes {
		c.Folders = append(c.Folders, sourceName(n))
	}
}

func (w *namer) clashed() (all []Clash) {
	for _, c := range w.clashes {
		slices.Sort(c.Folders)
		c.Folders = slices.Compact(c.Folders)
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Clash) int {
		return cmp.Or(strings.Compare(a.Target, b.Target), slices.Compare(a.Folders, b.Folders))
	})
	return all
}

func sourceName(n *node) string {
	if n.folder != nil {
		return n.folder.Name()
	}
	return strings.Join(n.path, "/")
}

func (w *namer) result() []FolderName {
	all := make([]FolderName, len(w.all))
	for i, n := range w.all {
		name := strings.Join(n.parts, "/")
		all[i] = FolderName{
			Wire: n.folder.Wire, Source: n.folder.Name(), Target: name, Renamed: n.why, SpecialUse: n.gives,
			Exists: w.target.there[name], ParentOnly: !n.folder.Selectable,
		}
		switch {
		case all[i].Source == name:
			all[i].Renamed = ""
		case n.why == "": // Spelled as the target does.
			all[i].Renamed = RenamedForTarget
		}
	}
	slices.SortStableFunc(all, func(a, b FolderName) int {
		return cmp.Or(boolFirst(a.Wire == w.inbox.wire(), b.Wire == w.inbox.wire()),
			strings.Compare(a.Source, b.Source), strings.Compare(a.Wire, b.Wire))
	})
	return all
}
