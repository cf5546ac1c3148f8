package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// piped returns a link and its server's end.
func piped(limits LinkLimits) (*Link, net.Conn) {
	ours, theirs := net.Pipe()
	l := &Link{limits: limits.orDefault(), session: NewSessionPace(limits.Patience)}
	l.attach(ours)
	return l, theirs
}

// dribble writes text in pieces of n octets, each after a pause, until the
// other end is closed.
func dribble(c net.Conn, text string, n int, pause time.Duration) {
	for len(text) > 0 {
		time.Sleep(pause) // Of synctest's clock.
		k := min(n, len(text))
		if _, err := io.WriteString(c, text[:k]); err != nil {
			return
		}
		text = text[k:]
	}
}

func TestEveryReadEnds(t *testing.T) {
	for _, tc := range []struct {
		name     string
		signedIn bool
		limits   LinkLimits
		serve    func(net.Conn)
		read     func(*Link) error
		after    time.Duration
		code     fault.Code
	}{
		{"silence before the login", false, LinkLimits{}, nil, readLine, time.Minute, fault.ConnectTimeout},
		{"silence after the login", true, LinkLimits{}, nil, readLine, time.Minute, fault.ServerUnavailable},
		{
			"silence for as long as an option says", true,
			LinkLimits{Patience: Patience{Idle: time.Second}},
			nil, readLine,
			time.Second, fault.ServerUnavailable,
		},
		{"S45 no greeting", false, LinkLimits{}, nil, func(l *Link) error {
			defer l.WithinGreeting(context.Background())()
			return readLine(l)
		}, 20 * time.Second, fault.ConnectTimeout},
		{"a phase that dribbles whole lines", true, LinkLimits{}, func(c net.Conn) {
			dribble(c, strings.Repeat("x\r\n", 100), 3, 10*time.Second)
		}, func(l *Link) error {
			defer l.Within(context.Background(), 45*time.Second)()
			return readLines(l)
		}, 45 * time.Second, fault.ServerUnavailable},
		{"S44 one octet in 20 s, inside a line", true, LinkLimits{}, func(c net.Conn) {
			dribble(c, strings.Repeat("x", 100), 1, 20*time.Second)
		}, readLine, 90 * time.Second, fault.ServerUnavailable},
		{"S44 one octet in 20 s, inside a long line", false, LinkLimits{}, func(c net.Conn) {
			io.WriteString(c, strings.Repeat("x", linkBuffer+1))
			dribble(c, strings.Repeat("x", 100), 1, 20*time.Second)
		}, readLine, 90 * time.Second, fault.ConnectTimeout},
		{"S44 one line in 20 s, inside a body", true, LinkLimits{}, func(c net.Conn) {
			dribble(c, strings.Repeat("x\r\n", 100), 3, 20*time.Second)
		}, func(l *Link) error {
			return discard(bringing{l}) // Each line earns 3 ms.
		}, 90*time.Second + 4*(3*time.Second/1024), fault.ServerUnavailable},
		{"S44 one line in 5 s, and none of them asked for", true, LinkLimits{}, func(c net.Conn) {
			dribble(c, strings.Repeat("* OK\r\n", 100), 6, 5*time.Second)
		}, readLines, 90 * time.Second, fault.ServerUnavailable},
		{"S44 the same where the connection may take for ever, but not the session", true, LinkLimits{Patience: Patience{
			Command: -1,
		}}, func(c net.Conn) {
			dribble(c, strings.Repeat("* OK\r\n", 100), 6, 5*time.Second)
		}, readLines, 2 * time.Minute, fault.ServerUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := piped(tc.limits)
				if tc.signedIn {
					l.SignedIn()
				}
				var serving sync.WaitGroup
				defer serving.Wait()
				if tc.serve != nil {
					serving.Go(func() { tc.serve(c) })
				}
				began := time.Now()
				err := tc.read(l)
				if fault.CodeOf(err) != tc.code || time.Since(began) != tc.after {
					t.Errorf("after %v: %v; want %s after %v", time.Since(began), err, tc.code, tc.after)
				}
				c.Close()
			})
		})
	}
}

func readLine(l *Link) error {
	_, err := l.ReadLine(1 << 20)
	return err
}

func readLines(l *Link) error {
	for {
		if err := readLine(l); err != nil {
			return err
		}
	}
}

func TestASteadyServerMayBeSlowBetweenAnswersAndWeBetweenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		go func() {
			dribble(c, strings.Repeat("x\r\n", 20), 3, 50*time.Second) // Lines, each after a long wait.
			dribble(c, strings.Repeat("x", 1<<20), 1<<10, 500*time.Millisecond)
			c.Close()
		}()
		for range 20 {
			if err := readLine(l); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		n, err := io.Copy(io.Discard, bringing{l})
		if n != 1<<20 || fault.CodeOf(err) != fault.ServerUnavailable {
			t.Errorf("%d octets, %v", n, err)
		}
	})
}

func TestAnIdleReadWaitsUntilAnAnswerIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		defer c.Close()
		l.Expect(false)
		began := time.Now()
		time.AfterFunc(time.Hour, func() { l.Expect(true) })
		if err := readLine(l); fault.CodeOf(err) != fault.ConnectTimeout || time.Since(began) != time.Hour+time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestAPhaseEndsALittleBeforeItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		defer l.Bind(ctx)()
		defer l.WithinGreeting(ctx)()
		if err := readLine(l); fault.CodeOf(err) != fault.ConnectTimeout || ctx.Err() != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheEndOfAContextEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		ctx, cancel := context.WithCancelCause(t.Context())
		release := l.Bind(ctx)
		defer release()
		why := errors.New("the lease was lost")
		time.AfterFunc(time.Second, func() { cancel(why) })
		err := readLine(l)
		if fault.CodeOf(err) != fault.Interrupted || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the server sees %v", err)
		}
		if _, again := l.Write([]byte("x")); !errors.Is(again, why) {
			t.Errorf("the next call gives %v", again)
		}
	})
}

func TestAReleasedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Bind(ctx)()
		cancel()
		synctest.Wait()
		go io.WriteString(c, "fine\r\n")
		if line, err := l.ReadLine(100); string(line) != "fine\r\n" || err != nil {
			t.Errorf("%q, %v", line, err)
		}
	})
}

func TestAWriteThatIsNotTakenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := piped(LinkLimits{})
		defer c.Close()
		l.SetWriteDeadline(time.Now().Add(time.Hour)) // A library's wish.
		began := time.Now()
		if _, err := l.Write([]byte("NOOP\r\n")); fault.CodeOf(err) != fault.ConnectTimeout ||
			time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestTheFirstErrorStaysAndIsNoEndOfFile(t *testing.T) {
	l, c := piped(LinkLimits{})
	c.Close()
	l.SignedIn()
	first := readLine(l)
	if fault.CodeOf(first) != fault.ServerUnavailable || errors.Is(first, io.EOF) {
		t.Errorf("got %v", first)
	}
	_, second := l.Read(make([]byte, 1))
	if abort := l.Abort(errors.New("later")); second != first || abort != first || l.Failure() != first {
		t.Errorf("then %v, %v", second, abort)
	}
	if err := l.Close(); err != nil || l.Failure() != first {
		t.Errorf("closing: %v, then %v", err, l.Failure())
	}
}

func TestS11LinesAndSessionsAreBounded(t *testing.T) {
	endless := func(c net.Conn) {
		b := bytes.Repeat([]byte("("), 32<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	l, c := piped(LinkLimits{})
	go endless(c)
	if _, err := l.ReadLine(1 << 20); fault.CodeOf(err) != fault.ProtocolError || l.total > 1<<20+linkBuffer {
		t.Errorf("%v after %d bytes", err, l.total)
	}
	l, c = piped(LinkLimits{Octets: 100_000})
	go endless(c)
	n, err := io.Copy(io.Discard, l)
	if f := fault.Of(err); f == nil || f.Code != fault.ServerUnavailable || !f.Limit || n != 100_000 {
		t.Errorf("%v after %d bytes", err, n)
	}
}

func TestReadLineAndReadShareABuffer(t *testing.T) {
	l, c := piped(LinkLimits{})
	long := strings.Repeat("y", 3*linkBuffer) + "\n"
	go func() {
		io.WriteString(c, "one\r\n"+long+"rest")
		c.Close()
	}()
	for _, want := range []string{"one\r\n", long} {
		if line, err := l.ReadLine(1 << 20); string(line) != want || err != nil {
			t.Fatalf("%.20q, %v", line, err)
		}
	}
	if b, err := io.ReadAll(l); string(b) != "rest" || fault.CodeOf(err) != fault.ServerUnavailable {
		t.Errorf("%q, %v", b, err)
	}
}

func TestDialReportsItsSteps(t *testing.T) {
	ca := mailtest.NewCA(t)
	s := mailtest.Play(t, "TLS\nS: hello\n", mailtest.ScriptOptions{CA: ca})
	plain := mailtest.Play(t, "S: hello\nCLOSE\n", mailtest.ScriptOptions{Lenient: true})
	expired := mailtest.Play(t, "TLS\n", mailtest.ScriptOptions{CA: ca, Certificate: ca.Expired()})
	for _, tc := range []struct {
		name   string
		server remote.Server
		opts   outbound.Options
		code   fault.Code
		steps  string
	}{
		{
			"well",
			remote.Server{Host: "localhost", Port: s.Port(), Security: remote.TLS},
			outbound.Options{},
			"",
			"resolve+ connect+ tls+",
		},
		{
			"plaintext where TLS is due",
			remote.Server{Host: "localhost", Port: plain.Port(), Security: remote.TLS},
			outbound.Options{},
			fault.TLSFailure, "resolve+ connect+ tls-",
		},
		{
			"an expired certificate",
			remote.Server{Host: "localhost", Port: expired.Port(), Security: remote.TLS},
			outbound.Options{},
			fault.TLSCertificateInvalid, "resolve+ connect+ tls-",
		},
		{
			"plaintext where it is not allowed",
			remote.Server{Host: "localhost", Port: plain.Port(), Security: remote.None},
			outbound.Options{},
			fault.HostNotAllowed, "resolve-",
		},
		{
			"a port that is not on the list",
			remote.Server{Host: "localhost", Port: 22, Security: remote.TLS},
			outbound.Options{AllowPorts: []int{993}},
			fault.HostNotAllowed, "resolve-",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := tc.opts
			o.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
			o.AllowAnyPort = o.AllowPorts == nil
			o.RootCAs = ca.Pool()
			var steps []string
			l, err := dial(t.Context(), outbound.New(o), &Signer{mailbox: remote.Mailbox{Server: tc.server}}, LinkLimits{},
				NewSessionPace(Patience{}), func(st remote.Step) {
					mark := map[bool]string{true: "+", false: "-"}[st.OK]
					steps = append(steps, string(st.Name)+mark)
					if !st.OK && st.Detail.String() == "" {
						t.Errorf("%s failed without a word", st.Name)
					}
				})
			if fault.CodeOf(err) != tc.code {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.steps, strings.Join(steps, " ")); diff != "" {
				t.Error(diff)
			}
			if err != nil {
				return
			}
			if line, err := l.ReadLine(100); string(line) != "hello\r\n" || err != nil || !l.Encrypted() {
				t.Errorf("%q, %v, encrypted %v", line, err, l.Encrypted())
			}
			l.Close()
		})
	}
}

// The most that the endless server sends.
const plenty = 16 << 20

// swallowed is how much of an endless answer a reader takes before it ends.
func swallowed(read func(net.Conn) error) (n int) {
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		defer theirs.Close()
		b := bytes.Repeat([]byte("("), 32<<10)
		for n < plenty {
			k, err := theirs.Write(b)
			n += k
			if err != nil {
				return
			}
		}
	})
	_ = read(ours) // However it ends.
	ours.Close()
	serving.Wait()
	return n
}

// waited is how long a reader waits for a server that says nothing, an hour at
// most: then the server hangs up.
func waited(t *testing.T, read func(net.Conn) error) (d time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		began := time.Now()
		hangUp := time.AfterFunc(time.Hour, func() { theirs.Close() })
		_ = read(ours) // However it ends.
		d = time.Since(began)
		hangUp.Stop()
		ours.Close()
	})
	return d
}

func linked(limits LinkLimits, read func(*Link) error) func(net.Conn) error {
	return func(c net.Conn) error {
		l := &Link{limits: limits.orDefault(), session: NewSessionPace(limits.Patience)}
		l.attach(c)
		return read(l)
	}
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func TestWhatAServerCanTakeOfUsIsBounded(t *testing.T) {
	if n := swallowed(linked(LinkLimits{}, readLine)); n > 1<<20+2*linkBuffer {
		t.Errorf("a line of %d octets was taken", n)
	}
	if n := swallowed(linked(LinkLimits{Octets: 100_000}, func(l *Link) error {
		return discard(l)
	})); n > 100_000+linkBuffer {
		t.Errorf("%d octets were taken in one session", n)
	}
	if d := waited(t, linked(LinkLimits{}, readLine)); d > time.Minute {
		t.Errorf("silence was tolerated for %v", d)
	}
}

// The controls for I11: readers without bounds.
func TestAReaderWithoutBoundsIsNoticed(t *testing.T) {
	unbounded := func(c net.Conn) error {
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	if n := swallowed(unbounded); n <= 1<<20+2*linkBuffer {
		t.Errorf("a reader without bounds took %d octets", n)
	}
	if n := swallowed(func(c net.Conn) error { return discard(c) }); n <= 100_000+linkBuffer {
		t.Errorf("a reader without bounds took %d octets", n)
	}
	if d := waited(t, unbounded); d <= time.Minute {
		t.Errorf("a reader without bounds waited for %v", d)
	}
}

// A record of TLS is handed on as a whole: no octet of one that does not end is
// taken for progress.
func TestARecordThatIsDraggedOutEnds(t *testing.T) {
	ca := mailtest.NewCA(t)
	config := ca.Server().Config()
	config.Time = func() time.Time { return realNow }
	trust := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Time: func() time.Time { return realNow }}
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := tls.Server(theirs, config).Handshake(); err != nil {
				t.Error(err)
			}
			theirs.Write([]byte("\x17\x03\x03\x40\x00"))
			dribble(theirs, strings.Repeat("x", 1000), 1, time.Second)
		})
		encrypted := tls.Client(ours, trust)
		if err := encrypted.Handshake(); err != nil {
			t.Fatal(err)
		}
		l := &Link{limits: LinkLimits{}.orDefault(), session: NewSessionPace(Patience{})}
		l.attach(encrypted)
		l.socket = ours
		if err := readLine(l); fault.CodeOf(err) != fault.ConnectTimeout {
			t.Errorf("it ended by %v", err)
		}
		serving.Wait()
	})
}

var realNow = time.Now() // A bubble's clock is not in the certificates' time.

// dripped is what comes of a line that servers begin so and send on an octet a
// second for an hour, over connections of one session, and how long that takes.
func dripped(t *testing.T, first string, connections int) (lines []string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began, session := time.Now(), NewSessionPace(Patience{})
		for range connections {
			ours, theirs := net.Pipe()
			var serving sync.WaitGroup
			serving.Go(func() {
				for rest := first; ; rest = "x" {
					if _, err := io.WriteString(theirs, rest); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			l := &Link{limits: LinkLimits{}.orDefault(), session: session}
			l.attach(ours)
			line, _ := l.ReadLine(maxGreeting)
			lines = append(lines, string(line))
			took = time.Since(began)
			l.Close()
			serving.Wait()
			began = began.Add(time.Since(began) - took) // The server's last pause is none of ours.
		}
	})
	return lines, took
}

// bugreports F11: a BYE sent drop by drop holds a visit for 10 s at most, over
// however many connections.
func TestABYEThatDoesNotEndIsTakenAsItIs(t *testing.T) {
	for _, first := range []string{"* BYE Too many connections", "* bye [OVERQUOTA] ", "* BYE "} {
		lines, took := dripped(t, first, 5)
		if took >= 10*time.Second {
			t.Errorf("%q held for %v", first, took)
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, first) || !strings.HasSuffix(line, "\r\n") {
				t.Errorf("%q became %q", first, line)
			}
		}
	}
	// The control: any other line is waited for.
	for _, first := range []string{"* OK ", "* BYEBYE ", "a1 NO "} {
		if lines, took := dripped(t, first, 1); took < time.Minute || lines[0] != "" {
			t.Errorf("%q: %q after %v", first, lines, took)
		}
	}
}

// TestHowLongAServerWasWaitedForIsANumberInBothLanguages: not a duration as computers write it.
func TestHowLongAServerWasWaitedForIsANumberInBothLanguages(t *testing.T) {
	for spent, want := range map[time.Duration][]string{
		2 * time.Minute: {
			"The server is too slow: in 120 seconds of waiting it sent neither a message nor what a folder holds.",
			"Serwer jest zbyt wolny: po 120 s czekania nie wysłał ani wiadomości, ani listy z folderu.",
		},
		90 * time.Minute: {
			"The server is too slow: it was waited for 90 minutes in all. The rest is left for the next visit.",
			"Serwer jest zbyt wolny: łączny czas oczekiwania to 90 min. Resztę pobierzemy następnym razem.",
		},
	} {
		s := NewSessionPace(Patience{})
		s.spend(spent)
		f := s.overdue(fault.ServerUnavailable)
		if f == nil {
			t.Fatalf("after %v the session has not ended", spent)
		}
		for i, lang := range []words.Language{words.English, words.Polish} {
			if got := f.Detail.In(lang, strings.Clone); got != want[i] {
				t.Errorf("after %v: %q", spent, got)
			}
		}
	}
}
