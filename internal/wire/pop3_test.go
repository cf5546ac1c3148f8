package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
)

func TestPOP3GuardLetsThroughWhatChangesNothing(t *testing.T) {
	for _, line := range []string{
		"CAPA", "STLS", "STAT", "LIST", "UIDL", "NOOP", "RSET", "QUIT", "USER anna@example.org", "USER two words",
		"PASS p w ",
		"AUTH PLAIN", "AUTH PLAIN AGFubmEAc2VrcmV0", "AUTH XOAUTH2", "AUTH XOAUTH2 abc=", "RETR 1", "RETR 2147483647",
		"TOP 7 0",
	} {
		for _, step := range []int{1, 1000} {
			var wire bytes.Buffer
			g := pop3Guard{w: &wire, allowed: Reading().pop3, lines: 1}
			in := []byte(line + "\r\n")
			for len(in) > 0 {
				n := min(step, len(in))
				if _, err := g.Write(in[:n]); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				in = in[n:]
			}
			if wire.String() != line+"\r\n" {
				t.Errorf("%q became %q", line, wire.String())
			}
		}
	}
}

func TestPOP3GuardRefusesAllElseAndIsPoisoned(t *testing.T) {
	for _, in := range []string{
		"DELE 1\r\n", "dele 1\r\n", "retr 1\r\n", "RETR 1\n", "RETR 1\r\nDELE 1\r\n", "USER a\rb\r\n", "USER a\x00\r\n",
		"USER\r\n", "PASS\r\n", "LAST\r\n", "APOP a b\r\n", "XTND XMIT\r\n",
		"RETR\r\n", "RETR 0\r\n", "RETR -1\r\n", "RETR 1 2\r\n", "RETR 01\r\n", "RETR 1;DELE 1\r\n", "TOP 1\r\n",
		"TOP 1 10\r\n", "STAT 1\r\n", "QUIT now\r\n", "QUIT \r\n", "LIST 1\r\n",
		"AUTH\r\n", "AUTH DIGEST-MD5\r\n", "APOP anna 0123456789abcdef0123456789ABCDEF\r\n", "AUTH PLAIN a b\r\n", "\r\n",
		" \r\n", "*\r\n", strings.Repeat("x", maxPOP3Command+1), "PASS " + strings.Repeat("x", maxPOP3Command) + "\r\n",
	} {
		var wire bytes.Buffer
		var refused atomic.Int64
		g := pop3Guard{w: &wire, allowed: Reading().pop3, lines: 1, refused: &refused}
		if _, err := g.Write([]byte(in)); !errors.Is(err, errPOP3Refused) {
			t.Errorf("%.40q: %v", in, err)
		}
		if strings.Contains(strings.ToUpper(wire.String()), "DELE") || refused.Load() != 1 {
			t.Errorf("%.40q: sent %q, counted %d", in, wire.String(), refused.Load())
		}
		sent := wire.Len()
		g.lines = 1
		if _, err := g.Write([]byte("NOOP\r\n")); err == nil || wire.Len() != sent {
			t.Errorf("%.40q: the guard went on", in)
		}
	}
}

func TestPOP3GuardTakesAnswersOnlyWhileAnAuthIsUnderWay(t *testing.T) {
	var wire bytes.Buffer
	g := pop3Guard{w: &wire, allowed: Reading().pop3, lines: 3}
	if _, err := g.Write([]byte("AUTH PLAIN\r\nAGFubmEAc2VrcmV0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	g.lines = 1
	if _, err := g.Write([]byte("DELE 1\r\n")); err == nil {
		t.Error("a command passed for an answer")
	}
}

func FuzzPOP3Guard(f *testing.F) {
	for _, s := range []string{
		"STAT\r\n", "RETR 1\r\nRETR 2\r\n", "USER a\r\nDELE 1\r\n", "AUTH PLAIN\r\nDELE 1\r\n",
		"PASS x\n", "TOP 1 0\r\n\x00",
	} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, lines uint8) {
		var whole, pieces bytes.Buffer
		a := pop3Guard{w: &whole, allowed: Reading().pop3, lines: int(lines)}
		a.Write([]byte(in))
		b := pop3Guard{w: &pieces, allowed: Reading().pop3, lines: int(lines)}
		r := rand.New(rand.NewPCG(1, uint64(len(in))))
		for rest := []byte(in); len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			if _, err := b.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		if !strings.HasPrefix(pieces.String(), whole.String()) { // Whole, nothing of a refused write is sent.
			t.Fatalf("%q in pieces becomes %q, whole %q", in, pieces.String(), whole.String())
		}
		sent := strings.Split(pieces.String(), "\r\n")
		if len(sent)-1 > int(lines) {
			t.Fatalf("%d lines sent, %d announced", len(sent)-1, lines)
		}
		for _, line := range sent {
			verb, _, _ := strings.Cut(line, " ")
			if strings.EqualFold(verb, "DELE") && len(line) > 4 { // "DELE" alone may be base64.
				t.Fatalf("sent %q", line)
			}
		}
	})
}

// played returns a wire whose server sends text, in pieces of at most step
// octets, and closes.
func played(t testing.TB, text string, step int) *POP3 {
	t.Helper()
	client, server := net.Pipe()
	l := &Link{limits: LinkLimits{}.orDefault(), session: NewSessionPace(Patience{})}
	l.attach(client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		for len(text) > 0 {
			n := min(step, len(text))
			if _, err := io.WriteString(server, text[:n]); err != nil {
				return
			}
			text = text[n:]
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return &POP3{Link: l, guard: pop3Guard{w: l, allowed: Reading().pop3}}
}

// unstuffed is the plainest way to read a message: find the end, then remove
// the dots. ok is false without an end.
func unstuffed(text string) (body, rest string, ok bool) {
	end := strings.Index("\r\n"+text, "\r\n.\r\n")
	if end < 0 {
		return "", "", false
	}
	body, rest = text[:end], text[end+3:]
	body = strings.ReplaceAll("\r\n"+body, "\r\n.", "\r\n")[2:]
	return body, rest, true
}

func checkDots(t *testing.T, text string, step int) {
	t.Helper()
	want, rest, ok := unstuffed(text)
	w := played(t, text, step)
	got, err := io.ReadAll(w.Body(1 << 20))
	if ok != (err == nil) || ok && string(got) != want {
		t.Fatalf("%q in pieces of %d: %q, %v; want %q, %v", text, step, got, err, want, ok)
	}
	if !ok {
		if errors.Is(err, io.EOF) || fault.CodeOf(err) != fault.ServerUnavailable {
			t.Fatalf("a message without its end: %v", err)
		}
		return
	}
	after, err := io.ReadAll(w.Link)
	if string(after) != rest || err == nil {
		t.Fatalf("%q: %q follows, want %q (%v)", text, after, rest, err)
	}
}

func TestDotReaderAgainstThePlainWay(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 5000)
	for _, text := range []string{
		".\r\n", "", ".", ".\r", "\r\n.\r\n", "a\r\n.\r\nrest", "a\n.\n.\r\n.\r\n+OK", "..\r\n.\r\n", "...\r\n.\r\n",
		".a\r\n.\r\n", "a\r\n.\n\r\n.\r\n", "a\r.\r\n.\r\n", "\r\r\n.\r\n", "a\r\n.\r.\r\n.\r\n",
		long + "\r\n.\r\n" + long, strings.Repeat("x", linkBuffer-1) + "\r\n.\r\nrest", strings.Repeat("x", linkBuffer-2) +
			"\r\n.\r\nrest", strings.Repeat("x", linkBuffer) + "\n.\r\n\r\n.\r\n", "\x00\xff\r\n.\r\n",
		strings.Repeat("x", linkBuffer-1) + "\r.\r\n.\r\n",
	} {
		for _, step := range []int{1 << 20, 1000, 7} {
			checkDots(t, text, step)
		}
		if len(text) < 100 {
			checkDots(t, text, 1)
		}
	}
}

func FuzzDotReader(f *testing.F) {
	for _, s := range []string{
		".\r\n", "a\r\n.\r\nrest", "a\n.\n.\r\n.\r\n+OK", "..\r\n.\r\n", "\r\n..\r\n.\r\n",
		"a\r.\r\n.\r\n",
	} {
		f.Add(s, uint16(3))
	}
	f.Fuzz(func(t *testing.T, text string, step uint16) {
		if len(text) > 200<<10 {
			return
		}
		checkDots(t, text, 1+int(step))
	})
}
