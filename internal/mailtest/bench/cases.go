package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// benchCase is one kind of pull at one distance.
type benchCase struct {
	kind  string
	ms    int // Round trip added.
	user  string
	title string
	tree  bool // All folders.
	first bool // Into an empty mailbox; else what is there already stays.
	fresh int  // Messages that come just before.
}

var kinds = map[string]benchCase{
	"A": {user: "big", first: true, title: "first pull, %d messages in the inbox, %d MB"},
	"S": {user: "small", first: true, title: "first pull, %d messages, %d MB"},
	"B": {user: "tree", first: true, tree: true, title: "first pull, tree of 20 folders, %d messages, %d MB"},
	"C": {user: "big", title: "no news, inbox of %d messages, cold connection (mailbox of %d MB)"},
	"T": {user: "tree", tree: true, title: "no news, tree of 20 folders, %d messages, cold connection (mailbox of %d MB)"},
	"D": {user: "big", fresh: 10, title: "10 new messages, inbox of %d messages, cold connection (mailbox of %d MB)"},
	"G": {user: "huge", first: true, title: "first pull, %d message of %d MB"},
	"H": {user: "large", first: true, title: "first pull, %d message of %d MB"},
	"W": {user: "big", first: true, title: "what mailbrook writes into its database, %d messages, %d MB"},
}

func parseCases(list string) (cs []benchCase, err error) {
	for name := range strings.SplitSeq(list, ",") {
		c, ok := kinds[name[:min(1, len(name))]]
		if !ok {
			return nil, fmt.Errorf("no case %q", name)
		}
		c.kind = name[:1]
		if c.ms, err = strconv.Atoi(name[1:]); err != nil || c.ms < 0 {
			return nil, fmt.Errorf("case %q: the letter is followed by milliseconds", name)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

func (c benchCase) name() string { return fmt.Sprintf("%s%d", c.kind, c.ms) }

// result is one run of one peer.
type result struct {
	Peer  string `json:"peer"`
	Case  string `json:"case"`
	Round int    `json:"round"`
	used
	Got    int      `json:"messages"`
	Octets int64    `json:"octets"` // Of those messages.
	Wire   *traffic `json:"wire,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// all runs the cases and prints the report as it grows.
func (b *bench) all(ctx context.Context, cases []benchCase, peers []peer) error {
	b.heading(ctx, peers)
	peers = slices.DeleteFunc(slices.Clone(peers), func(p peer) bool {
		_, err := exec.LookPath(p.program)
		return p.program != "" && err != nil
	})
	for _, c := range cases {
		if c.kind == "W" {
			if err := b.writes(ctx); err != nil {
				return err
			}
			continue
		}
		results, err := b.inTurns(ctx, c, peers)
		if err != nil {
			return err
		}
		b.table(c, results)
	}
	return nil
}

// inTurns measures one case in all its rounds, each beginning with another peer.
func (b *bench) inTurns(ctx context.Context, c benchCase, peers []peer) ([]result, error) {
	if err := b.proxy(c.ms); err != nil {
		return nil, err
	}
	peers = slices.DeleteFunc(slices.Clone(peers), func(p peer) bool { return !strings.Contains(p.cases, c.kind) })
	if c.kind == "D" || c.kind == "C" || c.kind == "T" {
		for _, p := range peers {
			if err := b.ready(ctx, c, p); err != nil {
				return nil, err
			}
		}
	}
	var results []result
	for round := range b.rounds {
		if err := b.arrive(ctx, c, round); err != nil {
			return nil, err
		}
		for i := range peers {
			p := peers[(i+round)%len(peers)]
			if p.serial && c.first && round >= b.serialRounds {
				continue
			}
			r, err := b.one(ctx, c, p, round)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", c.name(), p.name, err)
			}
			fmt.Fprintf(os.Stderr, "%-4s %-15s round %d  %8.3f s  cpu %6.2f s  %6.1f MB  got %d %s\n", r.Case, r.Peer, round,
				r.Wall, r.CPU, r.Peak, r.Got, r.Note)
			if err := b.record(r); err != nil {
				return nil, err
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// account is the mailbox that a peer reads in a case.
func (c benchCase) account(p peer) string {
	if p.marks {
		return c.user + "-marks"
	}
	return c.user
}

func (b *bench) place(c benchCase, p peer) place {
	dir := filepath.Join(b.work, c.user+"-"+p.name)
	return place{
		dir: dir, dst: filepath.Join(dir, "dst"), user: c.account(p), owner: benchUser, tree: c.tree,
		port: b.port(p.protocol, c.ms), first: c.first,
	}
}

// ready makes sure that a peer has pulled a mailbox before, by a run that is
// not measured where no case did so.
func (b *bench) ready(ctx context.Context, c benchCase, p peer) error {
	at := b.place(c, p)
	if n, _, err := messages(at.dst); err != nil || n > 0 {
		return err
	}
	c.first, c.ms, c.fresh = true, 0, 0
	r, err := b.one(ctx, c, p, 0)
	if err == nil && (r.Exit > 1 || r.Got == 0) {
		err = fmt.Errorf("its first pull got %d messages (exit %d): %s", r.Got, r.Exit, r.Note)
	}
	return err
}

// arrive lets new mail arrive where the case wants some.
func (b *bench) arrive(_ context.Context, c benchCase, round int) error {
	if c.fresh == 0 {
		return nil
	}
	for _, user := range []string{c.user, c.user + "-marks"} {
		l := newLetters(uint64(1000+round)+uint64(time.Now().UnixNano())<<16, 0.5)
		for range c.fresh {
			m := l.next("INBOX", 0)
			m.Date, m.Flags = time.Now().Truncate(time.Second), ""
			if err := mailtest.WriteMaildir(b.dovecot.Store(user), []mailtest.Message{m}); err != nil {
				return err
			}
		}
		b.dovecot.Own(filepath.Join(b.dovecot.Store(user), "new"))
		b.warm(user)
	}
	return nil
}

// putAside makes room for a first pull. What was pulled before is removed at the
// very end: ext4 does not use again what was freed a minute ago, and looks for
// other room so laboriously that it would be measured.
func (b *bench) putAside(dir string) error {
	b.aside++
	err := os.Rename(dir, filepath.Join(b.work, fmt.Sprintf("aside-%d", b.aside)))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// one measures one peer once.
func (b *bench) one(ctx context.Context, c benchCase, p peer, round int) (result, error) {
	at := b.place(c, p)
	far := proxyKey(p.protocol, c.ms)
	if b.target != nil {
		b.into(&at, c.ms)
		far = targetKey(c.ms) // Round trips are counted where mail goes to.
	}
	r := result{Peer: p.name, Case: c.name(), Round: round}
	if c.first {
		if err := b.putAside(at.dir); err != nil {
			return r, err
		}
		if err := os.MkdirAll(at.dir, 0o755); err != nil {
			return r, err
		}
	}
	before, octetsBefore, err := messages(at.dst)
	if err != nil {
		return r, err
	}
	cmd, err := p.prepare(ctx, at)
	if err != nil {
		return r, err
	}
	if _, err := quietly(ctx, "", command{argv: []string{"sync"}}); err != nil { // Nobody pays for another's writes.
		return r, err
	}
	d := b.far[far]
	if d != nil {
		d.take()
	}
	log := filepath.Join(b.work, "log")
	if r.used, err = run(ctx, cmd, log, b.limit); err != nil {
		return r, err
	}
	if d != nil {
		t := d.take()
		r.Wire = &t
	}
	if r.Got, r.Octets, err = messages(at.dst); err != nil {
		return r, err
	}
	r.Got -= before
	r.Octets -= octetsBefore
	switch said := tail(log); {
	case r.TimeOut:
		r.Note = "stopped: its time was up"
	case r.Exit != 0 && !(p.program == "fetchmail" && r.Exit == 1 && !c.first): // Its way to say that there is no news.
		r.Note = fmt.Sprintf("exit %d: %s", r.Exit, strings.Join(strings.Fields(said[max(0, len(said)-200):]), " "))
	}
	return r, nil
}
