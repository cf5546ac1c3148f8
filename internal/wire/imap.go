package wire

import (
	"errors"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// IMAP is the connection that the library gets: outgoing through the
// guard, incoming through the filter. There is no other way to make one, so
// the library cannot run on an unguarded connection.
type IMAP struct {
	*Link
	guard  *imapGuard
	filter *imapFilter
	queue  *imapQueue
	said   *imapSaid
}

// NewIMAP puts a guard and a filter above a link whose greeting was read.
func NewIMAP(l *Link) *IMAP {
	w := &IMAP{Link: l, queue: &imapQueue{due: l.Expect}, said: &imapSaid{}}
	w.guard = &imapGuard{w: l, allowed: l.limits.Allow.imap, queue: w.queue, refused: l.refused, aborted: l.Abort}
	w.filter = newIMAPFilter(l, w.queue, defaultIMAPLimits(l.limits.Body), w.said)
	w.filter.redact = l.secrets.Redact
	w.filter.unread = l.unread
	w.filter.fail = func(err error) {
		var known *fault.Error
		if !errors.As(err, &known) {
			err = &fault.Error{
				Code: fault.ProtocolError, Op: "reading from the server",
				Detail: words.Detail{words.Say("The server sent an answer that cannot be used.")}, Err: err,
			}
		}
		l.Abort(err)
	}
	if l.transcript != nil {
		w.guard.log, w.filter.log = l.note, l.note
	}
	return w
}

// Read implements net.Conn.
func (w *IMAP) Read(p []byte) (int, error) { return w.filter.Read(p) }

// Write implements net.Conn.
func (w *IMAP) Write(p []byte) (int, error) { return w.guard.Write(p) }

// Close is what the library ends the connection by, where it cannot make anything of what comes or cannot continue
// writing: to a LOGIN whose password it holds back as a literal there came an answer instead of "+". We ourselves
// close the link.
func (w *IMAP) Close() error {
	w.Abort(ErrGaveUp)
	return nil
}

// ErrGaveUp ends a link above which the library gave up.
var ErrGaveUp = fault.New(fault.ProtocolError, "talking to the server",
	words.Say("The server's answers cannot be used."))

// Replay makes the library read an answer that the server gave before the library
// was there.
func (w *IMAP) Replay(line string) { w.filter.replay(line) }

// Padded reports whether the body under way is filled up with zeros: nothing of what
// is read of it from now on is the server's.
func (w *IMAP) Padded() bool { return w.filter.filled.Load() }

// NameBy has each listing ask for the item by which the server names a message
// over all folders.
func (w *IMAP) NameBy(item string) { w.guard.global = item }

// Newest returns the command that was sent last and is not completed, or nil.
func (w *IMAP) Newest() *IMAPCommand { return w.queue.newest() }

// SignsIn says with what is signed in, before it is sent: it is cut out of what the
// server says.
func (w *IMAP) SignsIn(cred remote.Credential) { w.said.knows(cred) }

// LastSaid returns what the server said beside its answers: its BYE, else its last
// NO, BAD or ALERT; without a kind where it said nothing.
func (w *IMAP) LastSaid() Reply { return w.said.last() }
