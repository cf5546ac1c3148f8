package source

import (
	"strings"
	"testing"
)

func FuzzAlias(f *testing.F) {
	for _, s := range []string{"INBOX", "inbox", "R&D", "mb-00", "a\"\\\r\n", strings.Repeat("x", 1001), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		alias := aliasOf(raw)
		if strings.Trim(alias, "ml-0123456789abcdef") != "" {
			t.Fatalf("alias %q", alias)
		}
		back, long, ok := fromAlias(alias)
		switch {
		case !ok || long != (len(raw) > maxFolderName):
			t.Fatalf("%q: %q %v %v", raw, back, long, ok)
		case !long && back != raw && !strings.EqualFold(raw, "INBOX"):
			t.Fatalf("%q came back as %q", raw, back)
		}
		if n := quotedLen(string(appendQuoted(nil, raw)) + " x"); n < len(raw)+2 {
			t.Fatalf("%q in quotes has %d octets", raw, n)
		}
		folder := folderFrom(raw, false, "/", namespaces{personal: []namespace{{"INBOX/", "/"}}})
		for _, part := range folder.Path {
			if folder.Problem == nil && (part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\r\n")) {
				t.Fatalf("%q has path %q", raw, folder.Path)
			}
		}
	})
}
