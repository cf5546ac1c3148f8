package destination_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/words"
)

// memory is a destination in memory that keeps its promises, but for one.
type memory struct {
	broken string // The promise that it breaks; "": none.

	mu       sync.Mutex
	spool    map[string]string // By file name.
	arrived  map[string]bool   // Spool files that were delivered.
	messages []destination.Message
	next     int
	note     int64
	noted    bool
	away     bool
}

func newMemory(broken string) func(testing.TB) destination.Place {
	return func(testing.TB) destination.Place {
		return &memory{broken: broken, spool: map[string]string{}, arrived: map[string]bool{}}
	}
}

func (m *memory) Open(_ context.Context, p destination.Process) (fetch.Delivery, error) {
	if err := p.Call(); err != nil {
		return nil, err
	}
	return &delivery{memory: m, p: p}, nil
}

func (m *memory) Messages() ([]destination.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]destination.Message{}, m.messages...), nil
}

func (m *memory) take(w destination.Message) int {
	for i, o := range m.messages {
		if o.Where == w.Where {
			return i
		}
	}
	return -1
}

func (m *memory) Move(w destination.Message, folder string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages[m.take(w)].Folder = folder
	return nil
}

func (m *memory) Delete(w destination.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.take(w)
	m.messages = append(m.messages[:i:i], m.messages[i+1:]...)
	return nil
}

func (m *memory) Remove() error  { m.away = true; return nil }
func (m *memory) PutBack() error { m.away = false; return nil }

type delivery struct {
	*memory
	p        destination.Process
	reserved int64
}

func (d *delivery) Reserve(_ context.Context, _, bytes int64) error {
	var used int64
	all, err := d.Messages()
	for _, m := range all {
		used += int64(len(m.Body))
	}
	if d.p.Limit > 0 && used+d.reserved+bytes > d.p.Limit {
		if d.broken == "reserves what does not fit" {
			d.reserved += bytes
			return nil
		}
		return fault.New(fault.LocalOverQuota, "reserving", words.Say("full"))
	}
	d.reserved += bytes
	return err
}

func (d *delivery) Release(_, bytes int64) { d.reserved -= bytes }

func (d *delivery) Stage(_ context.Context, t mail.Token, body io.Reader, received time.Time,
	_ int64,
) (mail.Staged, error) {
	b, err := io.ReadAll(body)
	if d.broken == "takes a half for the whole" {
		err = nil
	}
	if err = errors.Join(err, d.p.Call()); err != nil {
		return mail.Staged{}, err
	}
	scan := mail.NewScanner()
	if _, err := scan.Write(b); err != nil {
		return mail.Staged{}, err
	}
	text := bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if d.broken == "alters mail" {
		text = append([]byte("X-Fetched: yes\n"), text...)
	}
	name := fmt.Sprintf("%s.e%d", t, d.p.Epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spool[name] = string(text)
	return mail.Staged{
		Spool: name, Fingerprint: scan.Sum(), FileSize: int64(len(text)), VirtualSize: int64(len(b)),
		Received: received,
	}, nil
}

func (d *delivery) Seal(_ context.Context, ps []mail.Placement) ([]mail.Sealed, error) {
	return mail.SealedAsStaged(ps), d.p.Call()
}

func (d *delivery) Finish(context.Context) {}

func (d *delivery) Discard(staged []mail.Staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range staged {
		delete(d.spool, s.Spool)
	}
}

func (d *delivery) Sweep(_ context.Context, keep map[string]bool) error {
	if err := d.p.Call(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.spool {
		ours := strings.HasSuffix(name, fmt.Sprintf(".e%d", d.p.Epoch))
		if d.broken == "sweeps what is kept" || !keep[name] && !ours && d.broken != "sweeps nothing" {
			delete(d.spool, name)
		}
	}
	return nil
}

func (d *delivery) Generation(context.Context) (int64, bool, error) {
	return d.note, d.noted, d.p.Call()
}

func (d *delivery) SetGeneration(_ context.Context, n int64) error {
	if err := d.p.Call(); err != nil {
		return err
	}
	d.note, d.noted = n, true
	return nil
}

func (d *delivery) NoteSpool(context.Context) error { return d.p.Call() }

func (*delivery) Placed() []mail.Placed { return nil }

func (d *delivery) Publish(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error) {
	if err := d.Present(ctx); err != nil {
		return nil, err
	}
	for i, p := range ps {
		if err := d.p.Call(); err != nil {
			if d.broken == "says done after an error" {
				return append(done, p.Token), nil
			}
			return done, err
		}
		if d.broken == "leaves the last one out" && i == len(ps)-1 {
			return append(done, p.Token), nil
		}
		if d.broken != "says nothing of the last one" || i < len(ps)-1 {
			done = append(done, p.Token)
		}
		d.put(p)
		if d.broken == "moves in two steps" {
			d.p.Step("between")
		}
		d.mu.Lock()
		if d.broken != "leaves it in the spool" {
			delete(d.spool, p.Spool)
		}
		d.mu.Unlock()
	}
	return done, nil
}

func (d *delivery) put(p mail.Placement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, ok := d.spool[p.Spool]
	if !ok {
		return
	}
	d.next++
	m := destination.Message{
		Folder: p.Folder, Body: body, Flags: p.Flags, Keywords: p.Keywords, Received: p.Received, Where: fmt.Sprint(d.next),
	}
	switch d.broken {
	case "forgets the flags":
		m.Flags = 0
	case "forgets the keywords":
		m.Keywords = ""
	case "forgets the date":
		m.Received = time.Unix(0, 0)
	case "puts all into one folder":
		m.Folder = "INBOX"
	}
	d.messages, d.arrived[p.Spool] = append(d.messages, m), true
}

func (d *delivery) Find(_ context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error) {
	if err := d.p.Call(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fates := make([]mail.Fate, len(ps))
	for i, p := range ps {
		_, in := d.spool[p.Spool]
		switch {
		case d.broken == "takes all for delivered":
			fates[i] = mail.Delivered
		case in:
		case d.broken == "looks in the mailbox, which is the user's":
			fates[i] = mail.Lost
			for _, m := range d.messages {
				if m.Folder == p.Folder && d.arrived[p.Spool] {
					fates[i] = mail.Delivered
				}
			}
		case d.broken == "forgets what was delivered":
			fates[i] = mail.Lost
		case noted, d.arrived[p.Spool]:
			fates[i] = mail.Delivered
		default:
			fates[i] = mail.Lost
		}
	}
	return fates, nil
}

func (d *delivery) Present(context.Context) error {
	if d.away && d.broken != "does not look where the mailbox is" {
		return fault.New(fault.LocalMailboxUnavailable, "looking", words.Say("gone"))
	}
	return nil
}

func (d *delivery) Mark(context.Context, string, string) error                 { return nil }
func (d *delivery) EnsureFolders(context.Context, []string) error              { return nil }
func (d *delivery) Tokens(context.Context, func(mail.Token, mail.Found)) error { return nil }

func (d *delivery) Fingerprint(context.Context, mail.Found) (mail.Fingerprint, error) {
	return mail.Fingerprint{}, nil
}

func (d *delivery) Close() error { return nil }

// A destination that keeps its promises passes.
func TestAGoodDestinationPasses(t *testing.T) { destination.Test(t, newMemory("")) }

// The controls: whichever promise is broken, a trial finds it.
func TestABrokenDestinationIsCaught(t *testing.T) {
	for broken, caught := range map[string][]string{
		"alters mail":                        {"everything arrives once and as it was"},
		"forgets the flags":                  {"everything arrives once and as it was"},
		"forgets the keywords":               {"everything arrives once and as it was"},
		"forgets the date":                   {"everything arrives once and as it was"},
		"puts all into one folder":           {"everything arrives once and as it was"},
		"leaves the last one out":            {"everything arrives once and as it was"},
		"says nothing of the last one":       {"everything arrives once and as it was"},
		"leaves it in the spool":             {"killed at every step", "everything is done twice"},
		"moves in two steps":                 {"killed at every step", "killed at every step, the user moves what arrived"},
		"takes all for delivered":            {"killed at every step", "the n-th call fails", "killed twice"},
		"forgets what was delivered":         {"killed at every step", "everything is done twice"},
		"says done after an error":           {"the n-th call fails", "the n-th call fails, and all after it"},
		"takes a half for the whole":         {"a body is cut off"},
		"reserves what does not fit":         {"there is no room"},
		"sweeps nothing":                     {"what nobody needs is swept"},
		"sweeps what is kept":                {"what nobody needs is swept"},
		"does not look where the mailbox is": {"the mailbox is gone"},
		"looks in the mailbox, which is the user's": {
			"killed at every step, the user moves what arrived", "killed at every step, the user deletes what arrived",
		},
	} {
		t.Run(broken, func(t *testing.T) {
			found := destination.Findings(t, newMemory(broken))
			for _, trial := range caught {
				if len(found[trial]) == 0 {
					t.Errorf("%q finds nothing", trial)
				} else {
					t.Logf("%q: %s", trial, found[trial][0])
				}
			}
		})
	}
}
