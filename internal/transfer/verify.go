package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// Shelf is the target of a copy, of which nothing is changed. Whoever wires the program makes one of whatever the
// target is. Names of folders are the target's own from Folders, and Name makes one of ours.
type Shelf interface {
	// Name is how the target calls a folder of FolderState.Target.
	Name(ctx context.Context, folder string) (string, error)
	// Folders returns all folders of the mailbox but those of others.
	Folders(ctx context.Context) ([]string, error)
	// Look lists a folder; nil: there is none of this name. The Listed has to be closed.
	Look(ctx context.Context, name string) (Listed, error)
	// Read takes the fingerprints of messages of a folder that was listed. For one that is gone take is not called.
	Read(ctx context.Context, name string, validity uint32, at []uint64, take func(at uint64, p mail.Fingerprint)) error
}

// Listed is what a folder holds. It may hold millions of messages, which are not in memory.
type Listed interface {
	Validity() uint32
	Each(each func(Lying)) error
	Close() error
}

// Ledger is what a copy's journal has of its messages. What it writes, it writes under the copy's lease, and fails with
// the error of whoever leases copies where that is lost.
type Ledger interface {
	// Next returns the first folder that was not verified in this pass.
	Next(ctx context.Context) (f SoughtFolder, more bool, err error)
	// Page returns messages of a folder, by their dates: all that were received in some seconds on end, the first of them
	// not before from, n and perhaps some more. None: there is no further one.
	Page(ctx context.Context, folder int64, from int64, n int) ([]Sought, error)
	// Note writes what was found out of messages of a folder.
	Note(ctx context.Context, folder int64, found []Verdict) error
	// Done notes that a folder was verified.
	Done(ctx context.Context, folder int64) error
	// Missing returns at most n messages that are missing, each with its folder.
	Missing(ctx context.Context, n int) ([]Gone, error)
	// Taken returns which of these places in a folder of FolderState.Target are of messages that were found.
	Taken(ctx context.Context, target string, validity uint32, at []uint64) (map[uint64]bool, error)
	// Targets returns the folders of FolderState.Target.
	Targets(ctx context.Context) ([]string, error)
}

// SoughtFolder is a folder of a copy that is verified.
type SoughtFolder struct {
	Number int64 // The journal's.
	Target string
	// Messages is how many are in the journal, and Told of how many of them the target said where it put them.
	Messages, Told int64
}

// Verdict is what was found out of a message.
type Verdict struct {
	FolderEpoch int64
	ID          mail.ID
	State       MessageState // MessageCopied also where it was there before.
	At          uint64       // Where it lies; 0: as before.
	Validity    uint32
	Read        bool // Its octets were compared.
}

// isNews reports whether the journal does not have it already.
func (x Verdict) isNews(p Sought) bool {
	return x.Read || x.State != p.State || x.At != noPlace && (x.At != p.At || x.Validity != p.Validity)
}

// Gone is a message that is missing.
type Gone struct {
	Folder int64
	Sought
}

// Verifier compares a copy's messages with what lies at the target. Whatever is copied, it has one page of a folder in
// memory. It can be interrupted at any time and continues with the folder, and as for octets with the message, where it
// stood.
type Verifier struct {
	Shelf  Shelf
	Ledger Ledger
	How    Verify
	// Enough is asked where it may be left off.
	Enough func() bool
	// Rewritten says that the target does not keep messages as they are sent.
	Rewritten bool
}

// What a Verifier has in memory, reads at a time and reads in sum.
const (
	soughtAtOnce  = 50_000
	readAtOnce    = 200
	sampleSize    = 200 // Of a folder.
	mostDoubted   = 200 // Of a folder, unless all are read.
	mostSearched  = 2000
	noPlace       = 0
	secondsLowest = -1 << 50
)

// Work continues until all folders are verified, and what is missing was looked for in all others. more: there was
// Enough.
func (v *Verifier) Work(ctx context.Context) (more bool, err error) {
	for {
		f, is, err := v.Ledger.Next(ctx)
		if err != nil {
			return false, err
		}
		if !is {
			return false, v.search(ctx)
		}
		done, err := v.folder(ctx, f)
		if err != nil {
			return false, fmt.Errorf("verifying a folder: %w", err)
		}
		if !done {
			return true, nil
		}
		if err := v.Ledger.Done(ctx, f.Number); err != nil {
			return false, err
		}
		if v.Enough() {
			return true, nil
		}
	}
}

// shelved is a folder that is being verified.
type shelved struct {
	SoughtFolder
	name    string
	listed  Listed // Nil: there is no such folder.
	at      uint32 // Its UIDVALIDITY.
	nth     int64
	doubted int
}

// folder verifies one; false: it is not done.
func (v *Verifier) folder(ctx context.Context, f SoughtFolder) (done bool, err error) {
	s := &shelved{SoughtFolder: f}
	if f.Messages == 0 {
		return true, nil
	}
	if s.name, err = v.Shelf.Name(ctx, f.Target); err != nil {
		return false, err
	}
	if s.listed, err = v.Shelf.Look(ctx, s.name); err != nil {
		return false, err
	}
	if s.listed != nil {
		s.at = s.listed.Validity()
		defer func() { _ = s.listed.Close() }()
	}
	for from := int64(secondsLowest); ; {
		page, err := v.Ledger.Page(ctx, f.Number, from, soughtAtOnce)
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			return true, nil
		}
		from = page[len(page)-1].Received + 1
		if done, err := v.page(ctx, s, page); err != nil || !done {
			return false, err
		}
	}
}

// page verifies messages of a folder.
func (v *Verifier) page(ctx context.Context, s *shelved, page []Sought) (done bool, err error) {
	lying, err := near(s, page)
	if err != nil {
		return false, err
	}
	found := matchListed(page, lying, s.at)
	verdicts := make([]Verdict, len(page))
	var read []int // Of those whose place is known, which are read.
	for i, p := range page {
		verdicts[i] = Verdict{FolderEpoch: p.FolderEpoch, ID: p.ID, State: v.absent(s, p)}
		if found[i].At == noPlace {
			continue
		}
		verdicts[i].State, verdicts[i].At, verdicts[i].Validity = MessageCopied, found[i].At, s.at
		if v.chosen(s, p, found[i]) {
			read = append(read, i)
		}
		s.nth++
	}
	if err := v.recognise(ctx, s, page, lying, found, verdicts); err != nil {
		return false, err
	}
	later := map[int]bool{}
	for _, i := range read {
		later[i] = true
	}
	var now []Verdict
	for i := range verdicts {
		if !later[i] && !page[i].Read && verdicts[i].isNews(page[i]) {
			now = append(now, verdicts[i])
		}
	}
	if err := v.Ledger.Note(ctx, s.Number, now); err != nil {
		return false, err
	}
	for some := range slices.Chunk(read, readAtOnce) {
		if err := v.read(ctx, s, page, lying, found, verdicts, some); err != nil {
			return false, err
		}
		if v.Enough() {
			return false, nil
		}
	}
	return true, nil
}

// absent is the state of a message that is not in its folder. What the target had said to have is its owner's doing, or
// the target's; of all else nobody knows.
func (v *Verifier) absent(s *shelved, p Sought) MessageState {
	if p.At != noPlace && (s.listed == nil || p.Validity == s.at) {
		return MessageMovedOrDeleted
	}
	return MessageMissing
}

// near returns what lies in a folder and may be one of some messages.
func near(s *shelved, page []Sought) (lying []Lying, err error) {
	if s.listed == nil {
		return nil, nil
	}
	dates, places := make(map[int64]bool, len(page)), make(map[uint64]bool, len(page))
	for _, p := range page {
		dates[p.Received] = true
		if p.At != noPlace && p.Validity == s.at {
			places[p.At] = true
		}
	}
	err = s.listed.Each(func(l Lying) {
		if dates[l.Received] || places[l.At] {
			lying = append(lying, l)
		}
	})
	return lying, err
}

// chosen reports whether a message is read whose place is known.
func (v *Verifier) chosen(s *shelved, p Sought, m match) bool {
	switch {
	case p.Read:
		return false
	case m.Doubt && (v.How == VerifyFull || s.doubted < mostDoubted):
		s.doubted++
		return true
	case v.How == VerifyFull:
		return true
	case v.How == VerifySample: // Those of a recovery are the ones of which the target did not say where it put them.
		return sampled(s.nth, s.Messages, sampleSize) || s.Told > 0 && p.At == noPlace
	}
	return false
}

// recognise looks for messages of which nothing listed has date and size among all that has the date, by reading it.
func (v *Verifier) recognise(ctx context.Context, s *shelved, page []Sought, lying []Lying, found []match,
	verdicts []Verdict,
) error {
	places := candidates(page, lying, found, s.at)
	if len(places) == 0 {
		return nil
	}
	var lost []Sought
	var which []int
	for i, p := range page {
		if found[i].At == noPlace && verdicts[i].State == MessageMissing {
			lost, which = append(lost, p), append(which, i)
		}
	}
	read, err := v.alike(ctx, s.name, s.at, places)
	if err != nil {
		return err
	}
	at, likeness := matchRead(lost, read)
	for n, i := range which {
		if at[n] != noPlace {
			verdicts[i].At, verdicts[i].Validity = at[n], s.at
			v.judge(&verdicts[i], likeness[n])
			s.nth++
		}
	}
	return nil
}

// alike reads messages of a folder, of which some may be gone.
func (v *Verifier) alike(ctx context.Context, name string, validity uint32, places []uint64) ([]alike, error) {
	read := make([]alike, 0, len(places))
	for some := range slices.Chunk(places, readAtOnce) {
		err := v.Shelf.Read(ctx, name, validity, some, func(at uint64, p mail.Fingerprint) {
			read = append(read, alike{at, p})
		})
		if err != nil {
			return nil, err
		}
	}
	return read, nil
}

// judge says what the octets of a message say.
func (v *Verifier) judge(x *Verdict, l degree) {
	x.Read, x.State = true, MessageAltered
	switch l {
	case octetsSame:
		x.State = MessageCopied
	case octetsRewritten:
		v.Rewritten = true
	}
}

// read compares the octets of messages whose place is known.
func (v *Verifier) read(ctx context.Context, s *shelved, page []Sought, lying []Lying, found []match,
	verdicts []Verdict, some []int,
) error {
	byPlace := make(map[uint64]int, len(some))
	var others []int
	places := make([]uint64, len(some))
	for n, i := range some {
		places[n], byPlace[found[i].At] = found[i].At, i
		verdicts[i].State = MessageMovedOrDeleted // It was there a moment ago.
	}
	err := v.Shelf.Read(ctx, s.name, s.at, places, func(at uint64, p mail.Fingerprint) {
		if i, asked := byPlace[at]; asked {
			l := compareOctets(page[i].Print, p)
			v.judge(&verdicts[i], l)
			if l == octetsOther {
				others = append(others, i)
			}
		}
	})
	if err == nil && len(others) > 0 {
		err = v.reconsider(ctx, s, page, lying, verdicts, others)
	}
	if err != nil {
		return err
	}
	now := make([]Verdict, len(some))
	for n, i := range some {
		now[n] = verdicts[i]
	}
	return v.Ledger.Note(ctx, s.Number, now)
}

// reconsider looks for messages at whose places others lie: their server said wrong where it put them, or of equals in
// date and size the wrong ones were taken. What it is not found for has other octets.
func (v *Verifier) reconsider(ctx context.Context, s *shelved, page []Sought, lying []Lying, verdicts []Verdict,
	others []int,
) error {
	like := map[outside]bool{}
	lost := make([]Sought, len(others))
	for n, i := range others {
		lost[n] = page[i]
		like[outside{page[i].Received, page[i].Print.Size}] = true
	}
	var places []uint64
	for _, l := range lying {
		if like[outside{l.Received, l.Size}] && len(places) < mostSearched {
			places = append(places, l.At)
		}
	}
	read, err := v.alike(ctx, s.name, s.at, places)
	if err != nil {
		return err
	}
	at, likeness := matchRead(lost, read)
	for n, i := range others {
		if likeness[n] == octetsSame {
			verdicts[i].State, verdicts[i].At = MessageCopied, at[n]
		}
	}
	return nil
}

// search looks in all folders for what is missing: its owner may have moved it. What lies there is taken for one
// message at most, and for none if it is another's of this copy.
func (v *Verifier) search(ctx context.Context) error {
	gone, err := v.Ledger.Missing(ctx, mostSearched)
	if err != nil || len(gone) == 0 {
		return err
	}
	ours, err := v.ours(ctx)
	if err != nil {
		return err
	}
	names, err := v.Shelf.Folders(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if gone, err = v.searchIn(ctx, name, ours[name], gone); err != nil || len(gone) == 0 {
			return err
		}
	}
	return nil
}

// ours returns the copy's folders by the target's names.
func (v *Verifier) ours(ctx context.Context) (map[string]string, error) {
	targets, err := v.Ledger.Targets(ctx)
	if err != nil {
		return nil, err
	}
	ours := make(map[string]string, len(targets))
	for _, t := range targets {
		name, err := v.Shelf.Name(ctx, t)
		if err != nil {
			return nil, err
		}
		ours[name] = t
	}
	return ours, nil
}

// searchIn looks in one folder, and returns what is still missing.
func (v *Verifier) searchIn(ctx context.Context, name, target string, gone []Gone) ([]Gone, error) {
	listed, err := v.Shelf.Look(ctx, name)
	if err != nil || listed == nil {
		return gone, err
	}
	defer func() { _ = listed.Close() }()
	wanted := map[outside]bool{}
	for _, g := range gone {
		wanted[outside{g.Received, g.Print.Size}] = true
	}
	var places []uint64
	if err := listed.Each(func(l Lying) {
		if wanted[outside{l.Received, l.Size}] && len(places) < 2*mostSearched {
			places = append(places, l.At)
		}
	}); err != nil {
		return nil, err
	}
	if target != "" && len(places) > 0 {
		taken, err := v.Ledger.Taken(ctx, target, listed.Validity(), places)
		if err != nil {
			return nil, err
		}
		places = slices.DeleteFunc(places, func(at uint64) bool { return taken[at] })
	}
	read, err := v.alike(ctx, name, listed.Validity(), places)
	if err != nil {
		return nil, err
	}
	sought := make([]Sought, len(gone))
	for i, g := range gone {
		sought[i] = g.Sought
	}
	_, likeness := matchRead(sought, read)
	var left []Gone
	for i, g := range gone {
		if likeness[i] != octetsSame {
			left = append(left, g)
			continue
		}
		err := v.Ledger.Note(ctx, g.Folder, []Verdict{{
			FolderEpoch: g.FolderEpoch, ID: g.ID, State: MessageMovedOrDeleted, Read: true,
		}})
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}
