package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// misrule does one harm after the other until the time is over.
func (w *world) misrule(ctx context.Context) error {
	for _, s := range w.sites {
		for range 2 {
			if _, err := s.serve(ctx); err != nil {
				return err
			}
		}
	}
	w.watch = startWatch(w.users)
	w.Cleanup(w.watch.stop)
	if w.monsters {
		guessing, stop := context.WithCancel(ctx)
		var guessers sync.WaitGroup
		defer guessers.Wait()
		defer stop()
		for _, s := range w.sites {
			// One of its own, so that no kill ends a guesser's harm.
			p, err := s.serveOnly(ctx, "api")
			if err != nil {
				return err
			}
			guessers.Go(func() { s.guess(guessing, p) })
		}
	}
	w.harmed = time.Now()
	end := w.harmed.Add(w.time)
	for time.Now().Before(end) {
		if err := w.mend(false); err != nil {
			return err
		}
		if err := w.harm(ctx); err != nil {
			return err
		}
		w.observe()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(20+w.rand.IntN(200)) * time.Millisecond):
		}
	}
	return nil
}

// soon is some time from now.
func (w *world) soon(most time.Duration) time.Time {
	return time.Now().Add(time.Duration(w.rand.Int64N(int64(most))))
}

// harm does one thing, by chance.
func (w *world) harm(ctx context.Context) error {
	s := w.sites[w.rand.IntN(len(w.sites))]
	k := w.rand.IntN(len(s.processes))
	p := s.processes[k]
	a := w.accounts[w.rand.IntN(len(w.accounts))]
	if w.monsters && p.right.IsZero() && time.Now().After(w.nextJump) {
		w.nextJump = w.soon(jumpEvery)
		return w.jumpClock(s, p)
	}
	n := w.rand.IntN(100)
	if !w.kills && n < 12 {
		n = 52 + n // A Dovecot is restarted, or mail arrives instead.
	}
	switch {
	case n < 7:
		w.did("%s: kill process %d", s.name, p.cmd.Process.Pid)
		if err := p.signal(0); err != nil {
			return err
		}
		p.kill()
		s.processes = append(s.processes[:k], s.processes[k+1:]...)
		w.counts.kills++
		_, err := s.serve(ctx)
		return err
	case n < 12 && !p.stopped:
		w.did("%s: stop process %d", s.name, p.cmd.Process.Pid)
		p.stopped, p.resume = true, w.soon(45*time.Second) // Longer than a lease, at times.
		w.counts.stops++
		return p.signal(syscall.SIGSTOP)
	case n < 30:
		w.did("%s: cut all connections", a.email)
		a.proxy.CutAll()
		w.counts.cuts++
	case n < 42:
		after := w.rand.Int64N(1 << (8 + w.rand.IntN(12)))
		w.did("%s: cut later connections after %d octets", a.email, after)
		a.proxy.CutAfter(after)
		a.next = w.soon(4 * time.Second)
		w.counts.cuts++
	case n < 48:
		w.did("%s: stall", a.email)
		a.proxy.StallAfter(w.rand.Int64N(1 << (8 + w.rand.IntN(12))))
		a.next = w.soon(6 * time.Second)
		w.counts.stalls++
	case n < 52:
		w.did("%s: refuse", a.email)
		a.proxy.Refuse()
		a.next = w.soon(3 * time.Second)
		w.counts.refusals++
	case n < 54:
		d := w.dovecots[w.rand.IntN(len(w.dovecots))]
		w.did("restart a Dovecot")
		d.Stop()
		d.Start()
		w.counts.restarts++
	case n < 75:
		w.did("%s: mail arrives", a.email)
		w.arrive(a, 1+w.rand.IntN(12))
		w.arrive(w.bystanders[w.rand.IntN(len(w.bystanders))], 1)
		for _, r := range w.rings {
			r.arrive(w.rand.IntN(len(r.users)), 1)
		}
	default:
		return w.robot(w.users[w.rand.IntN(len(w.users))])
	}
	return nil
}

// mend ends what was to last until now, or everything.
func (w *world) mend(all bool) error {
	now := time.Now()
	for _, a := range w.accounts {
		if all || !a.next.IsZero() && now.After(a.next) {
			a.next = time.Time{}
			a.proxy.Heal()
			a.proxy.CutAll() // What is stalled would wait for its own end.
		}
	}
	for _, s := range w.sites {
		for _, p := range s.processes {
			if !p.right.IsZero() && (all || now.After(p.right)) {
				w.did("%s: the clock of process %d is right again", s.name, p.cmd.Process.Pid)
				p.right = time.Time{}
				if err := p.setClock(0); err != nil {
					return err
				}
			}
			if p.stopped && (all || now.After(p.resume)) {
				w.did("%s: continue process %d", s.name, p.cmd.Process.Pid)
				p.stopped = false
				if err := p.signal(syscall.SIGCONT); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// maildir is the user's mailbox.
func (u *user) maildir() string {
	local, domain, _ := strings.Cut(u.name, "@")
	return u.path(u.site.name, "mail", domain, local)
}

// robot is the user: each message that is seen is moved, deleted or left.
func (w *world) robot(u *user) error {
	w.did("%s: the user tidies up", u.name)
	elsewhere := filepath.Join(u.maildir(), ".Elsewhere")
	err := filepath.WalkDir(u.maildir(), func(path string, e fs.DirEntry, err error) error {
		parent := filepath.Base(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) || err == nil && (e.IsDir() || parent != "new" && parent != "cur") {
			return nil
		}
		if err != nil {
			return err
		}
		switch n := w.rand.IntN(10); {
		case n < 2 && !strings.HasPrefix(path, elsewhere):
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := makeOwned(elsewhere, sub); err != nil {
					return err
				}
			}
			name, _, _ := strings.Cut(filepath.Base(path), ":")
			w.counts.moved++
			return os.Rename(path, filepath.Join(elsewhere, "cur", name+":2,S"))
		case n < 4:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			u.deleted[sha256.Sum256([]byte(strings.ReplaceAll(string(b), "\n", "\r\n")))]++
			w.counts.deleted++
			return os.Remove(path)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Nothing was delivered yet.
	}
	return err
}

// makeOwned makes a folder's directory, owned as the mailbox is.
func makeOwned(folder, sub string) error {
	who := mailtest.MailOwner()
	for _, dir := range []string{folder, filepath.Join(folder, sub)} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if who != nil {
			if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// heal ends all that was wrong, with one process for each installation. Hostile
// servers stay as they are, but for their silences.
func (w *world) heal(ctx context.Context) error {
	w.did("heal")
	for _, a := range w.accounts {
		if a.hostile != nil {
			a.hostile.rest()
		}
	}
	if err := w.mend(true); err != nil {
		return err
	}
	for _, s := range w.sites {
		for _, p := range s.processes {
			if !w.kills {
				if err := p.term(); err != nil {
					w.Errorf("%v", err)
				}
				continue
			}
			p.kill()
			w.counts.kills++
		}
		s.processes = nil
		if _, err := s.serve(ctx); err != nil {
			return err
		}
	}
	w.healed = time.Now()
	return nil
}

// settle waits until everything is delivered, and says what is wrong.
func (w *world) settle(ctx context.Context) []string {
	end := time.Now().Add(w.patience)
	for {
		bad := w.verdict()
		lost := false
		for _, b := range bad {
			lost = lost || strings.HasPrefix(b, "lost")
		}
		if !lost || time.Now().After(end) || ctx.Err() != nil {
			// At rest, nothing comes twice: what is visited once more brings nothing.
			w.request(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			return w.verdict()
		}
		w.request(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// request asks for a visit to every account, and for what was skipped.
func (w *world) request(ctx context.Context) {
	for _, u := range w.users {
		for _, a := range u.accounts {
			var list struct {
				Skipped []struct{ SID, Code, Message string }
			}
			err := u.ask(ctx, u.name, "GET", "/v1/accounts/"+a.id+"/skipped?limit=100", &list)
			for _, k := range list.Skipped {
				w.did("%s: %s was skipped: %s", a.email, k.Message, k.Code)
				err = errors.Join(err, u.ask(ctx, u.name, "POST", "/v1/accounts/"+a.id+"/skipped/"+k.SID+"/retry", nil))
				w.counts.retried++
			}
			if err = errors.Join(err, u.ask(ctx, u.name, "POST", "/v1/accounts/"+a.id+"/fetch", nil)); err != nil {
				w.did("%s: %v", a.email, err)
			}
		}
	}
}

// verdict compares each mailbox, and what its user deleted, with the servers.
func (w *world) verdict() (bad []string) {
	w.counts.lost, w.counts.doubled, w.counts.foreign = 0, 0, 0
	w.watch.look()
	for _, r := range w.rings {
		bad = append(bad, r.verdict()...)
	}
	for _, u := range w.users {
		var accounts []string
		want := map[[32]byte]int{}
		for _, a := range u.accounts {
			accounts = append(accounts, a.email+" by "+a.protocol+" "+a.id)
			for sha, n := range w.wanted(a) {
				want[sha] += n
			}
		}
		got := map[[32]byte]int{}
		for sha, n := range u.deleted {
			got[sha] += n
		}
		if _, err := os.Stat(u.maildir()); err == nil {
			for _, d := range mailtest.ReadMaildir(w.stage, u.maildir()) {
				got[d.SHA]++
			}
		}
		lost, doubled, foreign := 0, 0, 0
		for sha, n := range want {
			lost += max(0, n-got[sha])
			doubled += max(0, got[sha]-n)
		}
		for sha, n := range got {
			if want[sha] == 0 {
				foreign += n
			}
		}
		w.counts.lost += lost
		w.counts.doubled += doubled
		w.counts.foreign += foreign
		for _, path := range w.watch.foreign(u, want) {
			bad = append(bad, fmt.Sprintf("not as it was sent: %s was visible to %s", path, u.name))
		}
		for what, n := range map[string]int{"lost": lost, "doubled": doubled, "not as it was sent": foreign} {
			if n > 0 {
				bad = append(bad, fmt.Sprintf("%s: %d messages of %s on %s (%s)", what, n, u.name, u.site.name, strings.Join(
					accounts, ", ")))
			}
		}
	}
	return bad
}

// standing waits until each account was visited without a fault since all was
// healed; one at a hostile server may have a diagnosis instead. It says where
// that does not come to be.
func (w *world) standing(ctx context.Context) (bad []string) {
	end := time.Now().Add(w.patience)
	for _, u := range w.users {
		for _, a := range u.accounts {
			for {
				well, err := u.stands(ctx, w, a)
				if well {
					break
				}
				if time.Now().After(end) || ctx.Err() != nil {
					bad = append(bad, fmt.Sprintf("%s of %s (%s) is %s %v", a.email, u.name, a.id, a.state, err))
					break
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}
	return bad
}

// stands looks at an account's state, and notes it.
func (u *user) stands(ctx context.Context, w *world, a *account) (well bool, err error) {
	var got struct {
		Status struct {
			State         string
			LastSuccessAt time.Time `json:"last_success_at"`
			LastAttemptAt time.Time `json:"last_attempt_at"`
			Diagnosis     *struct{ Code string }
		}
	}
	if err := u.ask(ctx, u.name, "GET", "/v1/accounts/"+a.id, &got); err != nil {
		return false, err
	}
	s := got.Status
	a.state = s.State
	if s.Diagnosis != nil {
		a.state += ", " + s.Diagnosis.Code
		return a.hostile != nil && s.Diagnosis.Code != "internal" && s.LastAttemptAt.After(w.healed), nil
	}
	return s.LastSuccessAt.After(w.healed), nil
}

// check ends the processes and asks "mailbrook check" about each installation.
func (w *world) check(ctx context.Context) (bad []string) {
	for _, s := range w.sites {
		for _, p := range s.processes {
			if err := p.term(); err != nil {
				bad = append(bad, err.Error())
			}
		}
		s.processes = nil
		for _, u := range mailtest.Check(w.stage, w.mailbrook, s.command(ctx).Env) {
			for _, a := range u.Accounts {
				w.counts.present += a.Present
				w.counts.gone += a.Gone
				w.counts.elsewhere += a.Elsewhere
				w.counts.staged += a.Staged
				w.counts.intended += a.Intended
				w.counts.stray += a.Stray
			}
			for _, f := range u.Findings {
				if f.Wrong {
					w.counts.bad++ // Check has said which.
				}
			}
			if u.Foreign > 0 && !strings.HasPrefix(u.User, "ring") { // Theirs have an inbox of their own.
				bad = append(bad, fmt.Sprintf("check counts %d messages from elsewhere in the mailbox of %s", u.Foreign, u.User))
			}
		}
	}
	return bad
}

// sabotage does to one delivered message what must not happen.
func (w *world) sabotage() error {
	for _, u := range w.users {
		found, err := filepath.Glob(filepath.Join(u.maildir(), ".*", "new", "*"))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		switch w.control {
		case "lose":
			return os.Remove(found[0])
		case "double":
			return os.Link(found[0], filepath.Join(filepath.Dir(found[0]), "1.second"))
		case "alter":
			to := filepath.Join(filepath.Dir(found[0]), "1.altered")
			b, err := os.ReadFile(found[0])
			return errors.Join(err, os.WriteFile(to, append(b, '!'), 0o600), os.Remove(found[0]))
		}
		return fmt.Errorf("-control %s: lose, double or alter", w.control)
	}
	return errors.New("nothing was delivered that could be tampered with")
}
