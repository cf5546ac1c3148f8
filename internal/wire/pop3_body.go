package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Body reads the message, or what of it was asked for, that follows a +OK. Its
// first octets count as brought, so many of them.
func (w *POP3) Body(most int64) *DotReader {
	return &DotReader{w: w, most: most}
}

// Skip reads the rest of a message, at most limit bytes of it.
func (w *POP3) Skip(d *DotReader, limit int64) error {
	n, err := io.Copy(io.Discard, io.LimitReader(d, limit+1))
	if err == nil && n > limit {
		err = w.Abort(fault.New(fault.MessageFailed, "reading a message",
			words.Say("The message does not end after %s.", words.Octets(limit))))
	}
	return err
}

// DotReader reads a message as RFC 1939 section 3 sends it: lines that begin
// with a dot have lost one, and CRLF "." CRLF, and nothing else, is the end. An
// LF that stands alone begins no line. The last LF may be missing: where nothing
// follows for a while, or the next answer does at once.
type DotReader struct {
	w    *POP3
	rest []byte // Of the piece that is being handed over, in the link's buffer.
	mid  bool   // The last piece ended inside a line.
	cr   bool   // … with a CR, whose LF may come.
	most int64  // So many octets still count as brought.
	err  error  // io.EOF after the end.
}

// Read implements io.Reader. It returns io.EOF only after the terminator.
func (d *DotReader) Read(p []byte) (n int, err error) {
	defer d.w.count()
	for n < len(p) {
		if len(d.rest) == 0 {
			if d.err != nil || n > 0 && d.w.r.Buffered() == 0 {
				break
			}
			d.next()
			continue
		}
		k := copy(p[n:], d.rest)
		n, d.rest = n+k, d.rest[k:]
	}
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

// isStatus reports whether a line, with its end, is the answer to a question.
func isStatus(line []byte) bool {
	line, crlf := bytes.CutSuffix(line, []byte("\r\n"))
	word, _, _ := bytes.Cut(line, []byte(" "))
	return crlf && (string(word) == "+OK" || string(word) == "-ERR")
}

// next takes the next piece: up to an LF, or a full buffer.
func (d *DotReader) next() {
	d.w.dots = !d.mid
	piece, err := d.w.r.ReadSlice('\n')
	d.w.dots = false
	if errors.Is(err, errBareEnd) {
		d.w.bare, d.err = true, io.EOF
		return
	}
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		d.err = d.w.fail("reading a message", err) // Never io.EOF: a message without its end is none.
		return
	}
	begins := !d.mid
	ended := bytes.HasSuffix(piece, []byte("\r\n")) || d.cr && len(piece) == 1 && piece[0] == '\n'
	d.mid, d.cr = !ended, piece[len(piece)-1] == '\r'
	if begins && piece[0] == '.' {
		if string(piece) == ".\r\n" {
			d.err = io.EOF
			return
		}
		if next := piece[min(len(piece), 2):]; piece[1] == '\r' && len(d.w.asked) > 0 && isStatus(next) {
			d.w.pushed, d.err = bytes.Clone(next), io.EOF // Its own LF is missing.
			return
		}
		piece = piece[1:]
	}
	d.rest = piece
	if n := min(int64(len(piece)), d.most); n > 0 {
		d.most -= n
		d.w.uncounted += int(n)
	}
}
