package fetch_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// byeServer is an IMAP server of several folders that says BYE at what is bad, as
// Cyrus does when a process of it dies.
type byeServer struct {
	port       int
	listStatus bool
	words      string

	mu     sync.Mutex
	wires  []string // In the order of its list.
	mail   map[string][]string
	at     string // "STATUS", "EXAMINE", "FETCH": at what it says BYE in folder Bad. "ALL", "EVERY FETCH": in all.
	bad    map[int]bool
	logins int
	byes   int
	behind int // Commands that came in a session after the first BYE of the visit, but for those of the login.
}

func startBYE(t *testing.T, listStatus bool, words string) *byeServer {
	t.Helper()
	s := &byeServer{
		listStatus: listStatus, words: words, wires: []string{"INBOX", "Bad", "Zz", "Yy", "Xx"},
		mail: map[string][]string{}, bad: map[int]bool{},
	}
	for _, wire := range s.wires {
		s.add(wire, 2)
	}
	s.port = mailtest.Serve(t, s.serve)
	return s
}

func (s *byeServer) add(wire string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		i := len(s.mail[wire]) + 1
		s.mail[wire] = append(s.mail[wire], fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@%s>\r\n\r\n%d\r\n", i, i, wire, i))
	}
}

// turns has it say BYE at what it is from now on.
func (s *byeServer) turns(at string, messages ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
	for _, i := range messages {
		s.bad[i] = true
	}
}

// visited returns how many logins and how many BYE a visit took, and how many commands
// came behind the first BYE.
func (s *byeServer) visited() (logins, byes, behind int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logins, byes, behind = s.logins, s.byes, s.behind
	s.logins, s.byes, s.behind = 0, 0, 0
	return logins, byes, behind
}

// says reports whether the server says BYE at a command for a folder.
func (s *byeServer) says(command, wire string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byes > 0 {
		s.behind++
	}
	bye := s.at == "ALL" || strings.Contains(s.at, command) && strings.Contains(wire, "Bad")
	if bye {
		s.byes++
	}
	return bye
}

func (s *byeServer) serve(c net.Conn) {
	lines, w := bufio.NewScanner(c), bufio.NewWriter(c)
	defer w.Flush()
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\r\n", args...) }
	caps := "IMAP4rev1"
	if s.listStatus {
		caps += " LIST-STATUS"
	}
	say("* OK [CAPABILITY %s] hello", caps)
	status := func(wire string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := len(s.mail[wire])
		say("* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)", wire, n, n+1)
	}
	open := ""
	for w.Flush(); lines.Scan(); w.Flush() {
		tag, rest, _ := strings.Cut(lines.Text(), " ")
		verb, rest, _ := strings.Cut(rest, " ")
		name, _, _ := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
		bye := false
		switch verb {
		case "LOGIN":
			s.mu.Lock()
			s.logins++
			s.mu.Unlock()
			say("%s OK [CAPABILITY %s] in", tag, caps)
			continue
		case "LIST":
			asked := strings.Contains(rest, "STATUS")
			bye = asked && s.says("STATUS", "Bad") || !asked && s.says("LIST", "")
			for _, wire := range s.wires {
				if !bye {
					say(`* LIST () "/" %s`, wire)
				}
				if asked && !bye {
					status(wire)
				}
			}
		case "STATUS":
			if bye = s.says("STATUS", name); !bye {
				status(name)
			}
		case "EXAMINE":
			if bye, open = s.says("EXAMINE", name), name; !bye {
				s.mu.Lock()
				n := len(s.mail[name])
				s.mu.Unlock()
				say("* %d EXISTS\r\n* OK [UIDVALIDITY 7] -\r\n* OK [UIDNEXT %d] -", n, n+1)
			}
		case "UID":
			bye = s.fetch(open, rest, say)
		case "LOGOUT":
			return
		}
		if bye {
			say("* BYE %s", s.words)
			return
		}
		say("%s OK -", tag)
	}
}

// fetch answers a UID FETCH as far as it may; then it says BYE.
func (s *byeServer) fetch(open, rest string, say func(string, ...any)) (bye bool) {
	set, items, _ := strings.Cut(strings.TrimPrefix(rest, "FETCH "), " ")
	s.mu.Lock()
	bodies := s.mail[open]
	s.mu.Unlock()
	for _, i := range (&poisoned{bodies: bodies}).numbers(set) {
		body := bodies[i-1]
		if !strings.Contains(items, "BODY.PEEK") {
			say(`* %d FETCH (UID %d FLAGS () INTERNALDATE "17-Jul-2023 02:44:25 +0000" RFC822.SIZE %d)`, i, i, len(body))
			continue
		}
		s.mu.Lock()
		struck := open == "Bad" && s.bad[i] || s.at == "EVERY FETCH"
		s.mu.Unlock()
		if struck && s.says("FETCH", "Bad") {
			return true
		}
		say("* %d FETCH (UID %d BODY[] {%d}\r\n%s)", i, i, len(body), body)
	}
	return false
}

func byeWorld(t *testing.T, s *byeServer) *world {
	return poisonedWorld(t, remote.IMAP, &poisoned{port: s.port})
}

// bugreports F3: a folder or message over which a server says BYE keeps back nothing
// else, wherever it says so, even where each visit is of a process of its own; two
// connections at most end so in a visit.
func TestWhatAServerSaysBYEOverKeepsBackNothingElse(t *testing.T) {
	for _, at := range []string{"STATUS", "EXAMINE", "STATUS EXAMINE", "FETCH", "STATUS FETCH", "STATUS EXAMINE FETCH"} {
		for _, listStatus := range []bool{false, true} {
			for _, first := range []bool{false, true} {
				for _, words := range []string{"Fatal error: Internal error", "[UNAVAILABLE] Server error"} {
					t.Run(fmt.Sprintf("%s, LIST-STATUS %v, at first %v, %s", at, listStatus, first, words), func(t *testing.T) {
						t.Parallel()
						s := startBYE(t, listStatus, words)
						brought := byeVisits(t, s, at, first)
						want := 4*4 + 4 + 4 // The others last come on another day.
						switch opens := !strings.Contains(at, "EXAMINE"); {
						case opens && strings.Contains(at, "FETCH"):
							want -= 2 // Two messages.
						case !opens && first:
							want -= 4
						case !opens:
							want -= 2 // Two came before.
						}
						if brought != want {
							t.Errorf("%d messages came, want %d", brought, want)
						}
					})
				}
			}
		}
	}
}

// byeVisits has an account visited, of which the folder Bad is bad at the first visit or
// only later, and returns how many messages came in the end.
func byeVisits(t *testing.T, s *byeServer, at string, first bool) (brought int) {
	w := byeWorld(t, s)
	visit := func() fetch.Report {
		w.engine = fetch.New(w.engine.Options)
		r := w.visit(t.Context())
		brought += int(r.Messages)
		logins, byes, _ := s.visited()
		t.Logf("%d came, %d skipped, %d logins, %d BYE, %v, %v, %s", r.Messages, r.Skipped, logins, byes, r.Err, r.Partial,
			w.journal.offers)
		if logins > 2 || byes > 2 {
			t.Errorf("%d logins, %d BYE", logins, byes)
		}
		w.now, w.route.From.Capabilities = w.now.Add(10*time.Minute), w.journal.offers
		return r
	}
	if first {
		s.turns(at, 1, 3)
	}
	visit()
	s.turns(at, 3)
	if !first && strings.Contains(at, "FETCH") {
		s.turns(at, 4)
		s.add("Bad", 1) // Message 3 …
	}
	for _, wire := range s.wires {
		s.add(wire, 4-len(s.mail[wire]))
	}
	for range 5 {
		visit()
	}
	for _, wire := range s.wires[2:] {
		s.add(wire, 1)
	}
	s.add("INBOX", 1)
	w.route.From.Capabilities, _, _ = strings.Cut(w.route.From.Capabilities, " X-STATELESS=")
	w.route.From.Capabilities, _, _ = strings.Cut(w.route.From.Capabilities, "X-STATELESS=")
	for range 2 {
		if r := visit(); r.Err != nil {
			t.Errorf("the account fares badly: %v", r.Err)
		}
	}
	return brought
}

// The control: an account that does not remember what its failed visits learned.
func TestWithoutWhatFailedVisitsLearnedNothingComes(t *testing.T) {
	s := startBYE(t, true, "Fatal error")
	w := byeWorld(t, s)
	s.turns("STATUS EXAMINE")
	for range 5 {
		w.engine = fetch.New(w.engine.Options)
		if r := w.visit(t.Context()); r.Messages != 0 || fault.CodeOf(r.Err) != fault.ServerUnavailable {
			t.Fatalf("report %+v", r)
		}
	}
	w.route.From.Capabilities = w.journal.offers
	if r := w.visit(t.Context()); r.Messages != 8 {
		t.Fatalf("report %+v", r)
	}
}

// A server that says BYE to everything, or to everything that would bring a message, is
// out of order: no folder and no message is blamed, and once it is well all comes in
// one visit, also where it was met before.
func TestABYEToEverythingIsTheServers(t *testing.T) {
	for _, listStatus := range []bool{false, true} {
		for _, at := range []string{"ALL", "EVERY FETCH"} {
			s := startBYE(t, listStatus, "Server shutting down")
			w := byeWorld(t, s)
			for i := range 4 {
				s.turns(at)
				for range 2 {
					w.route.From.Capabilities = w.journal.offers
					if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.ServerUnavailable || r.Skipped != 0 {
						t.Fatalf("%s, visit %d: %+v", at, i, r)
					}
					logins, byes, behind := s.visited()
					if most := map[string]int{"ALL": 3, "EVERY FETCH": 3}[at]; logins > 2 || byes > 2 || behind > most {
						t.Errorf("%s, visit %d: %d logins, %d BYE, %d commands", at, i, logins, byes, behind)
					}
					if at == "ALL" && (strings.Contains(w.journal.offers, "X-BYE") ||
						strings.Contains(w.journal.offers, "X-STATELESS")) {
						t.Errorf("visit %d: remembered %q", i, w.journal.offers)
					}
				}
				s.turns("")
				w.route.From.Capabilities = w.journal.offers
				if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages == 0 {
					t.Fatalf("%s, visit %d: %+v", at, i, r)
				}
				s.visited()
				for _, wire := range s.wires {
					s.add(wire, 1)
				}
			}
		}
	}
}
