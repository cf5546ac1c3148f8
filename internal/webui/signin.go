package webui

import (
	"bytes"
	"slices"
)

// signInWays are those in which the pages can let people sign in by themselves.
var signInWays = []string{"imap", "header", "oidc"}

// signInShell says to the pages how people sign in.
func signInShell(page []byte, way string) []byte {
	if !slices.Contains(signInWays, way) {
		way = "none"
	}
	return bytes.ReplaceAll(page, []byte("{{signin}}"), []byte(way))
}
