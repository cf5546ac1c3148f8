package archtest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quoted is a name as documents quote it.
var (
	quotedTest = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z0-9_][A-Za-z0-9_]*)(?:/[^`]*)?`")
	quotedFile = regexp.MustCompile("`((?:api|cmd|internal|migrations|docs)/[A-Za-z0-9_./-]+)`")
	begunTest  = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z0-9_][A-Za-z0-9_]*)…")
	quotedBase = regexp.MustCompile("`([a-z0-9][a-z0-9_]*\\.(?:go|js))`")
	linked     = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
)

// TestDocumentsNameWhatIsThere: a test, a file or a heading that a document names was not
// renamed since.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	root := top(t)
	tests, bases := testsBelow(t, root), basesBelow(t, root)
	n := 0
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob(filepath.Join(root, "docs", "decisions", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(documents, decisions, []string{filepath.Join(root, "README.md")}) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found, wrong := missing(string(text), tests, func(path string) bool {
			if !strings.Contains(path, "/") {
				return bases[path]
			}
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
			return err == nil
		})
		n += found
		for _, w := range append(wrong, dead(string(text), filepath.Dir(name))...) {
			t.Errorf("%s names %s, which is not there", strings.TrimPrefix(name, root), w)
		}
	}
	if n < 100 {
		t.Errorf("only %d names were found", n)
	}
}

// The control.
func TestANameThatIsGoneIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.md"), []byte("# A page\n\n## Where, and why …\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := dead("[a](page.md#where-and-why-) [b](page.md#gone) [c](gone.md) [d](https://example.org/x) [e](#here)\n"+
		"# Here\n", dir)
	if want := []string{"page.md#gone", "gone.md"}; !slices.Equal(gone, want) {
		t.Errorf("these links lead nowhere: %v", gone)
	}
	found, wrong := missing("`TestHere`, `TestGone/sqlite` and `internal/gone/gone.go`, `internal/here`, TestUnquoted, "+
		"`TestHe…`, `TestShe…`, `here_test.go`, `re_test.go`",
		map[string]bool{"TestHere": true},
		func(path string) bool { return path == "internal/here" || path == "here_test.go" })
	want := []string{"TestGone", "TestShe…", "internal/gone/gone.go", "re_test.go"}
	if found != 8 || !slices.Equal(wrong, want) {
		t.Errorf("of %d names these are gone: %v", found, wrong)
	}
}

// missing returns how many names there are in a document, and those that nothing has.
func missing(text string, tests map[string]bool, exists func(path string) bool) (found int, wrong []string) {
	for _, m := range quotedTest.FindAllStringSubmatch(text, -1) {
		if found++; !tests[m[1]] {
			wrong = append(wrong, m[1])
		}
	}
	for _, m := range begunTest.FindAllStringSubmatch(text, -1) {
		begun := func(test string) bool { return strings.HasPrefix(test, m[1]) }
		if found++; !slices.ContainsFunc(slices.Collect(maps.Keys(tests)), begun) {
			wrong = append(wrong, m[1]+"…")
		}
	}
	for _, file := range []*regexp.Regexp{quotedFile, quotedBase} {
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			if found++; !exists(strings.TrimSuffix(m[1], ".")) {
				wrong = append(wrong, m[1])
			}
		}
	}
	return found, wrong
}

// dead are the links to files and headings of ours that lead nowhere.
func dead(text, dir string) (wrong []string) {
	for _, m := range linked.FindAllStringSubmatch(text, -1) {
		path, anchor := m[1], strings.TrimPrefix(m[2], "#")
		target := text
		if path != "" {
			content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
			if err != nil && !isDir(filepath.Join(dir, filepath.FromSlash(path))) {
				wrong = append(wrong, path)
				continue
			}
			target = string(content)
		}
		if anchor != "" && !slices.Contains(anchors(target), anchor) {
			wrong = append(wrong, path+"#"+anchor)
		}
	}
	return wrong
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// anchors are the names by which a page's headings are linked to.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		words := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(words, " ", "-"))
	}
	return all
}

// testsBelow are the names of all tests of the project.
func testsBelow(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// basesBelow are the names of all files of the project, without their directories.
func basesBelow(t *testing.T, root string) map[string]bool {
	t.Helper()
	bases := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root:
			return fs.SkipDir
		case !d.IsDir():
			bases[d.Name()] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bases
}
