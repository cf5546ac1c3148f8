package fetch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

func (w *world) at(q fetch.Quirks) {
	w.engine.Quirks = func(remote.Mailbox) fetch.Quirks { return q }
}

// house.md section 5: folders that hold no mail at a provider are listed and not
// fetched, unless a rule names them.
func TestFoldersThatHoldNoMailAreFetchedOnlyWhenNamed(t *testing.T) {
	known := fetch.Quirks{NoMail: []string{"Calendar"}}
	for _, tc := range []struct {
		name    string
		quirks  fetch.Quirks
		include []string
		brought int
	}{
		{"known", known, nil, 1},
		{"control: nothing known", fetch.Quirks{}, nil, 2},
		{"named by a rule", known, []string{"INBOX", "calendar"}, 2},
	} {
		w := newWorld(t, "INBOX", "calendar")
		w.at(tc.quirks)
		w.route.Folders.Include = tc.include
		for _, f := range w.remote.folders {
			f.add("Subject: in " + f.name + "\r\n\r\n")
		}
		if r := w.visit(t.Context()); r.Err != nil || r.Messages != int64(tc.brought) {
			t.Errorf("%s: %+v", tc.name, r)
		}
		if n := len(w.journal.folders); n != 2 {
			t.Errorf("%s: %d folders are listed, want both", tc.name, n)
		}
	}
}

// Where listed sizes are estimates, a message is not withheld by one that is a
// little too large; what really is too large is tried once.
func TestAnEstimateDoesNotWithholdAMessage(t *testing.T) {
	for _, tc := range []struct {
		name         string
		estimates    bool
		listed, real int
		tried, comes bool
	}{
		{"an estimate", true, 120, 90, true, true},
		{"control: a size", false, 120, 90, false, false},
		{"far too large", true, 126, 90, false, false},
		{"really too large", true, 120, 118, true, false},
	} {
		w := datedWorld(t, route.StartAll, false)
		w.route.MaxMessageBytes = 100
		w.at(fetch.Quirks{Estimates: tc.estimates})
		f := w.remote.folders[0]
		w.remote.sizes = map[uint32]int64{f.next: int64(tc.listed)}
		f.add("Subject: x\r\n\r\n" + strings.Repeat("x", tc.real-14))
		r := w.visit(t.Context())
		if tried := w.remote.fetched > 0; tried != tc.tried || (r.Messages == 1) != tc.comes {
			t.Errorf("%s: tried %v, %+v", tc.name, tried, r)
		}
		w.remote.fetched = 0
		w.now = w.now.Add(25 * time.Hour)
		w.visit(t.Context())
		if !tc.comes && (w.remote.fetched > 0 || !w.onlySkip(t).Held) {
			t.Errorf("%s: it was tried again: %+v", tc.name, w.onlySkip(t))
		}
	}
}
