package imapbox

import (
	"container/list"
	"hash/maphash"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// memory is which users' boxes are kept although nobody needs them: those that were used last. Of the others no more is
// known than after a start of the process, but for the marks of their account folders, as else each visit would sign in
// to look for one. It is guarded by Store.mu.
type memory struct {
	most   int
	unused *list.List // Of *box, that which was used last at the end.
	seed   maphash.Seed
	marks  map[uint64]struct{} // Digests of markers.
}

// marker is one user's account folder with its mark.
type marker struct {
	owner owner.Owner
	key   string
}

func newMemory(most int) memory {
	return memory{most: most, unused: list.New(), seed: maphash.MakeSeed(), marks: map[uint64]struct{}{}}
}

// looks is how many boxes are looked at, at most, to find one that can be forgotten.
const looks = 16

// keep keeps a box that nobody needs any more, and forgets others that were not used for long. The caller holds
// Store.mu.
func (s *Store) keep(b *box) {
	b.place = s.memory.unused.PushBack(b)
	for range looks {
		oldest := s.memory.unused.Front()
		if s.memory.unused.Len() <= s.memory.most {
			return
		}
		if old := oldest.Value.(*box); !s.forget(old) {
			s.memory.unused.MoveToBack(oldest)
		}
	}
}

// needs notes that a box is needed. The caller holds Store.mu.
func (s *Store) needs(b *box) {
	if b.place != nil {
		s.memory.unused.Remove(b.place)
		b.place = nil
	}
}

// forget forgets a box, and reports whether it could be. One with a connection, or of which something is known that a
// visit soon needs, stays. The caller holds Store.mu.
func (s *Store) forget(b *box) bool {
	select {
	case b.turn <- struct{}{}:
	default:
		return false
	}
	defer func() { <-b.turn }()
	now := s.o.Now()
	if b.conn != nil || len(b.challenges) > 0 || b.shut != nil && now.Before(b.shut.until) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sent) > 0 || b.full != nil && now.Before(b.full.until) {
		return false
	}
	if b.keeps > exact {
		s.rewriting.Add(-1)
	}
	for key := range b.marked {
		s.memory.marks[maphash.Comparable(s.memory.seed, marker{b.owner, key})] = struct{}{}
	}
	s.needs(b)
	delete(s.boxes, b.owner)
	return true
}

// isMarked reports whether an account folder is known to be there with its mark. The caller has the box's turn.
func (s *Store) isMarked(b *box, key string) bool {
	if b.marked[key] {
		return true
	}
	if b.looked {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := maphash.Comparable(s.memory.seed, marker{b.owner, key})
	_, known := s.memory.marks[digest]
	if known { // From now on the box knows.
		delete(s.memory.marks, digest)
		b.marked[key] = true
	}
	return known
}
