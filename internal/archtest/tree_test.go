package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file is one Go file that goes into the product: no test, whatever system it
// is built for.
type file struct {
	path    string // From the top of the module, with slashes.
	dir     string // Likewise; "." for the top.
	imports map[string]string
	syntax  *ast.File
	fset    *token.FileSet
}

// load parses every such file below root.
func load(t *testing.T, root string) []file {
	t.Helper()
	return loadAll(t, root, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

// loadTests parses every test file below root.
func loadTests(t *testing.T, root string) []file {
	t.Helper()
	return loadAll(t, root, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// loadAll parses the Go files below root that are wanted.
func loadAll(t *testing.T, root string, wanted func(name string) bool) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			base := d.Name()
			if name != root && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") ||
				strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go"), !wanted(name):
			return nil
		}
		f, err := parse(root, name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatalf("reading the source below %s: %v", root, err)
	}
	if len(files) == 0 {
		t.Fatalf("there is no source below %s", root)
	}
	return files
}

func parse(root, name string) (file, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, err
	}
	rel = filepath.ToSlash(rel)
	f := file{path: rel, dir: path.Dir(rel), imports: map[string]string{}, syntax: syntax, fset: fset}
	for _, s := range syntax.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return file{}, err
		}
		name := guessName(p)
		if s.Name != nil {
			name = s.Name.Name
		}
		f.imports[p] = name
	}
	return f, nil
}

// guessName is what a package is called by its import path: its last part
// that is no version.
func guessName(importPath string) string {
	base := path.Base(importPath)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(importPath))
	}
	return strings.TrimPrefix(base, "go-")
}

// at says where in a file something is.
func (f file) at(pos token.Pos) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(pos).Line)
}

// generated reports whether a tool wrote the file.
func (f file) generated() bool { return ast.IsGenerated(f.syntax) }

// part is the name by which the rules know a directory: "fetch" for
// internal/fetch and what is below it, else the first part of its path.
func part(dir string) string {
	first, rest, _ := strings.Cut(dir, "/")
	if first == "internal" {
		first, _, _ = strings.Cut(rest, "/")
	}
	return first
}

// moduleOf returns the module path that go.mod declares.
func moduleOf(t *testing.T, root string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	t.Fatal("go.mod names no module")
	return ""
}

// top is the top of the module that this package belongs to.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("there is no go.mod above this package")
		}
		dir = up
	}
}

// violation is one place where a rule is broken.
type violation struct{ where, what string }

func (v violation) String() string { return fmt.Sprintf("%s: %s", v.where, v.what) }

// sorted orders violations by place.
func sorted(vs []violation) []violation {
	slices.SortFunc(vs, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.what, b.what))
	})
	return vs
}
