package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkSubtests finds what ends a whole test binary when it fails: a subtest that
// runs beside others, in which something is used that keeps the *testing.T of the
// test around it. That one has returned by then: its FailNow ends the subtest's
// goroutine, which the testing package takes for a panic. What keeps a test offers
// in(t), the same for another test.
func checkSubtests(t *testing.T, root string) (found []violation) {
	t.Helper()
	for dir, names := range testFiles(t, root) {
		fset := token.NewFileSet()
		byPackage := map[string][]*ast.File{}
		for _, name := range names {
			f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			byPackage[f.Name.Name] = append(byPackage[f.Name.Name], f)
		}
		for _, files := range byPackage {
			found = append(found, keptTests(fset, dir, files)...)
		}
	}
	return found
}

// testFiles lists the Go files of each directory that has tests.
func testFiles(t *testing.T, root string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		base := filepath.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (base == "testdata" || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		all[filepath.ToSlash(dir)] = append(all[filepath.ToSlash(dir)], name)
		return err
	})
	if err != nil {
		t.Fatalf("reading the tests below %s: %v", root, err)
	}
	return all
}

// onlyTesting stands for every package but testing by an empty one: the types that
// the tests of one package declare are all that is asked about.
type onlyTesting struct{ made map[string]*types.Package }

func (i onlyTesting) Import(importPath string) (*types.Package, error) {
	if p := i.made[importPath]; p != nil {
		return p, nil
	}
	p := types.NewPackage(importPath, guessName(importPath))
	if importPath == "testing" {
		for _, name := range []string{"T", "TB", "B", "M", "F"} {
			o := types.NewTypeName(token.NoPos, p, name, nil)
			types.NewNamed(o, types.NewStruct(nil, nil), nil)
			p.Scope().Insert(o)
		}
	}
	p.MarkComplete()
	i.made[importPath] = p
	return p, nil
}

// keptTests is checkSubtests for the test files of one package.
func keptTests(fset *token.FileSet, dir string, files []*ast.File) (found []violation) {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	// What is not known of other packages is an error each, of no account here.
	config := types.Config{Importer: onlyTesting{map[string]*types.Package{}}, Error: func(error) {}}
	_, _ = config.Check(dir, fset, files, info)
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			body := besideOthers(n)
			if body == nil {
				return true
			}
			for name, pos := range keptIn(info, body) {
				where := fset.Position(pos)
				found = append(found, violation{
					fmt.Sprintf("%s/%s:%d", dir, filepath.Base(where.Filename), where.Line),
					name + " keeps another test's *testing.T beside it: take " + name + ".in(t)",
				})
			}
			return true
		})
	}
	return found
}

// besideOthers returns the function of a subtest that calls t.Parallel, else nil.
func besideOthers(n ast.Node) *ast.FuncLit {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return nil
	}
	if run, ok := call.Fun.(*ast.SelectorExpr); !ok || run.Sel.Name != "Run" {
		return nil
	}
	lit, ok := call.Args[1].(*ast.FuncLit)
	if !ok {
		return nil
	}
	parallel := false
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		parallel = parallel || ok && sel.Sel.Name == "Parallel"
		return !parallel
	})
	if !parallel {
		return nil
	}
	return lit
}

// keptIn lists the variables from outside of a function that keep a test, where
// they are first used otherwise than as the receiver of in.
func keptIn(info *types.Info, lit *ast.FuncLit) map[string]token.Pos {
	kept := map[string]token.Pos{}
	taken := map[*ast.Ident]bool{}
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "in" {
			if id, ok := sel.X.(*ast.Ident); ok {
				taken[id] = true
			}
		}
		id, ok := n.(*ast.Ident)
		if !ok || taken[id] {
			return true
		}
		v, ok := info.Uses[id].(*types.Var)
		if !ok || v.IsField() || v.Pos() >= lit.Pos() && v.Pos() < lit.End() || !keepsTest(v.Type(), map[types.Type]bool{}) {
			return true
		}
		if _, ok := kept[id.Name]; !ok {
			kept[id.Name] = id.Pos()
		}
		return true
	})
	return kept
}

// keepsTest reports whether a value holds a *testing.T or the like.
func keepsTest(t types.Type, seen map[types.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch u := t.(type) {
	case *types.Named:
		if p := u.Obj().Pkg(); p != nil && p.Path() == "testing" {
			return slices.Contains([]string{"T", "TB", "B"}, u.Obj().Name())
		}
		return keepsTest(u.Underlying(), seen)
	case *types.Pointer:
		return keepsTest(u.Elem(), seen)
	case *types.Slice:
		return keepsTest(u.Elem(), seen)
	case *types.Map:
		return keepsTest(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if keepsTest(f.Type(), seen) {
				return true
			}
		}
	}
	return false
}
