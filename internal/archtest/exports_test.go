package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// keptExports are exported names that no other package uses, each with the reason why it stays.
var keptExports = map[string]string{
	"owner.Owner.LogValue":      "log/slog calls it",
	"wire.Link.LocalAddr":       "a net.Conn has it",
	"remote.Secret.GoString":    "fmt calls it",
	"remote.Secret.LogValue":    "log/slog calls it",
	"remote.Secret.MarshalText": "encoding/json and its kin call it",
}

// name is an exported name of a package: one at its top, or Type.Method.
type name struct{ dir, name string }

// export is a name that a package shows to the others.
type export struct {
	name
	at    string
	shows []string // The names of its own package that its declaration shows to whoever has it.
	list  []string // Of a constant: the others of its block, or the type of which it is a value.
}

// exportsIn is what a package shows and what shows what.
type exportsIn struct {
	exports []export
	methods map[name][]string // What the methods of a type show to whoever has a value of it.
}

// checkExports finds exported names that no other package uses, in its product or in its tests: they
// belong to their package alone. A type that nobody names is used where something shows it that is, a
// constant where its type or another of its block is, and a method where a selector of another package,
// or any interface, has its name. A package's tests from outside (package x_test) are another package.
func checkExports(module string, files, tests []file, reasons map[string]string) (vs []violation) {
	in := exportsOf(files)
	used, selected := usesOf(module, append(slices.Clone(files), tests...))
	for grown := true; grown; {
		grown = false
		use := func(n name) {
			if !used[n] {
				used[n], grown = true, true
			}
		}
		for _, e := range in.exports {
			if slices.ContainsFunc(e.list, func(n string) bool { return used[name{e.dir, n}] }) {
				use(e.name)
			}
			if used[e.name] {
				for _, shown := range slices.Concat(e.shows, in.methods[e.name]) {
					use(name{e.dir, shown})
				}
			}
		}
	}
	needed := map[string]bool{}
	for _, e := range in.exports {
		_, method, isMethod := strings.Cut(e.name.name, ".")
		if used[e.name] || isMethod && selected[method].others(e.dir) {
			continue
		}
		key := path.Base(e.dir) + "." + e.name.name
		if needed[key] = true; reasons[key] == "" {
			vs = append(vs, violation{e.at, key + " is used by no other package: it need not be exported"})
		}
	}
	for key := range reasons {
		if !needed[key] {
			vs = append(vs, violation{"internal/archtest", fmt.Sprintf("%s needs no reason to be exported: take it away", key)})
		}
	}
	return vs
}

// exportsOf lists what packages export, but for commands, generated files and packages for tests.
func exportsOf(files []file) exportsIn {
	in := exportsIn{methods: map[name][]string{}}
	for _, f := range files {
		if f.syntax.Name.Name == "main" || f.generated() || strings.HasSuffix(part(f.dir), "test") {
			continue
		}
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				in.function(f, d)
			case *ast.GenDecl:
				in.declaration(f, d)
			}
		}
	}
	return in
}

func (in *exportsIn) function(f file, d *ast.FuncDecl) {
	switch {
	case !d.Name.IsExported():
	case d.Recv == nil:
		in.exports = append(in.exports, export{name: name{f.dir, d.Name.Name}, at: f.at(d.Pos()), shows: shown(d.Type)})
	default:
		of := name{f.dir, receiver(d)}
		in.methods[of] = append(in.methods[of], shown(d.Type)...)
		if ast.IsExported(of.name) {
			in.exports = append(in.exports, export{name: name{f.dir, of.name + "." + d.Name.Name}, at: f.at(d.Pos())})
		}
	}
}

func (in *exportsIn) declaration(f file, d *ast.GenDecl) {
	block := namesIn(d)
	var of ast.Expr // A constant without a type of its own has that of the one before.
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				in.exports = append(in.exports,
					export{name: name{f.dir, s.Name.Name}, at: f.at(s.Pos()), shows: shown(s.Type)})
			}
		case *ast.ValueSpec:
			if s.Type != nil || len(s.Values) > 0 {
				of = s.Type
			}
			for _, n := range s.Names {
				if !n.IsExported() {
					continue
				}
				e := export{name: name{f.dir, n.Name}, at: f.at(n.Pos())}
				if of != nil {
					e.shows = shown(of)
				}
				if d.Tok == token.CONST {
					e.list = append(block, e.shows...)
				}
				in.exports = append(in.exports, e)
			}
		}
	}
}

// namesIn lists the exported constants of a block.
func namesIn(d *ast.GenDecl) (names []string) {
	for _, s := range d.Specs {
		if s, ok := s.(*ast.ValueSpec); ok {
			for _, n := range s.Names {
				if n.IsExported() {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// shown lists the exported names of the package itself in a type.
func shown(t ast.Node) (names []string) {
	ast.Inspect(t, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return false // Another package's.
		case *ast.Ident:
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
		return true
	})
	return names
}

// dirs are the directories in which something stands; "" for an interface, wherever.
type dirs map[string]bool

// others reports whether something stands elsewhere than in dir.
func (d dirs) others(dir string) bool { return len(d) > 1 || len(d) == 1 && !d[dir] }

// usesOf lists the project's names that other packages use, and where each selector stands.
func usesOf(module string, files []file) (used map[name]bool, selected map[string]dirs) {
	used, selected = map[name]bool{}, map[string]dirs{}
	note := func(n, dir string) {
		if selected[n] == nil {
			selected[n] = dirs{}
		}
		selected[n][dir] = true
	}
	// What the standard library calls by its interfaces.
	for _, n := range []string{"Error", "String", "Unwrap", "Is", "As", "Format"} {
		note(n, "")
	}
	for _, f := range files {
		dir := f.dir
		if strings.HasSuffix(f.syntax.Name.Name, "_test") {
			dir += "_test"
		}
		byName := map[string]string{}
		for p, n := range f.imports {
			if dir, ok := strings.CutPrefix(p, module+"/"); ok {
				byName[n] = dir
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				note(n.Sel.Name, dir)
				if x, ok := n.X.(*ast.Ident); ok && byName[x.Name] != "" {
					used[name{byName[x.Name], n.Sel.Name}] = true
				}
			case *ast.InterfaceType:
				for _, m := range n.Methods.List {
					for _, id := range m.Names {
						note(id.Name, "")
					}
				}
			}
			return true
		})
	}
	return used, selected
}
