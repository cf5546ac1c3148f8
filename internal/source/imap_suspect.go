package source

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// A BYE ends the visit the second time. Over what the server said it is remembered
// among the capabilities, also by a visit that failed, so that the next one first
// brings what follows it: see docs/decisions/0029-session-or-culprit.md.

const (
	// capBYE is our own word among those that are remembered, with a folder or message
	// over which the server said BYE.
	capBYE = "X-BYE="
	// mostSuspects is how many are remembered.
	mostSuspects = 20
)

// suspects are folders and messages over which a server said BYE, by their words.
// It is safe for concurrent use.
type suspects struct {
	mu    sync.Mutex
	words map[string]bool
}

// rememberedSuspects are those of earlier sessions.
func rememberedSuspects(known imap.CapSet) map[string]bool {
	words := map[string]bool{}
	for w := range known {
		if strings.HasPrefix(string(w), capBYE) {
			words[string(w)] = true
		}
	}
	return words
}

func suspectFolder(wire string) string {
	h := fnv.New64a()
	h.Write([]byte(wire))
	return fmt.Sprintf("%s%016x", capBYE, h.Sum64())
}

func suspectMessage(wire string, validity, uid uint32) string {
	return fmt.Sprintf("%s/%d/%d", suspectFolder(wire), validity, uid)
}

func (s *suspects) add(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.words {
		if len(s.words) < mostSuspects {
			break
		}
		delete(s.words, w) // Any: what is gone from the server is not known.
	}
	s.words[word] = true
}

func (s *suspects) remove(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.words, word)
}

func (s *suspects) has(word string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.words[word]
}

// all returns the words by which a later session knows them.
func (s *suspects) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.words))
}

// holds reports whether any is a message of a folder.
func (s *suspects) holds(wire string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.words {
		if strings.HasPrefix(w, suspectFolder(wire)+"/") {
			return true
		}
	}
	return false
}

// leaves says why a folder over which the server said BYE in an earlier visit is not
// asked for: it would end the last connection. Nil: it is.
func (c *imapConn) leaves(q mail.Query) *fault.Error {
	if !c.last || !c.quirks.suspects.has(suspectFolder(q.Folder.Wire)) {
		return nil
	}
	name := displayName(q.Folder)
	return &fault.Error{
		Code: fault.FolderFailed, Op: "listing folder " + name, Ended: true,
		Detail: words.Detail{words.Say("Folder %s could not be read.", name)},
	}
}

// putLast takes messages over which the server said BYE in an earlier visit out of
// items: they are asked for alone, once the others came.
func (r *fetchRun) putLast(w *mail.Want, items []mail.Item) []mail.Item {
	if w.Again || r.headers || !r.s.quirks.suspects.holds(w.Folder.Wire) {
		return items
	}
	return slices.DeleteFunc(items, func(it mail.Item) bool {
		last := r.s.quirks.suspects.has(suspectMessage(w.Folder.Wire, w.Validity, it.ID.UID))
		if last {
			r.later = append(r.later, &batch{want: w, items: []mail.Item{it}, size: it.Size, stage: alone, bye: true})
		}
		return last
	})
}

// suspect remembers a message over which the server said BYE, for the next visits.
func (r *fetchRun) suspect(w *mail.Want, uid uint32) {
	r.s.quirks.suspects.add(suspectMessage(w.Folder.Wire, w.Validity, uid))
}

// trust forgets that, where the message came or is missed.
func (r *fetchRun) trust(w *mail.Want, uid uint32) {
	r.s.quirks.suspects.remove(suspectMessage(w.Folder.Wire, w.Validity, uid))
}
