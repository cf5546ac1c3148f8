package destination

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// message is one at the source.
type message struct {
	token    mail.Token
	folder   string
	body     string // As sent, with CRLF.
	flags    mail.Flags
	keywords mail.Keywords
	received time.Time
}

// delivered is the message as its user has to see it.
func (m message) delivered() Message {
	return Message{
		Folder: m.folder, Body: strings.ReplaceAll(m.body, "\r\n", "\n"), Flags: m.flags,
		Keywords: m.keywords, Received: m.received,
	}
}

// corpus is what the source has: new and read mail in several folders, two equal to the octet.
func corpus() (ms []message) {
	for i, folder := range []string{"Gmail", "Gmail/Sent", "Gmail/Archive/2023", "Gmail", "Gmail"} {
		n := min(i, 3) // The last two are the same.
		ms = append(ms, message{
			token: mail.TokenFor([]byte("key"), "journal", folder, 1, mail.ID{UID: uint32(i + 1)}), folder: folder,
			body: fmt.Sprintf("From: a@example.test\r\nSubject: %d\r\n\r\nThe text of message %d.\r\n%s\r\n", n, n,
				strings.Repeat("x", 100*n)),
			flags: mail.Flags(n%2) * mail.Seen, keywords: [...]mail.Keywords{"", "$Forwarded", "$Forwarded NonJunk", ""}[n],
			received: time.Date(2023, 5, 1+n, 12, 0, 0, 0, time.UTC),
		})
	}
	return ms
}

// world is a place, with the journal of what is delivered there: it outlives processes.
type world struct {
	place      Place
	messages   []message
	epoch      int64
	generation int64
	staged     []mail.Placement // Under way: committed, and not confirmed.
	done       map[mail.Token]bool
	deleted    map[string]int // Bodies that the user has deleted, and how many of each.
	moved      map[string]bool
	limit      int64
	processes  []*process
}

func (s *suite) world() *world {
	return &world{
		place: s.made(s.tb), messages: corpus(), done: map[mail.Token]bool{}, deleted: map[string]int{},
		moved: map[string]bool{},
	}
}

// process is one that visits and may come to an end at any step.
type process struct {
	at    atomic.Int64 // The step, or call, at which it is killed; 0: it is not.
	fail  int64        // The call that fails; 0: none does.
	stay  bool         // All calls after it fail, too.
	why   error
	steps atomic.Int64
	calls atomic.Int64

	once sync.Once
	dead chan struct{} // Closed when it is killed.
	// buried lets what is left of it end, when the world is not needed any more.
	buried chan struct{}
	cut    mail.Token // Whose body ends early.
	on     func(step string)
}

func (w *world) process() *process {
	p := &process{dead: make(chan struct{}), buried: make(chan struct{})}
	w.processes = append(w.processes, p)
	return p
}

// bury lets go of what killed processes hold. The world is not to be used any more.
func (w *world) bury() {
	for _, p := range w.processes {
		close(p.buried)
	}
	w.processes = nil
}

// step is where a process may be killed: it goes no further then, wherever it is, and
// lets go of nothing that it holds.
func (p *process) step(name string) {
	if p.on != nil {
		p.on(name)
	}
	if n, at := p.steps.Add(1), p.at.Load(); at == 0 || n < at {
		return
	}
	p.once.Do(func() { close(p.dead) })
	<-p.buried
	runtime.Goexit()
}

func (p *process) call() error {
	p.step("call")
	if n := p.calls.Add(1); p.fail != 0 && (n == p.fail || p.stay && n > p.fail) {
		return p.why
	}
	return nil
}

// run makes a visit and returns when it has ended, or was killed: then the error is errKilled.
func (w *world) run(p *process) error {
	w.epoch++
	result := make(chan error, 1)
	go func() { result <- w.visit(context.Background(), p) }()
	select {
	case err := <-result:
		return err
	case <-p.dead:
		return errKilled
	}
}

var errKilled = errors.New("killed")

// visit does what the engine does: see docs/decisions/0002-exactly-once.md.
func (w *world) visit(ctx context.Context, p *process) (err error) {
	d, err := w.place.Open(ctx, Process{Epoch: w.epoch, Limit: w.limit, Step: p.step, Call: p.call})
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := w.recover(ctx, p, d); err != nil {
		return err
	}
	var staged []mail.Staged
	var ps []mail.Placement
	done := maps.Clone(w.done) // One that is killed elsewhere continues with its next step.
	for _, m := range w.messages {
		if done[m.token] {
			continue
		}
		if err := d.Reserve(ctx, 1, int64(len(m.body))); err != nil {
			d.Discard(staged)
			return fmt.Errorf("reserving: %w", err)
		}
		var body io.Reader = strings.NewReader(m.body)
		if p.cut == m.token {
			body = io.MultiReader(strings.NewReader(m.body[:len(m.body)/2]), broken{})
		}
		st, err := d.Stage(ctx, m.token, body, m.received, 1<<20)
		if err != nil {
			d.Discard(staged)
			return fmt.Errorf("staging: %w", err)
		}
		staged = append(staged, st)
		ps = append(ps, mail.Placement{
			Spool: st.Spool, Token: m.token, Fingerprint: st.Fingerprint, Folder: m.folder, Flags: m.flags,
			Keywords: m.keywords,
			Received: st.Received, FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		})
	}
	if err := seal(ctx, d, ps); err != nil {
		d.Discard(staged)
		return fmt.Errorf("sealing: %w", err)
	}
	p.step("journal: staged")
	w.staged = ps
	w.generation++
	p.step("journal: staged, and written")
	if err := d.SetGeneration(ctx, w.generation); err != nil {
		return fmt.Errorf("noting: %w", err)
	}
	if err := w.publish(ctx, d, ps); err != nil {
		return err
	}
	if err := w.confirm(ctx, p, d); err != nil {
		return err
	}
	d.Finish(ctx)
	return nil
}

// seal makes placements last, and has them named as they are called then.
func seal(ctx context.Context, d fetch.Spool, ps []mail.Placement) error {
	sealed, err := d.Seal(ctx, ps)
	if err == nil && len(sealed) != len(ps) {
		err = fmt.Errorf("%d answers for %d messages", len(sealed), len(ps))
	}
	if err != nil {
		return err
	}
	for i, s := range sealed {
		if s.Refused != nil {
			return fmt.Errorf("a message is refused: %w", s.Refused)
		}
		ps[i].Spool = s.Spool
	}
	return nil
}

// recover finishes what a process before it has left.
func (w *world) recover(ctx context.Context, p *process, d delivery) error {
	noted, known, err := d.Generation(ctx)
	if errors.Is(err, mail.ErrNoNote) {
		noted, known, err = w.generation, true, nil
	}
	if err != nil {
		return fmt.Errorf("reading the note: %w", err)
	}
	fates, err := d.Find(ctx, w.staged, known && noted >= w.generation || w.generation == 0)
	if err != nil {
		return fmt.Errorf("finding: %w", err)
	}
	if len(fates) != len(w.staged) {
		return fmt.Errorf("finding: %d answers for %d messages", len(fates), len(w.staged))
	}
	var pending, left []mail.Placement
	for i, f := range fates {
		if f == mail.Pending {
			pending = append(pending, w.staged[i])
		}
		if f != mail.Lost {
			left = append(left, w.staged[i])
		}
	}
	p.step("journal: lost")
	w.staged = left
	if err := d.SetGeneration(ctx, max(noted, w.generation)); err != nil {
		return fmt.Errorf("noting: %w", err)
	}
	if err := d.NoteSpool(ctx); err != nil {
		return fmt.Errorf("noting whose the spool is: %w", err)
	}
	if err := w.publish(ctx, d, pending); err != nil {
		return err
	}
	if err := w.confirm(ctx, p, d); err != nil {
		return err
	}
	if err := d.Sweep(ctx, nil); err != nil {
		return fmt.Errorf("sweeping: %w", err)
	}
	return nil
}

// publish has messages delivered, all of them.
func (w *world) publish(ctx context.Context, d delivery, ps []mail.Placement) error {
	if len(ps) == 0 {
		return nil
	}
	done, err := d.Publish(ctx, ps)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	for _, p := range ps {
		if !slices.Contains(done, p.Token) {
			return fmt.Errorf("publishing: no word of %s", p.Token)
		}
	}
	return nil
}

// confirm writes that what was under way is delivered.
func (w *world) confirm(ctx context.Context, p *process, d delivery) error {
	if err := d.Present(ctx); err != nil {
		return fmt.Errorf("looking where the mailbox is: %w", err)
	}
	p.step("journal: delivered")
	for _, s := range w.staged {
		w.done[s.Token] = true
	}
	w.staged = nil
	p.step("journal: delivered, and written")
	return nil
}

// delivery is what recover and publish ask of one.
type delivery interface {
	Generation(ctx context.Context) (int64, bool, error)
	SetGeneration(ctx context.Context, n int64) error
	NoteSpool(ctx context.Context) error
	Sweep(ctx context.Context, keep map[string]bool) error
	Publish(ctx context.Context, ps []mail.Placement) ([]mail.Token, error)
	Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error)
	Present(ctx context.Context) error
}

// broken is the rest of a body whose connection ended.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("the connection ended")

// partial is what is wrong before all is delivered: something half visible, or there twice.
func (w *world) partial() (bad []string) {
	left := w.expected()
	got, err := w.place.Messages()
	if err != nil {
		return []string{err.Error()}
	}
	again := w.ambiguous()
	for _, m := range got {
		body := m.Body
		want, ok := left[body]
		switch {
		case !ok:
			bad = append(bad, fmt.Sprintf("%s has a message that was never sent: %q", m.Folder, m.Body))
			continue
		case len(want) == 0 && again > 0:
			again--
			continue
		case len(want) == 0:
			bad = append(bad, fmt.Sprintf("%s has a message once too often, or one that was deleted: %q", m.Folder, m.Body))
			continue
		}
		i := slices.IndexFunc(want, func(e Message) bool { return e.Folder == m.Folder })
		if i < 0 && !w.moved[body] {
			bad = append(bad, fmt.Sprintf("a message is in %s, and not in %s", m.Folder, want[0].Folder))
		}
		i = max(i, 0)
		if m.Keywords != want[i].Keywords && !w.moved[body] {
			bad = append(bad, fmt.Sprintf("keywords %q, want %q", m.Keywords, want[i].Keywords))
		}
		if m.Flags != want[i].Flags || !m.Received.Equal(want[i].Received) {
			bad = append(bad, fmt.Sprintf("flags %v and date %v, want %v and %v", m.Flags, m.Received, want[i].Flags,
				want[i].Received))
		}
		left[body] = slices.Delete(want, i, i+1)
	}
	return bad
}

// verdict is what is wrong once all is delivered.
func (w *world) verdict() (bad []string) {
	bad = w.partial()
	got, err := w.place.Messages()
	if err != nil {
		return []string{err.Error()}
	}
	n := 0
	for _, all := range w.expected() {
		n += len(all)
	}
	if most := n + w.ambiguous(); len(got) < n || len(got) > most {
		bad = append(bad, fmt.Sprintf("there are %d messages, want %d and at most %d", len(got), n, most))
	}
	return bad
}

// ambiguous is how many messages may be there twice, since their user has acted.
func (w *world) ambiguous() int {
	if p, ok := w.place.(Weaker); ok && len(w.deleted)+len(w.moved) > 0 {
		return int(p.Ambiguous())
	}
	return 0
}

// expected are the messages by their bodies, those without that the user has deleted.
func (w *world) expected() map[string][]Message {
	all := map[string][]Message{}
	for _, m := range w.messages {
		e := m.delivered()
		all[e.Body] = append(all[e.Body], e)
	}
	for body, n := range w.deleted {
		all[body] = all[body][n:]
	}
	return all
}
