package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// houseWords are words that a reader would have to look up, or that mean something else elsewhere, with what the field
// says. They are looked for as whole words, whatever their case, in code, comments, texts and documents.
var houseWords = []struct{ words, better string }{
	{`bears?|borne`, "has, carries, serves"},
	{`anew`, "again; recreated, started over"},
	{`reckon(?:s|ed|ing)?`, "compute, count, estimate"},
	{`in the place of`, "instead of"},
	{`of (?:no|any) use`, "useless, cannot be used"},
	{`(?:is|are|was|were) told`, "is shown, reported, sent, listed"},
	{`told apart|tells? apart`, "distinguish"},
	{`tells? of`, "report, list, describe"},
	{`left in peace|leaves? in peace`, "not contacted"},
	{`in vain`, "for nothing; failed"},
	{`passed over`, "left out, ignored"},
	{`go(?:es)? on`, "continue"},
	{`(?:in|into) (?:a|one) flight|take ?off`, "pipelined"},
	{`(?:asked|sent|fetched) ahead`, "pipelined, prefetched"},
	{`hurr(?:y|ied)`, "requested"},
	{`nameless`, "unidentified, unlinked"},
	{`blanks?`, "space; empty"},
	{`asks back`, "sent a challenge"},
}

// stillAsTheyWere are packages whose words are another piece of work, and what speaks to computers.
var stillAsTheyWere = []string{
	"migrations", // They have been run: what a migration says is in databases.
	"internal/archtest/words_test.go",
}

// TestWordsAreThoseOfTheField: what is read here is said as others say it.
func TestWordsAreThoseOfTheField(t *testing.T) {
	root, n := top(t), 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		tools := d.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, d.Name())
		if tools || slices.Contains(stillAsTheyWere, rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !readByPeople(rel) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		n++
		for _, found := range houseWordsIn(string(text)) {
			t.Errorf("%s:%s", rel, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 300 {
		t.Errorf("only %d files were read", n)
	}
}

// The control: each of the words is found in a sentence, and in nothing that only looks like it.
func TestAHouseWordIsFound(t *testing.T) {
	for _, sentence := range []string{
		"a folder Bears its mark", "it begins anew", "as reckoned", "in the place of a password", "of no use there",
		"the user is told why", "messages told apart", "the log tells of it", "it is left in peace", "waits in vain",
		"it is passed over", "the visit goes on", "in one flight", "takeOff", "what is asked ahead", "it was hurried",
		"a nameless file", "with a blank", "the server asks back",
	} {
		if found := houseWordsIn("fine\n" + sentence + "\n"); len(found) != 1 || !strings.HasPrefix(found[0], "2: ") {
			t.Errorf("%q: %q", sentence, found)
		}
	}
	const fine = "Authorization: Bearer x\nabout:blank target=\"_blank\" - name: blank-imports\nforbearing beard\n" +
		"`TestWhatIsAskedAhead` and 0013-pipelining.md\nconst asked = ahead"
	if found := houseWordsIn(fine); len(found) != 0 {
		t.Errorf("%q", found)
	}
}

// readByPeople reports whether a file holds code, texts or documents of ours, none that is generated or made by others.
func readByPeople(rel string) bool {
	if strings.HasSuffix(rel, ".gen.go") || strings.HasSuffix(rel, ".min.js") || rel == "docs/mailbrook.1" {
		return false
	}
	return slices.Contains([]string{".go", ".js", ".css", ".md", ".yaml", ".toml", ".sh", ".dialog"}, path.Ext(rel))
}

var (
	houseWord = func() *regexp.Regexp {
		var all []string
		for _, w := range houseWords {
			all = append(all, `(`+w.words+`)`)
		}
		return regexp.MustCompile(`(?i)\b(?:` + strings.Join(all, "|") + `)\b`)
	}()
	// notWords are words of HTML and of tools, names of files, and what is called Hurry and Blank in the packages that
	// share it.
	notWords = regexp.MustCompile(`about:blank|_blank|blank-imports|[\w-]+\.md\b` +
		`|\bHurry\b|\bBlank(?:\(| reports)`)
)

// houseWordsIn finds such words, with the lines they are in.
func houseWordsIn(text string) []string {
	var found []string
	for i, line := range strings.Split(text, "\n") {
		for _, m := range houseWord.FindAllStringSubmatch(notWords.ReplaceAllString(line, ""), -1) {
			at := slices.IndexFunc(m[1:], func(s string) bool { return s != "" })
			found = append(found, fmt.Sprintf("%d: %q: rather %s", i+1, m[0], houseWords[at].better))
		}
	}
	return found
}
