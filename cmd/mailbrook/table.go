package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// cellLimit is the most bytes of one cell that are shown.
const cellLimit = 120

// table is text in columns that stay aligned whatever letters are in them.
type table struct {
	head  []string
	rows  [][]string
	spare []string // Heads of columns that may be left out.
}

func newTable(head ...string) *table { return &table{head: head} }

// add appends a row; cells that are missing are empty.
func (t *table) add(cells ...string) {
	row := make([]string, len(t.head))
	for i := range min(len(cells), len(row)) {
		row[i] = fault.Clean(cells[i], cellLimit)
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
	f, ok := w.(*os.File)
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

// write prints the table, figures to the right. On a terminal no line is longer
// than it is wide: columns are left out and cells are cut.
func (t *table) write(p page) error {
	var b strings.Builder
	widths, right := t.layout()
	shown := t.fit(widths, right, p.columns)
	line := func(cells []string) {
		var l strings.Builder
		for _, i := range shown {
			c := cells[i]
			if runewidth.StringWidth(c) > widths[i] {
				c = runewidth.Truncate(c, widths[i], p.dots())
			}
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(c))
			if right[i] {
				l.WriteString(pad + c)
			} else {
				l.WriteString(c + pad)
			}
			l.WriteString("  ")
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(t.head)
	rule, rules := "─", make([]string, len(widths))
	if p.ascii {
		rule = "-"
	}
	for i, n := range widths {
		rules[i] = strings.Repeat(rule, n)
	}
	line(rules)
	for _, row := range t.rows {
		line(row)
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}

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
		if right[i] {
			return widths[i]
		}
		return min(widths[i], leastCell)
	}
	for _, head := range t.spare {
		if total(least) <= columns {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return t.head[i] == head })
	}
	for total(func(i int) int { return widths[i] }) > columns {
		widest := -1
		for _, i := range shown {
			if !right[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
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
