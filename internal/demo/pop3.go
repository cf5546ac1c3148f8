package demo

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// pop3Idle is how long a client may be silent (RFC 1939 section 3: ten
	// minutes at the least).
	pop3Idle = 10 * time.Minute
	// pop3Line is how long a command may be, with its line end (RFC 2449 section 4).
	pop3Line = 255
)

// servePOP3 serves the inboxes of some users until the listener closes, and waits
// for its connections.
func servePOP3(l net.Listener, users ...*user) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			newPOP3Session(c, users).serve()
		})
	}
}

// pop3Session is one POP3 connection (RFC 1939). What it shows is the inbox as
// it was at sign-in.
type pop3Session struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer

	users []*user // Who may sign in.

	name     string
	in       bool // Signed in: the transaction state.
	messages []*message
	refused  int // Passwords.
}

func newPOP3Session(c net.Conn, users []*user) *pop3Session {
	return &pop3Session{conn: c, r: bufio.NewReaderSize(c, pop3Line), w: bufio.NewWriter(c), users: users}
}

func (s *pop3Session) serve() {
	s.ok("Mailbrook demo provider ready")
	for {
		// Answers to commands that were sent together go out together.
		if s.r.Buffered() == 0 {
			if s.flush() != nil {
				return
			}
		}
		s.conn.SetDeadline(time.Now().Add(pop3Idle))
		line, err := s.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			s.err("line too long")
			s.flush()
			return
		}
		if err != nil {
			return
		}
		s.conn.SetDeadline(time.Now().Add(pop3Idle))
		if !s.command(strings.TrimRight(string(line), "\r\n")) {
			s.flush()
			return
		}
	}
}

func (s *pop3Session) flush() error { return s.w.Flush() }

func (s *pop3Session) ok(format string, args ...any) { fmt.Fprintf(s.w, "+OK "+format+"\r\n", args...) }

func (s *pop3Session) err(format string, args ...any) {
	fmt.Fprintf(s.w, "-ERR "+format+"\r\n", args...)
}

// command answers one line. It returns false when the session is over.
func (s *pop3Session) command(line string) bool {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "QUIT":
		s.ok("bye")
		return false
	case "CAPA":
		s.ok("capabilities follow")
		s.list("USER", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER",
			"IMPLEMENTATION Mailbrook-demo")
	case "USER", "PASS":
		return s.signIn(verb, arg)
	case "STAT", "LIST", "UIDL", "TOP", "RETR", "DELE", "RSET", "NOOP":
		if !s.in {
			s.err("sign in first")
			return true
		}
		s.transaction(verb, arg)
	default:
		s.err("unknown command")
	}
	return true
}

func (s *pop3Session) signIn(verb, arg string) bool {
	u := signedIn(s.users, s.name, arg)
	switch {
	case s.in:
		s.err("signed in already")
	case verb == "USER":
		s.name = arg
		s.ok("and the password?")
	case s.name == "":
		s.err("USER first")
	case u == nil:
		s.err("[AUTH] wrong user name or password")
		s.name = ""
		s.refused++
		return s.refused < 3
	default:
		s.in = true
		s.messages = u.ensure("INBOX").all()
		s.ok("%d messages", len(s.messages))
	}
	return true
}

func (s *pop3Session) transaction(verb, arg string) {
	switch verb {
	case "STAT":
		s.ok("%d %d", len(s.messages), s.size())
	case "LIST", "UIDL":
		describe := func(i int) string { return fmt.Sprintf("%d %d", i+1, len(s.messages[i].data)) }
		if verb == "UIDL" {
			describe = func(i int) string { return fmt.Sprintf("%d %s", i+1, s.messages[i].uidl(i)) }
		}
		if arg == "" {
			s.ok("%d messages (%d octets)", len(s.messages), s.size())
			var lines []string
			for i := range s.messages {
				lines = append(lines, describe(i))
			}
			s.list(lines...)
		} else if i, ok := s.number(arg); ok {
			s.ok("%s", describe(i))
		}
	case "RETR":
		if i, ok := s.number(arg); ok {
			s.ok("%d octets", len(s.messages[i].data))
			s.multiline(s.messages[i].data)
		}
	case "TOP":
		which, lines, _ := strings.Cut(arg, " ")
		n, err := strconv.Atoi(lines)
		if err != nil || n < 0 {
			s.err("TOP wants a message and a number of lines")
		} else if i, ok := s.number(which); ok {
			s.ok("top of message follows")
			s.multiline(top(s.messages[i].data, n))
		}
	case "DELE":
		s.err("this provider is only a demonstration: nothing can be deleted")
	case "RSET", "NOOP":
		s.ok("%d messages", len(s.messages))
	}
}

func (s *pop3Session) size() int {
	n := 0
	for _, m := range s.messages {
		n += len(m.data)
	}
	return n
}

// number reads a message number, and complains if there is no such message.
func (s *pop3Session) number(arg string) (int, bool) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 || n > len(s.messages) {
		s.err("no such message")
		return 0, false
	}
	return n - 1, true
}

func (s *pop3Session) list(lines ...string) {
	for _, l := range lines {
		io.WriteString(s.w, l+"\r\n")
	}
	io.WriteString(s.w, ".\r\n")
}

// multiline sends a message, lines that begin with a dot one dot longer.
func (s *pop3Session) multiline(data []byte) {
	for line := range bytes.Lines(data) {
		if line[0] == '.' {
			s.w.WriteByte('.')
		}
		s.w.Write(line)
	}
	if !bytes.HasSuffix(data, []byte("\r\n")) {
		io.WriteString(s.w, "\r\n")
	}
	io.WriteString(s.w, ".\r\n")
}

// top returns the header, the empty line and n lines of the body.
func top(data []byte, n int) []byte {
	end, body := 0, false
	for line := range bytes.Lines(data) {
		if body {
			if n == 0 {
				break
			}
			n--
		}
		end += len(line)
		body = body || string(line) == "\r\n"
	}
	return data[:end]
}

// uidl names the message for ever: by its content, and by its place should
// there be two alike.
func (m *message) uidl(i int) string {
	sum := sha256.Sum256(m.data)
	return hex.EncodeToString(sum[:8]) + "." + strconv.Itoa(i+1)
}
