package source

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// maxHeaderWindow is how many TOP commands are pipelined.
const maxHeaderWindow = 200

// Headers implements protocol, by TOP n 0 (RFC 1939 section 7). Without TOP
// nothing comes. A message over which the server breaks off is left out the
// second time.
func (s *pop3Session) Headers(ctx context.Context, wants []mail.Want, take headerFunc) error {
	defer s.enter(ctx)()
	r := &retrieval{pop3Session: s}
	if err := r.plan(wants, func(mail.Folder, mail.Item) {}); err != nil {
		return err
	}
	if len(r.todo) == 0 {
		return nil
	}
	if err := s.drain(); err != nil && final(err) {
		return err // Else the loop sees the broken connection.
	}
	for len(r.todo) > 0 {
		if broken := r.link.Failure(); broken != nil {
			if final(broken) {
				return broken
			}
			if err := r.restart(ctx); err != nil {
				return err
			}
		}
		if r.todo = slices.DeleteFunc(r.todo, func(w wanted) bool { return w.gone }); len(r.todo) == 0 {
			return nil
		}
		yes, err := s.canTOP(ctx, r.todo[0].number)
		if err == nil && !yes {
			return nil
		}
		var stop *callerError
		if err == nil {
			err = r.headers(ctx, take)
		}
		switch {
		case errors.As(err, &stop):
			return stop.err
		case err != nil && final(err):
			return err
		case err != nil && r.lostPipelined(ctx):
		case err != nil:
			w := &r.todo[0]
			if w.tries++; w.tries > 1 {
				r.todo = r.todo[1:]
			}
		}
	}
	return nil
}

// headers reads over one connection what it can. What is done is off todo;
// an error other than the caller's is about its first message.
func (r *retrieval) headers(ctx context.Context, take headerFunc) error {
	window := 1
	if r.pipelines() {
		window = maxHeaderWindow
	}
	buf := make([]byte, 0, 4<<10)
	for len(r.todo) > 0 {
		if r.pending <= window/2 {
			var cmds []wire.POP3Command
			for _, w := range r.todo[r.pending:min(window, len(r.todo))] {
				cmds = append(cmds, topCommand(w.number))
			}
			if len(cmds) > 0 {
				if err := r.wire.Send(cmds...); err != nil {
					return err
				}
				r.pending += len(cmds)
			}
		}
		w := &r.todo[0]
		header, err := r.header(buf[:0])
		var no *wire.POP3Refusal
		switch {
		case err == nil:
			buf = header
			if err := take(w.folder(), *w.item, header); err != nil {
				return &callerError{err}
			}
		case !errors.As(err, &no):
			return err
		case wire.POP3Reply(no.Text).Judge(wire.ReadingMessage, "reading headers", r.cred).Code != fault.MessageFailed:
			return r.link.Abort(wire.POP3Reply(no.Text).Judge(wire.ReadingMessage, "reading headers", r.cred))
		}
		r.todo = r.todo[1:]
	}
	return nil
}

// header reads one answer to TOP into buf: at most maxHeaderRead octets of it.
func (r *retrieval) header(buf []byte) ([]byte, error) {
	_, err := r.wire.Status()
	var no *wire.POP3Refusal
	if err == nil || errors.As(err, &no) {
		r.pending--
	}
	if err != nil {
		return nil, err
	}
	dots := r.wire.Body(maxHeaderRead)
	for len(buf) < maxHeaderRead {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := dots.Read(buf[len(buf):min(cap(buf), maxHeaderRead)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			r.link.Listed()
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, r.wire.Skip(dots, r.client.opts.MaxMessageBytes)
}

func topCommand(n uint32) wire.POP3Command {
	return wire.POP3Command{Verb: wire.PopTOP, Arg: strconv.Itoa(int(n)) + " 0"}
}

// canTOP says whether the server has TOP, by trying it on a message where CAPA
// does not speak of it.
func (s *pop3Session) canTOP(ctx context.Context, n uint32) (bool, error) {
	if s.capas.has("TOP") {
		return true, nil
	}
	if s.top == unknown {
		defer s.link.Within(ctx, pop3Patience)()
		if err := s.wire.Send(topCommand(n)); err != nil {
			return false, err
		}
		_, _, err := s.digest(0, true)
		var no *wire.POP3Refusal
		switch {
		case err == nil:
			s.top = present
		case errors.As(err, &no):
			s.top = absent
		default:
			return false, err
		}
	}
	return s.top == present, nil
}

// presence is what is known of a command.
type presence int

const (
	unknown presence = iota
	present
	absent
)
