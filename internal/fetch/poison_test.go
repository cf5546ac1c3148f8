package fetch_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
)

// poisoned is a server, of IMAP or POP3, that ends the connection when it is asked for
// certain messages.
type poisoned struct {
	port   int
	noUIDL bool // By POP3 it knows no UIDL, but TOP.

	mu     sync.Mutex
	bodies []string     // By number, from 1 on.
	bad    map[int]bool // Numbers.
	how    string       // "close", "junk", "inside", or by POP3 "says".
	logins int
	struck map[int]int // How often the connection ended over a number.
	// deny, unless nil, is asked before TOP and RETR: what it returns is answered in
	// place of the message, and "" ends the connection.
	deny func(verb, body string) (answer string, denied bool)
}

// denied is what a question is answered with that is refused.
func (s *poisoned) denied(verb, body string) (answer string, denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deny == nil {
		return "", false
	}
	return s.deny(verb, body)
}

func startPoisoned(t *testing.T, protocol remote.Protocol, how string, n int, bad func(i int) bool) *poisoned {
	t.Helper()
	s := &poisoned{how: how, bad: map[int]bool{}, struck: map[int]int{}}
	for i := 1; i <= n; i++ {
		s.bodies = append(s.bodies, fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\nmessage %d\r\n", i, i, i))
		s.bad[i] = bad(i)
	}
	serve := s.imap
	if protocol == remote.POP3 {
		serve = s.pop3
	}
	s.port = mailtest.Serve(t, serve)
	return s
}

// body returns what is sent of a message; false: then the connection ends.
func (s *poisoned) body(i int) (body string, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bad[i] {
		return s.bodies[i-1], true
	}
	s.struck[i]++
	switch s.how {
	case "junk":
		return "\x00\x01 what?\r\n", false
	case "says":
		return "-ERR [SYS/TEMP] Internal error\r\n", false
	case "inside":
		return s.bodies[i-1][:12], false
	}
	return "", false
}

// drop returns the messages of a POP3 session, which it has for as long as it lasts.
func (s *poisoned) drop() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies
}

func (s *poisoned) login() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
}

// visited returns how many logins a visit took, and how many connections ended at
// most over one message.
func (s *poisoned) visited() (logins, worst int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.struck {
		worst = max(worst, n)
	}
	logins = s.logins
	s.logins, s.struck = 0, map[int]int{}
	return logins, worst
}

func (s *poisoned) pop3(c net.Conn) {
	lines, w := bufio.NewScanner(c), bufio.NewWriter(c)
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\r\n", args...) }
	bodies := s.drop()
	say("+OK hello")
	for w.Flush(); lines.Scan(); w.Flush() {
		verb, arg, _ := strings.Cut(lines.Text(), " ")
		if verb == "RETR" || verb == "TOP" {
			number, _, _ := strings.Cut(arg, " ")
			i, _ := strconv.Atoi(number)
			if answer, denied := s.denied(verb, bodies[i-1]); denied {
				if w.WriteString(answer); !strings.HasPrefix(answer, "-ERR") {
					w.Flush()
					return
				}
				continue
			}
		}
		switch verb {
		case "CAPA":
			if s.noUIDL {
				say("+OK\r\nTOP\r\nUSER\r\nPIPELINING\r\n.")
				continue
			}
			say("+OK\r\nUIDL\r\nUSER\r\nPIPELINING\r\n.")
		case "PASS":
			s.login()
			say("+OK")
		case "STAT":
			say("+OK %d 1000", len(bodies))
		case "LIST", "UIDL":
			if s.noUIDL && verb == "UIDL" {
				say("-ERR what?")
				continue
			}
			say("+OK")
			for i, b := range bodies {
				if verb == "LIST" {
					say("%d %d", i+1, len(b))
				} else {
					say("%d m%d", i+1, i+1)
				}
			}
			say(".")
		case "RETR":
			i, _ := strconv.Atoi(arg)
			body, whole := s.body(i)
			if whole || s.how == "inside" {
				say("+OK")
			}
			w.WriteString(body)
			if !whole {
				w.Flush()
				return
			}
			say(".")
		case "TOP":
			number, _, _ := strings.Cut(arg, " ")
			i, _ := strconv.Atoi(number)
			header, _, _ := strings.Cut(bodies[i-1], "\r\n\r\n")
			say("+OK\r\n%s\r\n\r\n.", header)
		case "QUIT":
			return
		default:
			say("+OK")
		}
	}
}

func (s *poisoned) imap(c net.Conn) {
	lines, w := bufio.NewScanner(c), bufio.NewWriter(c)
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\r\n", args...) }
	say("* OK [CAPABILITY IMAP4rev1] hello")
	for w.Flush(); lines.Scan(); w.Flush() {
		tag, rest, _ := strings.Cut(lines.Text(), " ")
		verb, rest, _ := strings.Cut(rest, " ")
		switch verb {
		case "LOGIN":
			s.login()
			say("%s OK [CAPABILITY IMAP4rev1] in", tag)
			continue
		case "LIST":
			say(`* LIST () "/" INBOX`)
		case "STATUS":
			say("* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)", len(s.bodies), len(s.bodies)+1)
		case "EXAMINE":
			say("* %d EXISTS\r\n* OK [UIDVALIDITY 7] -\r\n* OK [UIDNEXT %d] -", len(s.bodies), len(s.bodies)+1)
		case "UID":
			set, items, _ := strings.Cut(strings.TrimPrefix(rest, "FETCH "), " ")
			for _, i := range s.numbers(set) {
				if !strings.Contains(items, "BODY.PEEK") {
					say(`* %d FETCH (UID %d FLAGS () INTERNALDATE "17-Jul-2023 02:44:25 +0000" RFC822.SIZE %d)`,
						i, i, len(s.bodies[i-1]))
					continue
				}
				body, whole := s.body(i)
				if whole || s.how == "inside" {
					fmt.Fprintf(w, "* %d FETCH (UID %d BODY[] {%d}\r\n", i, i, len(s.bodies[i-1]))
				}
				w.WriteString(body)
				if !whole {
					w.Flush()
					return
				}
				say(")")
			}
		case "LOGOUT":
			return
		}
		say("%s OK -", tag)
	}
}

// numbers returns the messages of a set, ascending.
func (s *poisoned) numbers(set string) (ns []int) {
	for part := range strings.SplitSeq(set, ",") {
		from, to, isRange := strings.Cut(part, ":")
		lo, _ := strconv.Atoi(from)
		hi := lo
		if isRange {
			hi, _ = strconv.Atoi(to)
			if to == "*" {
				hi = len(s.bodies)
			}
		}
		for i := min(lo, hi); i <= max(lo, hi) && i <= len(s.bodies); i++ {
			ns = append(ns, i)
		}
	}
	slices.Sort(ns)
	return ns
}

// poisonedWorld is an account at such a server.
func poisonedWorld(t *testing.T, protocol remote.Protocol, s *poisoned) *world {
	w := newWorld(t, "INBOX")
	w.route.From.Protocol, w.route.From.Username = protocol, "anna"
	w.route.From.Server = remote.Server{Host: "localhost", Port: s.port, Security: remote.None}
	w.engine.Credentials = canaryCredentials{}
	w.engine.Source = dialled{source.New(source.Options{Dialer: outbound.New(outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowAnyPort:  true, AllowPlaintext: true,
	})}), func() {}}
	return w
}

// At a POP3 server without UIDL messages that are alike in header and size come each
// once, whichever goes and whichever comes. The control is the last case: what nobody
// could distinguish, as no two were there together.
func TestMessagesAlikeInHeaderAndSizeComeOnceEach(t *testing.T) {
	for _, own := range []string{"Message-ID: <1@x>\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n", ""} {
		for _, tc := range []struct{ drops, want string }{
			{"AB BC", "ABC"},
			{"AB CD", "ABCD"},
			{"AB BCD", "ABCD"},
			{"A AB B BC", "ABC"},
			{"AB A AC", "ABC"},
			{"AB A C", "ABC"},
			{"AB A C CA", "ABC"},
			{"AA AAB AB", "AAB"},
			{"AB BA A B BC AB", "ABC"},
			{"A B", map[bool]string{true: "AB", false: "A"}[own == ""]},
		} {
			t.Run(fmt.Sprintf("%s, own fields %v", tc.drops, own != ""), func(t *testing.T) {
				t.Parallel()
				s := startPoisoned(t, remote.POP3, "", 0, nil)
				s.noUIDL = true
				w := poisonedWorld(t, remote.POP3, s)
				for drop := range strings.FieldsSeq(tc.drops) {
					s.mu.Lock()
					s.bodies = nil
					for _, text := range drop {
						s.bodies = append(s.bodies, fmt.Sprintf("Subject: alarm\r\n%s\r\ntext %c\r\n", own, text))
					}
					s.mu.Unlock()
					w.route.From.Capabilities = w.journal.offers
					if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil {
						t.Fatalf("%s: %+v", drop, r)
					}
					w.now = w.now.Add(10 * time.Minute)
				}
				var got []string
				for _, m := range w.box.folders["Gmail"] {
					got = append(got, string(m[len(m)-3]))
				}
				slices.Sort(got)
				if g := strings.Join(got, ""); g != tc.want {
					t.Errorf("%s came of %s, want %s", g, tc.drops, tc.want)
				}
			})
		}
	}
}

// However many messages end the connection, all others come within a few visits, no
// visit makes more than a dozen connections, and no message ends more than two of
// them. The control is that those which do are met at all, and come once they can.
func TestMessagesThatEndTheConnectionAreGoneAround(t *testing.T) {
	scattered := func(i int) bool { return i%10 == 4 }
	for _, protocol := range []remote.Protocol{remote.POP3, remote.IMAP} {
		for _, tc := range []struct {
			how    string
			bad    func(int) bool
			visits int // Until all others came.
		}{
			{"close", scattered, 7},
			{"junk", scattered, 7},
			{"inside", scattered, 8},
			{"close", func(i int) bool { return i > 450 }, 12},
			{"close", func(i int) bool { return i <= 50 }, 12},
			{"close", func(i int) bool { return i == 7 }, 1},
			{"says", func(i int) bool { return i == 7 }, 1},
			{"says", func(i int) bool { return i%100 == 4 }, 1},
		} {
			if tc.how == "says" && protocol == remote.IMAP {
				continue // TestWhatAServerSaysBYEOverKeepsBackNothingElse
			}
			n := 0
			for i := 1; i <= 500; i++ {
				if tc.bad(i) {
					n++
				}
			}
			t.Run(fmt.Sprintf("%s %s %d, the last %v", protocol, tc.how, n, tc.bad(500)), func(t *testing.T) {
				t.Parallel()
				s := startPoisoned(t, protocol, tc.how, 500, tc.bad)
				w := poisonedWorld(t, protocol, s)
				came, struck := 0, false
				visit := func() (logins int) {
					w.route.From.Capabilities = w.journal.offers
					r := w.visit(t.Context())
					came += int(r.Messages)
					logins, worst := s.visited()
					t.Logf("%d came, %d skipped, %d logins, %d over one, %v, %v", r.Messages, r.Skipped, logins, worst, r.Err,
						r.Partial)
					struck = struck || worst > 0
					if logins > 11 || worst > 2 {
						t.Errorf("%d logins, %d connections over one message", logins, worst)
					}
					w.now = w.now.Add(10 * time.Minute)
					return logins
				}
				for range tc.visits {
					if visit(); came == 500-n {
						break
					}
				}
				if came != 500-n {
					t.Fatalf("%d messages came in %d visits, of %d that can", came, tc.visits, 500-n)
				}
				if !struck {
					t.Fatal("no connection ended")
				}
				for range 3 { // What is left costs little.
					if logins := visit(); logins > 11 {
						t.Errorf("%d logins", logins)
					}
				}
				s.mu.Lock()
				clear(s.bad)
				s.mu.Unlock()
				w.now = w.now.Add(24 * time.Hour)
				if visit(); came != 500 {
					t.Errorf("%d messages came once all can", came)
				}
			})
		}
	}
}
