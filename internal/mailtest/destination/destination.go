// Package destination is the suite that every destination has to pass: whatever
// delivers mail keeps the promises of fetch.Spool and fetch.Target. It does with them
// what a visit of the engine does, and breaks it off: killed at every step, with the
// n-th call failing, with a body that is cut off, with everything done twice, with a
// user who moves and deletes mail meanwhile, with no room, a full disk, and a mailbox
// that is gone.
//
// A destination is handed over as a Place. The suite's own tests hold it against
// destinations that are broken on purpose.
package destination

import (
	"context"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// Place is a mailbox as it lasts: processes come and go that deliver into it, and its
// user works in it.
type Place interface {
	// Open makes a delivery as a new process does that knows nothing of others.
	Open(ctx context.Context, p Process) (fetch.Delivery, error)
	// Messages returns all messages that the user sees, in whatever folder.
	Messages() ([]Message, error)
	// Move and Delete are what the user does.
	Move(m Message, folder string) error
	Delete(m Message) error
	// Remove takes the whole mailbox away; PutBack undoes that.
	Remove() error
	PutBack() error
}

// Weaker is a Place whose destination promises less, as the server cannot move messages:
//   - What was stored while its answer was lost, and moved or deleted by its user before the next process
//     looked, may be sent again. It is counted: no more than these are there twice. Where
//     no user acts everything is exact all the same.
//   - What was sealed and not published lasts only in the process that staged it: to others it
//     is lost, and fetched again.
type Weaker interface {
	Place
	// Ambiguous counts what was sent again and may have been stored, by all processes.
	Ambiguous() int64
}

// Process is one that delivers.
type Process struct {
	Epoch int64 // Of its lease: each one's is higher.
	Limit int64 // How many octets the mailbox may hold; 0: as many as one likes.
	// Step is called before each step that is worth being killed at, from any goroutine.
	Step func(name string)
	// Call is called before each operation on what lies below, a disk or a connection; its
	// error is the operation's.
	Call func() error
}

// Message is a delivered message as its user sees it.
type Message struct {
	Folder   string // "/" between parts.
	Body     string // Line ends as LF.
	Flags    mail.Flags
	Keywords mail.Keywords
	Received time.Time
	Where    string // For Move and Delete: only the place knows what it says.
}

// Test runs the suite. made makes an empty mailbox, for each time that something is tried.
func Test(t *testing.T, made func(tb testing.TB) Place) { test(t, made, mailtest.Stride(t, 2, 11)) }

// Sample is Test with few of the steps that it breaks deliveries off at, but for make test-long: for one more
// server of a kind that Test is run with.
func Sample(t *testing.T, made func(tb testing.TB) Place) { test(t, made, mailtest.Stride(t, 11, 37)) }

func test(t *testing.T, made func(tb testing.TB) Place, by int64) {
	for _, tr := range trials {
		t.Run(tr.name, func(t *testing.T) {
			s := &suite{tb: t, made: made, by: by}
			for _, bad := range tr.run(s) {
				t.Error(bad)
			}
			if s.times == 0 {
				t.Error("it was never tried: the suite does not bite")
			}
			t.Logf("tried %d times", s.times)
		})
	}
}

// suite is one run of it.
type suite struct {
	tb    testing.TB
	made  func(tb testing.TB) Place
	by    int64 // How far it is from one step that is tried to the next.
	times int   // How often something was tried.
}

// trial is one way to break deliveries off. It returns what is wrong thereafter.
type trial struct {
	name string
	run  func(s *suite) []string
}

var trials = []trial{
	{"everything arrives once and as it was", (*suite).arrives},
	{"killed at every step", killed(nobody)},
	{"killed at every step, the user moves what arrived", killed(moves)},
	{"killed at every step, the user deletes what arrived", killed(deletes)},
	{"killed twice", (*suite).killedTwice},
	{"the n-th call fails", failing(false)},
	{"the n-th call fails, and all after it", failing(true)},
	{"a body is cut off", (*suite).cut},
	{"everything is done twice", (*suite).twice},
	{"there is no room", (*suite).noRoom},
	{"the mailbox is gone", (*suite).gone},
	{"what nobody needs is swept", (*suite).swept},
}
