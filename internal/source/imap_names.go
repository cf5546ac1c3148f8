package source

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// unreadFolder is a folder of which nothing but its line in the list is known.
// No folder is called like that, so it is never asked for.
func unreadFolder(alias string) (f mail.Folder, ok bool) {
	shown, ok := wire.FromUnreadAlias(alias)
	if !ok {
		return f, false
	}
	return mail.Folder{
		Wire: "\x00" + shown, Path: []string{shown},
		Problem: badName("the server's answer about it cannot be read: " + shown),
	}, true
}

// otherUnread stands for n more folders of that kind.
func otherUnread(n int) mail.Folder {
	return mail.Folder{
		Wire: "\x00+", Path: []string{fmt.Sprintf("+%d", n)},
		Problem: badName(fmt.Sprintf("the server's answers about it and %d others cannot be read", n-1)),
	}
}

// folderFrom makes the folder of a raw name. delim is "" when the server has
// no hierarchy.
func folderFrom(raw string, long bool, delim string, ns namespaces) mail.Folder {
	f := mail.Folder{Wire: raw, Selectable: true, Shared: ns.others(raw), Guessed: ns.guessed}
	if raw == "INBOX" {
		return f
	}
	f.Path, f.Problem = splitName(ns.strip(raw), delim)
	if long {
		f.Problem = badName("its name is longer than 1000 octets")
	}
	if f.Problem != nil && len(f.Path) == 0 {
		f.Path = []string{fault.Clean(wire.ReadableName(raw), 200)}
	}
	return f
}

func splitName(name, delim string) ([]string, error) {
	parts := []string{name}
	if delim != "" {
		// Some servers end the name of what only holds others with a separator.
		parts = strings.Split(strings.TrimSuffix(name, delim), delim)
	}
	if !wire.Askable(name) {
		return nil, badName("its name holds a line break or NUL")
	}
	for i, raw := range parts {
		part := wire.ReadableName(raw)
		switch {
		case part == "":
			return nil, badName("a part of its name is empty")
		case part == "." || part == "..":
			return nil, badName(`a part of its name is "." or ".."`)
		case strings.ContainsFunc(part, unicode.IsControl):
			return nil, badName("its name holds a control character")
		}
		parts[i] = part
	}
	return parts, nil
}

func badName(why string) error {
	return fault.New(fault.FolderFailed, "listing folders", "This folder cannot be fetched: "+why+".")
}

// displayName is a folder's name for people.
func displayName(f mail.Folder) string {
	return fault.Clean(f.Name(), 200)
}
