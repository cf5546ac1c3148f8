package mailtest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talk sends everything at once, as a pipelining client does, and returns all
// that the server says until it closes.
func talk(t *testing.T, addr string, config *tls.Config, say string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil && config != nil {
		c = tls.Client(c, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	type closer interface{ CloseWrite() error }
	if err := c.(closer).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(c) // A torn connection ends what was said, too.
	return string(got)
}

func TestScriptSaysWhatTheDialogueSays(t *testing.T) {
	for _, tc := range []struct{ name, dialogue, say, want string }{
		{
			"a whole POP3 session", "# hello\nS: +OK ready\nC: USER anna\nS: +OK\nC~ PASS *\nS: +OK\n\nC: QUIT\nS: +OK bye\n",
			"USER anna\r\nPASS x\r\nQUIT\r\n", "+OK ready\r\n+OK\r\n+OK\r\n+OK bye\r\n",
		},
		{
			"IMAP tags", "C: TAG NOOP\nC~ TAG LOGIN ?anna? *\nS: TAG-1 OK noop\nS: TAG OK login",
			"a1 NOOP\r\nb2 LOGIN \"anna\" \"x\"\r\n", "a1 OK noop\r\nb2 OK login\r\n",
		},
		{"raw octets", `S< \x00\r\r\n"half`, "", "\x00\r\r\n\"half"},
		{"many times", "S* 5000 ()", "", strings.Repeat("()", 5000)},
		{"a literal", "C: TAG X {3}\nS: +\nC< 3\nC: \nS: TAG-1 OK", "a X {3}\r\na\r\n\r\n", "+\r\na OK\r\n"},
		{
			"what is allowed anywhere", `ALSO TAG NOOP => TAG OK\r\n` + "\nC: a X\nS: a OK", "n NOOP\r\na X\r\nm NOOP\r\n",
			"n OK\r\na OK\r\nm OK\r\n",
		},
		{"an early end", "S: one\nCLOSE\nS: two", "", "one\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Play(t, tc.dialogue, ScriptOptions{})
			if got := talk(t, s.Addr(), nil, tc.say); got != tc.want {
				t.Errorf("it says %q, want %q", got, tc.want)
			}
			s.Close()
			if got := s.Sent(); got != tc.say {
				t.Errorf("it heard %q, want %q", got, tc.say)
			}
		})
	}
}

func TestScriptTellsWhereTheClientDeparts(t *testing.T) {
	for _, tc := range []struct{ name, dialogue, say, want string }{
		{"another line", "S: hi\nC: USER anna", "USER eve\r\n", `line 2: the client sends "USER eve"`},
		{"a pattern that does not fit", "C~ USER *", "PASS x\r\n", `line 1: the client sends "PASS x"`},
		{"gone too early", "C: A\nC: B", "A\r\n", `line 2: the client went`},
		{"more than wanted", "C: A", "A\r\nB\r\n", `after its end the client sends "B"`},
		{"half a line more", "C: A", "A\r\nB", `after its end the client sends "B"`},
		{"something before TLS", "C: STLS\nTLS", "STLS\r\nX", `line 2: the client sent "X" before TLS`},
		{"a short literal", "C< 4", "abc", "the client sent 3 of 4 octets"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Play(t, tc.dialogue, ScriptOptions{Lenient: true})
			talk(t, s.Addr(), nil, tc.say)
			s.Close()
			if got := s.Departures(); len(got) != 1 || !strings.Contains(got[0], tc.want) {
				t.Errorf("departures are %q, want one with %q", got, tc.want)
			}
		})
	}
}

func TestScriptSpeaksTLS(t *testing.T) {
	t.Run("from the first octet", func(t *testing.T) {
		s := Play(t, "TLS\nS: hi\nC: bye", ScriptOptions{})
		if got := talk(t, s.Addr(), s.CA.Client(), "bye\r\n"); got != "hi\r\n" {
			t.Errorf("it says %q", got)
		}
	})
	t.Run("after STARTTLS", func(t *testing.T) {
		s := Play(t, "S: hi\nC: STLS\nS: +OK\nTLS\nC: bye\nS: bye", ScriptOptions{})
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := bufio.NewReader(c)
		r.ReadString('\n')
		io.WriteString(c, "STLS\r\n")
		r.ReadString('\n')
		secure := tls.Client(c, s.CA.Client())
		io.WriteString(secure, "bye\r\n")
		if got, err := bufio.NewReader(secure).ReadString('\n'); got != "bye\r\n" {
			t.Errorf("it says %q, %v", got, err)
		}
		secure.Close()
		s.Close()
		if got := s.Lines(); !slices.Equal(got, []string{"STLS", "bye"}) {
			t.Errorf("it heard %q", got)
		}
	})
	ca := NewCA(t)
	for name, cert := range map[string]*Certificate{"expired": ca.Expired(), "other name": ca.OtherName(
		"mail.example.test"), "self-signed": ca.SelfSigned()} {
		t.Run("a certificate that is "+name+" is refused", func(t *testing.T) {
			s := Play(t, "TLS\nS: hi", ScriptOptions{CA: ca, Certificate: cert})
			c, err := tls.Dial("tcp", s.Addr(), ca.Client())
			if err == nil {
				c.Close()
				t.Error("the handshake succeeds")
			}
		})
	}
}

func TestScriptPlaysOnePartForEachConnection(t *testing.T) {
	s := Play(t, "S: one\n---\nS: two", ScriptOptions{Repeat: true})
	for _, want := range []string{"one\r\n", "two\r\n", "two\r\n"} {
		if got := talk(t, s.Addr(), nil, ""); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	if s.Connections() != 3 {
		t.Errorf("%d connections, want 3", s.Connections())
	}
}

func TestScriptStallsUntilTheClientGoes(t *testing.T) {
	s := Play(t, "S: hi\nSTALL", ScriptOptions{})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	<-s.Stalled()
	greeting(t, c)
	s.Close() // And does not wait for us.
}

func FuzzParseDialogue(f *testing.F) {
	for _, s := range []string{
		"S: hi\nC~ *\n---\nTLS", `S< \x00\"`, "S* 3 x", "C< 9", "ALSO a => b", "ALSO", "C< -1",
		"S* x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := parseDialogue(s)
		if err == nil && len(parts) == 0 {
			t.Error("no error and no dialogue")
		}
	})
}
