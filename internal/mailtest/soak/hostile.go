package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// vice is what a hostile server does wrong, on purpose. All that it serves
// whole has to arrive once all the same, and nothing else.
type vice string

const (
	stalls    vice = "stalls in a body"             // S15: half a message, then silence on an open connection.
	shortens  vice = "announces more than it sends" // S17: the literal is shorter than announced.
	misstates vice = "understates sizes"            // S16: RFC822.SIZE is half of the size, or 0.
	repeats   vice = "repeats and leaves out"       // S18, S25: FETCH answers come twice, or not at all.
	babbles   vice = "says what nobody asked for"   // S19-S21: messages never asked for, alerts, unknown answers.
	renumbers vice = "changes UIDVALIDITY"          // S27.

	sharesIDs vice = "gives the same id, or none" // S39: UIDLs that are shared or empty.
	miscounts vice = "contradicts its own counts" // S38: STAT, LIST and UIDL disagree; lines are garbage.
	falseEnds vice = "has false ends in bodies"   // S40: LF.LF and false answers inside every message.
)

// vices are those of each protocol's hostile servers.
var vices = map[string][]vice{
	"imap": {stalls, shortens, misstates, repeats, babbles, renumbers},
	"pop3": {stalls, sharesIDs, miscounts, falseEnds},
}

// hostile stands in front of an honest server and spoils its answers.
type hostile struct {
	*world
	vice     vice
	protocol string
	target   string // The honest server's port without TLS.
	l        net.Listener
	tls      *tls.Config

	mu       sync.Mutex
	rand     *rand.Rand
	resting  bool // Its silences and new numberings are over.
	episodes int
	renumber uint32    // Added to every UIDVALIDITY.
	next     time.Time // When a stall or a new numbering is due again.
}

// startHostile starts one on loopback.
func (w *world) startHostile(v vice, protocol, target string, seed uint64) (*hostile, error) {
	h := &hostile{world: w, vice: v, protocol: protocol, target: target, tls: w.ca.Server().Config(), rand: rand.New(
		rand.NewPCG(w.seed, seed))}
	var err error
	if h.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := h.l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { h.serve(ctx, c) })
		}
	})
	w.Cleanup(func() {
		cancel()
		h.l.Close()
		wg.Wait()
	})
	return h, nil
}

// serve is one connection. It ends when either side goes.
func (h *hostile) serve(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	client := tls.Server(raw, h.tls)
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if client.HandshakeContext(ctx) != nil {
		return
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", h.target)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { server.Close() })()
	commands := &verbs{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer server.Close()
		up := bufio.NewReader(client)
		for {
			line, err := up.ReadBytes('\n')
			if err != nil {
				return
			}
			commands.put(line)
			if _, err := server.Write(line); err != nil {
				return
			}
		}
	}()
	down, to := bufio.NewReader(server), bufio.NewWriter(client)
	for {
		a, err := h.answer(down, commands)
		if err != nil {
			break
		}
		silent := h.spoil(to, a)
		if silent || down.Buffered() == 0 {
			err = to.Flush()
		}
		if err != nil {
			break
		}
		if silent {
			<-over // Until the client goes, or is made to.
			return
		}
	}
	to.Flush()
	raw.Close()
	<-over
}

// verbs are the POP3 commands under way: answers come in their order.
type verbs struct {
	mu  sync.Mutex
	all []string
}

func (v *verbs) put(line []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, strings.ToUpper(strings.TrimSpace(string(line))))
}

func (v *verbs) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) == 0 {
		return ""
	}
	first := v.all[0]
	v.all = v.all[1:]
	return first
}

// answer is one of the honest server's: for IMAP a line with its literals, for
// POP3 a status line and what belongs to it.
type answer struct {
	verb string // POP3: the command's.
	head []byte // POP3: the status line. IMAP: all.
	rest []byte // POP3: the lines after it, with the terminator.
}

var literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)

func (h *hostile) answer(r *bufio.Reader, commands *verbs) (a answer, err error) {
	if h.protocol == "imap" {
		for {
			line, err := r.ReadBytes('\n')
			a.head = append(a.head, line...)
			if err != nil {
				return a, err
			}
			m := literal.FindSubmatch(line)
			if m == nil {
				return a, nil
			}
			n, err := strconv.Atoi(string(m[1]))
			if err != nil {
				return a, err
			}
			a.head = append(a.head, make([]byte, n)...)
			if _, err := io.ReadFull(r, a.head[len(a.head)-n:]); err != nil {
				return a, err
			}
		}
	}
	if a.head, err = r.ReadBytes('\n'); err != nil {
		return a, err
	}
	command := commands.take() // "" for the greeting: no client speaks before it.
	verb, arg, _ := strings.Cut(command, " ")
	a.verb = verb
	lines := verb == "CAPA" || verb == "RETR" || verb == "TOP" || (verb == "LIST" || verb == "UIDL") && arg == ""
	if !lines || !bytes.HasPrefix(a.head, []byte("+OK")) {
		return a, nil
	}
	for {
		line, err := r.ReadBytes('\n')
		a.rest = append(a.rest, line...)
		if err != nil || string(line) == ".\r\n" {
			return a, err
		}
	}
}

// rest ends what would keep the soak from its end: a server may be silent, or
// start over, for ever. All other vices stay.
func (h *hostile) rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resting = true
}

// count is how often it did what it should not.
func (h *hostile) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.episodes
}

// due says, now and then, that it is time for what is rare.
func (h *hostile) due() bool {
	now := time.Now()
	if h.next.IsZero() {
		h.next = now.Add(time.Duration(5+h.rand.IntN(15)) * time.Second) // First some mail.
	}
	if h.resting || now.Before(h.next) {
		return false
	}
	h.next = now.Add(time.Duration(15+h.rand.IntN(45)) * time.Second)
	return true
}

var (
	fetched  = regexp.MustCompile(`^\* \d+ FETCH \(`)
	body     = regexp.MustCompile(`BODY\[\] \{(\d+)\}\r\n`)
	size     = regexp.MustCompile(`RFC822\.SIZE (\d+)`)
	validity = regexp.MustCompile(`UIDVALIDITY (\d+)`)
)

// spoil writes an answer as this server gives it. silent says that it breaks
// off and says nothing more.
func (h *hostile) spoil(to io.Writer, a answer) (silent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.episodes
	all, silent := h.spoiled(a)
	if h.episodes > before && h.vice != misstates && h.vice != sharesIDs && h.vice != falseEnds {
		h.did("hostile server: %s", h.vice)
	}
	_, _ = to.Write(all) // Flushing says the same.
	return silent
}

func (h *hostile) spoiled(a answer) (all []byte, silent bool) {
	if h.protocol == "imap" {
		if fetched.Match(a.head) {
			return h.fetch(a.head)
		}
		return h.numbered(a.head), false
	}
	return h.pop3(a)
}

// numbered is an answer with the UIDVALIDITY of today.
func (h *hostile) numbered(text []byte) []byte {
	if h.vice != renumbers {
		return text
	}
	return validity.ReplaceAllFunc(text, func(b []byte) []byte {
		if h.due() {
			h.episodes++
			h.renumber++
		}
		n, _ := strconv.ParseUint(string(b[len("UIDVALIDITY "):]), 10, 32)
		return fmt.Appendf(nil, "UIDVALIDITY %d", uint32(n)+h.renumber)
	})
}

// fetch is a FETCH answer as this server gives it.
func (h *hostile) fetch(text []byte) (all []byte, silent bool) {
	at := body.FindSubmatchIndex(text)
	switch h.vice {
	case stalls:
		if at != nil && h.due() {
			h.episodes++
			return text[:(at[1]+len(text))/2], true
		}
	case shortens:
		if n := 0; at != nil && h.rand.IntN(12) == 0 {
			fmt.Sscan(string(text[at[2]:at[3]]), &n)
			h.episodes++
			end := at[1] + n
			return append(append(all, text[:end-min(n, 1+h.rand.IntN(40))]...), text[end:]...), false
		}
	case misstates:
		return size.ReplaceAllFunc(text, func(b []byte) []byte {
			h.episodes++
			n, _ := strconv.Atoi(string(b[len("RFC822.SIZE "):]))
			if n%3 == 0 {
				n = 0
			}
			return fmt.Appendf(nil, "RFC822.SIZE %d", n/2)
		}), false
	case repeats:
		switch n := h.rand.IntN(100); {
		case n < 25:
			h.episodes++
			return append(append(all, text...), text...), false
		case n < 35 && at != nil || n < 27:
			h.episodes++
			return nil, false
		}
	case babbles:
		if h.rand.IntN(3) == 0 {
			h.episodes++
			forged := "From: <forged@evil.test>\r\nSubject: Nobody sent this\r\n\r\nNever asked for.\r\n"
			all = append(all, []string{
				"* OK [ALERT] <script>alert(1)</script>\r\n",
				fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", 1+h.rand.IntN(9), 4100000000+h.rand.IntN(100), len(forged),
					forged),
				fmt.Sprintf("* %d FETCH (FLAGS (\\Seen $Junk))\r\n", 1+h.rand.IntN(9)),
				"* XYZZY (a (b) \"c\")\r\n",
				"* 0 RECENT\r\n",
				"* NO disk is getting full\r\n",
				"* STATUS INBOX (MESSAGES 99)\r\n",
			}[h.rand.IntN(7)]...)
		}
	}
	return append(all, text...), false
}

// pop3 is a POP3 answer as this server gives it.
func (h *hostile) pop3(a answer) (all []byte, silent bool) {
	switch {
	case h.vice == stalls && a.verb == "RETR" && a.rest != nil && h.due():
		h.episodes++
		return append(a.head, a.rest[:len(a.rest)/2]...), true
	case h.vice == falseEnds && a.verb == "RETR" && a.rest != nil:
		h.episodes++
		a.rest = withFalseEnds(a.rest)
	case h.vice == sharesIDs && a.verb == "UIDL" && a.rest != nil:
		a.rest = h.eachLine(a.rest, func(number, id string) string {
			switch crc32.ChecksumIEEE([]byte(id)) % 4 {
			case 0:
				h.episodes++
				id = ""
			case 1:
				h.episodes++
				id = "the-same"
			}
			return number + " " + id + "\r\n"
		})
	case h.vice == miscounts && a.verb == "STAT" && h.rand.IntN(3) == 0:
		var n, octets int
		if k, _ := fmt.Sscanf(string(a.head), "+OK %d %d", &n, &octets); k == 2 {
			h.episodes++
			a.head = fmt.Appendf(nil, "+OK %d %d\r\n", max(0, n-2+h.rand.IntN(5)), octets/2)
		}
	case h.vice == miscounts && (a.verb == "LIST" || a.verb == "UIDL") && a.rest != nil && h.rand.IntN(2) == 0:
		h.episodes++
		a.rest = h.eachLine(a.rest, func(number, what string) string {
			line := number + " " + what + "\r\n"
			switch h.rand.IntN(20) {
			case 0:
				return line + line
			case 1:
				return "0 " + what + "\r\n" + line
			case 2:
				return "\r\n" + line + "-3 x\r\nthree four\r\n"
			case 3:
				return "" // One that is not named in this answer.
			}
			return line
		})
	}
	return append(a.head, a.rest...), false
}

// eachLine changes the lines of LIST or UIDL.
func (h *hostile) eachLine(text []byte, change func(number, what string) string) (all []byte) {
	for line := range strings.Lines(string(text)) {
		number, what, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !ok {
			all = append(all, line...) // The terminator.
			continue
		}
		all = append(all, change(number, what)...)
	}
	return all
}

// withFalseEnds puts into a message, after its first empty line, what a careless
// reader takes for its end and for further answers.
func withFalseEnds(text []byte) []byte {
	at := bytes.Index(text, []byte("\r\n\r\n"))
	if at < 0 {
		return text
	}
	at += 4
	return bytes.Join([][]byte{text[:at], []byte("\n.\n+OK 3 octets\r\nx.\r\n-ERR no\r\n\r.\nx\r\n"), text[at:]}, nil)
}

// served is the digest of a message as this server serves it by POP3: with the
// line ends of the wire, as a Maildir's are compared.
func (h *hostile) served(m mailtest.Message) [32]byte {
	b := withFalseEnds(m.POP3())
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return sha256.Sum256(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
}
