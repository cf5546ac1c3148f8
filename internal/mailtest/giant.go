package mailtest

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Giant is a server on loopback, without TLS, whose only folder holds any number
// of messages, which are made as they are asked for: it takes no memory for them.
// By IMAP their UIDs are UIDOf(1) to UIDOf(Messages); by POP3 each has a unique-id.
type Giant struct {
	Port     int
	Messages int
	// Gap is how far one UID is from the next.
	Gap int
	// OnLine is called now and then while a listing is sent. It may be nil.
	OnLine func()

	l  net.Listener
	wg sync.WaitGroup
	mu sync.Mutex
	up map[net.Conn]bool
}

// GiantIMAP starts an IMAP server, until the test ends.
func GiantIMAP(tb testing.TB, messages, gap int, onLine func()) *Giant {
	return startGiant(tb, &Giant{Messages: messages, Gap: gap, OnLine: onLine}, (*Giant).imap)
}

// GiantPOP3 starts a POP3 server, until the test ends.
func GiantPOP3(tb testing.TB, messages int, onLine func()) *Giant {
	return startGiant(tb, &Giant{Messages: messages, Gap: 1, OnLine: onLine}, (*Giant).pop3)
}

func startGiant(tb testing.TB, g *Giant, serve func(*Giant, *bufio.Reader, *bufio.Writer)) *Giant {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g.l, g.up = l, map[net.Conn]bool{}
	g.Port = l.Addr().(*net.TCPAddr).Port
	g.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.up[c] = true
			g.mu.Unlock()
			g.wg.Go(func() {
				defer c.Close()
				serve(g, bufio.NewReader(c), bufio.NewWriterSize(c, 64<<10))
			})
		}
	})
	tb.Cleanup(func() {
		g.l.Close()
		g.mu.Lock()
		for c := range g.up {
			c.Close()
		}
		g.mu.Unlock()
		g.wg.Wait()
	})
	return g
}

// UIDOf is the UID of the n-th message, from 1 on.
func (g *Giant) UIDOf(n int) uint32 { return uint32(n * g.Gap) }

// UIDLOf is the unique-id of the n-th message.
func (g *Giant) UIDLOf(n int) string { return fmt.Sprintf("%08x.giant-%020d", n*2654435761, n) }

// Body is the n-th message as it is sent.
func (g *Giant) Body(n int) string {
	return fmt.Sprintf("Message-ID: <%d@giant.test>\r\nSubject: message %d\r\n\r\n%s\r\n", n, n, strings.Repeat("x", n%97))
}

func (g *Giant) tell(w *bufio.Writer, line func(n int) string) {
	for n := 1; n <= g.Messages; n++ {
		if _, err := w.WriteString(line(n)); err != nil {
			return
		}
		if n%8192 == 0 && g.OnLine != nil {
			g.OnLine()
		}
	}
}

func (g *Giant) imap(r *bufio.Reader, w *bufio.Writer) {
	fmt.Fprint(w, "* OK [CAPABILITY IMAP4rev1 LIST-STATUS] ready\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		status := fmt.Sprintf("MESSAGES %d UIDNEXT %d UIDVALIDITY 1", g.Messages, g.UIDOf(g.Messages)+1)
		switch {
		case strings.HasPrefix(rest, "CAPABILITY"):
			fmt.Fprint(w, "* CAPABILITY IMAP4rev1 LIST-STATUS\r\n")
		case strings.HasPrefix(rest, "LIST"):
			fmt.Fprintf(w, "* LIST () \"/\" INBOX\r\n* STATUS INBOX (%s)\r\n", status)
		case strings.HasPrefix(rest, "EXAMINE"):
			fmt.Fprintf(w, "* %d EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT %d] x\r\n", g.Messages, g.UIDOf(g.Messages)+1)
		case strings.HasPrefix(rest, "UID FETCH"):
			set := strings.Fields(rest)[2]
			if strings.Contains(rest, "BODY") {
				g.bodies(w, set)
				break
			}
			from, _, _ := strings.Cut(set, ":")
			least, _ := strconv.Atoi(from)
			g.tell(w, func(n int) string {
				if int(g.UIDOf(n)) < least {
					return ""
				}
				return fmt.Sprintf("* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"17-Jul-2026 02:44:25 -0700\" RFC822.SIZE "+
					"%d)\r\n", n, g.UIDOf(n), len(g.Body(n)))
			})
		case strings.HasPrefix(rest, "LOGOUT"):
			fmt.Fprintf(w, "* BYE x\r\n%s OK x\r\n", tag)
			w.Flush()
			return
		}
		fmt.Fprintf(w, "%s OK x\r\n", tag)
	}
}

// bodies sends the messages of a set.
func (g *Giant) bodies(w *bufio.Writer, set string) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, ranged := strings.Cut(part, ":")
		lo, _ := strconv.Atoi(from)
		hi, _ := strconv.Atoi(to)
		if !ranged {
			hi = lo
		}
		for uid := lo; uid <= hi; uid++ {
			if n := uid / g.Gap; uid%g.Gap == 0 && n >= 1 && n <= g.Messages {
				fmt.Fprintf(w, "* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", n, uid, len(g.Body(n)), g.Body(n))
			}
		}
	}
}

func (g *Giant) pop3(r *bufio.Reader, w *bufio.Writer) {
	fmt.Fprint(w, "+OK ready\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		number, _, _ := strings.Cut(arg, " ")
		n, _ := strconv.Atoi(number)
		switch verb {
		case "CAPA":
			fmt.Fprint(w, "+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n")
		case "STAT":
			fmt.Fprintf(w, "+OK %d 1000\r\n", g.Messages)
		case "LIST":
			fmt.Fprint(w, "+OK\r\n")
			g.tell(w, func(n int) string { return fmt.Sprintf("%d %d\r\n", n, len(g.Body(n))) })
			fmt.Fprint(w, ".\r\n")
		case "UIDL":
			fmt.Fprint(w, "+OK\r\n")
			g.tell(w, func(n int) string { return fmt.Sprintf("%d %s\r\n", n, g.UIDLOf(n)) })
			fmt.Fprint(w, ".\r\n")
		case "RETR":
			fmt.Fprintf(w, "+OK\r\n%s.\r\n", g.Body(n))
		case "TOP":
			head, _, _ := strings.Cut(g.Body(n), "\r\n\r\n")
			fmt.Fprintf(w, "+OK\r\n%s\r\n\r\n.\r\n", head)
		case "QUIT":
			fmt.Fprint(w, "+OK\r\n")
			w.Flush()
			return
		default:
			fmt.Fprint(w, "+OK\r\n")
		}
	}
}
