package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// width is how many characters a line may have. For Go the linter (lll) checks it.
const width = 120

// TestLinesOfScriptsFit: scripts, styles and programs of the shell can be read side by side.
func TestLinesOfScriptsFit(t *testing.T) {
	seen := map[string]int{}
	for name, text := range scripts(t, top(t)) {
		seen[kindOf(name, text)]++
		for _, n := range tooWide(text) {
			t.Errorf("%s:%d has more than %d characters", name, n, width)
		}
	}
	for kind, least := range map[string]int{".js": 20, ".css": 1, ".ts": 1, ".sh": 4} {
		if seen[kind] < least {
			t.Errorf("%d files of kind %s were found, want %d or more", seen[kind], kind, least)
		}
	}
}

// The control.
func TestALineThatIsTooWideIsFound(t *testing.T) {
	fits := strings.Repeat("ż", width)
	got := tooWide(fits + "\n" + fits + "x\n\n" + fits + "\n" + fits + "y")
	if len(got) != 2 || got[0] != 2 || got[1] != 5 {
		t.Errorf("lines %v are too wide, want 2 and 5", got)
	}
}

// tooWide are the numbers of the lines that are too wide.
func tooWide(text string) []int {
	var lines []int
	for i, line := range strings.Split(text, "\n") {
		if utf8.RuneCountInString(line) > width {
			lines = append(lines, i+1)
		}
	}
	return lines
}

// kindOf is the kind of a script: its extension, or .sh for a program of the shell; "" for anything else.
func kindOf(name, text string) string {
	switch ext := path.Ext(name); {
	case strings.HasSuffix(name, ".min.js"): // Made by others.
		return ""
	case ext == ".js", ext == ".css", ext == ".ts", ext == ".sh":
		return ext
	case strings.HasPrefix(text, "#!/bin/sh"), strings.HasPrefix(text, "#!/bin/bash"):
		return ".sh"
	}
	return ""
}

// scripts are the texts of all scripts below root, by name.
func scripts(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", ".cache", "bin", "node_modules":
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); !d.Type().IsRegular() || ext == ".go" || ext == ".png" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if kindOf(rel, string(text)) != "" {
			found[filepath.ToSlash(rel)] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
