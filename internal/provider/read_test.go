package provider

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// provenance is what the table keeps for those who fix it, and no code decides by.
var provenance = []string{"Confidence", "Unverified", "Sources"}

// fieldsOf returns the names of a struct's fields, those of structs in it too.
func fieldsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == t.PkgPath() || f.Type.Kind() == reflect.Struct &&
			f.Type.Name() == "" {
			names = append(names, fieldsOf(f.Type)...)
		}
		names = append(names, f.Name)
	}
	return names
}

// unread returns the fields that no product code below root reads: what package
// provider does to fill them in from the table does not count. Reading is a
// selector that is not assigned to, in a file of this package or one that imports it.
func unread(t *testing.T, root string, fields []string) (left []string) {
	read := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			if d != nil && d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
				return filepath.SkipDir
			}
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ours := file.Name.Name == "provider" || slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool {
			return strings.HasSuffix(s.Path.Value, `/provider"`)
		})
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ours || !ok || file.Name.Name == "provider" && f.Name.Name == "provider" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					read[s.Sel.Name] = true
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range fields {
		if !read[name] && !slices.Contains(provenance, name) {
			left = append(left, name)
		}
	}
	return left
}

// house.md section 5: what the table says of providers reaches a decision, or it
// is not in the table.
func TestEveryFieldOfThePresetsIsRead(t *testing.T) {
	fields := fieldsOf(reflect.TypeFor[Provider]())
	for _, name := range []string{
		"Connections", "PollInterval", "BytesPerDay", "SendID", "CloseInsteadOfQuit", "MX",
		"note",
	} {
		if !slices.Contains(fields, name) {
			t.Errorf("the field %s is not looked for", name)
		}
	}
	for _, name := range unread(t, "../..", fields) {
		t.Errorf("no product code reads %s", name)
	}
}

// The control: a field that is only filled in, or read by a test, is found.
func TestAFieldThatNothingReadsIsFound(t *testing.T) {
	got := unread(t, "testdata/unread", []string{"Read", "Inner", "Filled", "Nowhere", "Tested", "Sources"})
	if want := []string{"Filled", "Nowhere", "Tested"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
