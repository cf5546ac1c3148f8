package source

import (
	"errors"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// imapWire is the connection that the library gets: outgoing through the
// guard, incoming through the filter. There is no other way to make one, so
// the library cannot run on an unguarded connection.
type imapWire struct {
	*link
	guard  *imapGuard
	filter *imapFilter
	queue  *imapQueue
	said   *imapSaid
}

func newIMAPWire(l *link, c *Client) *imapWire {
	w := &imapWire{link: l, queue: &imapQueue{due: l.expect}, said: &imapSaid{}}
	w.guard = &imapGuard{w: l, queue: w.queue, refused: c.refused, aborted: l.abort}
	w.filter = newIMAPFilter(l, w.queue, defaultIMAPLimits(c.opts.MaxMessageBytes), w.said)
	w.filter.redact = l.secrets.Redact
	w.filter.unread = c.leavesOut(l)
	w.filter.fail = func(err error) {
		var known *fault.Error
		if !errors.As(err, &known) {
			err = &fault.Error{
				Code: fault.ProtocolError, Op: "reading from the server",
				Detail: "The server sent an answer that cannot be used.", Err: err,
			}
		}
		l.abort(err)
	}
	if l.transcript != nil {
		w.guard.log, w.filter.log = l.note, l.note
	}
	return w
}

// Read implements net.Conn.
func (w *imapWire) Read(p []byte) (int, error) { return w.filter.Read(p) }

// Write implements net.Conn.
func (w *imapWire) Write(p []byte) (int, error) { return w.guard.Write(p) }
