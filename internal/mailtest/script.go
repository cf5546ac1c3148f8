package mailtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// A dialogue is text, one step a line, from the server's side:
//
//	# a comment; empty lines are skipped
//	S: text          the server sends the line, ended by CRLF
//	S< text\r\n\x00  the server sends exactly this, escapes as in Go
//	S* 65536 (       the server sends the text after the number that many times
//	C: text          the client sends exactly this line
//	C~ USER *        the client sends a line like this: * any text, ? any octet
//	C< 12            the client sends 12 octets, as of a literal
//	ALSO TAG NOOP => TAG OK\r\n   from here on the client may send such a line
//	                 where another is expected, and gets this answer
//	TLS              both sides begin TLS (alone on the first line, or after STARTTLS)
//	STALL            the server says nothing more, and waits for the client to go
//	CLOSE            the server closes the connection
//	RESET            the server tears the connection down
//	---              the rest is for the next connection
//
// TAG in a client's line stands for any IMAP tag. In a server's line it is the
// tag of the client's last line, TAG-1 of the one before, and so on.
//
// At the end of its dialogue the server waits for the client to close. A client
// that says more, or that goes when the server still expects something, departs
// from the script.

// ScriptOptions says how a dialogue is played. The zero value is good.
type ScriptOptions struct {
	Certificate *Certificate // For TLS; nil: one for localhost by CA.
	CA          *CA          // Nil: a new one, if the dialogue has TLS.
	Repeat      bool         // Every further connection gets the last dialogue again.
	// Lenient does not fail the test when the client departs; Departures tells.
	Lenient bool
}

// Script is a server on loopback that plays dialogues. It takes connections
// one after another.
type Script struct {
	// CA vouches for its certificate; nil if there is no TLS in the dialogue.
	CA *CA

	tb      testing.TB
	opts    ScriptOptions
	parts   [][]step
	l       net.Listener
	tls     *tls.Config
	wg      sync.WaitGroup
	ctx     context.Context // Ends with the server; for its goroutines only.
	cancel  context.CancelFunc
	stalled chan struct{}

	mu         sync.Mutex
	sent       bytes.Buffer
	lines      []string
	departures []string
	conns      int
}

type step struct {
	line  int // In the dialogue, for people.
	op    string
	text  string // What is sent, or the pattern as written.
	count int
	match *regexp.Regexp
}

// Play starts a server that plays the dialogue, until the test ends. The test
// fails if a client departs from it.
func Play(tb testing.TB, dialogue string, o ScriptOptions) *Script {
	tb.Helper()
	parts, err := parseDialogue(dialogue)
	if err != nil {
		tb.Fatalf("reading a dialogue: %v", err)
	}
	s := &Script{tb: tb, opts: o, parts: parts, CA: o.CA, stalled: make(chan struct{})}
	if strings.Contains("\n"+dialogue, "\nTLS") {
		if s.CA == nil {
			s.CA = NewCA(tb)
		}
		if o.Certificate == nil {
			o.Certificate = s.CA.Server()
		}
		s.tls = o.Certificate.Config()
	}
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatalf("listening: %v", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.serve)
	tb.Cleanup(func() {
		s.Close()
		if !o.Lenient {
			for _, d := range s.Departures() {
				tb.Error(d)
			}
		}
	})
	return s
}

// PlayFile plays the dialogue in a file.
func PlayFile(tb testing.TB, path string, o ScriptOptions) *Script {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("reading a dialogue: %v", err)
	}
	return Play(tb, string(b), o)
}

// Addr returns the server's address on loopback.
func (s *Script) Addr() string { return s.l.Addr().String() }

// Port returns the server's port.
func (s *Script) Port() int { return s.l.Addr().(*net.TCPAddr).Port }

// Sent returns every octet that clients sent so far, inside TLS where there is TLS.
func (s *Script) Sent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.String()
}

// Lines returns the lines that clients sent so far, without line ends.
func (s *Script) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Connections returns how many connections clients made so far.
func (s *Script) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Departures says where clients did not follow the dialogue.
func (s *Script) Departures() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.departures...)
}

// Stalled is closed when the first STALL is reached.
func (s *Script) Stalled() <-chan struct{} { return s.stalled }

// Finish waits until the clients that came have gone, reads what they said at
// last, and ends the server. A test that cares for the last words of a client that
// does not wait for their answer calls it after the client has closed.
func (s *Script) Finish() {
	s.l.Close()
	s.wg.Wait()
	s.cancel()
}

// Close ends the server and waits for it. It may be called twice.
func (s *Script) Close() {
	s.cancel()
	s.l.Close()
	s.wg.Wait()
}

func (s *Script) serve() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		n := s.conns
		s.conns++
		s.mu.Unlock()
		if n >= len(s.parts) {
			if !s.opts.Repeat {
				s.depart(fmt.Sprintf("the client connects for the %d. time, the dialogue is for %d", n+1, len(s.parts)))
				c.Close()
				continue
			}
			n = len(s.parts) - 1
		}
		s.play(c, s.parts[n])
	}
}

func (s *Script) depart(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.departures = append(s.departures, "script: "+what)
}

// player is one connection.
type player struct {
	*Script
	raw  net.Conn
	conn net.Conn // raw, or TLS above it.
	r    *bufio.Reader
	tags []string
	also []step
	left bool // The client went.
}

func (s *Script) play(c net.Conn, steps []step) {
	defer c.Close()
	defer context.AfterFunc(s.ctx, func() { c.Close() })()
	p := &player{Script: s, raw: c, conn: c, r: bufio.NewReader(c)}
	for i, st := range steps {
		if p.left {
			if st.op[0] == 'C' && st.op != "CLOSE" {
				s.depart(fmt.Sprintf("line %d: the client went, want %s %s", st.line, st.op, st.text))
				return
			}
			continue
		}
		if !p.do(st) {
			return
		}
		if i == len(steps)-1 && !p.left {
			p.expectEnd()
		}
	}
	if p.conn != p.raw {
		p.conn.Close() // Says goodbye in TLS.
	}
}

// do plays one step. It returns false at the end of the play.
func (p *player) do(st step) bool {
	p.raw.SetDeadline(time.Now().Add(patience))
	switch st.op {
	case "S:", "S<":
		p.send(p.withTags(st.text))
	case "S*":
		for chunk := 4096; st.count > 0 && !p.left; st.count -= chunk {
			p.send(strings.Repeat(st.text, min(chunk, st.count)))
		}
	case "C:", "C~":
		return p.expect(st)
	case "C<":
		b := make([]byte, st.count)
		n, err := io.ReadFull(p.r, b)
		p.record(b[:n])
		if err != nil {
			p.depart(fmt.Sprintf("line %d: the client sent %d of %d octets", st.line, n, st.count))
			return false
		}
	case "ALSO":
		p.also = append(p.also, st)
	case "TLS":
		t := tls.Server(p.raw, p.tls)
		if n := p.r.Buffered(); n > 0 {
			b, _ := p.r.Peek(n)
			p.depart(fmt.Sprintf("line %d: the client sent %q before TLS", st.line, b))
			return false
		}
		if err := t.HandshakeContext(p.ctx); err != nil {
			p.left = true
			return true
		}
		p.conn, p.r = t, bufio.NewReader(t)
	case "STALL":
		p.mu.Lock()
		select {
		case <-p.stalled:
		default:
			close(p.stalled)
		}
		p.mu.Unlock()
		p.raw.SetDeadline(time.Time{}) // As long as the client likes, or the test.
		b, _ := io.ReadAll(p.r)
		p.record(b)
		return false
	case "CLOSE":
		p.conn.Close()
		return false
	case "RESET":
		p.raw.(*net.TCPConn).SetLinger(0)
		p.raw.Close()
		return false
	}
	return true
}

func (p *player) send(text string) {
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.left = true
	}
}

func (p *player) record(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent.Write(b)
}

// expect reads one line, other than those that are allowed anywhere.
func (p *player) expect(st step) bool {
	for {
		line, err := p.readLine()
		if err != nil {
			p.depart(fmt.Sprintf("line %d: the client went after %q (%v), want %s %s", st.line, line, err, st.op, st.text))
			return false
		}
		if st.match.MatchString(line) {
			return true
		}
		if !p.answerAlso(line) {
			p.depart(fmt.Sprintf("line %d: the client sends %q, want %s %s", st.line, line, st.op, st.text))
			return false
		}
	}
}

func (p *player) answerAlso(line string) bool {
	for _, a := range p.also {
		if a.match.MatchString(line) {
			_, reply, _ := strings.Cut(a.text, " => ")
			p.send(p.withTags(unescape(reply)))
			return true
		}
	}
	return false
}

func (p *player) readLine() (string, error) {
	b, err := p.r.ReadBytes('\n')
	p.record(b)
	line := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if err != nil {
		return line, err
	}
	tag, _, _ := strings.Cut(line, " ")
	p.tags = append(p.tags, tag)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	return line, nil
}

// expectEnd waits for the client to close.
func (p *player) expectEnd() {
	for {
		p.raw.SetDeadline(time.Now().Add(patience))
		line, err := p.readLine()
		switch {
		case err != nil && line == "" && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil && line == "":
			p.depart("after its end the client stays")
			return
		case err == nil && p.answerAlso(line):
		default:
			p.depart(fmt.Sprintf("after its end the client sends %q", line))
			return
		}
	}
}

var tagPattern = regexp.MustCompile(`\bTAG(?:-(\d))?\b`)

func (p *player) withTags(text string) string {
	return tagPattern.ReplaceAllStringFunc(text, func(s string) string {
		back := 0
		if m := tagPattern.FindStringSubmatch(s); m[1] != "" {
			back, _ = strconv.Atoi(m[1])
		}
		if i := len(p.tags) - 1 - back; i >= 0 {
			return p.tags[i]
		}
		return s
	})
}

func parseDialogue(text string) ([][]step, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8; write other octets as \\xNN after S<")
	}
	parts := [][]step{nil}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		line = strings.TrimLeft(line, "\t ")
		if line == "---" {
			parts = append(parts, nil)
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", i+1, line, err)
		}
		st.line = i + 1
		last := len(parts) - 1
		parts[last] = append(parts[last], st)
	}
	return parts, nil
}

func parseStep(line string) (step, error) {
	op, text, _ := strings.Cut(line, " ")
	st := step{op: op, text: text}
	var err error
	switch op {
	case "S:":
		st.text += "\r\n"
	case "S<":
		if _, err = unquote(text); err == nil {
			st.text = unescape(text)
		}
	case "S*":
		count, what, _ := strings.Cut(text, " ")
		st.count, err = strconv.Atoi(count)
		if err == nil {
			if _, err = unquote(what); err == nil {
				st.text = unescape(what)
			}
		}
	case "C:":
		st.match = pattern(text, false)
	case "C~":
		st.match = pattern(text, true)
	case "C<":
		st.count, err = strconv.Atoi(text)
		if err == nil && st.count < 0 {
			err = errors.New("a number of octets below zero")
		}
	case "ALSO":
		what, reply, ok := strings.Cut(text, " => ")
		if !ok {
			return st, errors.New("ALSO wants PATTERN => ANSWER")
		}
		_, err = unquote(reply)
		st.match = pattern(what, true)
	case "TLS", "STALL", "CLOSE", "RESET":
		if text != "" {
			err = errors.New("nothing may follow " + op)
		}
	default:
		err = errors.New("no such step")
	}
	return st, err
}

func pattern(text string, glob bool) *regexp.Regexp {
	expr := regexp.QuoteMeta(text)
	if glob {
		expr = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expr)
	}
	if rest, ok := strings.CutPrefix(expr, "TAG "); ok {
		expr = `[^ ]+ ` + rest
	}
	return regexp.MustCompile(`(?s)^` + expr + `$`)
}

func unquote(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// unescape is unquote for text that was checked before.
func unescape(s string) string {
	text, _ := unquote(s)
	return text
}
