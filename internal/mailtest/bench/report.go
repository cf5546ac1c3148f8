package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// heading prints what the figures were made on and of.
func (b *bench) heading(ctx context.Context, peers []peer) {
	fmt.Fprintf(b.out, "Made on %s by `%s`.\n\n", time.Now().UTC().Format(time.DateOnly), b.again())
	fmt.Fprintf(b.out, "- machine: %s\n", machine(ctx, b.work))
	fmt.Fprintf(b.out, "- server: Dovecot %s on the same machine; TLS, certificate verified\n", firstWord(ctx, "dovecot",
		"--version"))
	var have, missing []string
	for _, p := range peers {
		switch {
		case p.program == "":
		case func() bool { _, err := exec.LookPath(p.program); return err != nil }():
			missing = append(missing, p.name+" (Debian package "+p.pack+")")
		default:
			if v := p.pack + " " + p.version(ctx); !slices.Contains(have, v) {
				have = append(have, v)
			}
		}
	}
	fmt.Fprintf(b.out, "- programs: %s\n", strings.Join(have, ", "))
	if len(missing) > 0 {
		fmt.Fprintf(b.out, "- MISSING, hence not measured: %s\n", strings.Join(missing, ", "))
	}
	fmt.Fprintln(b.out)
}

// again is the command that repeats this run.
func (b *bench) again() string {
	s := "go run ./internal/mailtest/bench -cases " + b.cases + fmt.Sprintf(" -rounds %d", b.rounds)
	if b.target != nil {
		s += " -destination " + b.destination
	}
	if b.only != "" {
		s += " -only " + b.only
	}
	if b.scale != 1 {
		s += fmt.Sprintf(" -scale %g", b.scale)
	}
	return s
}

func firstWord(ctx context.Context, argv ...string) string {
	out, err := quietly(ctx, "", command{argv: argv})
	if f := strings.Fields(out); err == nil && len(f) > 0 {
		return f[0]
	}
	return "of unknown version"
}

// machine describes this machine in one line.
func machine(ctx context.Context, dir string) string {
	model, memory := "unknown processor", ""
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpu)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	mem, _ := os.ReadFile("/proc/meminfo")
	var kb int64
	if _, err := fmt.Sscanf(string(mem), "MemTotal: %d kB", &kb); err == nil {
		memory = fmt.Sprintf(", %d GB", kb/1e6)
	}
	disk, err := quietly(ctx, "", command{argv: []string{"df", "--output=fstype", dir}})
	if f := strings.Fields(disk); err == nil && len(f) > 1 {
		disk = f[1]
	} else {
		disk = "unknown file system"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s%s, %s, Linux %s, %s; load at the start %s", runtime.NumCPU(), model, memory, disk,
		strings.TrimSpace(string(kernel)), runtime.Version(), strings.Join(strings.Fields(string(load))[:min(1, len(load))],
			""))
}

// table prints one case.
func (b *bench) table(c benchCase, results []result) {
	size := b.mail[c.user]
	where := "server on the same machine, no delay"
	if c.ms > 0 {
		where = fmt.Sprintf("%d ms round trip", c.ms)
	}
	fmt.Fprintf(b.out, "### %s: %s; %s\n\n", c.name(), fmt.Sprintf(c.title, size.messages, size.octets/1e6), where)
	second := "mpop"
	if b.target != nil {
		second = "floor"
	}
	fmt.Fprintln(b.out, "| program | runs | seconds (min–max) | × mbsync | × "+second+" | CPU s | CPU ms/MB | peak MB | "+
		"messages | connections | round trips (waited for) | MB in |")
	fmt.Fprintln(b.out, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	by := map[string][]result{}
	var names []string
	for _, r := range results {
		if by[r.Peer] == nil {
			names = append(names, r.Peer)
		}
		by[r.Peer] = append(by[r.Peer], r)
	}
	wall := func(name string) float64 { return median(by[name], func(r result) float64 { return r.Wall }) }
	slices.SortFunc(names, func(x, y string) int {
		if wall(x) < wall(y) {
			return -1
		}
		return 1
	})
	var notes []string
	for _, name := range names {
		rs := by[name]
		m := func(f func(result) float64) float64 { return median(rs, f) }
		ratio := func(to string) string {
			if len(by[to]) == 0 {
				return ""
			}
			return fmt.Sprintf("%.2f", wall(name)/wall(to))
		}
		perMB, conns, trips, in := "", "", "", ""
		if octets := m(func(r result) float64 { return float64(r.Octets) }); octets > 1e6 {
			perMB = fmt.Sprintf("%.1f", 1000*m(func(r result) float64 { return r.CPU })/(octets/1e6))
		}
		if rs[0].Wire != nil {
			conns = fmt.Sprintf("%.0f", m(func(r result) float64 { return float64(r.Wire.Conns) }))
			trips = fmt.Sprintf("%.0f (%.0f)", m(func(r result) float64 {
				return float64(r.Wire.Depth)
			}), m(func(r result) float64 { return float64(r.Wire.Waited) }))
			in = fmt.Sprintf("%.2f", m(func(r result) float64 { return float64(r.Wire.Down) })/1e6)
		}
		walls := make([]float64, len(rs))
		for i, r := range rs {
			walls[i] = r.Wall
			if r.Note != "" {
				notes = append(notes, fmt.Sprintf("%s, round %d: %s", name, r.Round+1, r.Note))
			}
		}
		fmt.Fprintf(b.out, "| %s | %d | %.3f (%.3f–%.3f) | %s | %s | %.2f | %s | %.0f | %.0f | %s | %s | %s |\n", name,
			len(rs), wall(name), slices.Min(walls), slices.Max(walls),
			ratio("mbsync"), ratio(second), m(func(r result) float64 {
				return r.CPU
			}), perMB, m(func(r result) float64 { return r.Peak }),
			m(func(r result) float64 { return float64(r.Got) }), conns, trips, in)
	}
	fmt.Fprintln(b.out)
	for _, n := range notes {
		fmt.Fprintln(b.out, "- "+n)
	}
	if len(notes) > 0 {
		fmt.Fprintln(b.out)
	}
}

// median of one figure over runs.
func median(rs []result, f func(result) float64) float64 {
	if len(rs) == 0 {
		return 0
	}
	v := make([]float64, len(rs))
	for i, r := range rs {
		v[i] = f(r)
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// writes prints what mailbrook writes into its database.
func (b *bench) writes(ctx context.Context) error {
	fmt.Fprint(b.out, "### W0: what mailbrook writes into its database (SQLite), counted and not timed\n\n")
	if _, err := exec.LookPath("sqlite3"); err != nil {
		fmt.Fprint(b.out, "Not counted: the program sqlite3 is missing (Debian package sqlite3).\n\n")
		return nil
	}
	fmt.Fprintln(b.out, "| mailbox | pull | messages | commits | commits per message | rows | pages | rows by table |")
	fmt.Fprintln(b.out, "|---|---|---|---|---|---|---|---|")
	for _, m := range []struct{ user, protocol, title string }{
		{"big", "imap", "inbox, IMAP"}, {"big", "pop3", "inbox, POP3"}, {"tree", "imap", "20 folders, IMAP"},
	} {
		first, again, got, err := b.countWrites(ctx, m.user, m.protocol)
		if err != nil {
			return err
		}
		line := func(pull string, got int, w written) {
			per := ""
			if got > 0 {
				per = fmt.Sprintf("%.4f", float64(w.Commits)/float64(got))
			}
			var tables []string
			for t, n := range w.Rows {
				tables = append(tables, fmt.Sprintf("%s %d", t, n))
			}
			slices.Sort(tables)
			fmt.Fprintf(b.out, "| %s | %s | %d | %d | %s | %d | %d | %s |\n", m.title, pull, got, w.Commits, per, w.Total,
				w.Pages, strings.Join(tables, ", "))
		}
		line("first", got, first)
		line("no news", 0, again)
	}
	fmt.Fprintln(b.out)
	return nil
}
