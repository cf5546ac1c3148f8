package imapbox

import (
	"fmt"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// fidelity is how a server keeps the messages of a mailbox. It is learned from the first of
// them that are appended to a staging folder, by reading them back.
type fidelity int

const (
	unlearned     fidelity = iota
	exact                  // To the octet.
	headerChanged          // Bodies are as they were sent.
	rewritten
)

// String is how it is logged.
func (f fidelity) String() string {
	return [...]string{"not known", "exact", "header changed", "rewritten"}[f]
}

// How many messages are read back to learn it, and how long they may be.
const (
	mostReadBack    = 3
	longestReadBack = 256 << 10
)

// compared is how a message was kept.
func compared(sent, kept mail.Fingerprint) fidelity {
	switch {
	case sent.Digest == kept.Digest:
		return exact
	case sent.Body == kept.Body:
		return headerChanged
	}
	return rewritten
}

// loose reports whether a message of ours may have other octets at the server than it was sent
// with: it is recognised then by its date of arrival and by Message-ID, Date, From and Subject.
func (b *box) loose(m *staged) bool { return b.keeps != exact || b.guessed || !m.plain() }

// where learns the UIDs in the staging folder, which is selected, of the messages that were taken: a
// server gives UIDs in the order in which it takes messages (RFC 9051 section 2.3.1.1). That does
// without APPENDUID, which some servers get wrong. Where others than ours lie there, or others than
// they should be, they are distinguished by what they hold.
func (a *appending) where() error {
	if len(a.taken) == 0 && slices.Max(a.denied) == 0 {
		return nil
	}
	for range 2 { // A server need not show what was appended before the next command but one.
		if a.sizes != nil && len(a.sizes) >= len(a.taken) {
			break
		}
		if _, err := a.c.Do(a.listing(), a.listed); err != nil {
			return err
		}
	}
	sizes := a.sizes
	var uids []uint32
	for uid := range sizes {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	if len(uids) > 0 {
		a.c.next = uids[len(uids)-1] + 1
	}
	l := &looking{}
	if a.inOrder(uids, sizes) {
		for n, i := range a.taken {
			a.uids[i] = uids[n]
		}
	} else if err := a.recognise(l, uids); err != nil {
		return err
	}
	for _, i := range a.taken {
		a.d.ours[a.uids[i]] = true
	}
	return a.learnFidelity(l, a.taken, sizes)
}

// listing asks what the staging folder has beside what was in it.
func (a *appending) listing() string {
	return fmt.Sprintf("UID FETCH %d:* (UID RFC822.SIZE)", max(1, a.c.next))
}

// listed takes its answers.
func (a *appending) listed(x wire.Answer) error {
	if a.sizes == nil {
		a.sizes = map[uint32]int64{}
	}
	if uid, items := fetched(x); uid >= a.c.next && items["RFC822.SIZE"].Text != "" {
		a.sizes[uid] = items["RFC822.SIZE"].Number() // Without one it is a flag that changes.
	}
	return nil
}

// inOrder reports whether as many messages came as were taken, as long as they were, as far as that can be known.
func (a *appending) inOrder(uids []uint32, sizes map[uint32]int64) bool {
	if len(uids) != len(a.taken) {
		return false
	}
	for n, i := range a.taken {
		if sizes[uids[n]] != a.messages[i].size && !a.d.box.guessed && a.d.box.keeps <= exact && a.messages[i].plain() {
			return false
		}
	}
	return true
}

// How surely a message that the server has is one that was sent: of two that are equal each has a date of its own,
// which not every server keeps; and what a server has changed has the same header fields, those that nobody changes.
const (
	sameOctetsAndDate = iota
	sameOctets
	sameHeaderAndDate
	sameHeader
	allLikenesses
)

// alike reports whether a message that the server has, and that arrived then by its word, is so surely one we sent.
func alike(surely int, p mail.Placement, kept mail.Fingerprint, arrived int64) bool {
	octets, header := p.Fingerprint.Digest == kept.Digest, p.Fingerprint.Header == kept.Header
	dated := p.Received.Unix() == arrived
	return [allLikenesses]bool{octets && dated, octets, header && dated, header}[surely]
}

// arrivals asks when messages of the open folder arrived, in seconds of Unix time.
func (c *conn) arrivals(uids []uint32) (map[uint32]int64, error) {
	arrived := map[uint32]int64{}
	for some := range slices.Chunk(uids, 100) {
		_, err := c.Do("UID FETCH "+wire.UIDs(some)+" (UID INTERNALDATE)", func(x wire.Answer) error {
			uid, items := fetched(x)
			if date, err := time.Parse(dateLayout, items["INTERNALDATE"].Text); err == nil && uid != 0 {
				arrived[uid] = date.Unix()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return arrived, nil
}

// recognise finds the messages that were taken among others. What nobody of us has appended is
// its owner's, and is given back.
func (a *appending) recognise(l *looking, uids []uint32) error {
	if err := l.read(a.c, a.c.selected, a.c.validity, uids); err != nil {
		return err
	}
	arrived, err := a.c.arrivals(uids)
	if err != nil {
		return err
	}
	free := slices.Clone(uids)
	take := func(surely int, p mail.Placement) uint32 {
		for n, uid := range free {
			kept, ok := l.kept[lies{a.c.selected, a.c.validity, uid}]
			if ok && alike(surely, p, kept, arrived[uid]) {
				free = slices.Delete(free, n, n+1)
				return uid
			}
		}
		return 0
	}
	missing := slices.Clone(a.taken)
	for surely := range allLikenesses {
		missing = slices.DeleteFunc(missing, func(i int) bool {
			a.uids[i] = take(surely, a.ps[i])
			return a.uids[i] != 0
		})
	}
	if len(missing) > len(free) || len(uids) != len(a.taken) && len(missing) > 0 || a.d.box.keeps == exact &&
		slices.ContainsFunc(missing, func(i int) bool { return a.messages[i].plain() }) {
		return fault.Wrap(fault.LocalMailboxUnavailable, "appending messages",
			fmt.Errorf("%d messages were appended, and of %d more in the staging folder %d are not known",
				len(a.taken), len(uids), len(free)))
	}
	for n, i := range missing { // The server rewrites them, and has them in their order.
		a.uids[i] = free[n]
	}
	free = free[len(missing):]
	for i, times := range a.denied { // Some are stored all the same, and perhaps once more since.
		ways := sameOctets + 1
		if a.d.box.loose(a.messages[i]) {
			ways = allLikenesses
		}
		for range times {
			for surely := range ways {
				if uid := take(surely, a.ps[i]); uid != 0 {
					a.d.ours[uid] = true
					break
				}
			}
		}
	}
	return a.d.giveBack(a.c, free)
}

// learnFidelity reads back what was appended first into a mailbox, from the folder that is open. sizes are what the
// server told of them; nil: it was not asked.
func (a *appending) learnFidelity(l *looking, of []int, sizes map[uint32]int64) error {
	b := a.d.box
	if b.keeps != unlearned {
		return nil
	}
	var sample []int
	var unread []uint32
	for _, i := range of {
		if m := a.messages[i]; len(sample) < mostReadBack && m.size <= longestReadBack && m.plain() {
			sample = append(sample, i)
			if _, known := l.kept[lies{a.to[i], a.c.validity, a.uids[i]}]; !known {
				unread = append(unread, a.uids[i])
			}
		}
	}
	if len(sample) == 0 {
		return nil
	}
	if err := l.read(a.c, a.to[sample[0]], a.c.validity, unread); err != nil {
		return err
	}
	keeps := unlearned
	for _, i := range sample {
		kept, ok := l.kept[lies{a.to[i], a.c.validity, a.uids[i]}]
		if sure := sizes != nil; ok && (sure || kept.Header == a.ps[i].Fingerprint.Header) { // Its UID may be another's.
			keeps = max(keeps, compared(a.ps[i].Fingerprint, kept))
			b.guessed = b.guessed || sizes != nil && sizes[a.uids[i]] != kept.Size
		}
	}
	if b.keeps = keeps; keeps > exact {
		a.d.store.rewriting.Add(1)
		a.d.store.o.Log.Warn("the server does not keep messages as they are sent", "user", a.d.owner,
			"messages", keeps.String())
	}
	return nil
}

// learnDirectly does so where messages were appended to their folders: from the first of them, as far as the
// server named UIDs. All is delivered by then: if it fails it is tried with the next.
func (a *appending) learnDirectly() {
	var of []int
	for _, i := range a.taken {
		if a.uids[i] != 0 && (len(of) == 0 || a.to[of[0]] == a.to[i]) {
			of = append(of, i)
		}
	}
	if len(of) == 0 || a.d.box.keeps != unlearned {
		return
	}
	_, err := a.c.examines(a.to[of[0]])
	if err == nil {
		err = a.learnFidelity(&looking{}, of, nil)
	}
	if err != nil {
		a.d.store.o.Log.Info("messages were not read back", "user", a.d.owner, "error", err)
	}
}

// Rewriting is of how many mailboxes it is known that their server does not keep messages as they are sent.
func (s *Store) Rewriting() int64 { return s.rewriting.Load() }

// giveBack moves messages that others have put into a staging folder, which is selected, into the
// inbox: the folder is deleted soon.
func (d *Delivery) giveBack(c *conn, uids []uint32) error {
	if len(uids) == 0 || !d.fresh {
		return nil // What is in a folder that was there before may be ours.
	}
	d.store.o.Log.Warn("messages that others put into a staging folder are moved into the inbox", "user", d.owner,
		"messages", len(uids))
	_, err := c.Do("UID MOVE "+wire.UIDs(uids)+" "+wire.Quote("INBOX"), nil)
	return err
}
