package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// house is an installation with one account, whose three stores can be put back.
type house struct {
	*site
	dsn   string // PostgreSQL's; "" with SQLite.
	saved string // What is put back.
	id    string // The account's.
}

// newHouse makes an installation on a database, and adds an account that needs
// no server.
func newHouse(t *testing.T, postgres bool) *house {
	t.Helper()
	h := &house{saved: t.TempDir()}
	var further []string
	if postgres {
		h.dsn = mailtest.StartPostgres(t)
		further = append(further, "DATABASE="+h.dsn)
	}
	h.site = newSite(t, nil, further...)
	if postgres {
		h.ok("", "migrate", "up")
	}
	p := h.serve("--roles", "api")
	h.id = p.as(anna).add(remoteAccount("Gmail", "imap", "localhost", 9, "tls", "anna").with(fields{"skip_test": true})).ID
	p.term()
	h.copy(h.data(), h.saved)
	return h
}

func (h *house) copy(from, to string) {
	h.t.Helper()
	if err := os.RemoveAll(to); err != nil {
		h.t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		h.t.Fatal(err)
	}
	h.must(filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600) // CopyFS gives modes that keys may not have.
	}))
}

func (h *house) file() string { return filepath.Join(h.data(), "mailbrook.db") }

// exec changes the database behind the program's back.
func (h *house) exec(statements ...string) {
	h.t.Helper()
	db := h.open()
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			h.t.Fatalf("%s: %v", s, err)
		}
	}
}

// open opens the database beside the program.
func (h *house) open() *sql.DB {
	h.t.Helper()
	driver, dsn := "sqlite", "file:"+h.file()+"?_pragma=busy_timeout(15000)"
	if h.dsn != "" {
		driver, dsn = "pgx", h.dsn
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}

// emptied puts an empty house of the same schema in the database's place.
func (h *house) emptied() {
	h.t.Helper()
	h.exec("ALTER SCHEMA public RENAME TO away", "CREATE SCHEMA public")
	// As from a machine that has neither keys nor mailboxes: beside ours it is refused.
	if r := h.runIn([]string{"MAILBROOK_DATA_DIR=" + h.t.TempDir()}, "", "migrate", "up"); r.status != exitOK {
		h.t.Fatalf("migrate up elsewhere: %d %s", r.status, r.err)
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// loss is something that befalls one of the three stores.
type loss struct {
	name, part string
	do         func(h *house)
	undo       func(h *house) // Nil: the saved files are put back.
	damage     bool           // It can only be put back, not said to be right.
}

// other is another installation.
func other(h *house) *house { return newHouse(h.t, false) }

// losses are those of an installation on SQLite or PostgreSQL.
func losses(postgres bool) []loss {
	all := []loss{
		{name: "foreign keys", part: "keys", do: func(h *house) {
			h.copy(filepath.Join(other(h).data(), "keys"), filepath.Join(h.data(), "keys"))
		}},
		{name: "a foreign sealing key", part: "keys", do: func(h *house) {
			text, err := os.ReadFile(filepath.Join(other(h).data(), "keys", "sealing-000001.key"))
			h.must(err)
			h.must(os.WriteFile(filepath.Join(h.data(), "keys", "sealing-000001.key"), text, 0o600))
		}},
		{name: "a foreign naming key", part: "keys", do: func(h *house) {
			text, err := os.ReadFile(filepath.Join(other(h).data(), "keys", "token.key"))
			h.must(err)
			h.must(os.WriteFile(filepath.Join(h.data(), "keys", "token.key"), text, 0o600))
		}},
		{name: "no keys", part: "keys", do: func(h *house) { h.must(os.RemoveAll(filepath.Join(h.data(), "keys"))) }},
		{name: "mailboxes that are not mounted", part: "mailbox", do: func(h *house) {
			h.must(os.RemoveAll(filepath.Join(h.data(), "mail")))
		}},
		{name: "foreign mailboxes", part: "mailbox", do: func(h *house) {
			h.copy(filepath.Join(other(h).data(), "mail"), filepath.Join(h.data(), "mail"))
		}},
	}
	all = append(all,
		loss{name: "emptied keys", part: "keys", damage: true, do: func(h *house) {
			for _, key := range []string{"sealing-000001.key", "signing.key", "token.key"} {
				h.must(os.Truncate(filepath.Join(h.data(), "keys", key), 0))
			}
		}},
		loss{name: "a cut sealing key", part: "keys", damage: true, do: func(h *house) {
			h.must(os.Truncate(filepath.Join(h.data(), "keys", "sealing-000001.key"), 100))
		}},
		loss{name: "a pipe instead of a key", part: "keys", damage: true, do: func(h *house) {
			h.pipe(filepath.Join(h.data(), "keys", "signing.key"))
		}},
		loss{name: "a pipe instead of the mailboxes' identity", part: "mailbox", damage: true, do: func(h *house) {
			h.pipe(filepath.Join(h.data(), "mail", ".mailbrook-installation"))
		}},
		loss{name: "a huge identity of the mailboxes", part: "mailbox", damage: true, do: func(h *house) {
			h.must(os.Truncate(filepath.Join(h.data(), "mail", ".mailbrook-installation"), 1<<33))
		}},
	)
	if postgres {
		back := func(h *house) { h.exec("DROP SCHEMA public CASCADE", "ALTER SCHEMA away RENAME TO public") }
		return append(all,
			loss{name: "an emptied database", part: "database", do: (*house).emptied, undo: back},
			loss{name: "no accounts", part: "database", do: func(h *house) {
				h.exec("CREATE TABLE away AS SELECT * FROM accounts", "TRUNCATE accounts")
			}, undo: func(h *house) { h.exec("INSERT INTO accounts SELECT * FROM away", "DROP TABLE away") }},
			loss{name: "no tables", part: "database", do: func(h *house) {
				h.exec("ALTER SCHEMA public RENAME TO away", "CREATE SCHEMA public")
			}, undo: back},
			loss{name: "a foreign database", part: "database", do: func(h *house) {
				h.exec("UPDATE meta SET value = '00000000-0000-4000-8000-000000000000' WHERE name = 'instance'",
					"DELETE FROM accounts", "DELETE FROM meta WHERE name = 'accounts'")
			}, undo: func(h *house) {}},
		)
	}
	return append(all,
		loss{name: "a deleted database", part: "database", do: func(h *house) { h.must(os.Remove(h.file())) }},
		loss{name: "a file of no bytes", part: "database", do: func(h *house) { h.must(os.Truncate(h.file(), 0)) }},
		loss{name: "half a file", part: "database", do: func(h *house) {
			info, err := os.Stat(h.file())
			h.must(err)
			h.must(os.Truncate(h.file(), info.Size()/2))
		}},
		loss{name: "an emptied database", part: "database", do: func(h *house) {
			h.exec("DELETE FROM poll_schedule", "DELETE FROM accounts", "DELETE FROM secrets", "DELETE FROM meta")
		}},
		loss{name: "no accounts", part: "database", do: func(h *house) { h.exec("DELETE FROM accounts") }},
		loss{name: "a foreign database", part: "database", do: func(h *house) {
			text, err := os.ReadFile(other(h).file())
			h.must(err)
			h.must(os.WriteFile(h.file()+".new", text, 0o600))
			h.must(os.Rename(h.file()+".new", h.file()))
		}},
		loss{name: "a foreign database in the same file", part: "database", do: func(h *house) {
			h.overwrite(h.file(), other(h).file())
		}},
	)
}

// pipe replaces a file by a pipe.
func (h *house) pipe(path string) {
	h.t.Helper()
	h.must(errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)))
}

// overwrite copies a file over another, as cp does: it stays the same inode.
func (h *house) overwrite(to, from string) {
	h.t.Helper()
	text, err := os.ReadFile(from)
	h.must(err)
	h.must(os.WriteFile(to, text, 0o600))
}

func (l loss) mend(h *house) {
	if l.undo != nil {
		l.undo(h)
		return
	}
	h.copy(h.saved, h.data())
}

// onBothHouses runs a test for every loss on both databases, at a stride in make quick.
func onBothHouses(t *testing.T, run func(t *testing.T, h *house, l loss)) {
	n, by := 0, int(mailtest.Stride(t, 1, 14)) // In make quick keys, a file of SQLite, and tables of PostgreSQL.
	for _, postgres := range []bool{false, true} {
		for _, l := range losses(postgres) {
			if n++; (n-1)%by != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, PostgreSQL %v", l.name, postgres), func(t *testing.T) {
				t.Parallel()
				run(t, newHouse(t, postgres), l)
			})
		}
	}
}

// A database, keys or mailboxes that are missing, empty, cut or another
// installation's are refused at the start, before anything is written to them,
// with the part that is wrong. Put back, the installation works as before.
func TestAPartThatIsNotTheInstallationsIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	onBothHouses(t, func(t *testing.T, h *house, l loss) {
		l.do(h)
		if l.name == "half a file" {
			h.spoils("half of the database is no database")
		}
		if l.part == "database" {
			h.leavesTheSchema()
		}
		r := h.run("", "serve")
		if l.name == "half a file" && !strings.Contains(r.err, ".recover") {
			t.Errorf("serve says %q, want what to do", r.err)
		}
		if r.status == exitOK || r.status < 0 || !strings.Contains(r.err, l.part) && !strings.Contains(r.err, "data_dir") &&
			!strings.Contains(r.err, "malformed") {
			t.Errorf("serve ends with status %d and says %q, want a refusal that names the %s", r.status, r.err, l.part)
		}
		// Newcomer N17: keys that cannot be used are shown as that; other losses are the control.
		if r := h.run("", "installation"); strings.Contains(r.out, "DAMAGED") != (l.damage && l.part == "keys") ||
			l.damage && r.status == exitOK {
			t.Errorf("installation ends with status %d and says %q %q", r.status, r.out, r.err)
		}
		// What serve refuses, doctor finds, with serve's advice.
		if d := h.run("", "doctor", "--json"); d.status != exitFailed || !strings.Contains(d.out, `"FAIL"`) ||
			strings.Contains(d.out, "belong together") || !strings.Contains(d.out, advised(t, r.err)) ||
			advised(t, r.err) == "" && !l.damage {
			t.Errorf("doctor ends with status %d and says %s, serve says %s", d.status, d.out, r.err)
		}
		if l.name == "a foreign database" && h.dsn != "" {
			h.exec("UPDATE meta SET value = '" + h.identity() + "' WHERE name = 'instance'")
			h.goesOn(0)
			return
		}
		l.mend(h)
		h.spoiled = ""
		h.goesOn(1)
	})
}

// leavesTheSchema shows that "migrate" changes nothing in a database that is not the
// installation's. The control is "installation adopt", see
// TestAPartIsAdoptedDeliberately.
func (h *house) leavesTheSchema() {
	h.t.Helper()
	tables := func() (names []string) {
		if h.dsn == "" {
			text, err := os.ReadFile(h.file())
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.t.Fatal(err)
			}
			return []string{string(text)}
		}
		db := h.open()
		defer db.Close()
		rows, err := db.Query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
		h.must(err)
		defer rows.Close()
		for rows.Next() {
			var name string
			h.must(rows.Scan(&name))
			names = append(names, name)
		}
		h.must(rows.Err())
		return names
	}
	before := tables()
	for _, command := range []string{"migrate status", "migrate up", "migrate down --yes", "installation"} {
		r := h.run("", strings.Fields(command)...)
		if r.status < 0 || r.status == exitOK && command != "migrate status" {
			h.t.Errorf("%s: status %d, %s%s", command, r.status, r.out, r.err)
		}
		if now := tables(); !slices.Equal(now, before) {
			h.t.Errorf("%s changed the database", command)
		}
	}
}

// advised is what serve says to do about a part, as JSON has it.
func advised(t *testing.T, said string) string {
	t.Helper()
	_, do, _ := strings.Cut(said, nothingBegun)
	if strings.Contains(said, findKeys) {
		do = findKeys
	}
	do, _, _ = strings.Cut(strings.TrimSpace(do), "\n")
	text, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(text), `"`)
}

// identity returns the identity of the saved keys.
func (h *house) identity() string {
	text, err := os.ReadFile(filepath.Join(h.saved, "keys", "installation"))
	h.must(err)
	return strings.TrimSpace(string(text))
}

// goesOn starts the installation and looks for its accounts.
func (h *house) goesOn(accounts int) {
	h.t.Helper()
	p := h.serve("--roles", "api")
	if got := p.as(anna).accounts(); len(got) != accounts {
		h.t.Errorf("put back, the installation has %d accounts, want %d", len(got), accounts)
	}
	p.term()
}

// The same while it runs: within seconds readiness names the part, calls are
// answered 503 with Retry-After, and at no moment is anybody told that there are
// no accounts.
func TestAPartThatIsLostWhileRunningIsNoticed(t *testing.T) {
	t.Parallel()
	onBothHouses(t, func(t *testing.T, h *house, l loss) {
		p := h.serve("--roles", "api,poller")
		u := p.as(anna)
		if got := u.accounts(); len(got) != 1 {
			t.Fatalf("there are %d accounts before anything happened", len(got))
		}
		l.do(h)
		eventually(t, soon, func() (bool, string) {
			r := u.do("GET", "/v1/accounts", nil)
			one := u.do("GET", "/v1/accounts/"+h.id, nil)
			if r.status == http.StatusOK && !strings.Contains(string(r.body), h.id) || one.status == http.StatusNotFound {
				t.Fatalf("an empty house is served: %d %s, %d", r.status, r.body, one.status)
			}
			ready := p.plain("GET", "/readyz")
			noticed := ready.status == http.StatusServiceUnavailable && strings.Contains(string(ready.body), `"field":"`+l.part+
				`"`)
			held := r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "" &&
				strings.Contains(p.log(), "do not belong together any more")
			return noticed && held, fmt.Sprintf("readiness answers %d %s, the list %d %s", ready.status, ready.body, r.status,
				r.body)
		})
		if r := u.do("POST", "/v1/accounts/"+h.id+"/fetch", nil); r.status != http.StatusServiceUnavailable {
			t.Errorf("a visit is asked for and answered %d", r.status)
		}
		if r := p.plain("GET", "/healthz"); r.status != http.StatusOK {
			t.Errorf("the process is alive and says %d", r.status)
		}
		p.kill()
		if l.name == "a foreign database" && h.dsn != "" {
			h.exec("UPDATE meta SET value = '" + h.identity() + "' WHERE name = 'instance'")
			return
		}
		l.mend(h)
		h.goesOn(1)
	})
}

// Pages that are lost under a running process are noticed by what SQLite says of
// them, though the file is as long as before and nobody asks for readiness: nothing
// is answered, delivered or written any more, and the next start refuses the file.
// The control is the file as it was, which continues to work.
func TestLostPagesAreNoticedWhileRunningAndAtTheStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	p := h.serve("--roles", "api,poller")
	u := p.as(anna)
	info, err := os.Stat(h.file())
	h.must(err)
	const page = 4096
	h.must(errors.Join(os.Truncate(h.file(), page), os.Truncate(h.file(), info.Size())))
	eventually(t, soon, func() (bool, string) {
		// Who writes makes the others read again.
		w := u.do("PATCH", "/v1/accounts/"+h.id, fields{"name": "Ostatnia"})
		r := u.do("GET", "/v1/accounts", nil)
		if r.status == http.StatusOK && !strings.Contains(string(r.body), h.id) {
			t.Fatalf("an empty house is served: %s", r.body)
		}
		said := p.log()
		return w.status == http.StatusServiceUnavailable && r.status == http.StatusServiceUnavailable &&
				strings.Contains(said, `"msg":"the database is damaged`) &&
				strings.Contains(said, "do not belong together any more"),
			fmt.Sprintf("a change is answered %d, the list %d %s", w.status, r.status, r.body)
	})
	eventually(t, soon, func() (bool, string) { // What it said is repeated for two seconds.
		r := p.plain("GET", "/readyz")
		return r.status == http.StatusServiceUnavailable && strings.Contains(string(r.body), `"field":"database"`),
			fmt.Sprintf("readiness answers %d %s", r.status, r.body)
	})
	p.kill()
	h.spoils("most of the database is lost")
	if r := h.run("", "serve"); r.status != exitFailed || !strings.Contains(r.err, ".recover") ||
		!strings.Contains(r.err, "damaged") {
		t.Errorf("serve ends with status %d and says %q, want what to do", r.status, r.err)
	}
	h.copy(h.saved, h.data())
	h.spoiled = ""
	h.goesOn(1)
}

// Looks at the file leave SQLite its locks on it: another process that opens the
// database would else take itself for the only one. The control is the process ended.
func TestLooksAtTheFileLeaveItsLocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	alone := func() string {
		db := h.open()
		defer db.Close()
		db.SetMaxOpenConns(1)
		mode := ""
		if _, err := db.Exec("PRAGMA busy_timeout = 0"); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
			return err.Error()
		}
		return mode
	}
	p := h.serve("--roles", "api")
	if r := p.plain("GET", "/readyz"); r.status != http.StatusOK { // It has looked.
		t.Fatalf("readiness says %d %s", r.status, r.body)
	}
	if got := alone(); got == "delete" {
		t.Error("while a process uses the database another takes it out of WAL mode")
	}
	h.hasName(p, p.as(anna).accounts()[0].Name)
	p.term()
	if got := alone(); got != "delete" {
		t.Errorf("with nobody there the database cannot be had alone: %s", got)
	}
}

// rename gives the account another name, the last thing that is committed.
func (h *house) rename(p *process, name string) {
	h.t.Helper()
	must[accountAnswer](p.as(anna), http.StatusOK, "PATCH", "/v1/accounts/"+h.id, fields{"name": name})
}

// hasName requires that the account has the name that it was given last.
func (h *house) hasName(p *process, name string) {
	h.t.Helper()
	if got := p.as(anna).accounts(); len(got) != 1 || got[0].Name != name {
		h.t.Errorf("what was committed is lost: %+v, want an account %q", got, name)
	}
}

// A process that was killed leaves a write-ahead log. Another file beside it is
// refused before the two are mixed; the file that was there continues with all
// that was committed.
func TestAFileBesideTheLogOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]func(h *house) []byte{
		"another installation's": func(h *house) []byte {
			text, err := os.ReadFile(other(h).file())
			h.must(err)
			return text
		},
		"an empty one": func(*house) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, false)
			p := h.serve("--roles", "api")
			h.rename(p, "Ostatnia")
			p.kill()
			ours, err := os.ReadFile(h.file())
			h.must(err)
			log, err := os.ReadFile(h.file() + "-wal")
			h.must(err)
			if len(log) == 0 {
				t.Fatal("the process that was killed left no log, so this shows nothing")
			}
			theirs := foreign(h)
			h.must(os.WriteFile(h.file(), theirs, 0o600))
			for _, args := range [][]string{{"serve"}, {"migrate", "up"}, {"installation", "adopt", "database"}} {
				if r := h.run("", args...); r.status == exitOK || r.status < 0 || !strings.Contains(r.err, "-wal") {
					t.Errorf("%v ends with %d and says %q, want what to do with the log", args, r.status, r.err)
				}
			}
			if now, err := os.ReadFile(h.file()); err != nil || string(now) != string(theirs) {
				t.Errorf("the file was changed before it was refused (%v)", err)
			}
			if now, err := os.ReadFile(h.file() + "-wal"); err != nil || string(now) != string(log) {
				t.Errorf("the log was changed before the file was refused (%v)", err)
			}
			h.must(os.WriteFile(h.file(), ours, 0o600))
			p = h.serve("--roles", "api")
			h.hasName(p, "Ostatnia")
			p.term()
		})
	}
}

// A SQLite file that is lost is made by no command, whether its log is still there or
// not, and all of them say that it is lost. The control is the one that says it is to
// be a new one.
func TestALostFileIsMadeByNoCommand(t *testing.T) {
	t.Parallel()
	for _, logged := range []bool{false, true} {
		t.Run(fmt.Sprintf("its log is there: %v", logged), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, false)
			p := h.serve("--roles", "api")
			h.rename(p, "Ostatnia")
			p.kill()
			h.must(os.Rename(h.file(), filepath.Join(h.saved, "lost")))
			h.must(os.Remove(h.file() + "-shm"))
			if !logged {
				h.must(os.Remove(h.file() + "-wal"))
			}
			left := h.beside()
			for _, command := range []string{
				"installation", "installation adopt keys", "installation adopt mailboxes", "migrate status",
				"migrate down --yes", "migrate up", "account list", "account show " + h.id, "account delete " + h.id, "check",
				"doctor", "pull", "link --user " + anna, "sessions end --all", "user delete " + anna, "serve",
			} {
				status, shown := h.showing(400, nil, strings.Fields(command)...)
				if status == exitOK || status < 0 || !strings.Contains(shown, "there is none") &&
					!strings.Contains(shown, "no such file") {
					t.Errorf("%s: status %d, %s", command, status, shown)
				}
				if now := h.beside(); !slices.Equal(now, left) {
					t.Fatalf("%s: there are %v, there were %v", command, now, left)
				}
			}
			if logged {
				h.must(os.Remove(h.file() + "-wal"))
			}
			h.ok("", "installation", "adopt", "database")
			h.goesOn(0)
		})
	}
}

// beside returns the database's file and those beside it that have its name.
func (h *house) beside() []string {
	h.t.Helper()
	names, err := filepath.Glob(h.file() + "*")
	h.must(err)
	return names
}

// A write-ahead log that is deleted under a process is noticed, and what was
// committed is saved when the process is ended.
func TestALogThatIsDeletedWhileItIsOpenIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	p := h.serve("--roles", "api")
	h.rename(p, "Ostatnia")
	h.must(os.Remove(h.file() + "-wal"))
	u := p.as(anna)
	eventually(t, soon, func() (bool, string) {
		r := u.do("GET", "/v1/accounts", nil)
		return r.status == http.StatusServiceUnavailable && strings.Contains(p.log(), "-wal was deleted"),
			fmt.Sprintf("the list is answered %d %s, and the log may not say why", r.status, r.body)
	})
	p.term()
	p = h.serve("--roles", "api")
	h.hasName(p, "Ostatnia")
	p.term()
}

// Accounts are in the database's file and not only in its log, which somebody may take for
// a leftover of a process that was killed.
func TestAccountsOutliveALogThatWasThrownAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	p := h.serve("--roles", "api")
	h.rename(p, "Ostatnia")
	p.kill()
	h.must(os.Remove(h.file() + "-wal"))
	h.must(os.Remove(h.file() + "-shm"))
	p = h.serve("--roles", "api")
	h.hasName(p, "Ostatnia")
	p.term()
}

// Keys that were made for a token before the first start are not taken for those
// of an installation whose database is gone, also beside mailboxes that were
// there before. The control: keys that were used.
func TestATokenBeforeTheFirstStartMakesNoInstallation(t *testing.T) {
	t.Parallel()
	h := &house{site: newSite(t, nil)}
	h.must(os.MkdirAll(filepath.Join(h.mail(anna), "cur"), 0o700))
	// What a version did that made keys for a token.
	other := newSite(t, nil)
	other.ok("", "init")
	h.must(os.Rename(filepath.Join(other.data(), "keys"), filepath.Join(h.data(), "keys")))
	h.must(os.WriteFile(filepath.Join(h.data(), "keys", "installation"), []byte("none\n"), 0o600))
	h.must(os.RemoveAll(other.data()))
	p := h.serve("--roles", "api")
	if got := p.as(anna).accounts(); len(got) != 0 {
		t.Errorf("a new house has accounts: %+v", got)
	}
	p.term()
	h.must(os.Rename(h.file(), h.file()+".away"))
	if r := h.run("", "serve"); r.status == exitOK || !strings.Contains(r.err, partDatabase) {
		t.Errorf("without its database, serve ends with %d and says %q", r.status, r.err)
	}
	h.must(os.Rename(h.file()+".away", h.file()))
}

// Nothing is delivered while the database is another one, and what was sent
// meanwhile comes once it is back, without a restart.
func TestNothingIsDeliveredWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	for _, postgres := range []bool{false, true} {
		t.Run(fmt.Sprintf("PostgreSQL %v", postgres), func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
			oracle := mailtest.Fill(t, d, "anna", mailtest.Corpus(31, 10, false))
			h := &house{}
			further := []string{"POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s"}
			if postgres {
				h.dsn = mailtest.StartPostgres(t)
				further = append(further, "DATABASE="+h.dsn)
			}
			h.site = newSite(t, ca, further...)
			if postgres {
				h.ok("", "migrate", "up")
			}
			p := h.serve()
			u := p.as(anna)
			acc := u.add(remoteAccount("Drzewo", "imap", d.Host, d.IMAPS, "tls", "anna"))
			u.reaches(acc.ID, "ok")
			away := h.file() + ".away"
			if postgres {
				h.emptied()
			} else {
				h.must(os.Rename(h.file(), away))
			}
			eventually(t, soon, func() (bool, string) {
				return strings.Contains(p.log(), "do not belong together any more"), "nobody noticed"
			})
			eventually(t, soon, func() (bool, string) {
				return strings.Contains(p.log(), `"msg":"claiming due accounts"`), "the poller continues to claim"
			})
			before := len(mailtest.ReadMaildir(t, h.mail(anna)))
			oracle = append(oracle, mailtest.Fill(t, d, "anna", mailtest.Corpus(32, 5, false))...)
			said := strings.Count(p.log(), `"msg":"claiming due accounts"`)
			eventually(t, soon, func() (bool, string) { // Several polls that were due are not made.
				return strings.Count(p.log(), `"msg":"claiming due accounts"`) >= said+3, "no claim was refused"
			})
			if now := len(mailtest.ReadMaildir(t, h.mail(anna))); now != before {
				t.Errorf("%d messages were delivered without their database", now-before)
			}
			if postgres {
				h.exec("DROP SCHEMA public CASCADE", "ALTER SCHEMA away RENAME TO public")
			} else {
				h.must(os.Rename(away, h.file()))
			}
			eventually(t, soon, func() (bool, string) {
				n := len(mailtest.ReadMaildir(t, h.mail(anna)))
				return n == len(oracle), fmt.Sprintf("%d of %d messages are there", n, len(oracle))
			})
			mailtest.CompareDelivered(t, oracle, mailtest.ReadMaildir(t, h.mail(anna)), "Drzewo")
			if r := p.plain("GET", "/readyz"); r.status != http.StatusOK {
				t.Errorf("put back, readiness says %d %s", r.status, r.body)
			}
			p.term()
		})
	}
}

// An installation of a version that marked nothing is marked at its first start,
// when its keys open its passwords; with keys that do not it is refused.
func TestAnInstallationWithoutMarksIsMarkedOnce(t *testing.T) {
	t.Parallel()
	for _, postgres := range []bool{false, true} {
		t.Run(fmt.Sprintf("PostgreSQL %v", postgres), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, postgres)
			unmark := func() {
				h.exec("DELETE FROM meta WHERE name <> 'instance'")
				h.must(os.RemoveAll(filepath.Join(h.data(), "keys", "installation")))
				h.must(os.RemoveAll(filepath.Join(h.data(), "mail", ".mailbrook-installation")))
			}
			unmark()
			h.copy(filepath.Join(other(h).data(), "keys"), filepath.Join(h.data(), "keys"))
			h.must(os.Remove(filepath.Join(h.data(), "keys", "installation")))
			if r := h.run("", "serve"); r.status != exitFailed || !strings.Contains(r.err, "keys") {
				t.Errorf("with foreign keys serve ends with %d: %s", r.status, r.err)
			}
			h.copy(filepath.Join(h.saved, "keys"), filepath.Join(h.data(), "keys"))
			h.must(os.RemoveAll(filepath.Join(h.data(), "keys", "installation")))
			h.goesOn(1)
			status := h.ok("", "installation")
			if n := strings.Count(status, h.identity()); n != 3 {
				t.Errorf("of the three parts %d have the identity:\n%s", n, status)
			}
		})
	}
}

// What is right although it has another identity is said to be by one command
// for each part, and by nothing else.
func TestAPartIsAdoptedDeliberately(t *testing.T) {
	t.Parallel()
	for _, postgres := range []bool{false, true} {
		for part, word := range map[string]string{"database": "database", "keys": "keys", "mailbox": "mailboxes"} {
			for _, l := range losses(postgres) {
				if l.part != part || l.damage || l.name == "half a file" || l.name == "an emptied database" && !postgres ||
					l.name == "foreign keys" && postgres {
					continue
				}
				t.Run(fmt.Sprintf("%s, PostgreSQL %v", l.name, postgres), func(t *testing.T) {
					t.Parallel()
					h := newHouse(t, postgres)
					l.do(h)
					if r := h.run("", "serve"); r.status == exitOK {
						t.Fatalf("serve takes it without a word")
					}
					h.ok("", "installation", "adopt", word)
					accounts := 1
					if part == "database" && (postgres || !strings.HasPrefix(l.name, "a foreign database")) {
						accounts = 0 // The foreign one has its own.
					}
					h.goesOn(accounts)
				})
			}
		}
	}
}

// With an address for operators, readiness and metrics are answered there and
// nowhere else; whether the process lives is answered on both.
func TestReadinessAndMetricsHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, roles := range []string{"api,poller", "api", "poller"} {
		t.Run(roles, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, "LISTEN_OPS=127.0.0.1:0")
			p := s.start("serve", "--roles", roles)
			var public, ops string
			p.await(func(said string) bool {
				public, ops = listenersIn(said)
				return ops != ""
			})
			for _, c := range []struct {
				at, path string
				status   int
			}{
				{public, "/healthz", 200},
				{ops, "/healthz", 200},
				{ops, "/readyz", 200},
				{ops, "/metrics", 200},
				{public, "/readyz", 404},
				{public, "/metrics", 404},
				{ops, "/v1/accounts", 404},
				{ops, "/", 404},
			} {
				p.addr = c.at
				r := p.plain("GET", c.path)
				if r.status != c.status {
					t.Errorf("%s at %s answers %d, want %d", c.path, map[string]string{
						public: "the public address",
						ops:    "the operators'",
					}[c.at], r.status, c.status)
				}
				if c.path == "/metrics" && c.status == 200 {
					for _, want := range []string{
						"go_goroutines ", "go_memstats_heap_alloc_bytes ", "process_open_fds ",
						"process_resident_memory_bytes ", "mailbrook_refused_commands_total 0",
					} {
						if !strings.Contains(string(r.body), "\n"+want) {
							t.Errorf("the metrics have no %s", want)
						}
					}
				}
			}
			p.term()
		})
	}
}

// listenersIn reads the addresses from the log.
func listenersIn(said string) (public, ops string) {
	for line := range strings.SplitSeq(said, "\n") {
		if _, rest, ok := strings.Cut(line, `"msg":"serving","listen":"`); ok {
			public, rest, _ = strings.Cut(rest, `"`)
			if _, rest, ok = strings.Cut(rest, `"listen_ops":"`); ok {
				ops, _, _ = strings.Cut(rest, `"`)
			}
			return (&url.URL{Scheme: "http", Host: public}).String(), (&url.URL{Scheme: "http", Host: ops}).String()
		}
	}
	return "", ""
}

// A damaged page of the embedded database is found by `check`, which says nothing
// of it before; of PostgreSQL's indexes it says that they were not looked at where
// they cannot be.
func TestCheckLooksThroughTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	if out := h.ok("", "check"); !strings.Contains(out, "The database is consistent in itself.") {
		t.Errorf("check of a good database says %q", out)
	}
	// A page that nobody reads who only opens the database.
	db, number := h.open(), int64(0)
	h.must(db.QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'").Scan(&number))
	h.must(db.Close())
	f, err := os.OpenFile(h.file(), os.O_RDWR, 0)
	h.must(err)
	const page = 4096
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", page)), (number-1)*page)
	h.must(err)
	h.must(f.Close())
	r := h.run("", "check")
	if r.status != exitFailed || !strings.Contains(r.out, "NOT CONSISTENT") ||
		!strings.Contains(r.out, "WRONG  database") {
		t.Errorf("check of a damaged database ends with %d and says %q %q", r.status, r.out, r.err)
	}
	if r := h.run("", "check", "--json"); r.status != exitFailed || strings.Contains(r.out, "database") ||
		!strings.Contains(r.err, "WRONG  database") {
		t.Errorf("with --json it ends with %d and says %q %q", r.status, r.out, r.err)
	}
	h.copy(h.saved, h.data())
	p := newHouse(t, true)
	if out := p.ok("", "check"); !strings.Contains(out, "amcheck") {
		t.Errorf("check of PostgreSQL without amcheck says %q", out)
	}
	p.exec("CREATE EXTENSION amcheck")
	if out := p.ok("", "check"); !strings.Contains(out, "The database is consistent in itself.") {
		t.Errorf("check of PostgreSQL with amcheck says %q", out)
	}
}

// TestProcessesThatStartAnInstallationTogetherAllServe: whoever comes second finds
// the parts half made, and is not turned away.
func TestProcessesThatStartAnInstallationTogetherAllServe(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var started []*process
	for range 4 {
		started = append(started, s.start("serve"))
	}
	for _, p := range started {
		p.awaitServing()
	}
}
