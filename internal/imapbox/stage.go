package imapbox

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// work is what one Stage needs; reused, so that memory stays flat.
type work struct {
	in, out []byte
	scan    *mail.Scanner
	lf      mail.LF
}

var works = sync.Pool{New: func() any {
	return &work{in: make([]byte, blockSize), out: make([]byte, 0, blockSize+1), scan: mail.NewScanner()}
}}

// Stage holds a message until it is sealed, and takes its fingerprint. max bounds its octets:
// message_failed above it. After an error nothing is left of it.
func (d *Delivery) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time, max int64) (
	mail.Staged, error,
) {
	d.store.o.Step("stage")
	w := works.Get().(*work)
	defer works.Put(w)
	w.scan.Reset()
	w.lf.Reset()
	m := &staged{depot: d.store.depot}
	if err := d.read(ctx, w, m, body, max); err != nil {
		m.discard()
		return mail.Staged{}, err
	}
	name := fmt.Sprintf("%s.e%d", t, d.epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.staged[name]; old != nil {
		old.discard()
	}
	d.staged[name] = m
	return mail.Staged{
		Spool: name, Fingerprint: w.scan.Sum(), FileSize: w.lf.Size(), VirtualSize: w.lf.Virtual(),
		Received: w.scan.Arrived(received, time.Now()),
	}, nil
}

// read takes a body to its end.
func (d *Delivery) read(ctx context.Context, w *work, m *staged, body io.Reader, max int64) error {
	const op = "storing a message"
	for {
		in, err := m.room(w.in)
		if err != nil {
			return &fault.Error{Code: fault.Internal, Op: op, Err: err}
		}
		n, err := fill(body, in)
		if m.size+int64(n) > max {
			return &fault.Error{
				Code: fault.MessageFailed, Op: op, TooLarge: true,
				Detail: words.Detail{
					words.Say("The message is larger than %s, the most that is fetched.", words.Octets(max)),
				},
			}
		}
		if n > 0 {
			_, _ = w.scan.Write(in[:n]) // It never fails.
			w.out = w.lf.Append(w.out[:0], in[:n])
			if err := m.took(in[:n]); err != nil {
				return &fault.Error{Code: fault.Internal, Op: op, Err: err}
			}
		}
		if err == io.EOF { //nolint:errorlint // Itself: one in a wrapping is a broken connection, not the end.
			w.out = w.lf.Finish(w.out[:0])
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("reading the message: %w", err)
		}
	}
}

// fill reads until p is full or the body ends or fails: a source hands out a few kilobytes at a time.
func fill(body io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = body.Read(p[n:])
		n += k
	}
	return n, err
}

// Discard forgets messages that were staged. What was sealed lies in the staging folder, where
// a later lease sweeps it.
func (d *Delivery) Discard(all []mail.Staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range all {
		if m := d.staged[s.Spool]; m != nil {
			m.discard()
			delete(d.staged, s.Spool)
		}
	}
}
