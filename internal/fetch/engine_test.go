package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/route"
)

func TestAFirstVisitBringsEverythingAndASecondNothing(t *testing.T) {
	for _, noStatus := range []bool{false, true} {
		t.Run(fmt.Sprintf("noStatus=%v", noStatus), func(t *testing.T) {
			w := newWorld(t, "INBOX", "Archive/2023", "Empty")
			w.remote.noStatus = noStatus
			w.remote.folders[0].add(bodies(350, "in")...)
			w.remote.folders[1].add(bodies(20, "old")...)
			r := w.visit(t.Context())
			if r.Err != nil || r.Messages != 370 || r.More {
				t.Fatalf("report %+v", r)
			}
			w.complete(t)
			if _, ok := w.box.folders["Gmail/Empty"]; !ok {
				t.Error("the empty folder was not made")
			}
			if len(w.journal.batches)+len(w.journal.intended)+len(w.box.spool) > 0 {
				t.Error("something was left open")
			}
			before := w.journal.commits
			listed := len(w.remote.listed)
			if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 {
				t.Fatalf("second report %+v", r)
			}
			if w.journal.commits != before {
				t.Errorf("a visit without news wrote %d times", w.journal.commits-before)
			}
			if !noStatus && len(w.remote.listed) != listed {
				t.Errorf("a visit without news listed %v", w.remote.listed[listed:])
			}
			w.remote.folders[1].add(bodies(3, "new")...)
			if r := w.visit(t.Context()); r.Err != nil || r.Messages != 3 {
				t.Fatalf("third report %+v", r)
			}
			w.complete(t)
		})
	}
}

func TestWhatCameBeforeABrokenConnectionStays(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(250, "in")...)
	w.remote.breakAfter = 120
	r := w.visit(t.Context())
	if fault.CodeOf(r.Err) != fault.ServerUnavailable || r.Messages != 120 {
		t.Fatalf("report %+v", r)
	}
	w.remote.breakAfter = 0
	w.remote.fetched = 0
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 130 || w.remote.fetched != 130 {
		t.Fatalf("report %+v, fetched %d", r, w.remote.fetched)
	}
	w.complete(t)
}

func TestWhatAServerOffersIsWrittenWhenItChanges(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(2, "in")...)
	commits := 0
	for i, visit := range []struct {
		offers, noted string
		writes        bool
	}{
		{offers: "A B", noted: "A B", writes: true}, // With the first mail.
		{offers: "A B", noted: "A B"},
		{offers: "B C", noted: "B C", writes: true},
		{offers: "", noted: "B C"}, // Not known is nothing to write.
	} {
		w.route.From.Capabilities = w.journal.offers
		w.remote.offers = visit.offers
		if r := w.visit(t.Context()); r.Err != nil {
			t.Fatal(r.Err)
		}
		if wrote := w.journal.commits > commits; wrote != visit.writes || w.journal.offers != visit.noted {
			t.Errorf("visit %d: wrote %v, and %q is noted", i, wrote, w.journal.offers)
		}
		commits = w.journal.commits
	}
}

func TestAVisitStoppedAtAnyMessageLosesNothing(t *testing.T) {
	for stop := range 12 {
		w := newWorld(t, "INBOX")
		w.remote.folders[0].add(bodies(210, "in")...)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		w.remote.onTake = func() {
			if n++; n == stop*19+1 {
				cancel()
			}
		}
		if r := w.visit(ctx); stop < 11 && !errors.Is(r.Err, context.Canceled) {
			t.Fatalf("stopped at %d: %+v", n, r)
		}
		cancel()
		w.remote.onTake = nil
		if r := w.visit(t.Context()); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.complete(t)
	}
}

func TestACommitOfUnknownOutcomeNeitherLosesNorDoubles(t *testing.T) {
	for _, done := range []bool{false, true} {
		for at := 1; at <= 6; at++ {
			w := newWorld(t, "INBOX", "B")
			w.remote.folders[0].add(bodies(250, "in")...)
			w.remote.folders[1].add(bodies(5, "b")...)
			w.journal.loseAt, w.journal.loseDone = at, done
			w.visit(t.Context())
			w.journal.loseAt = 0
			if r := w.visit(t.Context()); r.Err != nil {
				t.Fatalf("commit %d, done %v: %v", at, done, r.Err)
			}
			w.complete(t)
		}
	}
}

func TestALostLeaseStopsTheVisitBeforeAnythingIsDelivered(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(300, "in")...)
	n := 0
	w.remote.onTake = func() {
		if n++; n == 50 {
			w.journal.mu.Lock()
			w.journal.epoch++
			w.journal.mu.Unlock()
		}
	}
	if r := w.visit(t.Context()); !errors.Is(r.Err, fetch.ErrFenced) || r.Messages != 0 {
		t.Fatalf("report %+v", r)
	}
	if len(w.box.folders["Gmail"]) != 0 || w.remote.left != 0 {
		t.Error("a fenced visit delivered or left politely")
	}
	w.remote.onTake = nil
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.complete(t)
}

// bugreports F1: tries are counted by time, and until the message came not all is well.
func TestABadMessageIsSkippedWithAReasonAndTriedMoreAndMoreRarely(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.add(bodies(10, "in")...)
	f.add("Subject: poison\r\n\r\n")
	f.add(bodies(10, "after")...)
	w.remote.missing["Subject: poison\r\n\r\n"] = "the server ends the session"
	r := w.visit(t.Context())
	if r.Err != nil || r.Messages != 20 || r.Skipped != 1 || r.Partial == nil || r.Partial.Code != fault.MessageFailed ||
		len(w.journal.skips) != 1 {
		t.Fatalf("report %+v", r)
	}
	first := w.now
	var tried []time.Duration
	for w.now.Sub(first) < 5*24*time.Hour {
		w.now = w.now.Add(10 * time.Minute)
		r := w.visit(t.Context())
		if r.Err != nil || r.Messages != 0 || r.Partial == nil || r.Partial.Code != fault.MessageFailed {
			t.Fatalf("after %v: %+v", w.now.Sub(first), r)
		}
		if r.Skipped == 1 {
			tried = append(tried, w.now.Sub(first))
		}
	}
	want := []time.Duration{
		10 * time.Minute, 20 * time.Minute, 30 * time.Minute, 40 * time.Minute, 50 * time.Minute, time.Hour,
		2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 32 * time.Hour, 56 * time.Hour, 80 * time.Hour,
		104 * time.Hour,
	}
	if diff := cmp.Diff(want, tried); diff != "" {
		t.Errorf("(-want +tried):\n%s", diff)
	}
	w.now = w.now.Add(25 * time.Hour)
	delete(w.remote.missing, "Subject: poison\r\n\r\n")
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || r.Partial != nil || len(w.journal.skips) != 0 {
		t.Fatalf("the next day: %+v, %d skipped", r, len(w.journal.skips))
	}
	w.complete(t)
}

func TestAMailboxOfBadMessagesDoesNotFillTheLog(t *testing.T) {
	const told = 20
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(200, "in")...)
	for _, m := range bodies(200, "in") {
		w.remote.missing[m] = "it cannot be read"
	}
	var log bytes.Buffer
	w.engine.Log = slog.New(slog.NewTextHandler(&log, nil))
	if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.MessageFailed || r.Skipped != 200 {
		t.Fatalf("report %+v", r)
	}
	if n := strings.Count(log.String(), "a message in INBOX"); n != told {
		t.Errorf("%d messages are reported one by one, want %d", n, told)
	}
	if want := fmt.Sprintf("folders_and_messages=%d", 200-told); strings.Count(log.String(), want) != 1 {
		t.Errorf("the log does not sum up the rest: %s", log.String())
	}
}

func TestABadFolderDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t, "INBOX", "Bad", "Good")
	for _, f := range w.remote.folders {
		f.add(bodies(5, f.name)...)
	}
	w.remote.badFolder = "Bad"
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 10 || r.Partial == nil ||
		r.Partial.Code != fault.FolderFailed {
		t.Fatalf("report %+v", r)
	}
	w.remote.badFolder = ""
	if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != 5 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

// Newcomer N3: chosen folders that do not exist fetched nothing, and all seemed well.
func TestChosenFoldersThatAreNotThereAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		include []string
		fetched int64
		told    string
	}{
		"the control":           {[]string{"Sent", "INBOX", "Archive"}, 6, ""},
		"all":                   {nil, 6, ""},
		"none is there":         {[]string{"Sent Items", "sent", `\Junk`, "Arch*"}, 0, "Sent Items, sent, \\Junk, Arch*"},
		"one is not there":      {[]string{"inbox", "Gone"}, 2, "Gone"},
		"what is below it goes": {[]string{"Archive"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "INBOX", "Sent", "Archive/2023")
			for _, f := range w.remote.folders {
				f.add(bodies(2, f.name)...)
			}
			w.route.Folders.Include = c.include
			r := w.visit(t.Context())
			why := r.Partial
			if c.fetched == 0 {
				why = fault.Of(r.Err) // It is not said to be well.
			} else if r.Err != nil {
				t.Fatal(r.Err)
			}
			if r.Messages != c.fetched || (why != nil) != (c.told != "") {
				t.Fatalf("report %+v, %v", r, why)
			}
			if why != nil && (why.Code != fault.FolderFailed || why.Detail.String() != fmt.Sprintf(fault.NotThere, c.told)) {
				t.Errorf("it is reported as %v", why)
			}
		})
	}
}

func TestMessagesThatDoNotFitStayAtTheRemoteUntilThereIsRoom(t *testing.T) {
	w := newWorld(t, "INBOX", "B")
	w.remote.folders[0].add(bodies(100, "in")...)
	w.remote.folders[1].add(bodies(10, "b")...)
	w.box.room = 2000
	r := w.visit(t.Context())
	if fault.CodeOf(r.Err) != fault.LocalOverQuota || r.Messages == 0 || r.Messages >= 100 {
		t.Fatalf("report %+v", r)
	}
	w.box.room = 0
	opened := w.remote.opened
	if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.LocalOverQuota || w.remote.opened != opened {
		t.Fatalf("a full mailbox: %+v, opened %d", r, w.remote.opened-opened)
	}
	w.box.room = -1
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.complete(t)
}

func TestFoldersThatAreNotChosenAreLeftAlone(t *testing.T) {
	w := newWorld(t, "INBOX", "Spam", "Work")
	w.remote.folders[1].use = `\Junk`
	for _, f := range w.remote.folders {
		f.add(bodies(5, f.name)...)
	}
	w.route.Folders = route.FolderRules{Exclude: []string{`\Junk`}}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 10 {
		t.Fatalf("report %+v", r)
	}
	if _, ok := w.box.folders["Gmail/Spam"]; ok || slices.ContainsFunc(w.remote.listed, func(s string) bool {
		return s == "Spam from 0"
	}) {
		t.Error("the excluded folder was made or listed")
	}
	w.route.Folders = route.FolderRules{}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 5 {
		t.Fatalf("chosen later: %+v", r)
	}
	w.complete(t)
}

func TestAMessageThatAppearsBelowTheCursorIsFoundByItsCount(t *testing.T) {
	w := newWorld(t, "INBOX")
	f := w.remote.folders[0]
	f.next = 100
	f.add(bodies(5, "in")...)
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	f.uids, f.bodies[50] = append([]uint32{50}, f.uids...), "Subject: late\r\n\r\n"
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}

func TestAVisitYieldsWhenItsTimeIsUp(t *testing.T) {
	w := newWorld(t, "INBOX")
	w.remote.folders[0].add(bodies(300, "in")...)
	w.remote.onTake = func() { w.now = w.now.Add(time.Second) }
	visits := 0
	for {
		r := w.visit(t.Context())
		visits++
		if r.Err != nil || visits > 10 {
			t.Fatalf("visit %d: %+v", visits, r)
		}
		if !r.More {
			break
		}
	}
	if visits != 3 {
		t.Errorf("%d visits of two minutes for 300 seconds' worth, want 3", visits)
	}
	w.complete(t)
}
