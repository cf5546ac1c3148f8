package source

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// unreadFolder is a folder of which nothing but its line in the list is known.
// No folder is called like that, so it is never asked for.
func unreadFolder(alias string, redact func(string) string) (f mail.Folder, ok bool) {
	shown, ok := wire.FromUnreadAlias(alias)
	if !ok {
		return f, false
	}
	shown = redact(shown)
	return mail.Folder{
		Wire: "\x00" + shown, Path: []string{shown},
		Problem: badName(words.Say("This folder cannot be fetched: the server's answer about it cannot be read: %s.", shown)),
	}, true
}

// secretFolder stands for the nth folder whose name is the account's password, or holds it: nobody reads the name, and
// it is kept nowhere.
func secretFolder(n int) mail.Folder {
	return mail.Folder{
		Wire: fmt.Sprintf("\x00*** %d", n), Path: []string{"***"},
		Problem: badName(words.Say("This folder cannot be fetched: its name holds the account's password: rename the " +
			"folder, or change the password.")),
	}
}

// bearsSecret reports whether the name of a folder, or a part of it, is what is signed in with.
func (c *imapConn) bearsSecret(f mail.Folder, delim rune) bool {
	names := append([]string{f.Wire, strings.Join(f.Path, "/"), wire.ReadableName(f.Wire)}, f.Path...)
	if delim != 0 {
		names = append(names, strings.Split(wire.ReadableName(f.Wire), string(delim))...)
	}
	return len(f.Path) > 0 && slices.ContainsFunc(names, c.link.HasSecret)
}

// otherUnread stands for n more folders of that kind.
func otherUnread(n int) mail.Folder {
	return mail.Folder{
		Wire: "\x00+", Path: []string{fmt.Sprintf("+%d", n)},
		Problem: badName(words.Say(
			"This folder cannot be fetched: the server's answers about it and %d others cannot be read.", n-1)),
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
		f.Problem = badName(words.Say("This folder cannot be fetched: its name is longer than 1000 octets."))
	}
	if f.Problem != nil && len(f.Path) == 0 {
		f.Path = []string{words.Clean(wire.ReadableName(raw), 200)}
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
		return nil, badName(words.Say("This folder cannot be fetched: its name holds a line break or NUL."))
	}
	for i, raw := range parts {
		part := wire.ReadableName(raw)
		switch {
		case part == "":
			return nil, badName(words.Say("This folder cannot be fetched: a part of its name is empty."))
		case part == "." || part == "..":
			return nil, badName(words.Say(`This folder cannot be fetched: a part of its name is "." or "..".`))
		case strings.ContainsFunc(part, unicode.IsControl):
			return nil, badName(words.Say("This folder cannot be fetched: its name holds a control character."))
		}
		parts[i] = part
	}
	return parts, nil
}

func badName(why words.Sentence) error {
	return fault.New(fault.FolderFailed, "listing folders", why)
}

// displayName is a folder's name for people.
func displayName(f mail.Folder) string {
	return words.Clean(f.Name(), 200)
}
