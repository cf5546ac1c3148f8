package source

import (
	"strings"
	"testing"
)

// FuzzFolderFrom: whatever a folder is called, its path is one that a mailbox can have, or it says why not.
func FuzzFolderFrom(f *testing.F) {
	for _, s := range []string{"INBOX", "inbox", "R&D", "INBOX/a//b", "../x", "a\"\\\r\n", strings.Repeat("x", 1001), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		folder := folderFrom(raw, false, "/", namespaces{personal: []namespace{{"INBOX/", "/"}}})
		for _, part := range folder.Path {
			if folder.Problem == nil && (part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\r\n")) {
				t.Fatalf("%q has path %q", raw, folder.Path)
			}
		}
	})
}
