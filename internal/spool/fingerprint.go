package spool

import (
	"bytes"
	"context"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Fingerprint reads an open message and returns what it was as it was sent, its line ends
// being CRLF then.
func Fingerprint(ctx context.Context, r *disk.Root, fd int) (mail.Fingerprint, error) {
	w := works.Get().(*work)
	defer works.Put(w)
	w.scan.Reset()
	last := byte(0)
	for {
		n, err := r.Read(fd, w.in)
		if err != nil {
			return mail.Fingerprint{}, err
		}
		if n <= 0 {
			return w.scan.Sum(), nil
		}
		w.out, last = appendCRLF(w.out[:0], w.in[:n], last)
		if _, err := w.scan.Write(w.out); err != nil {
			return mail.Fingerprint{}, err
		}
		if err := ctx.Err(); err != nil {
			return mail.Fingerprint{}, err
		}
	}
}

// appendCRLF turns LF into CRLF where it is not that already. last is the octet
// before p.
func appendCRLF(dst, p []byte, last byte) ([]byte, byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return append(dst, p...), p[len(p)-1]
		}
		if i > 0 {
			last = p[i-1]
		}
		dst = append(dst, p[:i]...)
		if last != '\r' {
			dst = append(dst, '\r')
		}
		dst, last, p = append(dst, '\n'), '\n', p[i+1:]
	}
	return dst, last
}
