package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// figure is one count of the source, with what it must not go above or below.
type figure struct {
	name  string
	value float64
	least float64
	most  float64  // Holds where bound is set.
	bound bool     // Whether there is a most.
	where []string // What was counted, where that helps.
}

// TestFigures counts the house as a whole and holds it to what was reached:
//
//	go test ./internal/archtest -run TestFigures -v
func TestFigures(t *testing.T) {
	root := top(t)
	for _, f := range figuresOf(load(t, root), loadTests(t, root)) {
		t.Logf("%-60s %9.6g", f.name, f.value)
		if f.value < f.least || f.bound && f.value > f.most {
			t.Errorf("%s: %.6g; %.6g at least and %.6g at most was reached: %s",
				f.name, f.value, f.least, f.most, strings.Join(f.where, ", "))
		}
	}
}

// TestFiguresBite counts a tree in which what is counted is known.
func TestFiguresBite(t *testing.T) {
	wide := t.TempDir()
	text := "// Package wide has one wide line.\npackage wide\n\nconst _ = \"" + strings.Repeat("w", 120) + "\"\n"
	if err := os.WriteFile(filepath.Join(wide, "wide.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	files := append(load(t, "testdata/figures"), load(t, wide)...)
	for _, f := range figuresOf(files, loadTests(t, "testdata/figures")) {
		got[f.name] = f.value
	}
	for name, want := range map[string]float64{
		"lines of code":                                   15,
		"exported names with a comment, %":                50,
		"lines of a function, median":                     3,
		"lines of a function, longest":                    4,
		"errors wrapped by %w":                            1,
		"errors flattened by %v or %s":                    1,
		"context.Background and context.TODO in packages": 1,
		"go statements":                                   1,
		"lines above 120 columns":                         1,
		"fuzz targets":                                    1,
		"examples":                                        1,
		"tests at the top":                                2,
		"t.Parallel":                                      1,
		"time.Sleep in tests":                             1,
	} {
		if got[name] != want {
			t.Errorf("%s: %g, want %g", name, got[name], want)
		}
	}
}

// counter collects what figures are made of.
type counter struct {
	lines, tests         int
	funcs                []int
	exported, documented int
	where                map[string][]string
	packages             map[string]bool
	described            map[string]bool
	interfaces           map[string]int
	size, types          map[string]int // Lines of code and exported types of each package.
}

func figuresOf(files, tests []file) []figure {
	c := counter{
		where: map[string][]string{}, packages: map[string]bool{}, described: map[string]bool{},
		interfaces: map[string]int{}, size: map[string]int{}, types: map[string]int{},
	}
	for _, f := range files {
		if !f.generated() && part(f.dir) != "mailtest" {
			c.product(f)
		}
	}
	for _, f := range tests {
		c.test(f)
	}
	slices.Sort(c.funcs)
	at := func(p float64) float64 { return float64(c.funcs[int(p*float64(len(c.funcs)-1))]) }
	n := func(what string) float64 { return float64(len(c.where[what])) }
	described := 0
	for dir := range c.packages {
		if c.described[dir] {
			described++
		}
	}
	widest, which := most(c.interfaces)
	largest, dir := most(c.size)
	richest, types := most(c.types)
	return []figure{
		{name: "lines of code", value: float64(c.lines)},
		{name: "lines of tests for one of code", value: float64(c.tests) / float64(c.lines), least: 0.8},
		{name: "packages", value: float64(len(c.packages))},
		{name: "packages that say what they are, %", value: percent(described, len(c.packages)), least: 100},
		{name: "exported names with a comment, %", value: percent(c.documented, c.exported), least: 99},
		{name: "lines of a function, median", value: at(0.5), most: 11, bound: true},
		{name: "lines of a function, 95th of 100", value: at(0.95), most: 40, bound: true},
		{name: "lines of a function, longest", value: at(1)},
		{name: "functions above 80 lines", value: n("long function"), most: 3, bound: true, where: c.where["long function"]},
		{name: "files above 500 lines", value: n("long file"), bound: true, where: c.where["long file"]},
		{name: "lines above 120 columns", value: n("wide"), bound: true, where: c.where["wide"]},
		{name: "methods of the widest interface: " + which, value: float64(widest)},
		{name: "lines of code of the largest package: " + dir, value: float64(largest)},
		{name: "exported types of the richest package: " + types, value: float64(richest)},
		{name: "errors wrapped by %w", value: n("%w")},
		{name: "errors flattened by %v or %s", value: n("%v"), bound: true, where: c.where["%v"]},
		{name: "context.Background and context.TODO in packages", value: n("Background"), where: c.where["Background"]},
		{name: "go statements", value: n("go")},
		{name: "test files", value: float64(len(tests))},
		{name: "tests at the top", value: n("Test")},
		{name: "fuzz targets", value: n("Fuzz"), least: 30},
		{name: "examples", value: n("Example"), least: 15},
		{name: "benchmarks", value: n("Benchmark")},
		{name: "t.Parallel", value: n("Parallel")},
		{name: "time.Sleep in tests", value: n("Sleep")},
		{name: "test files with a clock of their own (synctest)", value: n("synctest")},
	}
}

// most returns the greatest of the counts, and what has it.
func most(counts map[string]int) (n int, which string) {
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if counts[key] > n {
			n, which = counts[key], key
		}
	}
	return n, which
}

func percent(n, of int) float64 { return float64(int(1000*float64(n)/float64(max(of, 1)))) / 10 }

func (c *counter) note(what, at string) { c.where[what] = append(c.where[what], at) }

// text counts the lines of a file that hold code, and notes those that are too wide.
func (c *counter) text(f file) (code int) {
	data, err := os.ReadFile(f.fset.File(f.syntax.Pos()).Name())
	if err != nil {
		panic(err) // It was parsed a moment ago.
	}
	for i, line := range strings.Split(string(data), "\n") {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "//") {
			code++
		}
		if utf8.RuneCountInString(line) > 120 { // A tab is one, as for the linter.
			c.note("wide", f.path+":"+strconv.Itoa(i+1))
		}
	}
	return code
}

func (c *counter) product(f file) {
	code := c.text(f)
	c.lines += code
	c.size[f.dir] += code
	c.packages[f.dir] = true
	if f.syntax.Doc != nil {
		c.described[f.dir] = true
	}
	if n := f.fset.Position(f.syntax.End()).Line; n > 500 {
		c.note("long file", fmt.Sprintf("%s (%d)", f.path, n))
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Body != nil {
				first, last := f.fset.Position(n.Pos()).Line, f.fset.Position(n.End()).Line
				c.funcs = append(c.funcs, last-first+1)
				if last-first >= 80 {
					c.note("long function", f.at(n.Pos())+" "+n.Name.Name)
				}
			}
			if n.Name.IsExported() && (n.Recv == nil || ast.IsExported(receiver(n))) {
				c.document(n.Doc != nil)
			}
		case *ast.GenDecl:
			c.declaration(f, n)
		case *ast.InterfaceType:
			c.interfaces[f.at(n.Pos())] = len(n.Methods.List)
		case *ast.GoStmt:
			c.note("go", f.at(n.Pos()))
		case *ast.CallExpr:
			c.call(f, n)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "context" && part(f.dir) != "cmd" &&
				(n.Sel.Name == "Background" || n.Sel.Name == "TODO") {
				c.note("Background", f.at(n.Pos()))
			}
		}
		return true
	})
}

func (c *counter) document(has bool) {
	if c.exported++; has {
		c.documented++
	}
}

func (c *counter) declaration(f file, d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				c.types[f.dir]++
				c.document(d.Doc != nil || s.Doc != nil)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && (d.Tok == token.CONST || d.Tok == token.VAR) {
					c.document(d.Doc != nil || s.Doc != nil || s.Comment != nil)
				}
			}
		}
	}
}

// call notes how fmt.Errorf is handed an error that it is to be made of.
func (c *counter) call(f file, n *ast.CallExpr) {
	fun, ok := n.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "Errorf" || len(n.Args) < 2 {
		return
	}
	format, ok := n.Args[0].(*ast.BasicLit)
	if !ok {
		return
	}
	if strings.Contains(format.Value, "%w") {
		c.note("%w", f.at(n.Pos()))
		return
	}
	if last, ok := n.Args[len(n.Args)-1].(*ast.Ident); ok && (last.Name == "err" || strings.HasSuffix(last.Name, "Err")) {
		c.note("%v", f.at(n.Pos()))
	}
}

func (c *counter) test(f file) {
	data, err := os.ReadFile(f.fset.File(f.syntax.Pos()).Name())
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(data)) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "//") {
			c.tests++
		}
	}
	if _, ok := f.imports["testing/synctest"]; ok {
		c.note("synctest", f.path)
	}
	for _, d := range f.syntax.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok || d.Recv != nil || d.Name.Name == "TestMain" {
			continue
		}
		for _, kind := range []string{"Test", "Fuzz", "Example", "Benchmark"} {
			if strings.HasPrefix(d.Name.Name, kind) {
				c.note(kind, f.at(d.Pos()))
			}
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			switch x, _ := s.X.(*ast.Ident); {
			case x == nil:
			case s.Sel.Name == "Parallel":
				c.note("Parallel", f.at(s.Pos()))
			case x.Name == "time" && s.Sel.Name == "Sleep":
				c.note("Sleep", f.at(s.Pos()))
			}
		}
		return true
	})
}
