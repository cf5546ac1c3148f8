package imapbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// letter is a message at its source.
type letter struct {
	folder, body string
	flags        mail.Flags
	keywords     mail.Keywords
	received     time.Time
}

func (l letter) token() mail.Token {
	return mail.TokenFor([]byte("key"), "journal", l.folder+l.received.String(), 1, mail.ID{UID: 1})
}

// someLetters are some in three folders, of which two are the same to the octet.
func someLetters() (all []letter) {
	for i, folder := range []string{"Gmail", "Gmail/Wysłane", "Gmail/Archive/2023", "Gmail", "Gmail"} {
		n := min(i, 3)
		all = append(all, letter{
			folder: folder, received: time.Date(2023, 5, 1+i, 12, 0, 0, 0, time.UTC), flags: mail.Flags(n%2) * mail.Seen,
			body: fmt.Sprintf("Message-ID: <%d@x>\r\nDate: Mon, 1 May 2023 12:00:00 +0000\r\nFrom: a@x\r\nSubject: %d\r\n\r\n"+
				"Text %d.\r\n%s", n, n, n, strings.Repeat("x", 9*n)),
		})
	}
	return all
}

// visitor is who delivers letters, visit after visit, with a journal that lasts.
type visitor struct {
	t        testing.TB
	m        *model
	addr     string // Of the server.
	login    remote.Credential
	patience wire.Patience
	store    *Store
	letters  []letter
	together int // How many messages one batch has.
	epoch    int64
	staged   []mail.Placement
	done     map[mail.Token]bool
	skipped  map[mail.Token]error
	step     func(name string)
	log      strings.Builder
	words    func(k mail.Keywords) mail.Keywords // What of keywords is kept; nil: all.
}

func newVisitor(t testing.TB, m *model) *visitor {
	v := newVisitorAt(t, m, m.l.Addr().String(), "sekret")
	v.patience.Idle = 200 * time.Millisecond
	return v
}

// newVisitorAt delivers to any server; m may be nil.
func newVisitorAt(t testing.TB, m *model, addr, password string) *visitor {
	v := &visitor{
		addr: addr, login: remote.Credential{Username: "anna", Secret: remote.NewSecret(password)},
		t: t, m: m, letters: someLetters(), together: 3, done: map[mail.Token]bool{}, skipped: map[mail.Token]error{},
		step: func(string) {},
	}
	v.restart()
	return v
}

// restart makes a Store as another process has it.
func (v *visitor) restart() {
	server := remote.Server{Host: "127.0.0.1", Port: 143, Security: remote.None}
	v.store = New(Options{
		Server: server, Key: []byte("key"), Quiet: 10 * time.Millisecond, TempDir: v.t.TempDir(),
		Login: func(context.Context, owner.Owner) (Login, error) {
			return Login{Credential: v.login}, nil
		},
		Log: slog.New(slog.NewTextHandler(&v.log, nil)),
	})
	v.store.dial = func(ctx context.Context, _ Login) (*wire.Link, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", v.addr)
		if err != nil {
			return nil, err
		}
		return wire.NewLink(conn, server, wire.LinkLimits{Patience: v.patience},
			wire.NewSessionPace(wire.Patience{})), nil
	}
}

// visit does what the engine does: see docs/decisions/0002-exactly-once.md.
func (v *visitor) visit() (err error) {
	ctx := v.t.Context()
	v.epoch++
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		return err
	}
	d, err := v.store.Open(ctx, o, "journal", v.epoch, owner.Limit{})
	if err != nil {
		return err
	}
	defer d.Close()
	fates, err := d.Find(ctx, v.staged, true)
	if err != nil {
		return err
	}
	var pending, left []mail.Placement
	for i, p := range v.staged {
		if fates[i] == mail.Pending {
			pending = append(pending, p)
		}
		if fates[i] != mail.Lost {
			left = append(left, p)
		}
	}
	v.staged = left
	if err := v.publish(ctx, d, pending); err != nil {
		return err
	}
	if err := d.Sweep(ctx, nil); err != nil {
		return err
	}
	var todo []letter
	for _, l := range v.letters {
		if !v.done[l.token()] && v.skipped[l.token()] == nil {
			todo = append(todo, l)
		}
	}
	for batch := range slices.Chunk(todo, v.together) {
		if err := v.deliver(ctx, d, batch); err != nil {
			return err
		}
	}
	d.Finish(ctx)
	return nil
}

func (v *visitor) deliver(ctx context.Context, d *Delivery, batch []letter) error {
	var ps []mail.Placement
	for _, l := range batch {
		if err := d.Reserve(ctx, 1, int64(len(l.body))); err != nil {
			return err
		}
		s, err := d.Stage(ctx, l.token(), strings.NewReader(l.body), l.received, 8<<20)
		if err != nil {
			return err
		}
		ps = append(ps, mail.Placement{
			Spool: s.Spool, Token: l.token(), Fingerprint: s.Fingerprint, Folder: l.folder, Flags: l.flags, Keywords: l.keywords,
			Received: s.Received, FileSize: s.FileSize, VirtualSize: s.VirtualSize,
		})
	}
	sealed, err := d.Seal(ctx, ps)
	if err != nil {
		return err
	}
	var taken []mail.Placement
	for i, s := range sealed {
		if s.Refused != nil {
			v.skipped[ps[i].Token] = s.Refused
			continue
		}
		ps[i].Spool = s.Spool
		taken = append(taken, ps[i])
	}
	v.staged = taken
	v.step("sealed")
	return v.publish(ctx, d, taken)
}

// publish delivers and confirms all that is staged.
func (v *visitor) publish(ctx context.Context, d *Delivery, ps []mail.Placement) error {
	if len(ps) > 0 {
		done, err := d.Publish(ctx, ps)
		if err != nil {
			return err
		}
		if len(done) != len(ps) {
			v.t.Errorf("%d of %d messages are delivered", len(done), len(ps))
		}
	}
	for _, p := range v.staged {
		v.done[p.Token] = true
	}
	v.staged = nil
	return nil
}

// mailbox describes all messages of folders that are no staging folders.
func (m *model) mailbox() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.folders {
		if strings.Contains(name, "mailbrook-staging-") {
			continue
		}
		for _, x := range f.messages {
			all = append(all, fmt.Sprintf("%s: %s (%s) %q", name, x.date, x.flags, x.body))
		}
	}
	slices.Sort(all)
	return all
}

// expected describes the letters as they have to lie there.
func (v *visitor) expected(name func(folder string) string) (all []string) {
	for _, l := range v.letters {
		if v.skipped[l.token()] != nil {
			continue
		}
		var flags []string
		if l.flags&mail.Seen != 0 {
			flags = append(flags, `\Seen`)
		}
		keywords := l.keywords
		if v.words != nil {
			keywords = v.words(keywords)
		}
		flags = append(flags, keywords.List()...)
		body := l.body
		if v.m.keeps != nil {
			body = string(v.m.keeps([]byte(body)))
		}
		all = append(all, fmt.Sprintf("%s: %s (%s) %q", name(l.folder),
			dateOf(l.received).Format("_2-Jan-2006 15:04:05 -0700"),
			strings.Join(flags, " "), body))
	}
	return all
}

func slashed(folder string) string { return strings.ReplaceAll(folder, "ł", "&AUI-") }

// oddCase is a server that does something odd, and what has to come of it.
type oddCase struct {
	name string
	odd  func(m *model, v *visitor)
	// code is what the visit ends in while the server is odd; "": it ends well.
	code fault.Code
	// never: as long as it is odd.
	never bool
	names func(folder string) string // Nil: slashed.
	also  []string                   // What else lies in the mailbox at the end.
	// skipped is how many letters the server did not take.
	skipped int
	left    int // Staging folders that are left.
	// loner: its owner has made a folder that is not subscribed.
	loner bool
	// rewriting and dropped are what the Store counts.
	rewriting, dropped int64
}

// onceSealed has something done once, when the first batch was sealed.
func onceSealed(v *visitor, do func(m *model, staging *modelFolder, name string)) {
	once := true
	v.step = func(string) {
		v.m.mu.Lock()
		defer v.m.mu.Unlock()
		if names := v.m.staging(); once && len(names) > 0 {
			once = false
			do(v.m, v.m.folders[names[0]], names[0])
		}
	}
}

// disconnect ends all connections.
func (m *model) disconnect() {
	for c := range m.conns {
		c.Close()
	}
}

func foreign() *modelMessage {
	return &modelMessage{body: []byte("Subject: foreign\r\n\r\nx"), date: " 1-Jan-2020 12:00:00 +0000"}
}

const foreignInInbox = `INBOX:  1-Jan-2020 12:00:00 +0000 () "Subject: foreign\r\n\r\nx"`

// alwaysOnce returns a function that is true the first time.
func alwaysOnce() func() bool {
	var done atomic.Bool
	return func() bool { return !done.Swap(true) }
}

var unavailable = fault.LocalMailboxUnavailable

// noFolder refuses to make what has such a part.
func noFolder(part string) func(m *model, _ *visitor) {
	return func(m *model, _ *visitor) {
		m.on = func(verb, args string, _ int) string {
			name, _ := modelName(args)
			return map[bool]string{true: "TAG NO [CANNOT] not under this name"}[verb == "CREATE" &&
				strings.Contains(name+"/", part+"/")]
		}
	}
}

// instead names folders as slashed, but for one part, which has its substitute.
func instead(part string) func(folder string) string {
	return func(folder string) string {
		return strings.ReplaceAll(slashed(folder), "/"+part, "/"+substitute(part, "/"))
	}
}

var oddCases = []oddCase{
	{name: "nothing is odd", odd: func(*model, *visitor) {}},
	{name: "one by one", odd: func(m *model, _ *visitor) { m.caps = "IMAP4rev1 UIDPLUS MOVE" }},

	// Answers to APPEND.
	{name: "OK to another tag", odd: func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{reply: "raw:m1 OK done"} }
	}, code: unavailable, never: true},
	{name: "OK to another tag, once", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.append = func(int, []*modelMessage) appendFate {
			if once() {
				return appendFate{reply: "raw:m999 OK done"}
			}
			return appendFate{}
		}
	}, code: unavailable},
	{name: "APPENDUID twice", odd: appendSays("OK [APPENDUID 1001 1] [APPENDUID 1001 2] done")},
	{name: "APPENDUID for another", odd: appendSays("OK [APPENDUID 1001 7777] done")},
	{name: "APPENDUID of another validity", odd: appendSays("OK [APPENDUID 9 1:3] done")},
	{name: "APPENDUID for too many", odd: appendSays("OK [APPENDUID 1001 1:4000000000] done")},
	{name: "APPENDUID that is none", odd: appendSays("OK [APPENDUID x *] done")},
	{name: "no APPENDUID", odd: appendSays("OK done")},
	{name: "APPENDUID swapped", odd: func(m *model, _ *visitor) {
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: fmt.Sprintf("OK [APPENDUID 1001 %d:1] done", len(all))}
		}
	}},
	{name: "NO after all literals", odd: func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{drop: true, reply: "NO failed"} }
	}, code: unavailable, never: true},
	{name: "NO to each, that comes alone", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"
		m.append = func(int, []*modelMessage) appendFate { return appendFate{drop: true, reply: "NO failed"} }
	}, code: unavailable, never: true},
	{name: "OK and nothing is stored", odd: func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{drop: true} }
	}, code: unavailable, never: true},
	{name: "stores and then says NO", odd: func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{reply: "NO failed"} }
	}, code: unavailable, never: true},
	{name: "stores several, says NO, and takes each alone", odd: func(m *model, _ *visitor) {
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[len(all) > 1]}
		}
	}},
	{name: "stores several, says NO, and adds to the header", odd: func(m *model, _ *visitor) {
		m.keeps = addsHeader
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[len(all) > 1]}
		}
	}, rewriting: 1},
	{name: "stores what has keywords, says NO, and takes it without", odd: func(m *model, v *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"
		worded(nil)(m, v)
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[strings.Contains(all[0].flags, "$Forwarded")]}
		}
	}, dropped: 3},
	{name: "stores all that a batch has and says NO", odd: func(m *model, v *visitor) {
		v.together = 1
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[strings.Contains(string(all[0].body), "Text 1")]}
		}
	}, skipped: 1},
	{name: "stores one and then says NO", odd: func(m *model, _ *visitor) {
		m.append = func(_ int, all []*modelMessage) appendFate {
			if len(all) > 1 || strings.Contains(string(all[0].body), "Text 2") {
				return appendFate{drop: len(all) > 1, reply: "NO failed"}
			}
			return appendFate{}
		}
	}, skipped: 1},
	{name: "stores one of two that are equal but for their dates, and says NO", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[strings.Contains(all[0].date, "4-May-2023")]}
		}
	}, skipped: 1},
	{name: "stores the later of two that are equal but for their dates, and says NO", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"
		m.append = func(_ int, all []*modelMessage) appendFate {
			return appendFate{reply: map[bool]string{true: "NO failed"}[strings.Contains(all[0].date, "5-May-2023")]}
		}
	}, skipped: 1},
	{name: "stores and is gone", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.append = func(int, []*modelMessage) appendFate {
			if once() {
				return appendFate{reply: "close"}
			}
			return appendFate{}
		}
	}, code: unavailable},
	{name: "stores and says BYE", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.append = func(int, []*modelMessage) appendFate {
			if once() {
				return appendFate{reply: "* BYE gone"}
			}
			return appendFate{}
		}
	}, code: unavailable},
	{name: "no leave to send, ever", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 MULTIAPPEND UIDPLUS MOVE"
		m.leave = func(int) string { return "-" }
	}, code: unavailable, never: true},
	{name: "BYE in a literal", odd: func(m *model, v *visitor) {
		v.letters[2].body += strings.Repeat(strings.Repeat("y", 76)+"\r\n", 40_000)
		once := alwaysOnce()
		m.on = func(verb, _ string, _ int) string {
			if verb == "APPEND" && once() {
				return "close:* BYE gone"
			}
			return ""
		}
	}, code: unavailable},
	{name: "stores some of several and is gone", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.append = func(_ int, all []*modelMessage) appendFate {
			if !once() {
				return appendFate{}
			}
			m.folders[m.staging()[0]].add(all[0])
			return appendFate{drop: true, reply: "close"}
		}
	}, code: unavailable},
	{name: "BYE in place of leave", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 MULTIAPPEND UIDPLUS MOVE"
		m.leave = func(n int) string { return map[bool]string{true: "* BYE gone", false: "+ continue"}[n == 2] }
	}, code: unavailable},
	{name: "OK in place of leave", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 UIDPLUS MOVE"
		m.leave = func(n int) string { return map[bool]string{true: "TAG OK done", false: "+ continue"}[n == 2] }
	}, code: unavailable},
	{name: "NO in place of leave for one of several", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 MULTIAPPEND UIDPLUS MOVE"
		m.leave = func(n int) string { return map[bool]string{true: "TAG NO [TOOBIG] no", false: "+ continue"}[n == 2] }
	}},
	{name: "NO in place of leave", odd: func(m *model, _ *visitor) {
		m.caps = "IMAP4rev1 UIDPLUS MOVE"
		m.leave = func(n int) string { return map[bool]string{true: "TAG NO [LIMIT] no", false: "+ continue"}[n == 2] }
	}, skipped: 1},
	{name: "full", odd: func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{drop: true, reply: "NO [OVERQUOTA] full"} }
	}, code: fault.LocalOverQuota, never: true},

	// What is stored when nobody waits for it any more.
	{name: "stores when we are gone", odd: func(m *model, v *visitor) {
		later, done, once := make(chan struct{}), make(chan struct{}), alwaysOnce()
		m.append = func(int, []*modelMessage) appendFate {
			if once() {
				return appendFate{later: later, done: done}
			}
			return appendFate{}
		}
		v.step = func(string) { // In the next visit.
			select {
			case <-done:
			default:
				close(later)
				<-done
			}
		}
	}, code: unavailable},
	{name: "stores when we are gone, and makes the folder again", odd: func(m *model, v *visitor) {
		once := alwaysOnce()
		var name string
		m.on = func(verb, args string, n int) string {
			if verb == "CREATE" && name == "" {
				name, _ = modelName(args)
			}
			return ""
		}
		m.append = func(int, []*modelMessage) appendFate {
			if once() {
				return appendFate{drop: true, reply: "close"}
			}
			return appendFate{}
		}
		v.step = func(string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.folders[name] == nil && v.epoch == 2 {
				m.create(name).add(foreign())
			}
		}
	}, code: unavailable, left: 1}, // The next that has mail sweeps it.
	{name: "moves when we are gone", odd: func(m *model, v *visitor) {
		once := alwaysOnce()
		m.on = func(verb, args string, _ int) string {
			if verb != "UID MOVE" || !once() {
				return ""
			}
			name := m.staging()[0]
			m.wg.Go(func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				if f := m.folders[name]; f != nil {
					(&modelSession{m: m, w: nowhere{}, selected: f}).messages(verb, args)
				}
			})
			return "close"
		}
	}, code: unavailable},
	{name: "says that it moved, and did not", odd: onMove("TAG OK done"), code: unavailable, never: true},
	{name: "says that it cannot move", odd: onMove("TAG NO cannot"), code: unavailable, never: true},
	{name: "moves and says NO", odd: func(m *model, _ *visitor) {
		m.tagged = func(verb, _, reply string) string {
			if verb == "UID MOVE" {
				return "NO but did"
			}
			return reply
		}
	}, code: unavailable, never: true},
	{name: "moves one and is gone", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.on = func(verb, args string, _ int) string {
			if verb != "UID MOVE" || !once() {
				return ""
			}
			set, into, _ := strings.Cut(args, " ")
			first, _, _ := strings.Cut(set, ":")
			(&modelSession{m: m, w: nowhere{}, selected: m.folders[m.staging()[0]]}).messages(verb, first+" "+into)
			return "close"
		}
	}, code: unavailable},

	// Folders.
	{name: "CREATE says that it exists", odd: func(m *model, _ *visitor) {
		m.on = func(verb, args string, _ int) string {
			if name, _ := modelName(args); verb == "CREATE" && m.folders[name] == nil {
				m.create(name)
				return "TAG NO it exists"
			}
			return ""
		}
	}},
	{name: "CREATE fails", odd: func(m *model, _ *visitor) {
		m.on = func(verb, _ string, _ int) string {
			return map[bool]string{true: "TAG NO [CANNOT] not here"}[verb == "CREATE"]
		}
	}, code: unavailable, never: true},
	{name: "the account's folder is another user's", odd: func(m *model, _ *visitor) {
		m.namespace = `(("" "/")) (("Gmail/" "/")) NIL`
	}, code: unavailable, never: true},
	{name: "the account's folder is shared, and is there", odd: func(m *model, _ *visitor) {
		m.namespace = `(("" "/")) NIL (("Gmail/Archive" "/"))`
		for _, f := range []string{"Gmail", "Gmail/Wys&AUI-ane", "Gmail/Archive", "Gmail/Archive/2023"} {
			m.create(f).subscribed = true
		}
	}, code: unavailable, never: true},
	{name: "takes no folder of one name", odd: noFolder("/2023"), names: instead("2023")},
	{name: "takes no folder of one name, directly", odd: func(m *model, v *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS"
		noFolder("/2023")(m, v)
	}, names: instead("2023")},
	{name: "takes no folder of one name, and has it already", odd: func(m *model, v *visitor) {
		noFolder("/2023")(m, v)
		m.create("Gmail/Archive/" + substitute("2023", "/"))
	}, names: instead("2023"), loner: true},
	{name: "takes no folder below one", odd: noFolder("/Archive"), names: instead("Archive")},
	{name: "takes no folder below one, nor one in it", odd: func(m *model, _ *visitor) {
		m.on = func(verb, args string, _ int) string {
			name, _ := modelName(args)
			bad := strings.HasPrefix(name+"/", "Gmail/Archive/") || strings.HasSuffix(name, "/2023")
			return map[bool]string{true: "TAG BAD a name"}[verb == "CREATE" && bad]
		}
	}, names: func(f string) string { return instead("2023")(instead("Archive")(f)) }},
	{name: "LIST names folders in another way", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			return map[bool]string{true: strings.ToUpper(line), false: line}[strings.HasPrefix(line, "* LIST")]
		}
	}},
	{name: "LIST names folders in another way, and CREATE says that they exist", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			return map[bool]string{true: strings.ToUpper(line), false: line}[strings.HasPrefix(line, "* LIST")]
		}
		m.on = func(verb, args string, _ int) string {
			if name, _ := modelName(args); verb == "CREATE" && m.folders[name] == nil {
				m.create(name)
				return "TAG NO it exists"
			}
			return ""
		}
	}},
	{name: "no folder is listed", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			return map[bool]string{true: "", false: line}[strings.HasPrefix(line, "* LIST")]
		}
	}, left: 0},
	{name: "no hierarchy", odd: func(m *model, _ *visitor) {
		m.delimiter, m.namespace = "NIL", `(("" NIL)) NIL NIL`
	}, names: func(f string) string { return strings.ReplaceAll(slashed(f), "/", ".") }},
	{name: "no namespace, and names as literals", odd: func(m *model, _ *visitor) {
		m.namespace = "NIL NIL NIL"
		m.data = func(line string) string {
			rest, ok := strings.CutPrefix(line, `* LIST () "/" `)
			if !ok {
				return line
			}
			name, _ := modelName(rest)
			return fmt.Sprintf("* LIST () \"/\" {%d}\r\n%s", len(name), name)
		}
	}},
	{name: "all below INBOX", odd: func(m *model, _ *visitor) {
		m.namespace, m.delimiter = `(("INBOX." ".")) (("user." ".")) NIL`, `"."`
	}, names: func(f string) string { return "INBOX." + strings.ReplaceAll(slashed(f), "/", ".") }},
	{name: "all below INBOX, whose delimiter is not in its prefix", odd: func(m *model, _ *visitor) {
		m.namespace, m.delimiter = `(("INBOX" ".")) NIL NIL`, `"."`
	}, names: func(f string) string { return "INBOX." + strings.ReplaceAll(slashed(f), "/", ".") }},
	{name: "a namespace without a prefix", odd: func(m *model, _ *visitor) { m.namespace = `((NIL "/")) NIL NIL` }},
	{name: "an empty namespace", odd: func(m *model, _ *visitor) { m.namespace = `() () ()` }},
	{name: "namespaces with extensions", odd: func(m *model, _ *visitor) {
		m.namespace = `(("" "/" "X-PARAM" ("a" "b")) ("#mh/" "/")) NIL NIL`
	}},
	{name: "a name that nobody can ask for", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* LIST") {
				return "* LIST () \"/\" {7}\r\na\r\nb\x00cd\r\n" + line
			}
			return line
		}
	}},
	{name: "a delimiter that is a letter", odd: func(m *model, _ *visitor) {
		m.namespace, m.delimiter = `(("" "a")) NIL NIL`, `"a"`
	}, code: unavailable, never: true},
	{name: "STATUS of another folder", odd: func(m *model, _ *visitor) {
		m.folders["Gmail"] = &modelFolder{validity: 7, next: 1, subscribed: true}
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* STATUS") {
				return `* STATUS "other" (UIDVALIDITY 7 UIDNEXT 4000000000)`
			}
			return line
		}
	}},
	{name: "STATUS without numbers", odd: func(m *model, _ *visitor) {
		m.folders["Gmail"] = &modelFolder{validity: 7, next: 1, subscribed: true}
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* STATUS") {
				return `* STATUS "Gmail" (UIDVALIDITY NIL UIDNEXT 99999999999999 X (y z))`
			}
			return line
		}
	}},
	{name: "STATUS fails", odd: func(m *model, _ *visitor) {
		m.folders["Gmail"] = &modelFolder{validity: 7, next: 1, subscribed: true}
		m.on = func(verb, _ string, _ int) string {
			return map[bool]string{true: "TAG NO [INUSE] not now"}[verb == "STATUS"]
		}
	}},
	{name: "STATUS beside the question", odd: func(m *model, _ *visitor) {
		m.folders["Gmail"] = &modelFolder{validity: 7, next: 1, subscribed: true}
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* STATUS") {
				return line + "\r\n* STATUS \"x\" (UIDVALIDITY 9 UIDNEXT 99)\r\n* 7 EXISTS\r\n* FLAGS ()"
			}
			return line
		}
	}},

	// SELECT.
	{name: "read only", odd: func(m *model, _ *visitor) {
		m.tagged = func(verb, _, reply string) string {
			return strings.ReplaceAll(reply, "READ-WRITE", "READ-ONLY")
		}
	}, code: unavailable, never: true},
	{
		name: "no UIDVALIDITY", odd: func(m *model, _ *visitor) { m.data = without("* OK [UIDVALIDITY") }, code: unavailable,
		never: true,
	},
	{name: "no UIDNEXT", odd: func(m *model, _ *visitor) { m.data = without("* OK [UIDNEXT") }},
	{name: "no UIDNEXT, over another connection", odd: func(m *model, v *visitor) {
		m.data = without("* OK [UIDNEXT")
		onceSealed(v, func(m *model, _ *modelFolder, _ string) { m.disconnect() })
	}, code: unavailable},
	{name: "UIDVALIDITY of another folder, beside", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* ") && strings.Contains(line, "FETCH") {
				return "* OK [UIDVALIDITY 77] new\r\n" + line
			}
			return line
		}
	}, code: unavailable, never: true},
	{name: "capabilities change with the login", odd: func(m *model, _ *visitor) {
		m.caps, m.later = "IMAP4rev1 MULTIAPPEND LITERAL+ QUOTA XYZ", "IMAP4rev1 UIDPLUS MOVE"
	}},
	{name: "flags change while we look", odd: func(m *model, _ *visitor) {
		m.data = func(line string) string {
			if strings.HasPrefix(line, "* ") && strings.Contains(line, "FETCH") {
				return line + "\r\n* 1 FETCH (UID 4000000000 FLAGS (\\Seen))\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* 1 EXPUNGE"
			}
			return line
		}
	}},
	{name: "sizes are guesses", odd: func(m *model, _ *visitor) { m.sizes = func(n int) int { return n + 7 } }},
	{name: "sizes are guesses, and a staging folder is gone", odd: func(m *model, v *visitor) {
		m.sizes = func(n int) int { return n + 7 }
		onceSealed(v, func(m *model, _ *modelFolder, name string) { m.disconnect(); delete(m.folders, name) })
	}, code: unavailable},

	// A staging folder is ours, but its owner can see it.
	{name: "UIDVALIDITY changes between", odd: func(_ *model, v *visitor) {
		onceSealed(v, func(m *model, f *modelFolder, _ string) { m.disconnect(); f.validity += 100 })
	}, code: unavailable},
	{name: "the staging folder is deleted", odd: func(_ *model, v *visitor) {
		onceSealed(v, func(m *model, _ *modelFolder, name string) { m.disconnect(); delete(m.folders, name) })
	}, code: unavailable},
	{name: "the staging folder is deleted while it is selected", odd: func(_ *model, v *visitor) {
		onceSealed(v, func(m *model, f *modelFolder, name string) { delete(m.folders, name) })
	}, code: unavailable},
	{name: "the staging folder is deleted before APPEND", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.on = func(verb, _ string, _ int) string {
			if verb == "APPEND" && once() {
				delete(m.folders, m.staging()[0])
			}
			return ""
		}
	}, code: unavailable},
	{name: "the staging folder is renamed", odd: func(_ *model, v *visitor) {
		onceSealed(v, func(m *model, f *modelFolder, name string) {
			m.disconnect()
			delete(m.folders, name)
			m.folders["mailbrook-staging-renamed"] = f // Left out of what is compared.
		})
	}, code: unavailable, left: 1},
	{name: "the staging folder is emptied into another", odd: func(_ *model, v *visitor) {
		v.letters[0].folder = "Solo"
		onceSealed(v, func(m *model, f *modelFolder, _ string) {
			moved := *f.messages[0]
			m.create("Elsewhere").add(&moved)
			f.messages = f.messages[1:]
		})
	}, names: func(f string) string { return slashed(strings.ReplaceAll(f, "Solo", "Elsewhere")) }, loner: true},
	{name: "the staging folder is filled between", odd: func(_ *model, v *visitor) {
		onceSealed(v, func(m *model, f *modelFolder, _ string) { f.add(foreign()) })
	}, also: []string{foreignInInbox}},
	{name: "the staging folder is filled before our mail comes", odd: func(m *model, _ *visitor) {
		once := alwaysOnce()
		m.on = func(verb, _ string, _ int) string {
			if verb == "APPEND" && once() {
				m.folders[m.staging()[0]].add(foreign())
			}
			return ""
		}
	}, also: []string{foreignInInbox}},
	{name: "the staging folder is filled while a batch is refused", odd: func(m *model, v *visitor) {
		refuses(m, v, "Text 1", 1)
		once := alwaysOnce()
		m.on = func(verb, _ string, _ int) string {
			if verb == "APPEND" && once() { // As many as are taken of it.
				m.folders[m.staging()[0]].add(foreign())
				m.folders[m.staging()[0]].add(foreign())
			}
			return ""
		}
	}, skipped: 1, also: []string{foreignInInbox, foreignInInbox}},
	// What a server does not take.
	{name: "refuses NUL, and all of a batch have one", odd: func(m *model, v *visitor) {
		refuses(m, v, "a\x00b", 0, 1)
		v.together = 2
	}, skipped: 2},
	{name: "refuses a bare LF", odd: func(m *model, v *visitor) { refuses(m, v, "a\nb", 1) }, skipped: 1},
	{name: "refuses a header of 8 bits", odd: func(m *model, v *visitor) {
		v.letters[2].body = "Subject: za\xb3\xb1cznik\r\n\r\nx"
		refuses(m, v, "\xb3", 2)
	}, skipped: 1},
	{name: "refuses what was never read", odd: func(m *model, v *visitor) {
		m.caps = "IMAP4rev1 UIDPLUS MOVE"
		refuses(m, v, "Text 1", 1)
	}, skipped: 1},
	{name: "APPENDLIMIT", odd: func(m *model, v *visitor) {
		m.caps += " APPENDLIMIT=200"
		v.letters[1].body += strings.Repeat("x", 200)
		m.append = func(_ int, all []*modelMessage) appendFate {
			for _, x := range all {
				if len(x.body) > 200 {
					m.t.Error("it is sent")
				}
			}
			return appendFate{}
		}
	}, skipped: 1},
	{name: "all above APPENDLIMIT", odd: func(m *model, v *visitor) { m.caps += " APPENDLIMIT=20" }, skipped: 5},
	{name: "APPENDLIMIT without a number", odd: func(m *model, v *visitor) { m.caps += " APPENDLIMIT APPENDLIMIT=x" }},
	{name: "an empty message", odd: func(_ *model, v *visitor) { v.letters[1].body = "" }, skipped: 1},
	{name: "a date that is of another century in its zone", odd: func(_ *model, v *visitor) {
		v.letters[1].received = time.Date(1969, 12, 31, 23, 0, 0, 0, time.FixedZone("", -5*3600))
	}, names: func(f string) string { return slashed(f) }},

	// Keywords.
	{name: "any keyword", odd: worded(nil)},
	{name: "some keywords", odd: func(m *model, v *visitor) {
		m.permanent = `(\Seen \Answered $FORWARDED)`
		worded(func(k mail.Keywords) mail.Keywords {
			return mail.Keywords(strings.ReplaceAll(string(k), "$Forwarded NonJunk", "$Forwarded"))
		})(m, v)
	}, dropped: 1},
	{name: "no keywords", odd: func(m *model, v *visitor) {
		m.permanent = `()`
		worded(func(mail.Keywords) mail.Keywords { return "" })(m, v)
	}, dropped: 3},
	{name: "no word of keywords", odd: func(m *model, v *visitor) {
		m.permanent = ""
		worded(nil)(m, v)
	}},
	{name: "refuses keywords", odd: refusesWords, dropped: 3},
	{name: "refuses keywords, one by one", odd: func(m *model, v *visitor) {
		m.caps = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"
		refusesWords(m, v)
	}, dropped: 3},

	// Servers that do not keep messages as they are.
	{name: "adds to the header", odd: func(m *model, _ *visitor) { m.keeps = addsHeader }, rewriting: 1},
	{name: "rewrites messages", odd: func(m *model, _ *visitor) { m.keeps = rewrites }, rewriting: 1},
	{name: "changes one that is not plain", odd: func(m *model, v *visitor) {
		v.letters[1].body += "a\nb"
		m.keeps = func(b []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		}
	}},
	{name: "adds to the header, and the staging folder is filled", odd: func(m *model, v *visitor) {
		m.keeps = addsHeader
		onceSealed(v, func(m *model, f *modelFolder, _ string) { f.add(foreign()) })
	}, rewriting: 1, also: []string{foreignInInbox}},

	{name: "a staging folder cannot be deleted", odd: func(m *model, _ *visitor) {
		m.on = func(verb, _ string, _ int) string {
			return map[bool]string{true: "TAG NO not allowed"}[verb == "DELETE"]
		}
	}, left: 1},
}

func addsHeader(b []byte) []byte { return append([]byte("X-Server: x\r\n"), b...) }

func rewrites(b []byte) []byte {
	return append([]byte("X-Server: x\r\n"), bytes.ReplaceAll(b, []byte("Text"), []byte("=54ext"))...)
}

// refuses makes a server refuse what holds a text, which some letters are given.
func refuses(m *model, v *visitor, text string, which ...int) {
	for _, i := range which {
		if !strings.Contains(v.letters[i].body, text) {
			v.letters[i].body += text
		}
	}
	m.append = func(_ int, all []*modelMessage) appendFate {
		for _, x := range all {
			if bytes.Contains(x.body, []byte(text)) {
				return appendFate{drop: true, reply: "NO such octets are not taken"}
			}
		}
		return appendFate{}
	}
}

// worded gives letters keywords.
func worded(kept func(mail.Keywords) mail.Keywords) func(m *model, v *visitor) {
	return func(_ *model, v *visitor) {
		v.letters[1].keywords, v.letters[2].keywords, v.words = "$Forwarded", "$Forwarded NonJunk", kept
	}
}

func refusesWords(m *model, v *visitor) {
	worded(func(mail.Keywords) mail.Keywords { return "" })(m, v)
	m.append = func(_ int, all []*modelMessage) appendFate {
		for _, x := range all {
			if strings.Contains(x.flags, "$") {
				return appendFate{drop: true, reply: "BAD keyword"}
			}
		}
		return appendFate{}
	}
}

// nowhere is a connection that nobody reads.
type nowhere struct{ net.Conn }

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func onMove(reply string) func(m *model, v *visitor) {
	return func(m *model, _ *visitor) {
		m.on = func(verb, _ string, _ int) string {
			return map[bool]string{true: reply}[verb == "UID MOVE"]
		}
	}
}

func without(begin string) func(line string) string {
	return func(line string) string {
		if strings.HasPrefix(line, begin) {
			return ""
		}
		return line
	}
}

func appendSays(reply string) func(m *model, v *visitor) {
	return func(m *model, _ *visitor) {
		m.append = func(int, []*modelMessage) appendFate { return appendFate{reply: reply} }
	}
}

// Whatever a server does, it ends in a code, nothing is lost and nothing is there twice.
func TestOddServers(t *testing.T) {
	t.Parallel()
	for _, tc := range oddCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newModel(t)
			mine := &modelMessage{body: []byte("Subject: mine\r\n\r\nx"), date: " 1-Jan-2020 12:00:00 +0000"}
			v := newVisitor(t, m)
			m.mu.Lock()
			m.folders["INBOX"].add(mine)
			tc.odd(m, v)
			m.mu.Unlock()
			err := v.visit()
			if fmt.Sprint(err) != "<nil>" && strings.Contains(err.Error(), "refused to send") {
				t.Error(err)
			}
			if fault.CodeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Fatalf("the visit ends in %v, want %q", err, tc.code)
			}
			if tc.never {
				if again := v.visit(); fault.CodeOf(again) != tc.code {
					t.Errorf("the next visit ends in %v", again)
				}
				m.heal()
			}
			for range 2 { // A third visit changes nothing.
				if err := v.visit(); err != nil {
					t.Fatalf("a later visit: %v\n%s", err, strings.Join(m.lines, "\n"))
				}
				names := tc.names
				if names == nil {
					names = slashed
				}
				want := append(v.expected(names), `INBOX:  1-Jan-2020 12:00:00 +0000 () "Subject: mine\r\n\r\nx"`)
				want = append(want, tc.also...)
				slices.Sort(want)
				if diff := cmp.Diff(want, m.mailbox()); diff != "" {
					t.Fatalf("the mailbox (-want +got):\n%s\n%s", diff, strings.Join(m.lines, "\n"))
				}
			}
			if strings.Contains(v.log.String(), "refused to send") {
				t.Error(v.log.String())
			}
			if len(v.skipped) != tc.skipped {
				t.Errorf("skipped: %v", v.skipped)
			}
			if n, k := v.store.Rewriting(), v.store.DroppedKeywords(); n != tc.rewriting || k != tc.dropped {
				t.Errorf("%d rewriting, %d keywords dropped", n, k)
			}
			if tc.rewriting > 0 && strings.Count(v.log.String(), "does not keep messages") != 1 {
				t.Errorf("logged: %s", v.log.String())
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if left := m.staging(); len(left) != tc.left {
				t.Errorf("left: %q", left)
			}
			for _, f := range m.folders {
				if !f.subscribed && f != m.folders["INBOX"] && tc.left == 0 && !tc.loner {
					t.Error("a folder is not subscribed")
				}
			}
		})
	}
}

// What was moved is found where the staging folder is gone since, by another process as well, and is not delivered
// again: whatever a server does with messages. The control does not know that it does anything.
func TestWhatARewritingServerHasIsFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		keeps  func([]byte) []byte
		sizes  func(int) int
		forget bool
	}{
		{name: "exact"},
		{name: "header", keeps: addsHeader},
		{name: "rewritten", keeps: rewrites},
		{name: "sizes are guesses", sizes: func(n int) int { return n + 1 }},
		{name: "control", keeps: addsHeader, forget: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel(t)
			v := newVisitor(t, m)
			m.mu.Lock()
			m.keeps, m.sizes = tc.keeps, tc.sizes
			v.together = 5
			moves := 0
			m.on = func(verb, args string, _ int) string {
				if verb != "UID MOVE" || moves == 3 {
					return ""
				}
				name := m.staging()[0]
				s := &modelSession{m: m, w: nowhere{}, selected: m.folders[name]}
				s.messages(verb, args)
				if moves++; moves < 3 {
					return "TAG OK moved"
				}
				delete(m.folders, name)
				return "close"
			}
			m.mu.Unlock()
			if err := v.visit(); fault.CodeOf(err) != unavailable {
				t.Fatalf("the visit ends in %v", err)
			}
			if len(v.staged) != 5 {
				t.Fatalf("staged: %v", v.staged)
			}
			if tc.forget {
				for i := range v.staged {
					v.staged[i].Spool = strings.Replace(v.staged[i].Spool, looseMark, "", 1)
				}
			}
			v.restart()
			if err := v.visit(); err != nil {
				t.Fatal(err)
			}
			want := v.expected(slashed)
			slices.Sort(want)
			diff := cmp.Diff(want, m.mailbox())
			if (diff == "") == tc.forget {
				t.Errorf("the mailbox (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever does not look before delivering again is found out by the model.
func TestTheModelFindsWhatIsTwiceAndWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(v *visitor){
		"again without looking": func(v *visitor) { v.staged = nil },
		"done without looking": func(v *visitor) {
			for _, p := range v.staged {
				v.done[p.Token] = true
			}
			v.staged = nil
		},
	} {
		m := newModel(t)
		v := newVisitor(t, m)
		m.mu.Lock()
		oddCases[slices.IndexFunc(oddCases, func(c oddCase) bool { return c.name == "moves one and is gone" })].odd(m, v)
		m.mu.Unlock()
		if err := v.visit(); fault.CodeOf(err) != unavailable {
			t.Fatal(err)
		}
		forget(v)
		if err := v.visit(); err != nil {
			t.Fatal(err)
		}
		want := v.expected(slashed)
		slices.Sort(want)
		if slices.Equal(want, m.mailbox()) {
			t.Errorf("%s: it is not noticed", name)
		}
	}
}

// Cyrus takes no NUL, no bare line ends and no text without a header: each is skipped in its words, and the rest is
// delivered.
func TestWhatCyrusRefusesIsSkipped(t *testing.T) {
	t.Parallel()
	c := mailtest.StartCyrus(t, mailtest.CyrusOptions{Alt: true})
	v := newVisitorAt(t, nil, c.Addr("imap"), "sekret")
	v.restart()
	refused := map[mail.Token]string{}
	for i, body := range []string{
		"Subject: nul\r\n\r\na\x00b\r\n", "Subject: bare\r\n\r\na\nb\r\n", "Subject: za\xbf\r\n\r\nx\r\n", "no header at all",
		"Subject: nothing\r\n\r\n",
	} {
		l := letter{folder: "Gmail", body: body, received: time.Date(2024, 1, 1+i, 12, 0, 0, 0, time.UTC)}
		v.letters = append(v.letters, l)
		refused[l.token()] = body
	}
	v.together = len(v.letters)
	for range 2 {
		if err := v.visit(); err != nil {
			t.Fatal(err)
		}
	}
	for token, why := range v.skipped {
		t.Logf("%q: %v", refused[token], why)
		detail := fault.Of(why).Detail.String()
		if fault.CodeOf(why) != fault.MessageFailed || !strings.HasPrefix(detail, "The server says: ") ||
			refused[token] == "" {
			t.Errorf("%q is refused: %v", refused[token], why)
		}
	}
	if len(v.skipped) < 2 {
		t.Errorf("skipped: %v", v.skipped)
	}
	got := mailtest.ReadIMAP(t, c.Addr("imap"), nil, "anna", "sekret")
	for _, l := range v.letters {
		n := 0
		for _, d := range got {
			if d.SHA == sha256.Sum256([]byte(l.body)) && strings.HasSuffix(d.Folder, l.folder) && d.Time.Equal(l.received) {
				n++
			}
		}
		if want := map[bool]int{true: 0, false: 1}[v.skipped[l.token()] != nil]; n != want {
			t.Errorf("%q is there %d times", l.body, n)
		}
	}
	if len(got) != len(v.letters)-len(v.skipped) || v.store.Rewriting() != 0 {
		t.Errorf("%d messages; %d rewriting", len(got), v.store.Rewriting())
	}
}

// The same where messages are appended to their folders themselves, and the answer is lost.
func TestWhatARewritingServerWasSentDirectlyIsFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		keeps     func([]byte) []byte
		forget    bool
		rewriting int64
	}{
		{name: "exact"},
		{name: "header", keeps: addsHeader, rewriting: 1},
		{name: "rewritten", keeps: rewrites, rewriting: 1},
		{name: "control", keeps: addsHeader, forget: true},
	} {
		for _, at := range []int{1, 2} { // The first batch, of which nothing is known yet, or a later one.
			t.Run(fmt.Sprintf("%s/%d", tc.name, at), func(t *testing.T) {
				m := newModel(t)
				v := newVisitor(t, m)
				m.mu.Lock()
				m.caps, m.keeps = "IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS", tc.keeps
				sealings, once := 0, alwaysOnce()
				m.append = func(int, []*modelMessage) appendFate {
					if sealings == at && once() {
						return appendFate{reply: "close"}
					}
					return appendFate{}
				}
				m.mu.Unlock()
				v.step = func(string) {
					m.mu.Lock()
					sealings++
					m.mu.Unlock()
				}
				if err := v.visit(); fault.CodeOf(err) != unavailable {
					t.Fatalf("the visit ends in %v", err)
				}
				if tc.forget {
					for i := range v.staged {
						v.staged[i].Spool = strings.Replace(v.staged[i].Spool, looseMark, "", 1)
					}
				}
				told := v.store.Rewriting()
				v.restart()
				if err := v.visit(); err != nil {
					t.Fatal(err)
				}
				if n := v.store.Rewriting(); !tc.forget && max(n, told) != tc.rewriting {
					t.Errorf("%d rewriting", n)
				}
				want := v.expected(slashed)
				slices.Sort(want)
				diff := cmp.Diff(want, m.mailbox())
				if (diff == "") == tc.forget {
					t.Errorf("the mailbox (-want +got):\n%s", diff)
				}
			})
		}
	}
}
