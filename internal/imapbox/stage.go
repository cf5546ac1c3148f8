package imapbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// inMemory is how much of a message is held in memory until it is appended; what is larger
// lies in a file that no other process can open, and that nobody waits for: what is lost with
// it is fetched again.
const inMemory = 16 << 10

// staged is a message that waits to be appended, exactly as it was sent.
type staged struct {
	text []byte
	file *os.File // The rest of it; nil: there is none.
	size int64
	shape
}

func (m *staged) open() io.Reader {
	if m.file == nil {
		return bytes.NewReader(m.text)
	}
	return io.MultiReader(bytes.NewReader(m.text), io.NewSectionReader(m.file, 0, m.size-int64(len(m.text))))
}

func (m *staged) discard() {
	if m.file != nil {
		_ = m.file.Close()
	}
}

// write takes the next octets.
func (m *staged) write(p []byte, dir string) error {
	m.size += int64(len(p))
	m.shape.write(p)
	if m.file == nil {
		if len(m.text)+len(p) <= inMemory {
			m.text = append(m.text, p...)
			return nil
		}
		f, err := os.CreateTemp(dir, "mailbrook-staged-")
		if err != nil {
			return err
		}
		m.file = f
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	_, err := m.file.Write(p)
	return err
}

// work is what one Stage needs; reused, so that memory stays flat.
type work struct {
	in, out []byte
	scan    *mail.Scanner
	lf      mail.LF
}

const chunk = 32 << 10

var works = sync.Pool{New: func() any {
	return &work{in: make([]byte, chunk), out: make([]byte, 0, chunk+1), scan: mail.NewScanner()}
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
	m := &staged{}
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
		n, err := body.Read(w.in)
		if m.size+int64(n) > max {
			return &fault.Error{
				Code: fault.MessageFailed, Op: op, TooLarge: true,
				Detail: words.Detail{
					words.Say("The message is larger than %s, the most that is fetched.", words.Octets(max)),
				},
			}
		}
		if n > 0 {
			_, _ = w.scan.Write(w.in[:n]) // It never fails.
			w.out = w.lf.Append(w.out[:0], w.in[:n])
			if err := m.write(w.in[:n], d.store.o.TempDir); err != nil {
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
