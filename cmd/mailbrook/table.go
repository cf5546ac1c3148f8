package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// cellLimit is the most bytes of one cell that are shown, wholeLimit of one that is not
// cut: longer than a path may be.
const (
	cellLimit  = 120
	wholeLimit = 4200
)

// table is text in columns that stay aligned whatever letters are in them.
type table struct {
	head  []string
	rows  [][]string
	spare []string // Heads of columns that may be left out.
	kept  []string // Heads of columns whose cells are never cut.
	lines []string // Heads of those whose cells are not broken either.
}

func newTable(head ...string) *table { return &table{head: head} }

// add appends a row; cells that are missing are empty.
func (t *table) add(cells ...string) {
	row := make([]string, len(t.head))
	for i := range min(len(cells), len(row)) {
		limit := cellLimit
		if t.whole(i) {
			limit = wholeLimit
		}
		row[i] = words.Clean(cells[i], limit)
	}
	t.rows = append(t.rows, row)
}

// page is what a table is printed on.
type page struct {
	w       io.Writer
	columns int  // Of the terminal; 0: no terminal, and no limit.
	ascii   bool // Whether lines and dots are to be drawn in ASCII.
}

// page returns where results are printed: on a terminal, or into a file or pipe.
func (t terminal) page() page {
	return page{w: t.out, columns: columnsOf(t.out), ascii: !speaksUTF8(t.environ)}
}

// columnsOf returns how wide a terminal is, 0 for what is none.
func columnsOf(w io.Writer) int {
	f, ok := beneath(w).(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80
	}
	return columns
}

// speaksUTF8 reports whether the locale's characters are UTF-8 (POSIX: the first
// of these variables that is not empty decides, and without any it is C).
func speaksUTF8(environ []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		for _, e := range environ {
			if value, ok := strings.CutPrefix(e, name+"="); ok && value != "" {
				value = strings.ToLower(value)
				return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
			}
		}
	}
	return false
}

// dots stand for what does not fit.
func (p page) dots() string {
	if p.ascii {
		return "~"
	}
	return "…"
}

// names shows names of hosts, alone or in addresses, in letters, where the locale has them.
func (p page) names(s string) string {
	if p.ascii {
		return s
	}
	return account.Letters(s)
}

// sparing names columns that may be left out on a narrow terminal, the first one
// first.
func (t *table) sparing(heads ...string) *table {
	t.spare = heads
	return t
}

// keeping names columns whose cells continue in the next line where they do not fit: what
// one looks for is never cut.
func (t *table) keeping(heads ...string) *table {
	t.kept = heads
	return t
}

// unbroken names columns whose cells stay in one line: where they do not fit beside each
// other, all cells have a line of their own.
func (t *table) unbroken(heads ...string) *table {
	t.lines = heads
	return t
}

func (t *table) whole(column int) bool {
	return slices.Contains(t.kept, t.head[column]) || t.oneLine(column)
}

func (t *table) oneLine(column int) bool { return slices.Contains(t.lines, t.head[column]) }

// write prints the table, figures to the right. On a terminal no line is longer
// than it is wide: columns are left out, cells are cut or continue in the next line, and
// where all that does not help each cell has a line of its own.
func (t *table) write(p page) error {
	var b strings.Builder
	widths, right := t.layout()
	shown := t.fit(widths, right, p.columns)
	rule := "─"
	if p.ascii {
		rule = "-"
	}
	if t.cramped(shown, widths) {
		t.writeRecords(&b, p.columns, rule)
	} else {
		t.writeLine(&b, t.head, shown, widths, right, p.dots())
		rules := make([]string, len(widths))
		for i, n := range widths {
			rules[i] = strings.Repeat(rule, n)
		}
		t.writeLine(&b, rules, shown, widths, right, p.dots())
		for _, row := range t.rows {
			t.writeLine(&b, row, shown, widths, right, p.dots())
		}
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}

// writeLine writes one row, and below it what of its kept cells did not fit.
func (t *table) writeLine(b *strings.Builder, cells []string, shown, widths []int, right []bool, dots string) {
	var rest []string
	var l strings.Builder
	for _, i := range shown {
		c := cells[i]
		if runewidth.StringWidth(c) > widths[i] {
			if t.whole(i) {
				if rest == nil {
					rest = make([]string, len(cells))
				}
				c, rest[i] = fold(c, widths[i])
			} else {
				c = runewidth.Truncate(c, widths[i], dots)
			}
		}
		pad := strings.Repeat(" ", max(0, widths[i]-runewidth.StringWidth(c)))
		if right[i] {
			l.WriteString(pad + c)
		} else {
			l.WriteString(c + pad)
		}
		l.WriteString("  ")
	}
	b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	if rest != nil {
		t.writeLine(b, rest, shown, widths, right, dots)
	}
}

// fold splits a text that is wider than so many columns: after a space where there is
// one, else anywhere, as in a path.
func fold(s string, width int) (line, rest string) {
	line = runewidth.Truncate(s, width, "")
	if line == "" { // One letter is wider.
		_, n := utf8.DecodeRuneInString(s)
		return s[:n], s[n:]
	}
	if s[len(line)] != ' ' {
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			line = line[:i]
		}
	}
	return line, strings.TrimLeft(s[len(line):], " ")
}

// folded writes a text whose lines after the first begin with so many spaces; columns
// 0: in one line.
func folded(s string, indent, columns int) string {
	width := columns - indent
	if columns <= 0 || width < leastCell {
		return s
	}
	var lines []string
	for runewidth.StringWidth(s) > width {
		var line string
		line, s = fold(s, width)
		lines = append(lines, line)
	}
	return strings.Join(append(lines, s), "\n"+strings.Repeat(" ", indent))
}

// cramped reports whether a kept column is so narrow that a line for each cell reads
// better.
func (t *table) cramped(shown, widths []int) bool {
	natural, _ := t.layout()
	return slices.ContainsFunc(shown, func(i int) bool {
		return t.whole(i) && widths[i] < t.least(i, natural[i])
	})
}

// least is how narrow a kept column may become whose widest cell has so many columns.
func (t *table) least(column, natural int) int {
	if t.oneLine(column) {
		return natural
	}
	return min(natural, leastKept)
}

// writeRecords writes a line for each cell that is not empty, with its head. There is
// room for all of them.
func (t *table) writeRecords(b *strings.Builder, columns int, rule string) {
	indent := 0
	for _, h := range t.head {
		indent = max(indent, runewidth.StringWidth(h)+2)
	}
	for _, row := range t.rows {
		b.WriteString(strings.Repeat(rule, min(columns, 2*indent)) + "\n")
		for i, h := range t.head {
			if row[i] != "" {
				b.WriteString(h + strings.Repeat(" ", indent-runewidth.StringWidth(h)))
				b.WriteString(folded(row[i], indent, columns) + "\n")
			}
		}
	}
}

// leastKept is how narrow a column whose cells are not cut may become.
const leastKept = 20

// leastCell is how narrow a cell of words may become before columns are left out.
const leastCell = 12

// fit returns which columns are shown, and makes their widths fit.
func (t *table) fit(widths []int, right []bool, columns int) (shown []int) {
	for i := range widths {
		shown = append(shown, i)
	}
	if columns <= 0 {
		return shown
	}
	total := func(width func(i int) int) (sum int) {
		for _, i := range shown {
			sum += width(i) + 2
		}
		return sum - 2
	}
	least := func(i int) int {
		switch {
		case right[i]:
			return widths[i]
		case t.whole(i):
			return t.least(i, widths[i])
		}
		return min(widths[i], leastCell)
	}
	for _, head := range t.spare {
		if total(least) <= columns {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return t.head[i] == head })
	}
	natural := slices.Clone(widths)
	for total(func(i int) int { return widths[i] }) > columns {
		widest := -1
		for _, may := range []func(i int) bool{
			func(i int) bool { return !t.whole(i) && widths[i] > leastCell },
			// Of the kept ones the widest continues in the next line first, and only then the others.
			func(i int) bool { return t.whole(i) && !t.oneLine(i) && widths[i] > leastKept },
			func(int) bool { return true },
		} {
			for _, i := range shown {
				by := widths
				if t.whole(i) {
					by = natural
				}
				if !right[i] && may(i) && widths[i] > 1 && (widest < 0 || by[i] > by[widest]) {
					widest = i
				}
			}
			if widest >= 0 {
				break
			}
		}
		if widest < 0 || widths[widest] <= 1 {
			return shown[:max(1, len(shown)-1)] // A terminal for a clock.
		}
		widths[widest]--
	}
	return shown
}

// figures are numbers and sizes; ids and times are none.
var figures = regexp.MustCompile(`^[0-9][0-9.]*( [kMGTPE]?B)?$`)

// layout returns the columns' widths, and which of them hold figures only.
func (t *table) layout() (widths []int, right []bool) {
	widths, right = make([]int, len(t.head)), make([]bool, len(t.head))
	for i, h := range t.head {
		widths[i], right[i] = runewidth.StringWidth(h), len(t.rows) > 0
		for _, row := range t.rows {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
			right[i] = right[i] && figures.MatchString(row[i])
		}
	}
	return widths, right
}
