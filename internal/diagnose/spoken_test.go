package diagnose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEverySentenceOfADetailIsInPolish: what is written in whole sentences where connections are made and mail is
// fetched comes before people, as the detail of a diagnosis. The control is a sentence that nobody has translated.
func TestEverySentenceOfADetailIsInPolish(t *testing.T) {
	found := 0
	for _, dir := range []string{
		"disk", "fault", "fetch", "imapbox", "maildir", "oauth", "outbound", "owner", "schedule", "source", "spool", "vault",
		"wire",
	} {
		sentences := sentencesOf(t, filepath.Join("..", dir))
		if len(sentences) == 0 && !slices.Contains([]string{"fault", "fetch"}, dir) {
			t.Errorf("%s says nothing: has it another name now?", dir)
		}
		for at, text := range sentences {
			if filepath.Base(strings.SplitN(at, ":", 2)[0]) == "metrics.go" {
				continue // Those are for operators.
			}
			found++
			if told := TellDetail(text, Polish); told == text {
				t.Errorf("%s: %q is not in Polish", at, text)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d sentences were found", found)
	}
	const control = "Nobody has ever said this of a server."
	if TellDetail(control, Polish) != control {
		t.Error("the control is said in Polish")
	}
}

// sentencesOf returns the sentences that a package's product files write, by their places. What is filled in is x.
func sentencesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, isText := written(e)
			if isText && sentence.MatchString(text) {
				out[set.Position(e.Pos()).String()] = text
			}
			return !isText
		})
	}
	return out
}

var (
	sentence = regexp.MustCompile(`^[A-Z][^\n]* [^\n]*[a-z0-9]\.$`)
	verb     = regexp.MustCompile(`%[+#]?[a-z]`)
)

// written is the text of an expression, if some of it is one.
func written(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return verb.ReplaceAllString(text, "x"), err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return written(e.X)
	case *ast.BinaryExpr:
		left, isLeft := written(e.X)
		right, isRight := written(e.Y)
		if e.Op != token.ADD || !isLeft && !isRight {
			return "x", false
		}
		return left + right, true
	}
	return "x", false
}
