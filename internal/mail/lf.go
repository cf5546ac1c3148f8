package mail

import "bytes"

// LF turns CRLF line ends into LF as a message streams past, as Maildir wants
// it. A CR or an LF that stands alone is kept: nothing else is changed. The
// zero LF is ready; it remembers a CR at the end of one piece for the next.
type LF struct {
	held  bool  // A CR that waits for what follows it.
	last  byte  // The last octet written; 0 before the first.
	size  int64 // Octets written.
	lines int64 // LFs written that have no CR before them.
}

// Append converts p onto dst and returns it. It writes at most len(p)+1 octets
// and finds line ends by blocks, not by octets.
func (l *LF) Append(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	start := len(dst)
	doubled := int64(0) // CRCRLF: the LF that is left of it has a CR before it.
	if l.held {
		l.held = false
		if p[0] != '\n' {
			dst = append(dst, '\r')
		} else if l.last == '\r' {
			doubled++
		}
	}
	for {
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			dst = append(dst, p...)
			break
		}
		if i+1 == len(p) {
			dst = append(dst, p[:i]...)
			l.held = true
			break
		}
		if p[i+1] != '\n' {
			dst = append(dst, p[:i+1]...)
			p = p[i+1:]
			continue
		}
		dst = append(dst, p[:i]...)
		if l.before(dst[start:]) == '\r' {
			doubled++
		}
		p = p[i+1:]
	}
	return l.account(dst, start, doubled)
}

// Finish appends what was still held back at the end of the message.
func (l *LF) Finish(dst []byte) []byte {
	if !l.held {
		return dst
	}
	l.held = false
	return l.account(append(dst, '\r'), len(dst), 0)
}

// Reset makes l ready for another message.
func (l *LF) Reset() { *l = LF{} }

// Size is how many octets were written so far.
func (l *LF) Size() int64 { return l.size }

// Virtual is how many octets they are when every line end counts as CRLF,
// which is how Dovecot computes a message's size.
func (l *LF) Virtual() int64 { return l.size + l.lines }

func (l *LF) before(written []byte) byte {
	if len(written) == 0 {
		return l.last
	}
	return written[len(written)-1]
}

func (l *LF) account(dst []byte, start int, doubled int64) []byte {
	written := dst[start:]
	if len(written) == 0 {
		return dst
	}
	l.size += int64(len(written))
	l.lines += int64(bytes.Count(written, lf)) - doubled
	l.last = written[len(written)-1]
	return dst
}

var (
	lf   = []byte("\n")
	crlf = []byte("\r\n")
)
