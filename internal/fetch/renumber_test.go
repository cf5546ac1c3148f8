package fetch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// mailNo is a message whose size grows with its number.
func mailNo(n int) string {
	return fmt.Sprintf("Date: Tue, 1 Feb 2033 10:00:00 +0000\r\nSubject: %d\r\nMessage-ID: <%d@x>\r\n\r\n%s\r\n", n, n,
		strings.Repeat("x", n))
}

func mailNos(from, to int) (ms []string) {
	for n := from; n <= to; n++ {
		ms = append(ms, mailNo(n))
	}
	return ms
}

// refilled replaces all that is in a folder with these messages, under UIDs from 1 on.
func (f *remoteFolder) refilled(ms ...string) {
	f.uids, f.next, f.bodies = nil, 1, map[uint32]string{}
	f.add(ms...)
}

// renumbering is a world whose inbox has these messages, all of them fetched.
func renumbering(t *testing.T, ms ...string) (*world, *remoteFolder) {
	t.Helper()
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(ms...)
	w.brings(t, int64(len(ms)))
	w.remote.headers, w.remote.listed = 0, nil
	return w, w.remote.folders[0]
}

// proves makes a visit that finds out by one message's own text that UIDs are other
// messages' now, and brings n.
func (w *world) proves(t *testing.T, n int64) {
	t.Helper()
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != n || w.remote.fetched != int(n)+1 {
		t.Fatalf("want %d messages: report %+v, %d downloaded", n, r, w.remote.fetched)
	}
}

// bugreports F12 (case c18): a mailbox that was emptied begins with UID 1 again.
func TestF12_MailUnderUIDsThatAreUsedAgainArrives(t *testing.T) {
	w, f := renumbering(t, mailNo(1))
	f.refilled()
	w.brings(t, 0)
	f.refilled(mailNo(2))
	w.brings(t, 1)
	f.refilled(mailNo(3)) // Nothing that is counted shows it.
	w.proves(t, 1)
	f.refilled(strings.Replace(mailNo(3), "3@x", "4@y", 1)) // Nor does its size.
	w.proves(t, 1)
	commits := w.journal.commits
	w.brings(t, 0)
	if w.journal.commits != commits {
		t.Error("a visit without news wrote")
	}
	w.once(t, append(mailNos(1, 3), f.bodies[1])...)
	if f := w.journal.folders[0]; f.Renumbered.IsZero() || f.Epoch == 0 {
		t.Errorf("folder %+v", f)
	}
}

// The same at a server that reports no UIDNEXT, where the next message of a robot has
// the size of the last.
func TestF12_WithoutUIDNEXTAMailboxThatIsFilledAgainHidesNoMail(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.noNext = true
	f := w.remote.folders[0]
	alarms := []string{mailNo(1), strings.Replace(mailNo(1), "1@x", "2@x", 1), strings.Replace(mailNo(1), "1@x", "3@x", 1)}
	for i, alarm := range alarms {
		if f.refilled(alarm); i == 0 {
			w.brings(t, 1)
		} else {
			w.proves(t, 1)
		}
		f.refilled()
		w.brings(t, 0)
	}
	w.once(t, alarms...)
}

func TestF12_AMailboxThatIsRecreatedBetweenVisitsHidesNoMail(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before []string
		after  []string
		news   int64
		daily  bool // Nothing but the daily comparison can show it.
	}{
		{"fewer than before", mailNos(1, 9), mailNos(10, 12), 3, false},
		{"of the same size", mailNos(1, 9), []string{strings.Replace(mailNo(1), "1@x", "y@z", 1)}, 1, false},
		{"without a Message-ID", bodies(9, "a"), bodies(7, "b"), 7, false},
		{"as many as before", mailNos(1, 9), mailNos(10, 18), 9, true},
		{"one of many is another", mailNos(1, 60), append(mailNos(1, 59), mailNo(99)), 1, true},
		{"more than before", mailNos(1, 60), mailNos(100, 170), 71, true},
		{"compacted", mailNos(1, 9), mailNos(3, 9), 0, false},
		{"compacted, and filled up", mailNos(1, 9), mailNos(3, 11), 2, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, f := renumbering(t, tc.before...)
			f.refilled(tc.after...)
			brought := int64(0)
			for range 2 {
				r := w.visit(t.Context())
				if r.Err != nil || r.Partial != nil {
					t.Fatalf("report %+v", r)
				}
				brought += r.Messages
			}
			if w.now = w.now.Add(25 * 60 * 60e9); tc.daily {
				w.remote.headers = 0
				r := w.visit(t.Context())
				if r.Err != nil || r.Partial != nil {
					t.Fatalf("report %+v", r)
				}
				brought += r.Messages
			}
			if brought != tc.news {
				t.Errorf("%d messages came, want %d", brought, tc.news)
			}
			w.brings(t, 0)
			w.once(t, append(tc.before, tc.after[len(tc.after)-int(tc.news):]...)...)
		})
	}
}

// One half of a server that lags behind the other shows fewer messages and a
// lower UIDNEXT now and then.
func TestF12_AServerThatGoesBackAndForthDoublesNothing(t *testing.T) {
	w, f := renumbering(t, mailNos(1, 9)...)
	for range 3 {
		f.refilled(mailNos(1, 7)...)
		w.brings(t, 0)
		f.add(mailNos(8, 9)...)
		w.brings(t, 0)
	}
	f.add(mailNo(10))
	w.brings(t, 1)
	w.once(t, mailNos(1, 10)...)
}

// Controls: what a server counts in its own way is no sign, and where all is in
// order nothing more is asked than before.
func TestF12_NothingIsAskedForWhereUIDsAreInOrder(t *testing.T) {
	w, f := renumbering(t, mailNos(1, 30)...)
	f.add(mailNo(31))
	w.brings(t, 1)
	w.brings(t, 0)
	if got := strings.Join(w.remote.listed, "; "); got != "INBOX from 31" {
		t.Errorf("listed: %s", got)
	}
	w.readsHeaders(t, 0)
	w.remote.sizes = map[uint32]int64{3: 9999}
	w.now = w.now.Add(25 * 60 * 60e9)
	w.brings(t, 0)
	w.readsHeaders(t, 1)
	w.now = w.now.Add(25 * 60 * 60e9)
	w.brings(t, 0)
	w.readsHeaders(t, 0)
	for uid := range uint32(31) {
		w.remote.sizes[uid+1] = 8888
	}
	w.now = w.now.Add(25 * 60 * 60e9)
	w.brings(t, 0)
	w.readsHeaders(t, 20) // It is seen what they are by some of them.
	if f := w.journal.folders[0]; !f.Renumbered.IsZero() || f.Epoch != 0 {
		t.Errorf("folder %+v", f)
	}
}

// A server that makes up the headers that it is asked for alone is no such server, and
// its messages are not read at each visit.
func TestF12_HeadersThatAreMadeUpProveNothing(t *testing.T) {
	w, _ := renumbering(t, mailNos(1, 9)...)
	w.remote.madeUp, w.remote.sizes = true, map[uint32]int64{2: 7777, 3: 9999}
	for i, want := range []int{1, 0, 0} {
		w.now, w.remote.fetched = w.now.Add(25*60*60e9), 0
		if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != 0 || w.remote.fetched != want {
			t.Errorf("day %d: report %+v, %d downloaded", i, r, w.remote.fetched)
		}
	}
	if f := w.journal.folders[0]; !f.Renumbered.IsZero() || f.Epoch != 0 {
		t.Errorf("folder %+v", f)
	}
}

func TestF12_AUIDNEXTThatIsAlwaysTooLowMeansNothing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		remove uint32
		next   uint32
		listed int // Times the whole folder is.
	}{
		{"below what is counted", 0, 2, 0},
		{"below the last UID", 4, 9, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, f := renumbering(t, mailNos(1, 9)...)
			f.uids = f.uids[tc.remove:]
			f.next = tc.next
			for range 3 {
				w.brings(t, 0)
			}
			whole := 0
			for _, l := range w.remote.listed {
				if l == "INBOX from 0" {
					whole++
				}
			}
			if f := w.journal.folders[0]; whole != tc.listed || !f.Renumbered.IsZero() || f.Epoch != 0 {
				t.Errorf("listed %v, folder %+v", w.remote.listed, f)
			}
		})
	}
}

// Whichever commit is lost, with its effect or without.
func TestF12_ABrokenOffVisitToARenumberedFolderNeitherLosesNorDoubles(t *testing.T) {
	for _, done := range []bool{false, true} {
		for at := 1; at <= 5; at++ {
			w, f := renumbering(t, mailNos(1, 9)...)
			f.refilled(mailNos(5, 20)...)
			w.now = w.now.Add(25 * 60 * 60e9)
			w.journal.loseAt, w.journal.loseDone = w.journal.commits+at, done
			w.visit(t.Context())
			w.journal.loseAt = 0
			for range 2 {
				if r := w.visit(t.Context()); r.Err != nil && fault.CodeOf(r.Err) != fault.Internal {
					t.Fatalf("commit %d, done %v: %v", at, done, r.Err)
				}
			}
			w.once(t, mailNos(1, 20)...)
		}
	}
}
