package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// cellLimit is the most bytes of one cell that are shown.
const cellLimit = 120

// table is text in columns that stay aligned whatever letters are in them.
type table struct {
	head []string
	rows [][]string
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

// write prints the table, figures to the right.
func (t *table) write(w io.Writer) error {
	var b strings.Builder
	widths, right := t.layout()
	line := func(cells []string) {
		var l strings.Builder
		for i, c := range cells {
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
	rules := make([]string, len(widths))
	for i, n := range widths {
		rules[i] = strings.Repeat("─", n)
	}
	line(rules)
	for _, row := range t.rows {
		line(row)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}

// layout returns the columns' widths, and which of them hold figures only.
func (t *table) layout() (widths []int, right []bool) {
	widths, right = make([]int, len(t.head)), make([]bool, len(t.head))
	for i, h := range t.head {
		widths[i], right[i] = runewidth.StringWidth(h), len(t.rows) > 0
		for _, row := range t.rows {
			widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
			right[i] = right[i] && row[i] != "" && row[i][0] >= '0' && row[i][0] <= '9'
		}
	}
	return widths, right
}
