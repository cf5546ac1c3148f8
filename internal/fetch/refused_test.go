package fetch_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What the destination does not take is skipped in its words, and the rest is delivered; it is tried again as
// whatever is skipped, and what is too large for it when its owner asks for that.
func TestWhatTheDestinationRefusesIsSkipped(t *testing.T) {
	all := letters(7, "m")
	nul := &fault.Error{
		Code: fault.MessageFailed, Op: "appending a message", Detail: words.Detail{words.Say("The server says: NUL")},
		Err: errors.New("NO"),
	}
	big := &fault.Error{
		Code: fault.MessageFailed, Op: "appending a message", Detail: words.Detail{words.Say("The server says: big")},
		TooLarge: true,
	}
	for _, tc := range []struct {
		name     string
		together int
		refuses  []int
	}{
		{"one of a batch", 100, []int{2}},
		{"the first and the last", 100, []int{0, 6}},
		{"a whole batch", 2, []int{2, 3}},
		{"all batches but the last", 2, []int{0, 1, 2, 3, 4, 5}},
		{"one in each", 1, []int{1, 3, 5}},
		{"all", 100, []int{0, 1, 2, 3, 4, 5, 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "INBOX")
			w.engine.BatchMessages = tc.together
			w.remote.find("INBOX").add(all...)
			w.box.room = 1 << 20
			w.box.refuses = map[string]error{}
			held := int64(0)
			for n, i := range tc.refuses {
				w.box.refuses[all[i]] = nul
				if n == 1 {
					w.box.refuses[all[i]] = big
					held++
				}
			}
			refused := int64(len(tc.refuses))
			r := w.visit(t.Context())
			if r.Messages != 7-refused || int64(r.Skipped) != refused || fault.CodeOf(r.Partial) != fault.MessageFailed ||
				r.Err != nil {
				t.Fatalf("report %+v", r)
			}
			if len(w.journal.skips) != len(tc.refuses) || len(w.box.spool) != 0 || len(w.journal.batches) != 0 {
				t.Fatalf("%d skipped, %d in the spool, batches %v", len(w.journal.skips), len(w.box.spool), w.journal.batches)
			}
			room := int64(1 << 20)
			for i, body := range all {
				skipped, ok := w.journal.skips[fetch.Ref{
					FolderID: 1, FolderEpoch: w.journal.folders[0].Epoch,
					ID: mail.ID{UID: uint32(i + 1)},
				}]
				why, _ := w.box.refuses[body].(*fault.Error)
				switch {
				case ok != (why != nil):
					t.Errorf("message %d is skipped: %v", i, ok)
				case why == nil:
					room -= int64(len(body))
				case skipped.Detail.String() != why.Detail.String() || skipped.Held != why.TooLarge || skipped.Attempts != 1:
					t.Errorf("message %d is skipped as %+v", i, skipped)
				}
			}
			if w.box.room != room {
				t.Errorf("%d octets of room are left, want %d", w.box.room, room)
			}

			// It is refused once more, and then taken.
			w.now = w.now.Add(time.Minute)
			if r := w.visit(t.Context()); r.Messages != 0 || int64(r.Skipped) != refused-held {
				t.Errorf("the second visit: %+v", r)
			}
			clear(w.box.refuses)
			w.now = w.now.Add(25 * time.Hour)
			if r := w.visit(t.Context()); r.Err != nil || r.Messages != refused-held || len(w.journal.skips) != int(held) {
				t.Errorf("the third visit: %+v, skipped %v", r, w.journal.skips)
			}
			for ref, s := range w.journal.skips {
				s.Requested = true
				w.journal.skips[ref] = s
			}
			w.now = w.now.Add(time.Minute)
			if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != held || len(w.journal.skips) != 0 {
				t.Errorf("the last visit: %+v, skipped %v", r, w.journal.skips)
			}
			w.complete(t)
			if got := len(w.box.folders["Gmail"]); got != 7 || slices.Contains(w.box.folders["Gmail"], "") {
				t.Errorf("%d messages", got)
			}
		})
	}
}
