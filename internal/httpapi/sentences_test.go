package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// sayers are the calls that take a sentence, and its place among their arguments.
var sayers = map[string]int{"Say": 0, "Add": 2, "bad": 2, "wrong": 2}

// sentencesIn returns the sentences that a file of source text tells people,
// and what in it may be one but cannot be seen. Format of a sentence, and the
// detail that a sayer hands on, were one before.
func sentencesIn(t *testing.T, name string, text []byte) (found, unseen []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		called := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			called = f.Name
		case *ast.SelectorExpr:
			called = f.Sel.Name
		}
		at, ok := sayers[called]
		if !ok || len(call.Args) <= at {
			return true
		}
		if at == 2 {
			if _, ok := call.Args[1].(*ast.BasicLit); !ok {
				return true // No error of a field: its code comes before.
			}
		}
		switch arg := call.Args[at].(type) {
		case *ast.BasicLit:
			s, err := strconv.Unquote(arg.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, s)
			return true
		case *ast.BinaryExpr:
			if s, ok := joined(arg); ok {
				found = append(found, s)
				return true
			}
		case *ast.Ident:
			if arg.Name == "detail" {
				return true
			}
		case *ast.SelectorExpr:
			if arg.Sel.Name == "Format" {
				return true
			}
		}
		unseen = append(unseen, files.Position(call.Pos()).String())
		return true
	})
	return found, unseen
}

// joined is a string that is written in parts.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		left, isLeft := joined(e.X)
		right, isRight := joined(e.Y)
		return left + right, isLeft && isRight && e.Op == token.ADD
	}
	return "", false
}

// forms returns the x-form of every schema of the document.
func forms(t *testing.T) (found []string) {
	t.Helper()
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	var walk func(s *openapi3.Schema)
	walk = func(s *openapi3.Schema) {
		if form, ok := s.Extensions["x-form"].(string); ok {
			found = append(found, form)
		}
		for _, p := range s.Properties {
			walk(p.Value)
		}
	}
	for _, s := range doc.Components.Schemas {
		walk(s.Value)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, p := range op.Parameters {
				walk(p.Value.Schema.Value)
			}
		}
	}
	return found
}

// allSentences are those of the sources, of the document, and of the tables here.
func allSentences(t *testing.T) []string {
	t.Helper()
	all := append(forms(t), fault.HeldBack)
	for _, k := range kinds {
		all = append(all, k.title)
	}
	for _, known := range plainErrors {
		all = append(all, known.err.Error())
	}
	for _, dir := range []string{"../account", "../maildir", "../owner", "../store", "../oauth", "../transfer", "."} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found, unseen := sentencesIn(t, name, text)
			all = append(all, found...)
			for _, at := range unseen {
				t.Errorf("%s: a sentence that is no plain string: its Polish cannot be found", at)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	verbs = regexp.MustCompile(`%(\[\d+\])?[a-z]`)
	// Words that no Polish sentence has.
	english = regexp.MustCompile(`(?i)\b(the|is|are|must|not|and|of|or|your|with|for|again|choose|enter|sign|cannot)\b`)
	// What says nothing that anybody could act upon.
	vague = regexp.MustCompile(`(?i)^(is |has )?(invalid|wrong|not valid|not allowed|cannot be accepted|taken)$`)
)

// TestEverySentenceIsInPolish is newcomer 3: whatever is said about a field or a
// problem is said in both languages, with the same names and numbers in it.
func TestEverySentenceIsInPolish(t *testing.T) {
	all := allSentences(t)
	if len(all) < 80 {
		t.Errorf("only %d sentences were found", len(all))
	}
	for _, en := range all {
		pl := words.Translate(words.Sentence{Format: en}, words.Polish)
		if pl == en {
			t.Errorf("not in Polish, in internal/words/sentences.go: %q", en)
			continue
		}
		if a, b := len(verbs.FindAllString(en, -1)), len(verbs.FindAllString(pl, -1)); a != b {
			t.Errorf("%q has %d places to fill in, %q %d", en, a, pl, b)
		}
		if m := english.FindString(pl); m != "" {
			t.Errorf("English in Polish: %q in %q", m, pl)
		}
		if vague.MatchString(en) {
			t.Errorf("%q says nothing to act upon", en)
		}
		if strings.HasSuffix(pl, ".") != strings.HasSuffix(en, ".") || strings.Contains(pl, "  ") {
			t.Errorf("%q does not end as %q does", pl, en)
		}
	}
	text, err := os.ReadFile("../words/sentences.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		pair, ok := n.(*ast.CompositeLit)
		if !ok || pair.Type != nil {
			return true
		}
		key, err := strconv.Unquote(pair.Elts[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(all, key) {
			t.Errorf("nobody says this any more: %q", key)
		}
		return true
	})
}

// TestSentencesAreFound plants the ways in which one may be said.
func TestSentencesAreFound(t *testing.T) {
	found, unseen := sentencesIn(t, "planted.go", []byte(`package planted

func planted() {
	bad.Add("name", "required", "a plain one")
	bad.Add("name", "too_long", "one of %d bytes", max)
	return account.Say("one that is an error")
	bad.Add("name", "invalid", err.Error())
	bad.Add("name", "invalid", "put "+"together")
	bad.Add("name", "invalid", "put "+name)
	bad.Add("name", "invalid", fmt.Sprintf("printed %d", 1))
	when.Add(time.Second)
	r.Repository.Add(ctx, a, sealed, limit)
}`))
	want := []string{"a plain one", "one of %d bytes", "one that is an error", "put together"}
	if !slices.Equal(found, want) {
		t.Errorf("found %q", found)
	}
	if len(unseen) != 3 {
		t.Errorf("not seen: %q", unseen)
	}
}
