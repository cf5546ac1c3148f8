package imapbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// torture is one way to deliver, and what happens meanwhile.
type torture struct {
	d      *mailtest.Dovecot
	direct bool
	owner  bool // Its user moves and deletes what arrives, faster than any person.
	quiet  time.Duration
	faults []string // How connections break.

	control bool   // It has to fail.
	old     bool   // Copies of the messages were there before.
	step    string // The only step that processes are killed at; "": any, and connections break too.
	broken  func(fetch.Delivery, *round) fetch.Delivery
}

// sums are what came of it.
type sums struct {
	faults, kills, lost, doubled, ambiguous atomic.Int64
}

// letters are what is delivered in a round: three equal to the octet, two with equal headers and sizes, two
// without headers, one without a body.
func letters(round int) (all []message) {
	for n := range 36 {
		body := fmt.Sprintf("Message-ID: <%d.%d@a.test>\r\nSubject: %d\r\n\r\n%s\r\n", round, n, n, strings.Repeat("x", 7*n))
		switch n {
		case 5, 17, 29:
			body = fmt.Sprintf("Message-ID: <twin.%d@a.test>\r\n\r\nThe same.\r\n", round)
		case 8, 9:
			body = fmt.Sprintf("Message-ID: <alike.%d@a.test>\r\n\r\n%d\r\n", round, n)
		case 11, 12:
			body = fmt.Sprintf("\r\nNo header, %d %d\r\n", round, n)
		case 14:
			body = fmt.Sprintf("Subject: no body %d\r\n\r\n", round)
		}
		all = append(all, message{
			token: mail.TokenFor([]byte("key"), "journal", "INBOX", int64(round+1), mail.ID{UID: uint32(n + 1)}), body: body,
			folder:   [...]string{"Post", "Post", "Post/Sent"}[n%3],
			received: time.Date(2023, 5, 1, 12, n/12, 0, 0, time.UTC),
		})
	}
	for _, n := range []int{17, 29} {
		all[n].received, all[n].folder = all[5].received, all[5].folder
	}
	return all
}

// message is one at the source.
type message struct {
	token        mail.Token
	body, folder string
	received     time.Time
}

// round delivers some messages into a mailbox of their own, by as many processes as it takes.
type round struct {
	*torture
	t       testing.TB
	n       int
	user    string
	f       *faulty
	letters []message
	stores  []*Store
	epoch   int64
	staged  []mail.Placement // Journal: on their way.
	done    map[mail.Token]bool
	noted   map[string]string // Controls: what was noted of a folder first.
	mu      sync.Mutex
	deleted map[[32]byte]int
	last    bool // All is delivered.
}

// life is a process.
type life struct {
	at    int64  // The step that it is killed at; 0: none.
	name  string // What these steps are called; "": anything.
	steps int64
	looks int
	dead  atomic.Bool
	f     *faulty
	ended bool

	mu    sync.Mutex
	conns map[string]net.Conn // By their own addresses.
}

// step is where a process may be killed. Its connections end as the kernel ends them.
func (l *life) step(name string) {
	if l.dead.Load() {
		return
	}
	if name == "find.look" {
		if l.looks++; l.looks > 1 {
			l.f.settled(func(client net.Addr) bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.conns[client.String()] != nil
			})
		}
	}
	if l.name != "" && l.name != name {
		return
	}
	if l.steps++; l.at > 0 && l.steps >= l.at {
		l.kill()
		runtime.Goexit()
	}
}

func (l *life) kill() {
	l.dead.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

func (l *life) dial(ctx context.Context, s *Store) (*wire.Link, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", l.f.l.Addr().String())
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead.Load() {
		_ = c.Close()
		return nil, errors.New("killed")
	}
	l.conns[c.LocalAddr().String()] = forgetting{c, l}
	return wire.NewLink(forgetting{c, l}, s.o.Server, wire.LinkLimits{}, wire.NewSessionPace(wire.Patience{})), nil
}

// forgetting is a connection that does not count once it is closed.
type forgetting struct {
	net.Conn
	l *life
}

func (c forgetting) Close() error {
	if c.l.dead.Load() {
		return c.Conn.Close()
	}
	c.l.mu.Lock()
	delete(c.l.conns, c.LocalAddr().String())
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// run is a process that visits; it reports whether it came to its end.
func (r *round) run(l *life) (err error) {
	r.epoch++
	l.f, l.conns = r.f, map[string]net.Conn{}
	s := New(Options{
		Server: remote.Server{Host: "127.0.0.1", Port: r.d.IMAP, Security: remote.None}, Key: []byte("key"),
		Login: func(_ context.Context, o owner.Owner) (Login, error) {
			return Login{Credential: remote.Credential{Username: o.String(), Secret: remote.NewSecret("sekret")}}, nil
		},
		Quiet: r.quiet, Step: l.step, TempDir: r.t.TempDir(), Direct: r.direct,
	})
	s.dial = func(ctx context.Context, _ Login) (*wire.Link, error) { return l.dial(ctx, s) }
	r.stores = append(r.stores, s)
	o, err := owner.Parse(r.user)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	err = errors.New("killed")
	go func() {
		defer close(ended)
		err = r.visit(context.Background(), s, o, l)
		l.ended = true
	}()
	<-ended
	l.kill()
	return err
}

// visit does what the engine does.
func (r *round) visit(ctx context.Context, s *Store, o owner.Owner, l *life) (err error) {
	opened, err := s.Open(ctx, o, "journal", r.epoch, owner.Limit{})
	if err != nil {
		return err
	}
	d := fetch.Delivery(opened)
	if r.broken != nil {
		d = r.broken(d, r)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	fates, err := d.Find(ctx, r.staged, true)
	if err != nil {
		return err
	}
	var pending, left []mail.Placement
	for i, f := range fates {
		if f == mail.Pending {
			pending = append(pending, r.staged[i])
		}
		if f != mail.Lost {
			left = append(left, r.staged[i])
		}
	}
	l.step("journal: lost")
	r.staged = left
	l.step("journal: lost, and written")
	if err := r.publish(ctx, d, pending); err != nil {
		return err
	}
	r.confirm(l)
	if err := d.Sweep(ctx, nil); err != nil {
		return err
	}
	var todo []message
	for _, m := range r.letters {
		if !r.done[m.token] {
			todo = append(todo, m)
		}
	}
	for batch := range slices.Chunk(todo, 12) {
		if err := r.deliver(ctx, d, l, batch); err != nil {
			return err
		}
	}
	r.confirm(l)
	if r.last {
		err = d.EnsureFolders(ctx, []string{"Post"})
	}
	d.Finish(ctx)
	return err
}

func (r *round) deliver(ctx context.Context, d fetch.Delivery, l *life, batch []message) error {
	var ps []mail.Placement
	for _, m := range batch {
		st, err := d.Stage(ctx, m.token, strings.NewReader(m.body), m.received, 1<<20)
		if err != nil {
			return err
		}
		ps = append(ps, mail.Placement{
			Spool: st.Spool, Token: m.token, Fingerprint: st.Fingerprint, Folder: m.folder,
			Received: st.Received, FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		})
	}
	sealed, err := d.Seal(ctx, ps)
	if err != nil {
		return err
	}
	for i, s := range sealed {
		if s.Refused != nil {
			return s.Refused
		}
		ps[i].Spool = s.Spool
	}
	r.confirm(l) // The batch before it, with the same write.
	r.staged = ps
	l.step("journal: staged, and written")
	return r.publish(ctx, d, ps)
}

func (r *round) publish(ctx context.Context, d fetch.Delivery, ps []mail.Placement) error {
	if len(ps) == 0 {
		return nil
	}
	done, err := d.Publish(ctx, ps)
	if err == nil && len(done) != len(ps) {
		err = fmt.Errorf("%d of %d messages are done", len(done), len(ps))
	}
	return err
}

func (r *round) confirm(l *life) {
	l.step("journal: delivered")
	for _, p := range r.staged {
		r.done[p.Token] = true
	}
	r.staged = nil
	l.step("journal: delivered, and written")
}

// plan makes up what happens to the next process.
func (r *round) plan(rnd *rand.Rand, try int) (*faultPlan, *life) {
	p, l := &faultPlan{up: -1, down: -1, how: r.faults[rnd.IntN(len(r.faults))]}, &life{}
	p.delay = time.Duration(rnd.IntN(120)) * time.Millisecond
	switch kind := rnd.IntN(3); {
	case r.step != "":
		return nil, &life{name: r.step, at: 1 + rnd.Int64N(3)}
	case p.how == "killed":
		p.command = [...]string{"UID MOVE ", "APPEND ", "UID MOVE ", "SELECT "}[rnd.IntN(4)]
		if r.direct {
			p.command = "APPEND "
		}
		p.delay = time.Duration(rnd.IntN(4000)) * time.Microsecond
	case kind == 0:
		return nil, &life{at: 1 + rnd.Int64N(50/int64(1+try/3))}
	case kind == 1:
		p.down = rnd.Int64N(4000 / int64(1+try/3))
	default:
		p.up = rnd.Int64N(9000 / int64(1+try/3))
	}
	return p, l
}

// deliverAll makes processes until everything is delivered.
func (r *round) deliverAll(rnd *rand.Rand, sum *sums) bool {
	for try := 0; ; try++ {
		var p *faultPlan
		l := &life{}
		if try < 14 {
			p, l = r.plan(rnd, try)
		}
		r.f.set(p)
		err := r.run(l)
		switch {
		case l.at > 0 && !l.ended:
			sum.kills.Add(1)
			sum.faults.Add(1)
		case p != nil && r.f.happened():
			sum.faults.Add(1)
		}
		if err == nil {
			return true
		}
		if try > 30 {
			r.t.Errorf("round %d does not end: %v", r.n, err)
			return false
		}
	}
}

// play has one round.
func (w *torture) play(t testing.TB, n int, sum *sums) {
	r := &round{
		torture: w, t: t, n: n, user: fmt.Sprintf("t%d@firma.test", users.Add(1)), letters: letters(n),
		done: map[mail.Token]bool{}, deleted: map[[32]byte]int{}, noted: map[string]string{},
	}
	r.f = newFaulty(t, w.d.Addr("imap"), w.d.Store(r.user))
	defer r.f.close()
	u := mailtest.DialUser(t, w.d.Addr("imap"), nil, r.user, "sekret")
	defer u.Close()
	for _, f := range []string{"Post", "Post/Sent", "Trash", "Old"} {
		u.Do(`CREATE "` + u.Name(f) + `"`)
	}
	if w.old {
		for _, m := range r.letters {
			if err := u.Append("Old", []byte(m.body)); err != nil {
				t.Error(err)
			}
		}
	}
	stop := make(chan struct{})
	var actors sync.WaitGroup
	actors.Go(func() { r.others(stop) })
	if w.owner {
		actors.Go(func() { r.acts(stop) })
	}
	ended := r.deliverAll(rand.New(rand.NewPCG(uint64(n), 12)), sum)
	r.last = true
	r.f.set(nil)
	if err := r.run(&life{}); err != nil && ended { // It sweeps what the end of the one before it left.
		t.Errorf("round %d: the visit after: %v", n, err)
	}
	close(stop)
	actors.Wait()
	r.f.settled(func(net.Addr) bool { return false })
	if ended {
		r.judge(u, sum)
	}
}

// judge compares what arrived with what was sent.
func (r *round) judge(u *mailtest.User, sum *sums) {
	have := map[[32]byte]int{}
	for _, m := range u.Messages(func(f string) bool { return f != "Old" && !strings.Contains(f, "mailbrook-staging-") }) {
		have[sha256.Sum256(m.Body)]++
	}
	want := map[[32]byte]int{}
	for _, m := range r.letters {
		want[sha256.Sum256([]byte(m.body))]++
	}
	lost, doubled, ambiguous := 0, 0, int64(0)
	for digest, n := range want {
		got := have[digest] + r.deleted[digest]
		lost, doubled = lost+max(0, n-got), doubled+max(0, got-n)
	}
	for _, s := range r.stores {
		ambiguous += s.Ambiguous()
	}
	sum.lost.Add(int64(lost))
	sum.doubled.Add(int64(doubled))
	sum.ambiguous.Add(ambiguous)
	most := int64(0)
	if r.owner && (r.direct || slices.Contains(r.faults, "killed")) {
		most = ambiguous
	}
	if !r.control && (lost > 0 || int64(doubled) > most) {
		r.t.Errorf("round %d: %d lost, %d doubled, %d ambiguous", r.n, lost, doubled, ambiguous)
	}
	for _, f := range u.Folders() {
		if strings.Contains(f, "mailbrook-staging-") {
			r.t.Errorf("round %d: %s is left", r.n, f)
		}
	}
}

// others delivers into the same folder.
func (r *round) others(stop <-chan struct{}) {
	u := mailtest.DialUser(r.t, r.d.Addr("imap"), nil, r.user, "sekret")
	defer u.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(25 * time.Millisecond):
		}
		// A server whose processes are killed may refuse it.
		_ = u.Append("Post", []byte(fmt.Sprintf("Message-ID: <o%d@x.test>\r\nSubject: another's\r\n\r\nx\r\n", n)))
	}
}

// acts moves and deletes one of the newest messages, again and again.
func (r *round) acts(stop <-chan struct{}) {
	u := mailtest.DialUser(r.t, r.d.Addr("imap"), nil, r.user, "sekret")
	defer u.Close()
	rnd := rand.New(rand.NewPCG(uint64(r.n), 13))
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(10+rnd.IntN(40)) * time.Millisecond):
		}
		all := u.Messages(func(f string) bool { return f == "Post" })
		if len(all) == 0 {
			continue
		}
		m := all[len(all)-1-rnd.IntN(min(4, len(all)))]
		if rnd.IntN(2) == 0 {
			u.Move(m, "Trash")
		} else if u.Delete(m) {
			r.mu.Lock()
			r.deleted[sha256.Sum256(m.Body)]++
			r.mu.Unlock()
		}
	}
}

// until has rounds, some at a time, until there were so many faults.
func (w *torture) until(t testing.TB, faults int64, enough func(*sums) bool) *sums {
	sum := &sums{}
	var n atomic.Int64
	var wg sync.WaitGroup
	for range min(6, max(1, faults/8)) {
		wg.Go(func() {
			for sum.faults.Load() < faults && !t.Failed() && (enough == nil || !enough(sum)) {
				w.play(t, int(n.Add(1)), sum)
			}
		})
	}
	wg.Wait()
	t.Logf("%d rounds, %d faults (%d kills): %d lost, %d doubled, %d ambiguous", n.Load(), sum.faults.Load(),
		sum.kills.Load(), sum.lost.Load(), sum.doubled.Load(), sum.ambiguous.Load())
	return sum
}

// What breaks: connections, and the server's processes too.
var (
	connections = []string{"reset", "closed", "late", "deaf"}
	everything  = append(slices.Clone(connections), "killed")
)

const basics = capabilities0 + " LITERAL+ "

// Whatever breaks, and whoever works in the mailbox meanwhile: nothing is lost, and nothing is there
// twice but for what is counted as ambiguous. That is nothing unless the mailbox's user acts as well, and messages
// are appended directly or the server is killed within a MOVE.
func TestTorture(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offers        string
		direct, owner bool
		faults        []string
	}{
		"staging, several at a time":    {"MOVE UIDPLUS MULTIAPPEND", false, true, connections},
		"staging, one by one":           {"MOVE UIDPLUS", false, true, connections},
		"staging, the server is killed": {"MOVE UIDPLUS MULTIAPPEND", false, false, everything},
		"staging, both":                 {"MOVE UIDPLUS MULTIAPPEND", false, true, everything},
		"staging, both, sdbox":          {"MOVE UIDPLUS MULTIAPPEND", false, true, everything},
		"direct, several at a time":     {"UIDPLUS MULTIAPPEND", true, false, everything},
		"direct, one by one":            {"UIDPLUS", true, false, everything},
		"direct, without UIDPLUS":       {"", true, false, everything},
		"direct, its owner acts":        {"UIDPLUS MULTIAPPEND", true, true, everything},
	} {
		if mailtest.Leaves(t, name, "staging, several at a time", "direct, several at a time") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tortured(t, c.offers, strings.Contains(name, "sdbox"))
			w.direct, w.owner, w.faults = c.direct, c.owner, c.faults
			faults := int64(mailtest.Few(t, 25, 4))
			if mailtest.Long() {
				faults = 300
			}
			w.until(t, faults, nil)
		})
	}
}

func tortured(t *testing.T, offers string, sdbox bool) *torture {
	extra := []string{everybody}
	if sdbox {
		extra = append(extra, "mail_location = sdbox:~/sdbox")
	}
	return &torture{
		d: mailtest.StartDovecot(t, mailtest.DovecotOptions{
			Separator: "/", Extra: extra, Capability: strings.TrimSpace(basics + offers),
		}),
		quiet: 400 * time.Millisecond, faults: everything,
	}
}

// finder is Find as it should be.
type finder = func(ps []mail.Placement) ([]mail.Fate, error)

// brokenDelivery breaks a promise on purpose.
type brokenDelivery struct {
	fetch.Delivery
	find func(ps []mail.Placement, find finder) ([]mail.Fate, error)
	seal func(all []mail.Sealed, ps []mail.Placement) // Nil: as it should.
}

func (d brokenDelivery) Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error) {
	return d.find(ps, func(ps []mail.Placement) ([]mail.Fate, error) { return d.Delivery.Find(ctx, ps, noted) })
}

func (d brokenDelivery) Seal(ctx context.Context, ps []mail.Placement) ([]mail.Sealed, error) {
	all, err := d.Delivery.Seal(ctx, ps)
	if err == nil && d.seal != nil {
		d.seal(all, ps)
	}
	return all, err
}

// The controls: what would be wrong is found to be.
func TestTortureBites(t *testing.T) {
	t.Parallel()
	// What is not confirmed is appended again, without looking.
	again := func(d fetch.Delivery, _ *round) fetch.Delivery {
		return brokenDelivery{Delivery: d, find: func(ps []mail.Placement, _ finder) ([]mail.Fate, error) {
			return slices.Repeat([]mail.Fate{mail.Lost}, len(ps)), nil
		}}
	}
	// A copy in another folder is taken for proof.
	elsewhere := func(d fetch.Delivery, r *round) fetch.Delivery {
		return brokenDelivery{Delivery: d, find: func(ps []mail.Placement, find finder) ([]mail.Fate, error) {
			fates, err := find(ps)
			u := mailtest.DialUser(r.t, r.d.Addr("imap"), nil, r.user, "sekret")
			defer u.Close()
			there := map[mail.Fingerprint]bool{}
			for _, m := range u.Messages(func(f string) bool { return f == "Old" }) {
				there[fingerprint(string(m.Body))] = true
			}
			for i, f := range fates {
				if f != mail.Delivered && there[ps[i].Fingerprint] {
					fates[i] = mail.Delivered
				}
			}
			return fates, err
		}}
	}
	// A folder is looked at from where it stood at first: twins that are settled are forgotten.
	forgotten := func(d fetch.Delivery, r *round) fetch.Delivery {
		return brokenDelivery{Delivery: d, seal: func(all []mail.Sealed, ps []mail.Placement) {
			for i, s := range all {
				if folder := ps[i].Folder; r.noted[folder] == "" {
					r.noted[folder] = s.Spool[strings.LastIndex(s.Spool, ".")+1:]
				}
			}
		}, find: func(ps []mail.Placement, find finder) ([]mail.Fate, error) {
			ps = slices.Clone(ps)
			for i, p := range ps {
				ps[i].Spool = p.Spool[:strings.LastIndex(p.Spool, ".")+1] + r.noted[p.Folder]
			}
			return find(ps)
		}}
	}
	lost, doubled := func(s *sums) bool { return s.lost.Load() > 0 }, func(s *sums) bool { return s.doubled.Load() > 0 }
	for name, c := range map[string]struct {
		offers string
		direct bool
		broken func(fetch.Delivery, *round) fetch.Delivery
		eager  bool
		faults []string
		found  func(*sums) bool
	}{
		"staging, appended again":     {"MOVE UIDPLUS", false, again, false, connections, doubled},
		"direct, appended again":      {"UIDPLUS", true, again, false, connections, doubled},
		"direct, looks at once":       {"MULTIAPPEND", true, nil, true, []string{"late"}, doubled},
		"staging, a copy elsewhere":   {"MOVE UIDPLUS", false, elsewhere, false, connections, lost},
		"direct, a copy elsewhere":    {"UIDPLUS", true, elsewhere, false, connections, lost},
		"direct, twins are forgotten": {"", true, forgotten, false, connections, lost},
	} {
		if mailtest.Leaves(t, name, "staging, a copy elsewhere", "direct, a copy elsewhere") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tortured(t, c.offers, false)
			w.direct, w.broken, w.faults, w.control, w.old = c.direct, c.broken, c.faults, true, true
			if name == "staging, a copy elsewhere" { // What can be lost by that is in the staging folder.
				w.step = "move.send"
			}
			if c.eager {
				w.quiet = time.Nanosecond
			}
			if sum := w.until(t, 1000, c.found); !c.found(sum) {
				t.Error("nothing is found")
			}
		})
	}
}
