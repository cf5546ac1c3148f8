package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// watch reads every message as soon as it can be seen in a mailbox: what is
// visible only for a while counts as well.
type watch struct {
	users []*user
	end   chan struct{}
	over  chan struct{}

	mu      sync.Mutex
	changed map[string]time.Time          // By directory.
	read    map[string]bool               // By file, with all that tells one content from another.
	seen    map[*user]map[[32]byte]string // Digests, each with a path where it was seen.
}

// startWatch watches the mailboxes of these users.
func startWatch(users []*user) *watch {
	v := &watch{
		users: users, end: make(chan struct{}), over: make(chan struct{}),
		changed: map[string]time.Time{}, read: map[string]bool{}, seen: map[*user]map[[32]byte]string{},
	}
	go func() {
		defer close(v.over)
		for {
			v.look()
			select {
			case <-v.end:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return v
}

// stop ends the watch; it may be asked for what was seen still.
func (v *watch) stop() {
	close(v.end)
	<-v.over
}

// look reads what is new in the mailboxes. What is gone or moved meanwhile was
// the user's doing: it is read where it went, or when the user reads it.
func (v *watch) look() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, u := range v.users {
		folders, err := filepath.Glob(filepath.Join(u.maildir(), ".*"))
		if err != nil {
			continue // No such pattern: it is none of the above.
		}
		for _, folder := range append(folders, u.maildir()) {
			for _, sub := range []string{"new", "cur"} {
				v.lookInto(u, filepath.Join(folder, sub))
			}
		}
	}
}

func (v *watch) lookInto(u *user, dir string) {
	info, err := os.Stat(dir)
	if err != nil || info.ModTime().Equal(v.changed[dir]) && time.Since(info.ModTime()) > time.Second {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	v.changed[dir] = info.ModTime()
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		name, _, _ := strings.Cut(e.Name(), ":")
		key := fmt.Sprintf("%s %s %d %d", u.name, name, info.Size(), info.ModTime().UnixNano())
		if v.read[key] {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		v.read[key] = true
		if v.seen[u] == nil {
			v.seen[u] = map[[32]byte]string{}
		}
		v.seen[u][sha256.Sum256([]byte(strings.ReplaceAll(string(text), "\n", "\r\n")))] = filepath.Join(dir, e.Name())
	}
}

// foreign returns where messages of the user were seen that are not wanted.
func (v *watch) foreign(u *user, want map[[32]byte]int) (paths []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for sha, path := range v.seen[u] {
		if want[sha] == 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

// count is how many different messages were seen.
func (v *watch) count() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, of := range v.seen {
		n += len(of)
	}
	return n
}
