package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	// bystanders is how many accounts each installation has that nobody harms.
	bystanders = 8
	// calm is how often these are visited.
	calm = 5 * time.Second
)

// attend gives each installation accounts at the Dovecots whose connections
// nobody touches: what the others and the monsters cost them is measured.
func (w *world) attend(ctx context.Context) error {
	for i, s := range w.sites {
		for k := range bystanders {
			protocol, service := "imap", "imaps"
			if k%2 == 1 {
				protocol, service = "pop3", "pop3s"
			}
			d := w.dovecots[k/2%len(w.dovecots)]
			port := d.IMAPS
			if service == "pop3s" {
				port = d.POP3S
			}
			name := fmt.Sprintf("bystander%d", i*bystanders+k)
			a := &account{protocol: protocol, username: name, password: password, email: name + "@dovecot.test", dovecot: d}
			w.arrive(a, 12)
			u := &user{site: s, name: fmt.Sprintf("calm%d@firma.test", k), deleted: map[[32]byte]int{}}
			w.users = append(w.users, u)
			w.bystanders = append(w.bystanders, a)
			if err := u.add(ctx, a, place{"localhost", port, "tls"}, "--poll-interval", calm.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// visit is one line "visited" of a process's log.
type visit struct{ began, ended time.Time }

// visits reads from the logs of an installation's processes when each account
// was visited, by account.
func (s *site) visits() (map[string][]visit, error) {
	logs, err := filepath.Glob(s.path(s.name + "-*.log"))
	if err != nil {
		return nil, err
	}
	all := map[string][]visit{}
	for _, log := range logs {
		said, err := os.ReadFile(log)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(said) {
			var l struct {
				Time         time.Time
				Msg, Account string
				Took         time.Duration
			}
			if json.Unmarshal(line, &l) == nil && l.Msg == "visited" {
				at := s.trueTime(l.Time)
				all[l.Account] = append(all[l.Account], visit{at.Add(-l.Took), at})
			}
		}
	}
	for _, vs := range all {
		slices.SortFunc(vs, func(a, b visit) int { return a.ended.Compare(b.ended) })
	}
	return all, nil
}

// trueTime is when a process wrote a line whose clock may have been set: jumps
// are all of one length, and no soak takes as long.
func (w *world) trueTime(t time.Time) time.Time {
	switch off := t.Sub(w.began); {
	case off > jump/2:
		return t.Add(-jump)
	case off < -jump/2:
		return t.Add(jump)
	}
	return t
}

// lateness is how much longer than their interval bystanders waited for each
// of their visits while things went wrong, in order. A bystander that was not
// visited any more is as late as the harm lasted.
func (w *world) lateness() (all []time.Duration, err error) {
	for _, s := range w.sites {
		visits, err := s.visits()
		if err != nil {
			return nil, err
		}
		for _, u := range w.users {
			for _, a := range u.accounts {
				if u.site != s || !slices.Contains(w.bystanders, a) {
					continue
				}
				last := w.harmed
				for _, v := range append(visits[a.id], visit{began: w.healed, ended: w.healed}) {
					if v.began.After(w.harmed) && !v.began.After(w.healed) {
						// Jitter moves an interval by a tenth.
						all = append(all, max(0, v.began.Sub(last)-calm*11/10))
					}
					last = v.ended
				}
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

// quantile is the value below which the part q of the sorted values lies.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// observe notes the most memory that each process ever had, in octets.
func (w *world) observe() {
	for _, s := range w.sites {
		for _, p := range s.processes {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
			if err != nil {
				continue // It was killed, or this is no Linux.
			}
			_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
			if fields := bytes.Fields(rest); len(fields) > 0 {
				kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
				if err == nil {
					w.counts.memory = max(w.counts.memory, kib<<10)
				}
			}
		}
	}
}
