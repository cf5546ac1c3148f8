package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// day is when the messages of the dialogues came.
var day = time.Date(2023, 5, 1, 12, 0, 0, 0, time.FixedZone("", 2*3600))

func letter(text string) (Message, io.Reader) {
	return Message{Received: day, Size: int64(len(text))}, strings.NewReader(text)
}

// writerTo connects a Writer to a server that plays a dialogue.
func writerTo(t *testing.T, script *mailtest.Script) (*Writer, *atomic.Int64) {
	t.Helper()
	conn, err := net.Dial("tcp", script.Addr())
	if err != nil {
		t.Fatal(err)
	}
	l := NewLink(conn, remote.Server{Host: "127.0.0.1", Security: remote.None}, LinkLimits{
		Patience: Patience{Idle: 300 * time.Millisecond},
	}, NewSessionPace(Patience{}))
	l.refused = &atomic.Int64{}
	t.Cleanup(func() { _ = l.Close() })
	return NewWriter(l, ours), l.refused
}

// Each dialogue is what goes over the wire, to the octet, and what comes of it.
func TestWriterDialogues(t *testing.T) {
	for _, tc := range []struct {
		name, dialogue string
		do             func(w *Writer) error
		want           string
	}{
		{"several messages by one command, ahead", `
			C: m1 APPEND "staging" (\Seen $Forwarded) " 1-May-2023 12:00:00 +0200" {5+}
			C: a
			C< 2
			C:  () " 1-May-2023 12:00:00 +0200" {3+}
			C< 3
			C:
			S: m1 OK [APPENDUID 1 1:2] done`, func(w *Writer) error {
			m, body := letter("a\r\nbc")
			m.Flags, m.Keywords = mail.Seen, "$Forwarded"
			if err := w.Append("staging", m, body, true); err != nil {
				return err
			}
			m, body = letter("def")
			if err := w.Append("staging", m, body, true); err != nil {
				return err
			}
			tag, err := w.EndAppend()
			if err != nil {
				return err
			}
			a, err := w.Await(tag, nil)
			return errors.Join(err, fmt.Errorf("%s %s", a.Reply.Code, a.Reply.Args))
		}, "APPENDUID 1 1:2"},
		{"leave is waited for, and earlier commands are answered meanwhile", `
			C: m1 NOOP
			C: m2 APPEND "x" () " 1-May-2023 12:00:00 +0200" {3}
			S: * 4 EXISTS
			S: m1 OK done
			S: + continue
			C< 3
			C:
			S: m2 NO [OVERQUOTA] full`, func(w *Writer) error {
			noop, err := w.Send("NOOP")
			if err != nil {
				return err
			}
			m, body := letter("abc")
			if err := w.Append("x", m, body, false); err != nil {
				return err
			}
			tag, err := w.EndAppend()
			if err != nil {
				return err
			}
			if _, err := w.Await(noop, nil); err != nil {
				return err
			}
			_, err = w.Await(tag, nil)
			return err
		}, "NO [OVERQUOTA]: full"},
		{"no leave is given, and the connection is good", `
			C: m1 APPEND "x" () " 1-May-2023 12:00:00 +0200" {3}
			S: m1 NO [TOOBIG] no
			C: m2 NOOP
			S: m2 OK`, func(w *Writer) error {
			m, body := letter("abc")
			err := w.Append("x", m, body, false)
			_, also := w.Do("NOOP", nil)
			return errors.Join(err, also)
		}, "NO [TOOBIG]: no"},
		{"no leave is ever given", `
			C: m1 APPEND "x" () " 1-May-2023 12:00:00 +0200" {3}`, func(w *Writer) error {
			m, body := letter("abc")
			return w.Append("x", m, body, false)
		}, "connect_timeout"},
		{"OK instead of leave", `
			C: m1 APPEND "x" () " 1-May-2023 12:00:00 +0200" {3}
			S: m1 OK done`, func(w *Writer) error {
			m, body := letter("abc")
			return w.Append("x", m, body, false)
		}, "protocol_error"},
		{"leave that nobody waits for", `
			C: m1 NOOP
			S: + continue
			S: m1 OK`, func(w *Writer) error {
			_, err := w.Do("NOOP", nil)
			return err
		}, "protocol_error"},
		{"a message that ends early: nothing that is buffered is sent", "", func(w *Writer) error {
			m, body := letter("abc")
			m.Size = 4
			err := w.Append("x", m, body, true)
			return errors.Join(err, w.Flush())
		}, "internal"},
		{"OK to another tag", `
			C: m1 NOOP
			S: m2 OK done`, func(w *Writer) error {
			_, err := w.Do("NOOP", nil)
			return err
		}, "protocol_error"},
		{"goodbye", `
			C: m1 NOOP
			S: * BYE [UNAVAILABLE] later`, func(w *Writer) error {
			_, err := w.Do("NOOP", nil)
			return err
		}, "server_unavailable"},
		{"an answer that cannot be read", `
			C: m1 NOOP
			S: * LIST () "/" "x`, func(w *Writer) error {
			_, err := w.Do("NOOP", nil)
			return err
		}, "protocol_error"},
		{"bodies, literal and quoted", `
			C: m1 UID FETCH 1:2 (UID BODY.PEEK[])
			S< * 1 FETCH (UID 1 BODY[] {5}\r\na\r\nb) FLAGS ())\r\n
			S: * 2 FETCH (BODY[] "c" UID 2)
			S: m1 OK`, func(w *Writer) error {
			var all []string
			w.Body = func(r io.Reader, n int64) error {
				b, err := io.ReadAll(r)
				all = append(all, fmt.Sprintf("%q of %d", b, n))
				return err
			}
			_, err := w.Do("UID FETCH 1:2 (UID BODY.PEEK[])", func(a Answer) error {
				all = append(all, fmt.Sprint(a.Values[0].Pairs()["UID"].UID()))
				return nil
			})
			return errors.Join(err, errors.New(strings.Join(all, " ")))
		}, `"a\r\nb)" of 5 1 "c" of 1 2`},
		{"a password of any letters", `
			C: m1 LOGIN "anna*master" "p\"a\\ss"
			S: m1 OK`, func(w *Writer) error {
			_, err := w.Login(remote.Credential{Username: "anna*master", Secret: remote.NewSecret(`p"a\ss`)}, nil)
			return err
		}, ""},
		{"on behalf of another", `
			C: m1 AUTHENTICATE PLAIN
			S: +
			C: YW5uYQBtYXN0ZXIAc2Vrcml0
			S: m1 OK`, func(w *Writer) error {
			return w.Authenticate(w.SASLFor("anna", remote.Credential{
				Username: "master", Secret: remote.NewSecret("sekrit"),
			}), false)
		}, ""},
		{"at once", `
			C: m1 AUTHENTICATE PLAIN YW5uYQBtYXN0ZXIAc2Vrcml0
			S: m1 NO [AUTHORIZATIONFAILED] who?`, func(w *Writer) error {
			return w.Authenticate(w.SASLFor("anna", remote.Credential{
				Username: "master", Secret: remote.NewSecret("sekrit"),
			}), true)
		}, "NO [AUTHORIZATIONFAILED]: who?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			script := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{})
			w, refused := writerTo(t, script)
			err := tc.do(w)
			_ = w.Close()
			script.Finish()
			got := ""
			var known *fault.Error
			if errors.As(err, &known) {
				got = string(known.Code)
			} else if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, err)
			}
			if refused.Load() != 0 {
				t.Errorf("%d commands were refused", refused.Load())
			}
		})
	}
}

// The first refusal ends the connection: what was to be sent before it and after it is not.
func TestARefusalEndsTheConnection(t *testing.T) {
	script := mailtest.Play(t, "C: m1 NOOP\nS: m1 OK", mailtest.ScriptOptions{Lenient: true})
	w, refused := writerTo(t, script)
	if _, err := w.Do("NOOP", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Send("CREATE \"before\""); err != nil {
		t.Fatal(err)
	}
	_, err := w.Send(`UID STORE 1 +FLAGS (\Deleted)`)
	if fault.CodeOf(err) != fault.Internal || !errors.Is(err, errWritingRefused) {
		t.Errorf("refused by %v", err)
	}
	_, _ = w.Send("CREATE \"after\"")
	if err := w.Flush(); err == nil {
		t.Error("what is buffered is sent")
	}
	m, body := letter("abc")
	_ = w.Append("x", m, body, true)
	if err := w.Flush(); err == nil || w.Failure() == nil {
		t.Error("a message is sent")
	}
	script.Finish()
	if sent := script.Sent(); sent != "m1 NOOP\r\n" {
		t.Errorf("sent %q", sent)
	}
	if refused.Load() != 1 {
		t.Errorf("%d refusals were counted", refused.Load())
	}
}

// What a message is announced by passes the same guard, alone and after another.
func TestAMessageThatCannotBeAnnouncedIsNotSent(t *testing.T) {
	for name, change := range map[string]func(m *Message){
		"empty":               func(m *Message) { m.Size = 0 },
		"longer than longest": func(m *Message) { m.Size = 1 << 31 },
		"no date":             func(m *Message) { m.Received = time.Time{} },
		"a keyword":           func(m *Message) { m.Keywords = `\Deleted` },
	} {
		for _, after := range []bool{false, true} {
			script := mailtest.Play(t, "", mailtest.ScriptOptions{Lenient: true})
			w, refused := writerTo(t, script)
			m, body := letter("abc")
			if after {
				if err := w.Append("x", m, body, true); err != nil {
					t.Fatal(err)
				}
			}
			change(&m)
			if err := w.Append("x", m, body, true); !errors.Is(err, errWritingRefused) || refused.Load() != 1 {
				t.Errorf("%s, after another %v: %v, %d counted", name, after, err, refused.Load())
			}
			script.Close()
			if sent := script.Sent(); sent != "" {
				t.Errorf("%s: sent %q", name, sent)
			}
		}
	}
}

// given is a connection over which octets come, and then its end.
type given struct {
	net.Conn
	r io.Reader
}

func (c given) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c given) Write(p []byte) (int, error)      { return len(p), nil }
func (c given) Close() error                     { return nil }
func (c given) SetDeadline(time.Time) error      { return nil }
func (c given) SetReadDeadline(time.Time) error  { return nil }
func (c given) SetWriteDeadline(time.Time) error { return nil }

func writerOf(in io.Reader) *Writer {
	return NewWriter(NewLink(given{r: in}, remote.Server{Security: remote.None}, LinkLimits{Body: 1 << 20},
		NewSessionPace(Patience{})), Permission{})
}

// parts counts the values of an answer and their octets.
func parts(vs []Value, depth int) (n, octets, deepest int) {
	deepest = depth
	for _, v := range vs {
		k, o, d := parts(v.List, depth+1)
		n, octets, deepest = n+1+k, octets+len(v.Text)+o, max(deepest, d)
	}
	return n, octets, deepest
}

// FuzzWriterAnswer: whatever a server sends is read within bounds, or ends the connection.
func FuzzWriterAnswer(f *testing.F) {
	for _, s := range []string{
		"* OK [UIDVALIDITY 7] x\r\n", "* LIST (\\Sent) \".\" {3}\r\na.b\r\n", "* LIST () NIL NIL\r\n", "m1 NO [X y] z\r\n",
		"+ \r\n",
		"* 1 FETCH (UID 1 BODY[] {3}\r\nabc FLAGS ())\r\n", "* 1 FETCH (BODY[] {2000000000}\r\n",
		"* 1 FETCH (BODY[] \"x\" UID 1)\r\n",
		"* STATUS x (MESSAGES {99999999999999999999}\r\n", "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", "* BYE x\r\n",
		"* QUOTA \"\" (STORAGE 1 2)\r\n", "* X ((((((((((((((((((((((((((((((((((((((((\r\n", "* X ~{3}\r\nabc\r\n",
		"\r\n\r\n",
		"* 1 FETCH (BODY[HEADER.FIELDS (X)] \"\" BODY[] ~{0}\r\n)\r\n", "* X a\"b\"c)\r\n",
		"m1 OK [APPENDUID 1 1:4294967295] x\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		w := writerOf(bytes.NewReader(in))
		taken := int64(0)
		w.Body = func(r io.Reader, size int64) error {
			n, err := io.Copy(io.Discard, r)
			taken += n
			if n > size || n > int64(len(in)) {
				t.Errorf("%d octets of %d", n, size)
			}
			return err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for {
			a, err := w.Answer()
			if err != nil {
				if w.Failure() == nil {
					t.Fatalf("%v does not end the connection", err)
				}
				break
			}
			n, octets, deepest := parts(a.Values, 0)
			if n > mostValues || octets > mostOctets || deepest > w.in.max.depth+1 || octets > len(in) {
				t.Fatalf("%d values of %d octets, %d deep", n, octets, deepest)
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20+uint64(400*len(in)) {
			t.Fatalf("%d octets took %d of memory", len(in), used)
		}
	})
}

// endless repeats a text for as long as somebody reads.
type endless struct {
	text string
	at   int
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	e.read += int64(n)
	return n, nil
}

// What has no end is given up, and before much of it is in memory.
func TestAnAnswerWithoutEndIsGivenUp(t *testing.T) {
	literal := "x {200000}\r\n" + strings.Repeat("y", 200000) + " "
	for name, tc := range map[string]struct {
		begin, more string
		most        int64
	}{
		"literals":              {"* X ", literal, 6 << 20},
		"a line":                {"* X ", strings.Repeat("y", 4096), 2 << 20},
		"lists":                 {"* X ", strings.Repeat("(", 4096), 2 << 20},
		"values":                {"* X {1}\r\n", "a {1}\r\n", 4 << 20},
		"folders":               {"", "* LIST () \"/\" x\r\n", 4 << 20},
		"answers while waiting": {"", "m7 OK x\r\n", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			in := &endless{text: tc.more}
			w := writerOf(io.MultiReader(strings.NewReader(tc.begin), in))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var err error
			if name == "answers while waiting" {
				m, body := letter("abc")
				err = w.Append("x", m, body, false)
			} else {
				_, err = w.Do("NOOP", nil)
			}
			runtime.ReadMemStats(&after)
			if fault.CodeOf(err) != fault.ProtocolError || in.read > tc.most {
				t.Errorf("%v after %d octets", err, in.read)
			}
			// All in all, freed or not, the race detector's words too.
			if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
				t.Errorf("it took %d octets of memory", used)
			}
		})
	}
}

// UIDs are written as sets, each once.
func TestUIDsAsSets(t *testing.T) {
	for want, in := range map[string][]uint32{
		"": nil, "7": {7}, "1:3": {3, 1, 2, 2}, "1,3:4,4294967295": {4, 4294967295, 1, 3},
	} {
		if got := UIDs(in); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
		if _, ok := parseUIDSet(want); want != "" && !ok {
			t.Errorf("%q is no set", want)
		}
	}
}
