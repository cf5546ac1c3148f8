package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// staged is a spool file on its way to the disk.
type staged struct {
	size int64
	fd   int           // While it waits for its batch; then -1.
	done chan struct{} // Closed when err is known.
	err  error
}

// syncers is how many files are being written or made durable at a time. The
// file system commits those that wait together.
const syncers = 32

// work is what one Stage needs; reused, so that memory stays flat.
type work struct {
	in, out []byte
	scan    *mail.Scanner
	lf      mail.LF
}

const chunk = 64 << 10

var works = sync.Pool{New: func() any {
	return &work{in: make([]byte, chunk), out: make([]byte, 0, chunk+1), scan: mail.NewScanner()}
}}

// Stage writes the body into a spool file of this epoch, CRLF turned into LF,
// dates it with received (zero: by the message's own header, else now), and
// starts to make it durable. max bounds its octets as received: message_failed
// above it. After an error no spool file is left; an error of body is in its
// chain.
func (s *Spool) Stage(ctx context.Context, token mail.Token, body io.Reader, received time.Time,
	max int64,
) (mail.Staged, error) {
	const op = "storing a message"
	if !tokenName.MatchString(string(token)) {
		return mail.Staged{}, disk.Internal(op, words.Say("the token cannot be a file name"))
	}
	name := fmt.Sprintf("%s.e%d", token, s.epoch)
	if err := s.removeLitter(name); err != nil {
		return mail.Staged{}, disk.Trouble(op, err)
	}
	select {
	case s.syncing <- struct{}{}: // So that a slow disk slows us, not fills memory with open files.
	case <-ctx.Done():
		return mail.Staged{}, ctx.Err()
	}
	s.keeper.step("stage.open")
	fd, err := s.root.Open(s.FD, name, disk.OpenNew, s.root.FilePerm())
	if disk.Exists(err) {
		fd, err = s.replaceLeftover(name, err)
	}
	if err != nil {
		<-s.syncing
		return mail.Staged{}, disk.Trouble(op, err)
	}
	w := works.Get().(*work)
	defer works.Put(w)
	w.scan.Reset()
	w.lf.Reset()
	err = s.root.Adopt(fd)
	if err == nil {
		err = s.copy(ctx, fd, w, body, max)
	}
	if err == nil {
		received = w.scan.Arrived(received, time.Now())
		err = s.root.SetTime(s.FD, name, received)
	}
	if err != nil {
		s.drop(name, errors.Join(err, s.root.Disk.Close(fd)))
		<-s.syncing
		if b := (*bodyError)(nil); errors.As(err, &b) {
			return mail.Staged{}, err
		}
		return mail.Staged{}, disk.Trouble(op, err)
	}
	s.keeper.step("stage.written")
	s.written(name, fd, w.lf.Size())
	return mail.Staged{
		Spool: name, Fingerprint: w.scan.Sum(), FileSize: w.lf.Size(), VirtualSize: w.lf.Virtual(),
		Received: received,
	}, nil
}

// copy reads the body to its end and writes it, scanned and converted.
func (s *Spool) copy(ctx context.Context, fd int, w *work, body io.Reader, max int64) error {
	left := max
	for {
		n, err := fill(body, w.in)
		if left -= int64(n); left < 0 {
			return &fault.Error{
				Code: fault.MessageFailed, Op: "storing a message", TooLarge: true,
				Detail: words.Detail{words.Say("The message is larger than %s, the most that is fetched.", words.Octets(max))},
			}
		}
		if n > 0 {
			_, _ = w.scan.Write(w.in[:n]) // It never fails.
			w.out = w.lf.Append(w.out[:0], w.in[:n])
			s.keeper.step("stage.write")
			if err := s.root.WriteAll(fd, w.out); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // Itself: one in a wrapping is a broken connection, not the end.
			w.out = w.lf.Finish(w.out[:0])
			return s.root.WriteAll(fd, w.out)
		}
		if err != nil {
			return &bodyError{err}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fill reads until p is full or the body ends or fails: TLS hands out a few
// kilobytes at a time, and each would cost a system call of its own.
func fill(body io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = body.Read(p[n:])
		n += k
	}
	return n, err
}

// bodyError is the source's error, not the disk's.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the message: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// drop removes a spool file that is useless. Where that fails too, Stage
// tries again before it writes one of the same name, and Sweep later.
func (s *Spool) drop(name string, why error) {
	err := s.root.Unlink(s.FD, name)
	if err == nil || disk.Missing(err) {
		return
	}
	s.keeper.log.Warn("a spool file was not removed", "file", name, "error", err, "because", why)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.litter[name] = struct{}{}
}

func (s *Spool) removeLitter(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.litter[name]; !ok {
		return nil
	}
	if err := s.root.Unlink(s.FD, name); err != nil && !disk.Missing(err) {
		return err
	}
	delete(s.litter, name)
	return nil
}

// Seal returns once every staged file and the spool directory would survive a power
// cut. Their names stay.
func (s *Spool) Seal(ctx context.Context, files []mail.Placement) ([]mail.Sealed, error) {
	if err := s.seal(ctx, files); err != nil {
		return nil, err
	}
	return mail.SealedAsStaged(files), nil
}

// Finish does nothing: what is published has left the spool.
func (s *Spool) Finish(context.Context) {}

func (s *Spool) seal(ctx context.Context, files []mail.Placement) error {
	const op = "making messages durable"
	covered := s.begin(ctx, files)
	for _, m := range files {
		s.mu.Lock()
		f := s.files[m.Spool]
		s.mu.Unlock()
		if f == nil {
			return disk.Internal(op, words.Say("a message was not staged"))
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if f.err != nil {
			return disk.Trouble(op, f.err)
		}
	}
	if covered {
		return nil
	}
	s.keeper.step("seal.dir")
	return disk.Trouble(op, s.root.Sync(s.FD))
}

// Discard removes spool files that were not committed as staged.
func (s *Spool) Discard(files []mail.Staged) {
	for _, m := range files {
		if w, ok := s.claim(m.Spool); ok {
			s.settled(w, nil)
		}
		s.mu.Lock()
		f := s.files[m.Spool]
		delete(s.files, m.Spool)
		s.mu.Unlock()
		if f == nil {
			continue
		}
		<-f.done
		if f.err == nil {
			s.keeper.step("discard")
			s.drop(m.Spool, nil)
		}
	}
}
