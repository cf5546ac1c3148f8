package imapbox

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// model is an IMAP server whose folders the test knows, and that can be made to do what real
// ones do not: see its fields, which are set before anybody connects or from within on.
type model struct {
	t  testing.TB
	l  net.Listener
	wg sync.WaitGroup

	mu       sync.Mutex // Guards what follows.
	folders  map[string]*modelFolder
	validity uint32 // Of the folder that is made next.
	lines    []string
	conns    map[net.Conn]bool
	verbs    map[string]int
	literals int // That waited for leave.

	caps, later string // Capabilities before and after the login; later "": the same.
	namespace   string // The answer to NAMESPACE, without its name.
	delimiter   string // As LIST gives it.
	permanent   string // PERMANENTFLAGS; "": there are none.
	// on is called for each command, with the lock held. What it returns is sent in place of the
	// whole answer; "": it is answered as usual; "close": the
	// connection is closed, after what follows ":".
	on func(verb, args string, n int) string
	// tagged changes a completion: "OK [CODE] text".
	tagged func(verb, args, reply string) string
	// data changes an untagged answer.
	data func(line string) string
	// append says what becomes of the n-th APPEND after its messages came.
	append func(n int, all []*modelMessage) appendFate
	// leave says what is sent in place of "+" for the n-th literal that waits for it; "-": nothing.
	leave func(n int) string
	// keeps changes a message as it is stored.
	keeps func(body []byte) []byte
	// sizes changes the size that a message is said to have.
	sizes func(n int) int
}

// appendFate is what becomes of an APPEND.
type appendFate struct {
	drop  bool          // Nothing is stored.
	reply string        // In place of OK; "close": the connection is closed.
	later chan struct{} // It is stored when this is closed, after the connection was.
	done  chan struct{} // Closed then.
}

type modelFolder struct {
	validity, next uint32
	subscribed     bool
	messages       []*modelMessage
}

type modelMessage struct {
	uid         uint32
	body        []byte
	flags, date string
}

const modelCaps = "IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS MOVE NAMESPACE UNSELECT"

func newModel(t testing.TB) *model {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &model{
		t: t, l: l, folders: map[string]*modelFolder{}, conns: map[net.Conn]bool{}, verbs: map[string]int{}, validity: 1000,
		caps: modelCaps, namespace: `(("" "/")) NIL NIL`, delimiter: `"/"`, permanent: `(\Seen \Answered \Flagged \Draft \*)`,
	}
	m.create("INBOX")
	m.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			m.wg.Go(func() {
				defer c.Close()
				(&modelSession{m: m, r: bufio.NewReader(c), w: c}).serve()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		m.mu.Lock()
		for c := range m.conns {
			c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

// heal makes it a server like any other.
func (m *model) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on, m.tagged, m.data, m.append, m.leave, m.sizes = nil, nil, nil, nil, nil, nil
	m.namespace, m.delimiter = `(("" "/")) NIL NIL`, `"/"`
}

func (m *model) create(name string) *modelFolder {
	m.validity++
	f := &modelFolder{validity: m.validity, next: 1}
	m.folders[name] = f
	return f
}

func (f *modelFolder) add(m *modelMessage) uint32 {
	m.uid = f.next
	f.next++
	f.messages = append(f.messages, m)
	return m.uid
}

// staging returns the names of the staging folders that there are.
func (m *model) staging() (names []string) {
	for name := range m.folders {
		if strings.Contains(name, "mailbrook-staging-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// modelSession is a connection.
type modelSession struct {
	m        *model
	r        *bufio.Reader
	w        net.Conn
	name     string
	selected *modelFolder
	writable bool
}

func (s *modelSession) send(line string) {
	if s.m.data != nil && strings.HasPrefix(line, "* ") {
		if line = s.m.data(line); line == "" {
			return
		}
	}
	_, _ = io.WriteString(s.w, line+"\r\n")
}

func (s *modelSession) serve() {
	s.m.mu.Lock()
	s.send("* OK [CAPABILITY " + s.m.caps + "] hello")
	s.m.mu.Unlock()
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		verb, args, _ := strings.Cut(command, " ")
		if verb == "UID" {
			second, rest, _ := strings.Cut(args, " ")
			verb, args = "UID "+second, rest
		}
		s.m.mu.Lock()
		s.m.lines = append(s.m.lines, command)
		s.m.verbs[verb]++
		n := s.m.verbs[verb]
		instead := ""
		if s.m.on != nil {
			instead = s.m.on(verb, args, n)
		}
		s.m.mu.Unlock()
		switch instead {
		case "":
		case "close":
			return
		default:
			if last, ok := strings.CutPrefix(instead, "close:"); ok {
				_, _ = io.WriteString(s.w, last+"\r\n")
				return
			}
			_, _ = io.WriteString(s.w, strings.ReplaceAll(instead, "TAG", tag)+"\r\n")
			continue
		}
		if verb == "APPEND" {
			if !s.append(tag, args, n) {
				return
			}
			continue
		}
		s.m.mu.Lock()
		reply := s.do(verb, args)
		s.complete(tag, verb, args, reply)
		s.m.mu.Unlock()
		if verb == "LOGOUT" {
			return
		}
	}
}

func (s *modelSession) complete(tag, verb, args, reply string) {
	if s.m.tagged != nil {
		reply = s.m.tagged(verb, args, reply)
	}
	_, _ = io.WriteString(s.w, tag+" "+reply+"\r\n")
}

var modelAppended = regexp.MustCompile(`^ \((.*?)\) "(.*?)" \{(\d+)(\+?)\}$`)

// append reads the messages of an APPEND. It returns false when the connection is to be closed.
func (s *modelSession) append(tag, args string, n int) bool {
	name, rest := modelName(args)
	var all []*modelMessage
	for rest != "" {
		parts := modelAppended.FindStringSubmatch(rest)
		if parts == nil {
			s.m.t.Errorf("APPEND %q", rest)
			return false
		}
		if parts[4] == "" {
			plus := "+ continue"
			s.m.mu.Lock()
			if s.m.literals++; s.m.leave != nil {
				plus = s.m.leave(s.m.literals)
			}
			s.m.mu.Unlock()
			switch {
			case plus == "-":
				_, _ = io.Copy(io.Discard, s.r)
				return false
			case !strings.HasPrefix(plus, "+"):
				s.send(strings.ReplaceAll(plus, "TAG", tag))
				return !strings.HasPrefix(plus, "* BYE")
			}
			s.send(plus)
		}
		size, _ := strconv.Atoi(parts[3])
		body := make([]byte, size)
		if _, err := io.ReadFull(s.r, body); err != nil {
			return false
		}
		s.m.mu.Lock()
		if s.m.keeps != nil {
			body = s.m.keeps(body)
		}
		s.m.mu.Unlock()
		all = append(all, &modelMessage{body: body, flags: parts[1], date: parts[2]})
		line, err := s.r.ReadString('\n')
		if err != nil {
			return false
		}
		rest = strings.TrimRight(line, "\r\n")
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	var fate appendFate
	if s.m.append != nil {
		fate = s.m.append(n, all)
	}
	if fate.later != nil {
		s.m.wg.Go(func() {
			<-fate.later
			s.m.mu.Lock()
			defer s.m.mu.Unlock()
			s.store(name, all)
			close(fate.done)
		})
		return false
	}
	reply := "NO [TRYCREATE] no such folder"
	if fate.drop {
		reply = "OK"
	} else if first, ok := s.store(name, all); ok {
		reply = fmt.Sprintf("OK [APPENDUID %d %d:%d] done", s.m.folders[name].validity, first, first+uint32(len(all))-1)
	}
	switch fate.reply {
	case "":
	case "close":
		return false
	default:
		reply = strings.ReplaceAll(fate.reply, "TAG", tag)
		if raw, ok := strings.CutPrefix(reply, "raw:"); ok {
			s.send(raw)
			return true
		}
		if strings.HasPrefix(reply, "* ") {
			s.send(reply)
			return false
		}
	}
	s.complete(tag, "APPEND", args, reply)
	return true
}

func (s *modelSession) store(name string, all []*modelMessage) (first uint32, ok bool) {
	f := s.m.folders[name]
	if f == nil {
		return 0, false
	}
	first = f.next
	for _, m := range all {
		f.add(m)
	}
	return first, true
}

// modelName takes a quoted string off the arguments.
func modelName(args string) (name, rest string) {
	var b strings.Builder
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case '\\':
			i++
			b.WriteByte(args[i])
		case '"':
			return b.String(), args[i+1:]
		default:
			b.WriteByte(args[i])
		}
	}
	return args, ""
}

func modelQuote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// do carries out a command and returns its completion. The lock is held.
func (s *modelSession) do(verb, args string) string {
	name, rest := modelName(args)
	f := s.m.folders[name]
	switch verb {
	case "NOOP":
	case "LOGIN":
		if s.m.later != "" {
			return "OK [CAPABILITY " + s.m.later + "] welcome"
		}
		return "OK [CAPABILITY " + s.m.caps + "] welcome"
	case "CAPABILITY":
		s.send("* CAPABILITY " + s.m.caps)
	case "LOGOUT":
		s.send("* BYE")
	case "NAMESPACE":
		s.send("* NAMESPACE " + s.m.namespace)
	case "LIST":
		pattern, _ := modelName(strings.TrimPrefix(rest, " "))
		for _, name := range slices.Sorted(maps.Keys(s.m.folders)) {
			if pattern == "*" || pattern == name {
				s.send(`* LIST () ` + s.m.delimiter + " " + modelQuote(name))
			}
		}
	case "CREATE":
		if f != nil {
			return "NO [ALREADYEXISTS] exists"
		}
		s.m.create(name)
	case "SUBSCRIBE":
		if f == nil {
			return "NO no such folder"
		}
		f.subscribed = true
	case "DELETE":
		if f == nil {
			return "NO [NONEXISTENT] no such folder"
		}
		delete(s.m.folders, name)
	case "STATUS":
		if f == nil {
			return "NO [NONEXISTENT] no such folder"
		}
		items := regexp.MustCompile(`[A-Z]+`).ReplaceAllStringFunc(strings.TrimPrefix(rest, " "), func(item string) string {
			return fmt.Sprint(item, " ", map[string]uint32{
				"UIDVALIDITY": f.validity, "UIDNEXT": f.next, "MESSAGES": uint32(len(f.messages)),
			}[item])
		})
		s.send("* STATUS " + modelQuote(name) + " " + items)
	case "SELECT", "EXAMINE":
		if s.selected, s.name = f, name; f == nil {
			return "NO [NONEXISTENT] no such folder"
		}
		s.writable = verb == "SELECT"
		s.send(fmt.Sprintf("* %d EXISTS", len(f.messages)))
		if s.m.permanent != "" {
			s.send("* OK [PERMANENTFLAGS " + s.m.permanent + "] limited")
		}
		s.send(fmt.Sprintf("* OK [UIDVALIDITY %d] valid", f.validity))
		s.send(fmt.Sprintf("* OK [UIDNEXT %d] next", f.next))
		return "OK [READ-WRITE] selected"
	case "UNSELECT":
		s.selected = nil
	case "UID FETCH", "UID MOVE":
		if s.selected == nil {
			return "BAD nothing is selected"
		}
		return s.messages(verb, args)
	default:
		return "BAD " + verb
	}
	return "OK done"
}

func (s *modelSession) messages(verb, args string) string {
	text, rest, _ := strings.Cut(args, " ")
	in := modelSet(text, s.selected)
	var left []*modelMessage
	into, _ := modelName(rest)
	if verb == "UID MOVE" && s.m.folders[into] == nil {
		return "NO [TRYCREATE] no such folder"
	}
	for i, m := range s.selected.messages {
		switch {
		case !in(m.uid):
			left = append(left, m)
		case verb == "UID MOVE":
			moved := *m
			s.m.folders[into].add(&moved)
			s.send(fmt.Sprintf("* %d EXPUNGE", len(left)+1))
		default:
			left = append(left, m)
			size := len(m.body)
			if s.m.sizes != nil {
				size = s.m.sizes(size)
			}
			var b bytes.Buffer
			fmt.Fprintf(&b, "* %d FETCH (UID %d", i+1, m.uid)
			if strings.Contains(rest, "RFC822.SIZE") {
				fmt.Fprintf(&b, " RFC822.SIZE %d", size)
			}
			if strings.Contains(rest, "INTERNALDATE") {
				fmt.Fprintf(&b, " INTERNALDATE %q", m.date)
			}
			if strings.Contains(rest, "FLAGS") {
				fmt.Fprintf(&b, " FLAGS (%s)", m.flags)
			}
			if strings.Contains(rest, "BODY.PEEK[]") {
				fmt.Fprintf(&b, " BODY[] {%d}\r\n%s", len(m.body), m.body)
			}
			s.send(b.String() + ")")
		}
	}
	s.selected.messages = left
	return "OK done"
}

func modelSet(text string, f *modelFolder) func(uid uint32) bool {
	last := uint32(0)
	if n := len(f.messages); n > 0 {
		last = f.messages[n-1].uid
	}
	number := func(t string) uint32 {
		if t == "*" {
			return last
		}
		n, _ := strconv.ParseUint(t, 10, 32)
		return uint32(n)
	}
	return func(uid uint32) bool {
		for part := range strings.SplitSeq(text, ",") {
			from, to, ranged := strings.Cut(part, ":")
			if !ranged {
				to = from
			}
			lo, hi := number(from), number(to)
			if uid >= min(lo, hi) && uid <= max(lo, hi) {
				return true
			}
		}
		return false
	}
}
