package source

import (
	"errors"
	"hash/maphash"
	"io"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// pop3Body is one message's bytes. When the connection breaks in the middle of a
// long one it continues over another one, after the bytes that were read already,
// provided that they are the same there.
type pop3Body struct {
	r       *retrieval
	w       *wanted
	dots    *wire.DotReader
	restart func() error

	n    int64
	sum  maphash.Hash
	done bool // Read to its end.
	err  error
	cut  error // The connection broke, and the message is to be asked for again, from its beginning.
}

// Read implements io.Reader.
func (b *pop3Body) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.dots.Read(p)
		if n > 0 {
			b.sum.Write(p[:n])
			if b.n += int64(n); b.n > b.r.client.opts.MaxMessageBytes {
				b.err = b.give(&fault.Error{
					Code: fault.MessageFailed, Op: "reading a message", TooLarge: true,
					Detail: words.Detail{words.Say("The message is larger than %s.", words.Octets(b.r.client.opts.MaxMessageBytes))},
				})
				break
			}
			return n, nil
		}
		if errors.Is(err, io.EOF) { // The terminator, and nothing else: see dotReader.
			b.done, b.err = true, io.EOF
			b.r.partial = nil
			break
		}
		if err != nil {
			b.err = b.resume(err)
		}
	}
	return 0, b.err
}

// give gives the connection up: what is still to come is not worth reading.
func (b *pop3Body) give(f *fault.Error) error {
	b.r.link.Abort(f)
	return f
}

// resume continues over a new connection, or returns why the message failed.
func (b *pop3Body) resume(cause error) error {
	for {
		if final(cause) {
			return cause
		}
		if b.w.cuts++; b.w.cuts >= maxCuts || wire.Silent(cause) {
			b.r.poisoned = true
			return b.give(b.r.reason(cause))
		}
		if b.r.poisoned && b.n < resumedFrom || b.w.want.Again || b.r.reopens >= maxReopens {
			b.w.cuts--
			b.cut = cause
			return cause
		}
		if err := b.restart(); err != nil {
			return err
		}
		if cause = b.again(); cause == nil {
			return nil
		}
		if b.r.link.Failure() == nil || fault.CodeOf(cause) == fault.MessageFailed {
			return cause // Not the connection's fault.
		}
	}
}

// again asks for the message and reads past what was read already.
func (b *pop3Body) again() error {
	failed := func(detail words.Sentence) error { return fault.New(fault.MessageFailed, "reading a message", detail) }
	if b.w.gone {
		return failed(words.Say("The message is no longer there."))
	}
	_, err := b.r.wire.Ask(wire.POP3Command{Verb: wire.PopRETR, Arg: strconv.Itoa(int(b.w.number))})
	var no *wire.POP3Refusal
	if errors.As(err, &no) {
		return wire.POP3Reply(no.Text).Judge(wire.ReadingMessage, "reading a message", b.r.cred)
	}
	if err != nil {
		return err
	}
	b.dots = b.r.wire.Body(b.r.client.opts.MaxMessageBytes)
	b.r.partial = b.dots
	var sum maphash.Hash
	sum.SetSeed(b.r.seed)
	n, err := io.Copy(&sum, io.LimitReader(b.dots, b.n))
	if err == nil && (n != b.n || sum.Sum64() != b.sum.Sum64()) {
		return b.give(fault.New(fault.MessageFailed, "reading a message",
			words.Say("The server sent other bytes the second time.")))
	}
	return err
}
