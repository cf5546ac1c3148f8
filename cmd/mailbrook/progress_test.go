package main

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

var (
	gmail = account.Account{
		ID: "1", Email: "anna@gmail.test", Protocol: remote.IMAP, Folder: "Gmail",
		Server: remote.Server{Host: "imap.gmail.test"},
	}
	zolta = account.Account{
		ID: "2", Email: "żółta@łódź.test", Protocol: remote.POP3, Folder: "Żółta łódź",
		Server: remote.Server{Host: "pop3.łódź.test"},
	}
)

// clockAt is a clock that the test sets.
type clockAt struct{ at time.Time }

func (c *clockAt) now() time.Time { return c.at }

func newLines(w io.Writer, c *clockAt, as ...account.Account) *progress {
	p := newProgress(terminal{err: w}, as, false)
	p.now = c.now
	return p
}

func TestWithoutATerminalProgressIsPlainLines(t *testing.T) {
	var out bytes.Buffer
	c := &clockAt{time.Unix(0, 0)}
	p := newLines(&out, c, gmail)
	p.start(gmail)
	for s := 1; s <= 12; s++ {
		c.at = c.at.Add(time.Second)
		p.update(gmail.ID, route.Progress{
			Folder: "INBOX", MessagesDone: int64(s * 10), MessagesTotal: 200,
			BytesDone: int64(s) * 1_500_000,
		})
	}
	p.finish(pullResult{Account: gmail, Report: fetch.Report{Messages: 200, Bytes: 30_000_000}, Took: 20 * time.Second})
	p.update(gmail.ID, route.Progress{MessagesDone: 1, MessagesTotal: 1}) // Too late to be said.
	p.wait()
	want := `anna@gmail.test: visiting imap.gmail.test by imap
anna@gmail.test: INBOX 50/200, 7.5 MB, 1.5 MB/s, 0:15 left
anna@gmail.test: INBOX 100/200, 15 MB, 1.5 MB/s, 0:10 left
anna@gmail.test: ok, 200 messages, 30 MB in 20.0 s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestAVisitInPartsIsShownAsOne(t *testing.T) {
	var out bytes.Buffer
	c := &clockAt{time.Unix(0, 0)}
	p := newLines(&out, c, gmail)
	p.start(gmail)
	p.update(gmail.ID, route.Progress{MessagesDone: 100, MessagesTotal: 300, BytesDone: 1000})
	c.at = c.at.Add(lineEvery)
	p.update(gmail.ID, route.Progress{MessagesDone: 0, MessagesTotal: 200, BytesDone: 0})
	if want := "anna@gmail.test: 100/300, 1 kB, 200 B/s, 0:10 left\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("said %q, want %q", out.String(), want)
	}
}

func TestBesideJSONNothingIsShown(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(terminal{err: &out, out: &out}, []account.Account{gmail}, true)
	p.start(gmail)
	p.update(gmail.ID, route.Progress{MessagesDone: 1, MessagesTotal: 2})
	p.finish(pullResult{Account: gmail})
	p.wait()
	if out.Len() != 0 {
		t.Errorf("shown: %q", out.String())
	}
}

// screen is a writer for two goroutines.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func TestBarsEndWithTheResultOfEachAccount(t *testing.T) {
	out := &screen{}
	p := newProgress(terminal{err: io.Discard}, []account.Account{gmail, zolta}, true)
	p.bars = mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh(), mpb.WithWidth(200))
	never := account.Account{ID: "3", Email: "late@gmail.test"}
	var wg sync.WaitGroup
	for _, a := range []account.Account{gmail, zolta, never} {
		wg.Go(func() {
			p.start(a)
			for n := range int64(1000) {
				p.update(a.ID, route.Progress{Folder: "INBOX", MessagesDone: n, MessagesTotal: 1000, BytesDone: n * 1000})
			}
			switch a.ID {
			case gmail.ID:
				p.finish(pullResult{Account: a, Report: fetch.Report{Messages: 1000, Bytes: 1e6}, Took: time.Second})
			case zolta.ID:
				p.finish(pullResult{Account: a, Report: fetch.Report{Err: errors.New("x")}, Diagnosis: &account.Diagnosis{
					Code: fault.AuthFailed,
				}})
			}
		})
	}
	wg.Wait()
	p.wait()
	for _, want := range []string{
		"ok, 1000 messages, 1 MB in 1.0 s", "auth_failed, 0 messages, 0 B in 0.0 s",
		"not finished", "anna@gmail.test",
	} {
		if !strings.Contains(out.buf.String(), want) {
			t.Errorf("the screen does not show %q:\n%s", want, out.buf.String())
		}
	}
}

func TestTablesAreAlignedWhateverTheLetters(t *testing.T) {
	var out bytes.Buffer
	err := printTable(page{w: &out}, []pullResult{
		{Account: gmail, Report: fetch.Report{Messages: 1234, Bytes: 56_789_012}, Took: 12345 * time.Millisecond},
		{Account: zolta, Report: fetch.Report{Err: errors.New("x")}, Took: time.Second, Diagnosis: &account.Diagnosis{
			Code: fault.AuthFailed,
		}},
		{
			Account: account.Account{Email: "w\u0302\u001b[31mz@例え.test", Protocol: remote.IMAP, Folder: "日本"},
			Report:  fetch.Report{Messages: 1, Bytes: 999},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `
account           protocol  folder      messages    bytes  seconds  result
────────────────  ────────  ──────────  ────────  ───────  ───────  ───────────
anna@gmail.test   imap      Gmail           1234  56.8 MB     12.3  ok
żółta@łódź.test   pop3      Żółta łódź         0      0 B      1.0  auth_failed
ŵ[31mz@例え.test  imap      日本               1    999 B      0.0  ok
`
	if diff := cmp.Diff(want[1:], out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestTimesAreReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 59600 * time.Millisecond: "1:00",
		time.Hour + 2*time.Minute + 3*time.Second: "1:02:03",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
}

// Whatever the width, no line is longer, and what tells accounts apart stays. The
// control: without a terminal nothing is cut.
func TestTablesFitTheTerminal(t *testing.T) {
	for columns := range 200 {
		tab := newTable("id", "user", "address", "protocol", "state", "messages").sparing("protocol", "user")
		tab.add("b559e576", "anna@firma.test", "żółta.łódź.bardzo.daleko@dostawca.example.test", "imap",
			"needs_attention (auth_failed)", "12345")
		tab.add("1adb5e18", "jan@firma.test", "日本語の住所@例え.test", "pop3", "ok", "1")
		var out bytes.Buffer
		if err := tab.write(page{w: &out, columns: columns, ascii: columns%2 == 0}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n := runewidth.StringWidth(line); columns >= 20 && n > columns {
				t.Errorf("a line of %d columns on a terminal of %d: %q", n, columns, line)
			}
			if strings.Contains(line, "─") && columns%2 == 0 {
				t.Errorf("lines are drawn in Unicode where ASCII is wanted: %q", line)
			}
		}
		whole := strings.Contains(out.String(), "żółta.łódź.bardzo.daleko@dostawca.example.test")
		if columns >= 48 && !strings.Contains(out.String(), "b559e576") || (columns == 0 || columns >= 140) != whole &&
			(columns == 0 || columns < 60 || columns >= 140) {
			t.Errorf("on %d columns:\n%s", columns, out.String())
		}
	}
}

func TestTheLocaleSaysWhichLettersThereAre(t *testing.T) {
	for environ, want := range map[string]bool{
		"": false, "LANG=C": false, "LANG=pl_PL.UTF-8": true, "LANG=pl_PL.utf8": true, "LANG=C.UTF-8 LC_ALL=C": false,
		"LC_ALL=en_US.UTF-8 LANG=C": true, "LC_ALL= LC_CTYPE=C.UTF-8 LANG=C": true, "LANG=pl_PL.ISO-8859-2": false,
	} {
		if got := speaksUTF8(strings.Fields(environ)); got != want {
			t.Errorf("%q: %t, want %t", environ, got, want)
		}
	}
}

func TestShortIDsTellAccountsApart(t *testing.T) {
	accounts := []account.Account{
		{ID: "b559e576-ed8b-4268-a9f5-450c8d2b6894"},
		{ID: "b559e576-e08b-4268-a9f5-450c8d2b6894"},
		{ID: "1adb5e18-c130-405a-b832-eb47df5f0b0b"},
	}
	short := shortIDs(accounts, page{columns: 80})
	if got := short(accounts[0].ID) + " " + short(accounts[1].ID); got != "b559e576-ed b559e576-e0" {
		t.Errorf("two that begin alike: %s", got)
	}
	if got := shortIDs(accounts[1:], page{columns: 80})(accounts[2].ID); got != "1adb5e18" {
		t.Errorf("two that do not: %s", got)
	}
	if got := shortIDs(accounts, page{})(accounts[0].ID); got != string(accounts[0].ID) {
		t.Errorf("where no terminal is: %s", got)
	}
}

// From 60 columns on a bar is drawn and its words are whole.
func TestBarsFitTheTerminal(t *testing.T) {
	long := account.Account{ID: "1", Email: "bardzo.dlugi.adres@poczta.dostawca.example.test"}
	for _, columns := range []int{60, 80, 120} {
		out := &screen{}
		p := newProgress(terminal{err: io.Discard}, []account.Account{long}, true)
		p.room = page{columns: columns, ascii: true}
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh(), mpb.WithWidth(columns))
		p.start(long)
		p.update(long.ID, route.Progress{Folder: "INBOX", MessagesDone: 300, MessagesTotal: 300, BytesDone: 3000})
		p.finish(pullResult{Account: long, Report: fetch.Report{Messages: 300, Bytes: 3000}, Took: 2 * time.Second})
		p.wait()
		last := out.buf.String()
		if !strings.Contains(last, "[=") || !strings.Contains(last, "ok, 300 messages") ||
			!strings.Contains(last, "in 2.0 s") {
			t.Errorf("on %d columns:\n%s", columns, last)
		}
		for line := range strings.Lines(last) {
			if i := strings.IndexByte(line, '['); i >= 0 &&
				runewidth.StringWidth(strings.TrimRight(plain(line), "\n")) > columns {
				t.Errorf("too long for %d columns: %q", columns, line)
			}
		}
	}
}

// plain leaves out what moves the cursor.
func plain(s string) string { return escapes.ReplaceAllString(s, "") }

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\r")

// Figures stand to the right, as one compares them; ids and times, which begin with
// a figure, do not.
func TestOnlyFiguresStandToTheRight(t *testing.T) {
	var b strings.Builder
	tab := newTable("id", "messages", "size", "next")
	tab.add("0ab1", "5", "1.2 kB", "2026-11-29 12:00:00")
	tab.add("12cd9f", "1000", "999 B", "-")
	if err := tab.write(page{w: &b, ascii: true}); err != nil {
		t.Fatal(err)
	}
	want := "0ab1           5  1.2 kB  2026-11-29 12:00:00\n12cd9f      1000   999 B  -\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}

// What one looks for is never cut: a kept cell continues in the next line, and where that
// is too narrow each cell has a line of its own. The control is a cell that is not kept.
func TestKeptCellsAreNeverCut(t *testing.T) {
	t.Parallel()
	path := "/var/lib/mailbrook/" + strings.Repeat("katalog/", 16) + "mailbrook.db"
	for _, columns := range []int{0, 40, 60, 80, 100, 200} {
		tab := newTable("key", "value", "from").unbroken("key").keeping("value")
		tab.add("oauth.google.client_secret", path, strings.Repeat("z pliku ", 12))
		tab.add("oauth.google.client_id", "x", "the default")
		var b strings.Builder
		if err := tab.write(page{w: &b, columns: columns}); err != nil {
			t.Fatal(err)
		}
		whole := strings.NewReplacer("\n", "", " ", "").Replace(b.String())
		for line := range strings.Lines(b.String()) {
			if width := runewidth.StringWidth(strings.TrimRight(line, "\n")); columns > 0 && width > columns {
				t.Errorf("on %d columns: %q", columns, line)
			}
		}
		if !strings.Contains(b.String(), "oauth.google.client_secret") || !strings.Contains(b.String(), "client_id ") &&
			!strings.Contains(b.String(), "client_id\n") {
			t.Errorf("on %d columns no key is whole:\n%s", columns, b.String())
		}
		if columns <= 60 && !strings.Contains(whole, path) { // Beside another column it stands in several lines.
			t.Errorf("on %d columns the path is cut:\n%s", columns, b.String())
		}
		if shown := strings.Count(whole, "katalog"); columns > 60 && shown+4 < 16 {
			t.Errorf("on %d columns the path is cut:\n%s", columns, b.String())
		}
		if cut := strings.Contains(b.String(), "…"); cut != (columns > 60) {
			t.Errorf("on %d columns what is not kept is cut: %v\n%s", columns, cut, b.String())
		}
	}
}

// What one searches a list for stands in one line: beside other columns where there is
// room, else one cell below another, and then none is left out. The control is the same
// table without the promise.
func TestCellsThatOneLooksForStandInOneLine(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{0, 30, 40, 50, 60, 80, 120, 200} {
		for _, promised := range []bool{true, false} {
			tab := newTable("id", "user", "name", "address", "messages").sparing("name", "messages")
			if promised {
				tab.unbroken("id", "user", "address")
			}
			tab.add("b559e576", "ewa@firma-a.test", "Sklep", "ewa.sklep@dostawca.test", "12345")
			tab.add("1adb5e18", "jan@firma-b.test", "Biuro", "jan@dostawca.test", "1")
			var b strings.Builder
			if err := tab.write(page{w: &b, columns: columns}); err != nil {
				t.Fatal(err)
			}
			whole := true
			for _, want := range []string{"b559e576", "ewa@firma-a.test", "ewa.sklep@dostawca.test"} {
				whole = whole && strings.Contains(b.String(), want)
			}
			if columns > 0 && columns < 52 && !promised && whole || promised && columns != 30 && !whole {
				t.Errorf("on %d columns, promised %t, all are whole: %t\n%s", columns, promised, whole, b.String())
			}
			below := strings.Contains(b.String(), "\nuser ")
			if below != (promised && columns > 0 && columns < 60) || below && !strings.Contains(b.String(), "Sklep\n") {
				t.Errorf("on %d columns, promised %t, cells stand one below another: %t\n%s", columns, promised, below, b.String())
			}
			for line := range strings.Lines(b.String()) {
				if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); columns > 0 && n > columns {
					t.Errorf("on %d columns: %q", columns, line)
				}
			}
		}
	}
}
