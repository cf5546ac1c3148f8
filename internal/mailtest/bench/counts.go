package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// written is what one pull wrote into its SQLite database.
type written struct {
	Commits int            `json:"commits"`
	Pages   int            `json:"pages"`
	Rows    map[string]int `json:"rows"` // By table: inserted, changed or deleted.
	Total   int            `json:"rows_total"`
}

// watch counts what happens to a database between its call and done's. Rows are
// counted by triggers that it adds, in a table of its own; commits in the
// write-ahead log, which a reader of an old state keeps from being reset: every
// commit since leaves a mark in it. The triggers cost a little, so nothing is
// timed meanwhile.
func watch(ctx context.Context, db string) (done func() (written, error), err error) {
	tables, err := sqlite(ctx, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND "+
		"name NOT LIKE 'bench_%' AND name NOT LIKE 'goose%';")
	if err != nil {
		return nil, err
	}
	var s strings.Builder
	s.WriteString("BEGIN; CREATE TABLE IF NOT EXISTS bench_rows (tab TEXT PRIMARY KEY, n INTEGER NOT NULL); DELETE FROM " +
		"bench_rows;\n")
	for _, t := range strings.Fields(tables) {
		fmt.Fprintf(&s, "INSERT INTO bench_rows VALUES ('%s', 0);\n", t)
		for _, on := range []string{"INSERT", "UPDATE", "DELETE"} {
			fmt.Fprintf(&s, "CREATE TRIGGER IF NOT EXISTS bench_%s_%s AFTER %s ON %s BEGIN UPDATE bench_rows SET n = n + 1 "+
				"WHERE tab = '%s'; END;\n", t, on, on, t, t)
		}
	}
	s.WriteString("COMMIT;\nPRAGMA wal_checkpoint(TRUNCATE);")
	if _, err := sqlite(ctx, db, s.String()); err != nil {
		return nil, err
	}
	release, err := holdReader(ctx, db)
	if err != nil {
		return nil, err
	}
	return func() (written, error) {
		defer release()
		w := written{Rows: map[string]int{}}
		wal, err := os.ReadFile(db + "-wal")
		if err != nil {
			return w, fmt.Errorf("reading the write-ahead log: %w", err)
		}
		if w.Commits, w.Pages, err = commits(wal); err != nil {
			return w, err
		}
		out, err := sqlite(ctx, db, "SELECT tab, n FROM bench_rows WHERE n > 0;")
		for line := range strings.Lines(out) {
			tab, n, _ := strings.Cut(strings.TrimSpace(line), "|")
			k, bad := strconv.Atoi(n)
			if bad != nil {
				return w, fmt.Errorf("reading the count of rows: %w", bad)
			}
			w.Rows[tab] = k
			w.Total += k
		}
		return w, err
	}, nil
}

// commits counts the commits in a write-ahead log that was never reset, and
// the pages written (https://www.sqlite.org/fileformat2.html#walformat).
func commits(wal []byte) (n, pages int, err error) {
	const header, frame = 32, 24
	if len(wal) == 0 {
		return 0, 0, nil
	}
	if len(wal) < header || binary.BigEndian.Uint32(wal)&^1 != 0x377f0682 {
		return 0, 0, fmt.Errorf("a write-ahead log of %d octets, which is none", len(wal))
	}
	size := int(binary.BigEndian.Uint32(wal[8:]))
	salt := wal[16:24]
	for at := header; at+frame+size <= len(wal); at += frame + size {
		if !bytes.Equal(wal[at+8:at+16], salt) {
			break
		}
		pages++
		if binary.BigEndian.Uint32(wal[at+4:]) > 0 {
			n++
		}
	}
	return n, pages, nil
}

// holdReader keeps a reading transaction open until release.
func holdReader(ctx context.Context, db string) (release func(), err error) {
	cmd := exec.CommandContext(ctx, "sqlite3", "-batch", db)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release = func() {
		in.Close()
		cmd.Wait()
	}
	if _, err := fmt.Fprintln(in, "BEGIN; SELECT count(*) FROM bench_rows;"); err != nil {
		release()
		return nil, err
	}
	if _, err := out.Read(make([]byte, 64)); err != nil { // Its answer: the transaction has begun.
		release()
		return nil, err
	}
	return release, nil
}

func sqlite(ctx context.Context, db, script string) (string, error) {
	return quietly(ctx, ".timeout 10000\n"+script, command{argv: []string{"sqlite3", "-batch", "-bail", db}})
}

// countWrites pulls a mailbox for the first time and again without news, and
// counts what is written each time.
func (b *bench) countWrites(ctx context.Context, user, protocol string) (first, again written, got int, err error) {
	dir := filepath.Join(b.work, "writes-"+user+"-"+protocol)
	p := place{dir: dir, dst: filepath.Join(dir, "dst"), port: b.port(protocol, 0), user: user, tree: true, first: true}
	if err := os.MkdirAll(p.dst, 0o755); err != nil {
		return first, again, 0, err
	}
	c, err := b.mailbrook(protocol)(ctx, p)
	if err != nil {
		return first, again, 0, err
	}
	for _, w := range []*written{&first, &again} {
		done, err := watch(ctx, filepath.Join(p.dst, "mailbrook.db"))
		if err != nil {
			return first, again, 0, err
		}
		log := filepath.Join(dir, "log")
		u, err := run(ctx, c, log, b.limit)
		var counted written
		counted, cerr := done()
		if err != nil || cerr != nil || u.Exit != 0 {
			return first, again, 0, fmt.Errorf("counting writes: %v, %v, exit %d: %s", err, cerr, u.Exit, tail(log))
		}
		*w = counted
	}
	got, _, err = messages(p.dst)
	return first, again, got, err
}
