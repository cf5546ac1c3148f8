package spool

import (
	"context"
	"errors"
	"io"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Body opens a message that lies in the spool. It reads as it was sent, as far as the line
// ends were CRLF then.
func (s *Spool) Body(ctx context.Context, p mail.Placement) (io.ReadCloser, error) {
	const op = "reading a spool file"
	if !IsStaged(p) {
		return nil, disk.Internal(op, words.Say("the placement is not one of a staged message"))
	}
	fd, err := s.root.Open(s.FD, p.Spool, disk.OpenFile, 0)
	if err != nil {
		return nil, disk.Trouble(op, err)
	}
	if st, err := s.root.Fstat(fd); err != nil || !st.IsRegular() {
		s.root.Disk.Close(fd)
		return nil, disk.Trouble(op, errors.Join(err, disk.ErrNotPlain))
	}
	return &body{ctx: ctx, root: s.root, fd: fd, in: make([]byte, chunk)}, nil
}

// body is an open spool file.
type body struct {
	ctx  context.Context
	root *disk.Root
	fd   int
	in   []byte
	text []byte // Read from the file, with line ends as CRLF,
	left []byte // … of which this is not taken yet.
	last byte   // The octet before.
	end  bool
}

func (b *body) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.end {
			return 0, io.EOF
		}
		if err := b.ctx.Err(); err != nil {
			return 0, err
		}
		n, err := b.root.Read(b.fd, b.in)
		if err != nil {
			return 0, disk.Trouble("reading a spool file", err)
		}
		b.end = n <= 0
		if n > 0 {
			b.text, b.last = appendCRLF(b.text[:0], b.in[:n], b.last)
			b.left = b.text
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *body) Close() error { return b.root.Disk.Close(b.fd) }
