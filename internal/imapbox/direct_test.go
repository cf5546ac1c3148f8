package imapbox

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// weaker is a mailbox at a server that messages are appended to directly.
type weaker struct {
	destination.Place
	mu     *sync.Mutex
	stores *[]*Store
}

func newWeaker(p destination.Place) weaker { return weaker{p, &sync.Mutex{}, &[]*Store{}} }

func (p weaker) Open(ctx context.Context, process destination.Process) (fetch.Delivery, error) {
	d, err := p.Place.Open(ctx, process)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.stores = append(*p.stores, d.(*Delivery).store)
	return d, nil
}

func (p weaker) Ambiguous() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range *p.stores {
		n += s.Ambiguous()
	}
	return n
}

// Where messages cannot be moved they are appended to their folders, and that promises as much as
// the suite's Weaker says.
func TestDirectDelivery(t *testing.T) {
	t.Parallel()
	for offers, test := range map[string]func(*testing.T, func(testing.TB) destination.Place){
		"": destination.Sample, "MULTIAPPEND LITERAL+ UIDPLUS": destination.Test,
		"LITERAL+": destination.Sample, "MULTIAPPEND": destination.Sample, "UIDPLUS": destination.Sample,
		"LITERAL- UIDPLUS": destination.Sample, "MOVE MULTIAPPEND LITERAL-": destination.Sample,
	} {
		if mailtest.Leaves(t, offers, "MULTIAPPEND LITERAL+ UIDPLUS") {
			continue
		}
		t.Run(strings.ReplaceAll("nothing more "+offers, " ", "_"), func(t *testing.T) {
			t.Parallel()
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
				Separator: "/", Extra: []string{everybody}, Capability: strings.TrimSpace(capabilities0 + " " + offers),
			})
			test(t, func(tb testing.TB) destination.Place { return newWeaker(newPlace(tb, d)) })
		})
	}
}

// A message that the server does not take ends the visit that appends it. The next one finds that it is not
// stored, and has it refused when it is sealed; what came with it is delivered once.
func TestADirectlyDeliveredMessageIsRefused(t *testing.T) {
	t.Parallel()
	for offers, visits := range map[string]int64{"LITERAL+": 2, "MULTIAPPEND LITERAL+": 3} {
		d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
			Separator: "/", Capability: capabilities0 + " " + offers, Extra: append(limited(20), everybody),
		})
		p := newPlace(t, d)
		all := map[string]bool{}
		for i := range 8 {
			all[text(i, map[bool]int{true: 40000, false: 10 * i}[i == 3])] = true
		}
		s := p.store(func(string) {}, func() error { return nil })
		o, err := owner.Parse(p.user)
		if err != nil {
			t.Fatal(err)
		}
		var before []mail.Placement
		for epoch := int64(1); ; epoch++ {
			d, err := s.Open(t.Context(), o, "journal", epoch, owner.Limit{})
			if err != nil {
				t.Fatal(err)
			}
			fates, err := d.Find(t.Context(), before, true)
			if err != nil {
				t.Fatal(err)
			}
			var bodies []string
			for body := range all {
				bodies = append(bodies, body)
			}
			slices.Sort(bodies)
			for i, f := range fates {
				if f == mail.Delivered {
					at := slices.IndexFunc(bodies, func(b string) bool { return fingerprint(b) == before[i].Fingerprint })
					delete(all, bodies[at])
					bodies = slices.Delete(bodies, at, at+1)
				}
			}
			var refused []error
			before, refused = sealedInto(t, d, func(body string) string { return strings.Fields(body)[1] }, bodies...)
			_, err = d.Publish(t.Context(), before)
			if cerr := d.Close(); cerr != nil {
				t.Error(cerr)
			}
			if err == nil {
				if len(refused) != 1 || fault.CodeOf(refused[0]) != fault.MessageFailed || epoch != visits {
					t.Errorf("%s: after %d visits %v is refused", offers, epoch, refused)
				}
				break
			}
			if fault.CodeOf(err) != fault.LocalMailboxUnavailable || epoch > visits {
				t.Fatalf("%s: visit %d: %v", offers, epoch, err)
			}
		}
		p.arrived(7)
		if n := s.Ambiguous(); n != 0 {
			t.Errorf("%d are ambiguous", n)
		}
	}
}

// A folder has one unsettled batch: another delivery waits.
func TestAFolderHasOneUnsettledBatch(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	p.direct = true
	s := p.store(func(string) {}, func() error { return nil })
	o, err := owner.Parse(p.user)
	if err != nil {
		t.Fatal(err)
	}
	open := func(journal string) *Delivery {
		d, err := s.Open(t.Context(), o, journal, 1, owner.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	one, two := open("one"), open("two")
	ps, _ := sealed(t, one, text(0, 1))
	second := make(chan []mail.Placement)
	go func() {
		ps, _ := sealed(t, two, text(0, 2))
		second <- ps
	}()
	select {
	case <-second:
		t.Error("the folder has two unsettled batches")
	case <-time.After(100 * time.Millisecond): // Only a failure would be missed by it.
	}
	if _, err := one.Publish(t.Context(), ps); err != nil {
		t.Error(err)
	}
	if _, err := two.Publish(t.Context(), <-second); err != nil {
		t.Error(err)
	}
	p.arrived(2)
}

// A batch that was sealed long ago is not sent: another process may have found that it is not stored.
func TestAnOldIntentIsNotSent(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	p.direct = true
	opened := p.opened(1)
	ps, _ := sealed(t, opened, text(0, 1))
	d := opened.(*Delivery)
	d.box.mu.Lock()
	d.box.sent["journal"][ps[0].Spool].at = time.Now().Add(-begunWithin - time.Second)
	d.box.mu.Unlock()
	if _, err := d.Publish(t.Context(), ps); fault.CodeOf(err) != fault.LocalMailboxUnavailable {
		t.Errorf("it is sent: %v", err)
	}
	p.arrived(0)
}

// Where a folder's UIDs mean something else than before, all of it is looked at.
func TestTheUIDValidityChanges(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	p.direct = true
	d := p.opened(1)
	ps, _ := sealed(t, d, text(0, 1), text(1, 1), text(2, 1), text(3, 1))
	if _, err := d.Publish(t.Context(), ps[:2]); err != nil {
		t.Fatal(err)
	}
	p.d.Adm("mailbox", "update", "-u", p.user, "--uid-validity", "77777", "--min-next-uid", "500", "Even")
	again := p.opened(2)
	fates, err := again.Find(t.Context(), ps, true)
	if err != nil || !slices.Equal(fates, []mail.Fate{mail.Delivered, mail.Delivered, mail.Lost, mail.Lost}) {
		t.Errorf("the fates are %v (%v)", fates, err)
	}
	if n := again.(*Delivery).store.Ambiguous(); n != 1 { // In Odd it is certain.
		t.Errorf("%d are ambiguous", n)
	}
}

// Where messages are appended directly: what decides.
func TestWhereMessagesAreAppendedDirectly(t *testing.T) {
	t.Parallel()
	for offers, direct := range map[string]bool{
		"IMAP4REV1 MOVE UIDPLUS": false, "IMAP4REV1 IMAP4REV2": false, "IMAP4REV1 MOVE": true, "IMAP4REV1 UIDPLUS": true,
		"IMAP4REV1": true, "IMAP4REV1 MOVE UIDPLUS X-GM-EXT-1": true,
	} {
		c := &conn{caps: capabilities(offers)}
		if s := New(Options{}); s.isDirect(c) != direct {
			t.Errorf("%s: %t", offers, !direct)
		}
		if s := New(Options{Direct: true}); !s.isDirect(c) {
			t.Errorf("%s, and it is wanted", offers)
		}
	}
}

// What a look into a folder says of messages that were sent and not answered.
func TestWhatWasStored(t *testing.T) {
	t.Parallel()
	const validity = 7
	type found map[uint32]byte // Messages by their UIDs.
	for name, c := range map[string]struct {
		sent    string // One letter each, equal ones are equal messages; capitals are known to be stored.
		named   uint32 // The UID of those that are known to be stored; 0: it was not told.
		there   found  // From UID 10 on.
		next    uint32
		another bool   // The folder has another UIDVALIDITY.
		stored  string // One letter each: s stored, - not.
		doubts  int
	}{
		"nothing came":                            {"abc", 0, found{}, 10, false, "---", 0},
		"everything came":                         {"abc", 0, found{10: 'a', 11: 'b', 12: 'c'}, 13, false, "sss", 0},
		"others came too":                         {"abc", 0, found{10: 'x', 11: 'a', 12: 'y', 13: 'b'}, 14, false, "ss-", 0},
		"its user took the first":                 {"abc", 0, found{11: 'b'}, 12, false, "ss-", 0},
		"its user took the last":                  {"abc", 0, found{10: 'a'}, 12, false, "s--", 1},
		"its user took everything":                {"abc", 0, found{}, 13, false, "---", 3},
		"one is gone, of two that are not there":  {"abc", 0, found{}, 11, false, "---", 1},
		"twins, one came":                         {"aa", 0, found{10: 'a'}, 11, false, "s-", 0},
		"twins, the first is gone":                {"aba", 0, found{11: 'b', 12: 'a'}, 13, false, "sss", 0},
		"a settled twin takes its place":          {"Aa", 0, found{10: 'a'}, 11, false, "s-", 0},
		"a settled twin whose user took it":       {"Aa", 10, found{11: 'a'}, 12, false, "ss", 0},
		"a settled twin with a UID that is wrong": {"Aa", 11, found{10: 'a', 11: 'x'}, 12, false, "s-", 0},
		"no UIDNEXT is sent":                      {"ab", 0, found{10: 'a'}, 0, false, "s-", 1},
		"another folder of this name":             {"ab", 0, found{3: 'a'}, 9, true, "s-", 1},
		"out of order":                            {"abc", 0, found{10: 'b', 11: 'c', 12: 'a'}, 13, false, "sss", 0},
	} {
		var ms []*intended
		id := func(letter byte) identity { return identity{digest: [32]byte{letter}} }
		for n, letter := range []byte(c.sent) {
			m := &intended{intent: intent{batch: 1, n: n, validity: validity, next: 10}, outcome: unknown}
			if letter < 'a' {
				letter, m.outcome, m.uid = letter+'a'-'A', stored, c.named
			}
			m.p.Received, m.p.Fingerprint.Digest = time.Unix(0, 0), id(letter).digest
			ms = append(ms, m)
		}
		v := &view{validity: validity, next: c.next, there: map[uint32]bool{}}
		if c.another {
			v.validity++
		}
		for uid := range uint32(20) {
			if letter, ok := c.there[uid]; ok {
				v.there[uid] = true
				v.candidates = append(v.candidates, &candidate{uid: uid, identity: id(letter)})
			}
		}
		gone := v.settled(ms)
		v.match(ms)
		doubts := v.account(ms, gone)
		got := ""
		for _, m := range ms {
			got += map[bool]string{true: "s", false: "-"}[m.outcome == stored]
		}
		if got != c.stored || doubts != c.doubts {
			t.Errorf("%s: %s with %d doubts, want %s with %d", name, got, doubts, c.stored, c.doubts)
		}
	}
}
