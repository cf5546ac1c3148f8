package mailtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Fill writes messages into a Dovecot user's mailbox, makes and subscribes
// their folders, and returns what IMAP must yield for them. ByPOP3 tells what
// POP3 must. It may be called again, also while Dovecot is being read.
func Fill(tb testing.TB, d *Dovecot, user string, msgs []Message) Oracle {
	tb.Helper()
	if _, ok := d.Users[user]; !ok {
		tb.Fatalf("filling the mailbox of %q: no such user", user)
	}
	if err := WriteMaildir(d.Store(user), msgs); err != nil {
		tb.Fatalf("filling the mailbox of %q: %v", user, err)
	}
	d.Own(d.Store(user))
	return ByIMAP(msgs)
}

// WriteMaildir writes messages into the Maildir++ at root, making it and its
// folders, all subscribed, as needed. Messages without flags go to new.
func WriteMaildir(root string, msgs []Message) error {
	made := make(map[string]string)
	for i, m := range msgs {
		dir, ok := made[m.Folder]
		if !ok {
			var err error
			if dir, err = makeFolder(root, m.Folder); err != nil {
				return err
			}
			made[m.Folder] = dir
		}
		w := m.Wire()
		name := fmt.Sprintf("%d.M%06dP%d.mailtest", m.Date.Unix(), i, time.Now().UnixNano())
		name += fmt.Sprintf(",S=%d,W=%d", len(m.Data), len(w))
		to := filepath.Join(dir, "new", name)
		if m.Flags != "" {
			to = filepath.Join(dir, "cur", name+":2,"+m.Flags)
		}
		tmp := filepath.Join(dir, "tmp", name)
		if err := os.WriteFile(tmp, m.Data, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(tmp, m.Date, m.Date); err != nil {
			return err
		}
		if err := os.Rename(tmp, to); err != nil {
			return err
		}
	}
	return subscribe(root, made)
}

func makeFolder(root, folder string) (string, error) {
	dir := root
	if folder != "INBOX" {
		dir = filepath.Join(root, "."+EncodeName(strings.ReplaceAll(folder, "/", ".")))
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	if folder != "INBOX" {
		if err := os.WriteFile(filepath.Join(dir, "maildirfolder"), nil, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// subscribe adds to the list of subscribed folders. Dovecot may rewrite it at
// any time, into a form whose first line is a version, so it is made once, before
// Dovecot saw the mailbox, and only added to later.
func subscribe(root string, folders map[string]string) error {
	name := filepath.Join(root, "subscriptions")
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var b strings.Builder
	b.Write(old)
	version2 := bytes.HasPrefix(old, []byte("V\t"))
	for _, f := range slices.Sorted(maps.Keys(folders)) {
		entry := EncodeName(strings.ReplaceAll(f, "/", "."))
		if version2 {
			entry = EncodeName(strings.ReplaceAll(f, "/", "\t"))
		}
		if !strings.Contains("\n"+b.String(), "\n"+entry+"\n") {
			b.WriteString(entry + "\n")
		}
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// Delivered is one message found in a mailbox.
type Delivered struct {
	Folder string    // Levels joined with "/"; "INBOX" for the mailbox's root.
	SHA    [32]byte  // Of the message with line ends as on the wire.
	Size   int64     // Of the message with line ends as on the wire.
	Flags  string    // Maildir letters D, F, R and S, in that order.
	Time   time.Time // Internal date; of a file its time of change.

	ID string // Of what a server served only: the UID, or UIDL's answer.

	// Of files only:
	Path  string
	Token string // "F" and 26 letters out of the name; "" when it has none.
	New   bool   // Lies in new, not in cur.
	S, W  int64  // The sizes that the name claims; -1 where it claims none.
}

var (
	tokenPattern = regexp.MustCompile(`(?:^|\.)(F[a-z2-7]{26})(?:\.|,|:|$)`)
	sizePattern  = regexp.MustCompile(`,([SW])=(\d+)`)
)

// ReadMaildir returns every message of a Maildir++, sorted by folder and name.
// It fails the test on files that have no business there, except a server's
// own, and where a name claims a wrong size.
func ReadMaildir(tb testing.TB, root string) []Delivered {
	tb.Helper()
	var all []Delivered
	entries, err := os.ReadDir(root)
	if err != nil {
		tb.Fatalf("reading a Maildir: %v", err)
	}
	all = append(all, readFolder(tb, root, "INBOX")...)
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, e.Name(), "cur")); err != nil {
			continue // Somebody's own directory, such as a spool: no folder.
		}
		all = append(all, readFolder(tb, filepath.Join(root, e.Name()), localName(tb, e.Name()))...)
	}
	return all
}

// localName reads the folder's name from its directory's. Levels are decoded
// one by one, so that an encoded dot is part of a name.
func localName(tb testing.TB, dir string) string {
	tb.Helper()
	levels := strings.Split(strings.TrimPrefix(dir, "."), ".")
	for i, l := range levels {
		name, err := DecodeName(l)
		if err != nil {
			tb.Fatalf("folder %s: %v", dir, err)
		}
		levels[i] = name
	}
	return strings.Join(levels, "/")
}

func readFolder(tb testing.TB, dir, folder string) []Delivered {
	tb.Helper()
	var all []Delivered
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			tb.Fatalf("reading folder %s: %v", folder, err)
		}
		for _, e := range entries {
			if d, ok := readMessage(tb, filepath.Join(dir, sub, e.Name()), e); ok {
				d.Folder, d.New = folder, sub == "new"
				all = append(all, d)
			}
		}
	}
	return all
}

// readMessage reads one file. One that vanished meanwhile was renamed by a
// server or a user: read a mailbox that is at rest.
func readMessage(tb testing.TB, path string, e fs.DirEntry) (Delivered, bool) {
	tb.Helper()
	if e.IsDir() {
		tb.Errorf("%s is a directory, where messages lie", path)
		return Delivered{}, false
	}
	info, err := e.Info()
	if err != nil {
		tb.Errorf("looking at a message: %v", err)
		return Delivered{}, false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Errorf("reading a message: %v", err)
		return Delivered{}, false
	}
	wire := bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
	d := Delivered{SHA: sha256.Sum256(wire), Size: int64(len(wire)), Time: info.ModTime(), Path: path, S: -1, W: -1}
	base, letters, _ := strings.Cut(e.Name(), ":2,")
	for _, l := range "DFRS" {
		if strings.ContainsRune(letters, l) {
			d.Flags += string(l)
		}
	}
	if m := tokenPattern.FindStringSubmatch(base); m != nil {
		d.Token = m[1]
	}
	for _, m := range sizePattern.FindAllStringSubmatch(base, -1) {
		var n int64
		fmt.Sscan(m[2], &n)
		if m[1] == "S" {
			d.S = n
			if n != int64(len(data)) {
				tb.Errorf("%s has %d octets", path, len(data))
			}
		} else {
			d.W = n
			// A file may hold CRLF of its own; a server counts it as one line end.
			if want := int64(len(data) + bytes.Count(data, []byte("\n")) - bytes.Count(data, []byte("\r\n"))); n != want {
				tb.Errorf("%s has %d octets with line ends as CRLF", path, want)
			}
		}
	}
	return d, true
}

// Subscriptions returns the folders that a Maildir++ lists as subscribed,
// decoded and sorted, in either form that Dovecot writes.
func Subscriptions(tb testing.TB, root string) []string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(root, "subscriptions"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		tb.Fatalf("reading the subscriptions: %v", err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	sep := "."
	if strings.HasPrefix(lines[0], "V\t") {
		sep, lines = "\t", lines[1:]
	}
	var all []string
	for _, l := range lines {
		if l == "" {
			continue
		}
		all = append(all, localName(tb, strings.ReplaceAll(l, sep, ".")))
	}
	slices.Sort(all)
	return all
}
