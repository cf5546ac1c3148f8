package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEverySentenceThatIsSaidIsInPolish, wherever in the program it is said, and is filled in with as much as it takes;
// and what nobody says any more is found. The kinds of what is filled in are compared by go vet: see Say.
func TestEverySentenceThatIsSaidIsInPolish(t *testing.T) {
	said, bad := map[string]bool{}, []string(nil)
	product(t, func(name string, file *ast.File, files *token.FileSet, consts map[string]string) {
		found, wrong := formatsIn(name, file, files, consts)
		for _, f := range found {
			said[f] = true
		}
		bad = append(bad, wrong...)
	})
	for _, at := range bad {
		t.Error(at)
	}
	if len(said) < 200 {
		t.Errorf("only %d sentences were found", len(said))
	}
	for _, w := range slices.Concat(details, serverDetails) {
		if !said[w.En] {
			t.Errorf("nobody says this any more: %q", w.En)
		}
	}
}

// TestBothLanguagesAreFilledInAlike: with as much, of the same kinds.
func TestBothLanguagesAreFilledInAlike(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range slices.Concat(sentences, details, serverDetails) {
		if why := differ(w); why != "" || seen[w.En] {
			t.Errorf("%q and %q: %s, or said twice", w.En, w.Pl, why)
		}
		seen[w.En] = true
	}
	for _, control := range []Phrase{{"%s of %d", "%s"}, {"%s", "%d"}, {"%v", "%v"}, {"%s of %d", "%s z %s"}, {"a", ""}} {
		if differ(control) == "" {
			t.Errorf("the control %q is alike", control)
		}
	}
	if why := differ(Phrase{"%s of %d", "%[2]d z %[1]s"}); why != "" {
		t.Error(why)
	}
}

func differ(w Phrase) string {
	en, isEn := verbsOf(w.En)
	pl, isPl := verbsOf(w.Pl)
	switch {
	case w.Pl == "":
		return "no Polish"
	case !isEn || !isPl:
		return "not only %s and %d"
	case string(en) != string(pl):
		return fmt.Sprintf("%s and %s", en, pl)
	}
	return ""
}

// TestWhatIsSaidIsFound plants the ways in which something may be said, and each mistake.
func TestWhatIsSaidIsFound(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "planted.go", `package planted

func planted() {
	words.Say("The server gave no reason.")
	words.Say("The server " + "says: %s", text)
	words.Say(fault.PasswordExpired)
	words.Say(said.Format, name)
	words.Say("Nobody has ever said this of a server.")
	words.Say("The server says: %s", text, more)
	words.Say(fmt.Sprintf("The server says: %s", text))
	words.Say("Folder " + name + " could not be read.")
	words.Say("The server says: %s", took.String())
}`, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found, bad := formatsIn("planted.go", file, files, map[string]string{"PasswordExpired": "The password has expired."})
	want := []string{"The server gave no reason.", "The server says: %s", "The password has expired."}
	if !slices.Equal(found, want) {
		t.Errorf("found %q", found)
	}
	if len(bad) != 5 {
		t.Errorf("of five mistakes these were found: %q", bad)
	}
}

// formatsIn returns what a file says by calls of Say that is known in Polish, and what is wrong with the others.
func formatsIn(name string, file *ast.File, files *token.FileSet, consts map[string]string) (found, bad []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isSay(call.Fun) || len(call.Args) == 0 {
			return true
		}
		at := fmt.Sprintf("%s:%d: ", name, files.Position(call.Pos()).Line)
		format, plain := textOf(call.Args[0], consts)
		verbs, _ := verbsOf(format)
		_, known := byFormat()[format]
		switch {
		case !plain && !handedOn(call.Args[0]):
			bad = append(bad, at+"a sentence that is no plain string: its Polish cannot be found")
		case !plain:
		case !known:
			bad = append(bad, fmt.Sprintf("%snot in Polish: %q", at, format))
		case len(call.Args) > 1 && len(verbs) != len(call.Args)-1:
			bad = append(bad, fmt.Sprintf("%s%q is filled in with %d", at, format, len(call.Args)-1))
		case slices.ContainsFunc(call.Args, isString):
			bad = append(bad, at+"what String returns is English, or for computers, such as 2m0s: fill in a number")
		default:
			found = append(found, format)
		}
		return true
	})
	return found, bad
}

func isSay(f ast.Expr) bool {
	s, ok := f.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Say"
}

func isString(arg ast.Expr) bool {
	c, ok := arg.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := c.Fun.(*ast.SelectorExpr)
	return ok && f.Sel.Name == "String"
}

// handedOn reports whether a format was a sentence's before: it was found there.
func handedOn(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "detail"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Format"
	}
	return false
}

// textOf is a string of the source that is one as it stands, or joined of such, or a constant of package fault.
func textOf(e ast.Expr, consts map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := textOf(e.X, consts)
		right, isRight := textOf(e.Y, consts)
		return left + right, isLeft && isRight && e.Op == token.ADD
	case *ast.SelectorExpr:
		text, ok := consts[e.Sel.Name]
		return text, ok
	}
	return "", false
}

// product calls each for every file of the program, with the strings that are constants of package fault.
func product(t *testing.T, each func(string, *ast.File, *token.FileSet, map[string]string)) {
	t.Helper()
	set, parsed, consts := token.NewFileSet(), map[string]*ast.File{}, map[string]string{}
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == "testdata" || d.Name() == "archtest" || d.Name() == "mailtest") {
				return fs.SkipDir
			}
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			parsed[name], err = parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err == nil && filepath.Dir(name) == filepath.Join("..", "fault") {
				constants(parsed[name], consts)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range parsed {
		each(name, file, set, consts)
	}
}

func constants(file *ast.File, consts map[string]string) {
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
			for i, name := range v.Names {
				if text, ok := textOf(v.Values[i], nil); ok {
					consts[name.Name] = text
				}
			}
		}
		return true
	})
}

func TestVerbsOfFormats(t *testing.T) {
	for format, want := range map[string]string{
		"": "", "100 %%": "", "%s of %d": "sd", "%[2]s of %[1]d": "ds", "%[1]s, again %[1]s": "s", "%[1]s %[2]d %s": "sds",
		"%v": "no", "%": "no", "%[x]s": "no", "%[2]s": "no", "%[0]s": "no", "%[1]s %[1]d": "no", "%[1": "no",
	} {
		if got, ok := verbsOf(format); ok != (want != "no") || ok && string(got) != want {
			t.Errorf("%q: %q %v", format, got, ok)
		}
	}
}
