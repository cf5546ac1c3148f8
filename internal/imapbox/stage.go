package imapbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// inMemory is how much of a message is held in memory until it is appended; what is larger
// lies in a file that no other process can open, and that nobody waits for: what is lost with
// it is fetched again.
const inMemory = 64 << 10

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

// Stage holds a message until it is sealed, and takes its fingerprint. max bounds its octets:
// message_failed above it. After an error nothing is left of it.
func (d *Delivery) Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time, max int64) (
	mail.Staged, error,
) {
	const op = "storing a message"
	d.store.o.Step("stage")
	m, scan, lf := &staged{}, mail.NewScanner(), mail.LF{}
	out, in := make([]byte, 0, chunk+1), make([]byte, chunk)
	for {
		n, err := body.Read(in)
		if n > 0 {
			_, _ = scan.Write(in[:n]) // It never fails.
			out = lf.Append(out[:0], in[:n])
			if m.size+int64(n) > max {
				m.discard()
				return mail.Staged{}, &fault.Error{
					Code: fault.MessageFailed, Op: op, TooLarge: true,
					Detail: words.Detail{
						words.Say("The message is larger than %s, the most that is fetched.", words.Octets(max)),
					},
				}
			}
			if err := m.write(in[:n], d.store.o.TempDir); err != nil {
				m.discard()
				return mail.Staged{}, &fault.Error{Code: fault.Internal, Op: op, Err: err}
			}
		}
		if err == io.EOF { //nolint:errorlint // Itself: one in a wrapping is a broken connection, not the end.
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			m.discard()
			return mail.Staged{}, fmt.Errorf("reading the message: %w", err)
		}
	}
	lf.Finish(out[:0])
	name := fmt.Sprintf("%s.e%d", t, d.epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.staged[name]; old != nil {
		old.discard()
	}
	d.staged[name] = m
	return mail.Staged{
		Spool: name, Fingerprint: scan.Sum(), FileSize: lf.Size(), VirtualSize: lf.Virtual(),
		Received: scan.Arrived(received, time.Now()),
	}, nil
}

const chunk = 32 << 10

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
