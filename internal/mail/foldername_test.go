package mail

import (
	"strings"
	"testing"
)

// TestFoldersOfOurOwnAreKnown, of whatever installation and in whatever case; and those that look like it are not.
func TestFoldersOfOurOwnAreKnown(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"one", "another"} {
		for _, name := range []string{
			MarkFor([]byte(key), "journal"), StagingFolder([]byte(key), "journal", 7),
			ChallengeFor(strings.Repeat("q", 26)),
		} {
			if !IsOurs(name) || !IsOurs(strings.ToUpper(name)) {
				t.Errorf("%q is not known", name)
			}
		}
	}
	for _, name := range []string{
		"", "mailbrook", "mailbrook-", "Mailbrook-old", "mailbrook-test-1", "x mailbrook-staging-",
	} {
		if IsOurs(name) {
			t.Errorf("%q is taken for ours", name)
		}
	}
}
