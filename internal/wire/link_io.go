package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Read implements net.Conn, through the same buffer as ReadLine.
func (l *Link) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err != nil {
		err = l.fail("reading from the server", err)
	}
	return n, err
}

// ReadLine returns the next line up to and including its LF, at most max
// bytes: a longer one is protocol_error. The slice is good until the next read.
// Of a BYE that does not come to its end what has come is given, ended.
func (l *Link) ReadLine(max int) ([]byte, error) {
	l.long = l.long[:0]
	begun, _ := l.r.Peek(min(l.r.Buffered(), len(byeHead))) // It does not read.
	l.head = append(make([]byte, 0, len(byeHead)), begun...)
	defer func() { l.head = nil }()
	for {
		chunk, err := l.r.ReadSlice('\n')
		if errors.Is(err, errPartOfBYE) && len(l.long)+len(chunk) < max {
			return append(append(l.long, chunk...), "\r\n"...), nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, l.fail("reading from the server", err)
		}
		if len(l.long)+len(chunk) > max {
			return nil, l.Abort(fault.New(fault.ProtocolError, "reading from the server",
				words.Say("The server sent a line of more than %d bytes.", max)))
		}
		if err == nil && len(l.long) == 0 {
			return chunk, nil
		}
		l.long = append(l.long, chunk...)
		if err == nil {
			return l.long, nil
		}
	}
}

// rawReader is what fills the link's buffer.
type rawReader struct{ l *Link }

// Read waits for bytes from the server, keeping to every limit.
func (r rawReader) Read(p []byte) (int, error) {
	l := r.l
	l.count()
	if f := l.overdue(); f != nil {
		return 0, l.Abort(f)
	}
	left := l.limits.Octets - l.total
	if left <= 0 {
		return 0, l.Abort(&fault.Error{
			Code: fault.ServerUnavailable, Op: "reading from the server", Limit: true,
			Detail: words.Detail{
				words.Say("The server sent more than %d MiB on one connection; the rest is left for the next visit.",
					l.limits.Octets>>20),
			},
		})
	}
	if l.parting() && !l.hasten() {
		return 0, errPartOfBYE
	}
	bare := l.dots && l.bareEnd()
	if bare {
		defer l.await()()
	}
	conn, err := l.beginRead()
	if err != nil {
		return 0, err
	}
	n, err := conn.Read(p[:min(int64(len(p)), left)])
	l.endRead()
	l.total += int64(n)
	if l.head != nil {
		l.head = append(l.head, p[:min(n, cap(l.head)-len(l.head))]...)
	}
	if err != nil && l.parting() && l.Failure() == nil && l.overdue() == nil {
		return n, errPartOfBYE
	}
	if bare && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && l.Failure() == nil && l.overdue() == nil {
		return 0, errBareEnd
	}
	if err != nil && !isTimeout(err) {
		return n, l.fail("reading from the server", err)
	}
	if f := l.overdue(); f != nil {
		return n, l.Abort(f)
	}
	if err != nil {
		return n, l.fail("reading from the server", err)
	}
	return n, nil
}

// isTimeout is apart from Read, which would else allocate for it each time.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// errBareEnd says that nothing follows the "." CR that a message ends in.
var errBareEnd = errors.New("a message's end without its last octet")

// bareEnd reports whether all that was received and not yet read is the end of a
// message but for its LF. Cyrus 3.4 leaves that out (its issue 4717). A line that is
// longer and begins so begins with two dots (RFC 1939 section 3).
func (l *Link) bareEnd() bool {
	if l.r.Buffered() != 2 {
		return false
	}
	b, _ := l.r.Peek(2) // It does not read.
	return string(b) == ".\r"
}

// beginRead says that a read begins to wait, and returns where to read.
func (l *Link) beginRead() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	l.reading = true
	l.arm()
	return l.conn, nil
}

func (l *Link) endRead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	l.tally()
}

// Write implements net.Conn. A write that the server does not take in time
// fails.
func (l *Link) Write(p []byte) (int, error) {
	conn, err := l.beginWrite()
	if err != nil {
		return 0, err
	}
	defer l.endWrite()
	if err := conn.SetWriteDeadline(time.Now().Add(l.limits.Write)); err != nil {
		return 0, l.fail("writing to the server", err)
	}
	n, err := conn.Write(p)
	if err != nil {
		return n, l.fail("writing to the server", err)
	}
	return n, nil
}

// beginWrite says that a write begins to wait, and returns where to write.
func (l *Link) beginWrite() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	l.writing++
	l.tally()
	return l.conn, nil
}

func (l *Link) endWrite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing--
	l.tally()
}

// silence is the code of a server that does not answer.
func (l *Link) silence() fault.Code {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.login {
		return fault.ServerUnavailable
	}
	return fault.ConnectTimeout
}

// fail makes a connection's error the link's own, unless it has one already,
// which it returns.
func (l *Link) fail(op string, err error) error {
	var known *fault.Error
	var n net.Error
	f := &fault.Error{
		Code: fault.ServerUnavailable, Op: op, Err: err,
		Detail: words.Detail{words.Say("The connection to the server broke.")},
	}
	switch {
	case errors.Is(err, io.EOF):
		f.Err = io.ErrUnexpectedEOF // Nothing above may take it for the proper end of something.
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, os.ErrDeadlineExceeded):
		return l.Abort(err)
	case errors.As(err, &n) && n.Timeout():
		f.Code, f.Detail = l.silence(), words.Detail{words.Say("The server did not answer in time.")}
	}
	return l.Abort(f)
}

// Abort ends the connection with err, unless an earlier error did, and returns
// the one that did. Protocols call it when they no longer trust what comes.
func (l *Link) Abort(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		if l.socket != nil {
			l.socket.Close() // Nothing is lost: what we wanted to send was sent.
		}
	}
	return l.err
}

// ErrClosed is what a link that was closed by us returns.
var ErrClosed = fault.New(fault.Interrupted, "closing the connection")

// Close ends the connection at once. It may be called again, and at any time.
func (l *Link) Close() error {
	l.Abort(ErrClosed)
	return nil
}

// Failure returns the error that ended the connection, or nil.
func (l *Link) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
