package destination

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// at says where what is wrong was seen.
func at(where string, bad []string) (all []string) {
	for _, b := range bad {
		all = append(all, where+": "+b)
	}
	return all
}

// complete makes one more visit, which nothing disturbs, and returns what is wrong then.
func (w *world) complete() []string {
	if err := w.run(w.process()); err != nil {
		return []string{"the next visit: " + err.Error()}
	}
	return w.verdict()
}

func (s *suite) arrives() []string {
	w := s.world()
	s.times++
	if err := w.run(w.process()); err != nil {
		return []string{err.Error()}
	}
	return append(w.verdict(), at("visited again", w.complete())...)
}

// What the user does with what has arrived.
type user func(w *world) error

func nobody(*world) error { return nil }

func moves(w *world) error {
	all, err := w.place.Messages()
	for _, m := range all {
		w.moved[m.Body] = true
		err = errors.Join(err, w.place.Move(m, "Elsewhere"))
	}
	return err
}

func deletes(w *world) error {
	all, err := w.place.Messages()
	for _, m := range all {
		w.deleted[m.Body]++
		err = errors.Join(err, w.place.Delete(m))
	}
	return err
}

// killed kills a process at every step and call. The next one completes what it left.
func killed(does user) func(s *suite) []string {
	return func(s *suite) (bad []string) {
		for n := int64(1); len(bad) == 0; n += s.by {
			w := s.world()
			p := w.process()
			p.at.Store(n)
			err := w.run(p)
			if err != nil && !errors.Is(err, errKilled) {
				return append(bad, err.Error())
			}
			where := fmt.Sprintf("killed at step %d", n)
			bad = append(bad, at(where, w.partial())...)
			if err := does(w); err != nil {
				return append(bad, err.Error())
			}
			bad = append(bad, at(where, w.complete())...)
			w.bury()
			if err == nil {
				return bad // It has no so many steps.
			}
			s.times++
		}
		return bad
	}
}

// killedTwice kills also the process that comes next, while it completes what is left.
func (s *suite) killedTwice() (bad []string) {
	whole := s.world().process()
	if err := s.world().run(whole); err != nil {
		return []string{err.Error()}
	}
	steps := whole.steps.Load()
	for first := steps / 2; first < steps; first += max(1, steps/8) {
		for second := int64(1); second < steps && len(bad) == 0; second += 3 * s.by {
			w := s.world()
			for _, n := range []int64{first, second} {
				p := w.process()
				p.at.Store(n)
				if err := w.run(p); err != nil && !errors.Is(err, errKilled) {
					return append(bad, err.Error())
				}
			}
			bad = append(bad, at(fmt.Sprintf("killed at steps %d and %d", first, second), w.complete())...)
			w.bury()
			s.times++
		}
	}
	return bad
}

// failing has the n-th call fail, as on a disk that is full.
func failing(stay bool) func(s *suite) []string {
	return func(s *suite) (bad []string) {
		for n := int64(1); len(bad) == 0; n += s.by {
			w := s.world()
			p := w.process()
			p.fail, p.stay, p.why = n, stay, syscall.ENOSPC
			err := w.run(p)
			where := fmt.Sprintf("call %d failed", n)
			bad = append(bad, at(where, w.partial())...)
			bad = append(bad, at(fmt.Sprintf("%s (%v)", where, err), w.complete())...)
			w.bury()
			if p.calls.Load() < n {
				return bad
			}
			s.times++
		}
		return bad
	}
}

// cut has a body end early: nothing of it may be seen.
func (s *suite) cut() (bad []string) {
	for _, m := range corpus() {
		w := s.world()
		p := w.process()
		p.cut = m.token
		s.times++
		if err := w.run(p); !errors.Is(err, errBroken) {
			bad = append(bad, fmt.Sprintf("a body that was cut off: %v", err))
		}
		bad = append(bad, w.partial()...)
		bad = append(bad, w.complete()...)
	}
	return bad
}

// twice publishes everything twice and asks twice what became of it.
func (s *suite) twice() (bad []string) {
	for _, n := range []int{1, 2, 3} {
		w := s.world()
		p := w.process()
		w.staged = nil
		p.on = func(step string) {
			if step == "journal: delivered" && len(w.staged) > 0 && p.at.Load() == 0 {
				p.at.Store(p.steps.Load()) // Published, and not confirmed.
			}
		}
		if err := w.run(p); !errors.Is(err, errKilled) {
			return append(bad, fmt.Sprintf("%v", err))
		}
		s.times++
		w.epoch++
		ctx := context.Background()
		d, err := w.place.Open(ctx, Process{Epoch: w.epoch, Step: func(string) {}, Call: func() error { return nil }})
		if err != nil {
			return append(bad, err.Error())
		}
		for range n {
			fates, err := d.Find(ctx, w.staged, true)
			if err != nil {
				bad = append(bad, err.Error())
			}
			for i, f := range fates {
				if f != mail.Delivered {
					bad = append(bad, fmt.Sprintf("message %d was published, and its fate is %d", i, f))
				}
			}
			if err := w.publish(ctx, d, w.staged); err != nil {
				bad = append(bad, err.Error())
			}
		}
		if err := d.Close(); err != nil {
			bad = append(bad, err.Error())
		}
		bad = append(bad, w.partial()...)
		bad = append(bad, w.complete()...)
		w.bury()
	}
	return bad
}

// noRoom has a mailbox that holds less than there is.
func (s *suite) noRoom() (bad []string) {
	w := s.world()
	w.limit = 300
	s.times++
	err := w.run(w.process())
	if fault.CodeOf(err) != fault.LocalOverQuota {
		bad = append(bad, fmt.Sprintf("without room: %v", err))
	}
	if all, err := w.place.Messages(); err != nil || len(all) > 0 {
		bad = append(bad, fmt.Sprintf("without room there are %d messages (%v)", len(all), err))
	}
	ctx := context.Background()
	w.epoch++
	d, err := w.place.Open(ctx, Process{
		Epoch: w.epoch, Limit: 300, Step: func(string) {}, Call: func() error { return nil },
	})
	if err != nil {
		return append(bad, err.Error())
	}
	if err := errors.Join(d.Reserve(ctx, 1, 200), d.Close()); err != nil {
		bad = append(bad, "what failed to be reserved is reserved: "+err.Error())
	}
	w.limit = 0
	return append(bad, w.complete()...)
}

// gone takes the mailbox away before messages are published, and before that is confirmed.
func (s *suite) gone() (bad []string) {
	for _, when := range []string{"journal: staged, and written", "journal: delivered"} {
		w := s.world()
		p := w.process()
		var removed error
		p.on = func(step string) {
			if step == when && len(w.staged) > 0 {
				removed = w.place.Remove()
			}
		}
		s.times++
		err := w.run(p)
		if removed != nil {
			return append(bad, removed.Error())
		}
		if when == "journal: staged, and written" && fault.CodeOf(err) != fault.LocalMailboxUnavailable {
			bad = append(bad, fmt.Sprintf("a mailbox that is gone: %v", err))
		}
		if err := w.place.PutBack(); err != nil {
			return append(bad, err.Error())
		}
		bad = append(bad, at("gone at "+when, w.complete())...)
	}
	return bad
}

// swept has messages staged that nobody commits: the next process leaves none of it.
func (s *suite) swept() (bad []string) {
	w := s.world()
	ctx := context.Background()
	place := func(st mail.Staged) []mail.Placement {
		return []mail.Placement{{
			Spool: st.Spool, Token: w.messages[0].token, Fingerprint: st.Fingerprint, Folder: w.messages[0].folder,
			Received: st.Received, FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		}}
	}
	open := func() (d interface {
		delivery
		Close() error
	}, staged mail.Staged, err error,
	) {
		w.epoch++
		all, err := w.place.Open(ctx, Process{Epoch: w.epoch, Step: func(string) {}, Call: func() error { return nil }})
		if err != nil {
			return nil, mail.Staged{}, err
		}
		st, err := all.Stage(ctx, w.messages[0].token, strings.NewReader(w.messages[0].body), w.messages[0].received, 1<<20)
		if err == nil {
			ps := place(st)
			err = seal(ctx, all, ps)
			st.Spool = ps[0].Spool
		}
		return all, st, err
	}
	old, first, err := open()
	if err != nil {
		return append(bad, err.Error())
	}
	s.times++
	d, second, err := open()
	if err != nil {
		return append(bad, err.Error())
	}
	fate := func(st mail.Staged, want mail.Fate, when string) {
		fates, err := d.Find(ctx, place(st), false)
		if err != nil || len(fates) != 1 || fates[0] != want {
			bad = append(bad, fmt.Sprintf("%s its fate is %v (%v), want %d", when, fates, err, want))
		}
	}
	kept := mail.Pending
	if _, weaker := w.place.(Weaker); weaker {
		kept = mail.Lost
	}
	fate(first, kept, "before the sweep")
	if err := d.Sweep(ctx, map[string]bool{first.Spool: true}); err != nil {
		bad = append(bad, err.Error())
	}
	fate(first, kept, "when it is kept")
	if err := d.Sweep(ctx, nil); err != nil {
		bad = append(bad, err.Error())
	}
	fate(first, mail.Lost, "swept, and the note behind,")
	fate(second, mail.Pending, "of this epoch, swept,")
	if err := errors.Join(d.Close(), old.Close()); err != nil {
		bad = append(bad, err.Error())
	}
	return append(bad, w.complete()...)
}
