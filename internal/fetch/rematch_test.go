package fetch_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// letters are messages with a Message-ID each.
func letters(n int, prefix string) (bs []string) {
	for i := range n {
		bs = append(bs, fmt.Sprintf("Message-ID: <%s-%d@remote.test>\r\nSubject: %s\r\n\r\nThe text of %d.\r\n", prefix, i,
			prefix, i))
	}
	return bs
}

// renumber gives every message of a folder a new UID under a new UIDVALIDITY.
func (f *remoteFolder) renumber(validity, from uint32) {
	var bodies []string
	for _, u := range f.uids {
		bodies = append(bodies, f.bodies[u])
	}
	f.validity, f.next, f.uids, f.bodies = validity, from, nil, map[uint32]string{}
	f.add(bodies...)
}

func TestAChangeOfUIDVALIDITYDeliversNothingTwiceAndDownloadsNothing(t *testing.T) {
	w := newWorld(t, "INBOX", "B")
	w.remote.folders[0].add(letters(150, "in")...)
	w.remote.folders[1].add(letters(30, "b")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.remote.fetched = 0
	for _, f := range w.remote.folders {
		f.renumber(8, 1000)
	}
	w.remote.folders[0].add(letters(2, "new")...)
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 2 || w.remote.fetched != 2 {
		t.Fatalf("report %+v, %d bodies downloaded", r, w.remote.fetched)
	}
	w.complete(t)
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || w.remote.fetched != 0 {
		t.Fatalf("afterwards: %+v", r)
	}
}

func TestUIDVALIDITYThatFlapsDeliversNothingTwice(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.add(letters(20, "in")...)
	for i := range 8 {
		if r := w.visit(t.Context()); r.Err != nil {
			t.Fatal(r.Err)
		}
		f.renumber(uint32(7+i%2), f.next+3)
		f.add(letters(1, fmt.Sprint("new", i))...)
	}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

// What was deleted locally must stay deleted under its new name too, and a
// message without a Message-ID is recognised by its content.
func TestMessagesWithoutMessageIDAreRecognisedByTheirContent(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.add(bodies(25, "anonymous")...)
	f.add("", "\r\n", "Subject: twin\r\n\r\nsame\r\n", "Subject: twin\r\n\r\nsame\r\n")
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	f.renumber(9, 1)
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || w.remote.fetched != 29 {
		t.Fatalf("report %+v, fetched %d", r, w.remote.fetched)
	}
	w.complete(t)
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || w.remote.fetched != 0 {
		t.Fatalf("they were downloaded again: %+v", r)
	}
}

// A stranger can copy a Message-ID: by itself it must not suppress a delivery.
func TestTheSameMessageIDWithOtherContentIsDelivered(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.add(letters(10, "in")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	f.renumber(9, 1)
	f.add("Message-ID: <in-3@remote.test>\r\nSubject: in\r\n\r\nAnother text.\r\n")
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

func TestARenamedFolderIsRecognised(t *testing.T) {
	w := newWorld(t, "INBOX", "Old")
	w.remote.folders[1].add(letters(40, "x")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.remote.folders[1].name = "New"
	w.remote.folders[1].renumber(99, 1)
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || w.remote.fetched != 0 {
		t.Fatalf("report %+v, fetched %d", r, w.remote.fetched)
	}
	if n := len(w.box.folders["Gmail/Old"]) + len(w.box.folders["Gmail/New"]); n != 40 {
		t.Errorf("%d messages of 40", n)
	}
}

// Two folders that really hold the same message keep one each.
func TestACopyInAFolderThatIsNewIsDelivered(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(letters(5, "x")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.remote.folders = append(w.remote.folders, newRemote("Copies").folders...)
	w.remote.folders[1].add(letters(5, "x")...)
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 5 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

func TestUIDsThatAllChangeWithoutAWordAreRecognised(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.add(letters(30, "x")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	f.renumber(7, 500) // The same UIDVALIDITY: the server breaks its promise.
	w.now = w.now.Add(25 * time.Hour)
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || w.remote.fetched != 0 {
		t.Fatalf("report %+v, fetched %d", r, w.remote.fetched)
	}
	w.complete(t)
}

func TestACrashWhileRecognisingLosesAndDoublesNothing(t *testing.T) {
	for at := 1; at <= 5; at++ {
		for _, done := range []bool{false, true} {
			w := newWorld(t, "INBOX", "B")
			w.remote.folders[0].add(letters(20, "in")...)
			w.remote.folders[0].add(bodies(20, "anonymous")...)
			w.remote.folders[1].add(letters(20, "b")...)
			if r := w.visit(t.Context()); r.Err != nil {
				t.Fatal(r.Err)
			}
			for _, f := range w.remote.folders {
				f.renumber(8, 100)
				f.add(letters(3, "new"+f.name)...)
			}
			w.journal.loseAt, w.journal.loseDone = w.journal.commits+at, done
			w.visit(t.Context())
			w.journal.loseAt = 0
			if r := w.visit(t.Context()); r.Err != nil {
				t.Fatal(r.Err)
			}
			w.complete(t)
			if n := len(slices.Collect(maps.Keys(w.journal.rows))); n != 66 {
				t.Errorf("commit %d: %d rows of 66", at, n)
			}
		}
	}
}
