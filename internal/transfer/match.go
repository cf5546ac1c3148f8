package transfer

import (
	"cmp"
	"slices"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// Sought is a message of a copy that is looked for at the target.
type Sought struct {
	FolderEpoch int64
	ID          mail.ID
	Received    int64 // Unix seconds: the date that the target was given, its INTERNALDATE.
	Print       mail.Fingerprint
	// At is where the target said that it put the message, or where it was seen before; 0: nobody knows. It is a UID under
	// Validity, or what else names a message where Lying comes from.
	At       uint64
	Validity uint32
	// State is what was found last; "": nothing was written of it yet.
	State MessageState
	// Read says that its octets were compared in this pass, so that State holds.
	Read bool
}

// Lying is a message in a folder of the target, as it is listed.
type Lying struct {
	At       uint64 // As Sought.At; never 0.
	Received int64  // As Sought.Received.
	Size     int64  // As the server tells it, which may be wrong; -1: it does not.
}

// match is what was found for a Sought.
type match struct {
	At    uint64 // 0: nothing.
	Doubt bool   // Its size or date are other than those that it was given: its octets say what it is.
}

// outside is what is seen of a message without reading it.
type outside struct{ received, size int64 }

// matchListed finds messages in a folder by what is listed of them. A message that lies there is taken for one at most.
// First come those whose place is known, in whichever order; then equals in date and size, the earlier by the earlier,
// so that of twins one that is gone is missed. validity is the folder's; places under another are forgotten.
func matchListed(sought []Sought, lying []Lying, validity uint32) []match {
	found := make([]match, len(sought))
	byPlace := make(map[uint64]int, len(lying))
	used := make([]bool, len(lying))
	for i, l := range lying {
		if _, twice := byPlace[l.At]; twice { // Somebody moved it while it was listed.
			used[i] = true
			continue
		}
		byPlace[l.At] = i
	}
	for i, s := range sought {
		at, there := byPlace[s.At]
		if s.At == 0 || s.Validity != validity || !there || used[at] {
			continue
		}
		l := lying[at]
		used[at] = true
		found[i] = match{l.At, l.Received != s.Received || l.Size != s.Print.Size}
	}
	equals := map[outside][]int{}
	for i, l := range lying {
		if !used[i] {
			k := outside{l.Received, l.Size}
			equals[k] = append(equals[k], i)
		}
	}
	for _, all := range equals {
		slices.SortFunc(all, func(a, b int) int { return cmp.Compare(lying[a].At, lying[b].At) })
	}
	for i, s := range sought {
		if found[i].At != 0 || s.At != 0 && s.Validity == validity { // It lay elsewhere, and is gone from there.
			continue
		}
		k := outside{s.Received, s.Print.Size}
		if free := equals[k]; len(free) > 0 {
			found[i].At, equals[k] = lying[free[0]].At, free[1:]
		}
	}
	return found
}

// candidates returns what lies in a folder, has the date of a message for which nothing was found, and was taken for
// none: the sizes that its server reports may be wrong, or it has changed the message.
func candidates(sought []Sought, lying []Lying, found []match, validity uint32) (places []uint64) {
	used := make(map[uint64]bool, len(found))
	dates := map[int64]bool{}
	for i, f := range found {
		used[f.At] = true
		if f.At == 0 && (sought[i].At == 0 || sought[i].Validity != validity) {
			dates[sought[i].Received] = true
		}
	}
	for _, l := range lying {
		if dates[l.Received] && !used[l.At] {
			places = append(places, l.At)
		}
	}
	return places
}

// degree is how far a message at the target is what was copied.
type degree int

// The degrees, the best last.
const (
	octetsOther     degree = iota
	octetsChanged          // Its Message-ID, date, sender and subject are those, and what follows its header is not.
	octetsRewritten        // Its header differs, and what follows it does not: the target adds or changes fields.
	octetsSame             // Octet for octet.
)

// compareOctets says how like two messages are.
func compareOctets(copied, kept mail.Fingerprint) degree {
	switch {
	case copied.Digest == kept.Digest:
		return octetsSame
	case copied.Body == kept.Body && copied.Header == kept.Header:
		return octetsRewritten
	case copied.Header == kept.Header:
		return octetsChanged
	}
	return octetsOther
}

// alike is a message at the target that was read.
type alike struct {
	At    uint64
	Print mail.Fingerprint
}

// matchRead finds messages among some that were read, each of which is taken for one at most: first what is the same,
// then what was rewritten, then what was changed.
func matchRead(sought []Sought, read []alike) (places []uint64, likeness []degree) {
	places, likeness = make([]uint64, len(sought)), make([]degree, len(sought))
	used := make([]bool, len(read))
	for _, d := range []degree{octetsSame, octetsRewritten, octetsChanged} {
		by := map[any][]int{}
		for i, r := range read {
			if !used[i] {
				k := d.key(r.Print)
				by[k] = append(by[k], i)
			}
		}
		for i, s := range sought {
			if places[i] != 0 {
				continue
			}
			k := d.key(s.Print)
			if free := by[k]; len(free) > 0 {
				places[i], likeness[i] = read[free[0]].At, d
				used[free[0]], by[k] = true, free[1:]
			}
		}
	}
	return places, likeness
}

// key is what two messages have in common that are so alike.
func (l degree) key(p mail.Fingerprint) any {
	switch l {
	case octetsSame:
		return p.Digest
	case octetsRewritten:
		return [2][16]byte{p.Body, p.Header}
	}
	return p.Header
}

// sampled reports whether the nth of all messages of a folder is among the some that are read of it, which lie evenly
// over it. n counts from 0.
func sampled(n, all, some int64) bool {
	if all <= some {
		return true
	}
	return n*some/all != (n+1)*some/all
}
