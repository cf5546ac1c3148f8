package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is a message as a terminal may get it. Names in it came from anywhere: what
// would command the terminal, or cannot be seen, is written as in Go ("\x1b", "\u202e").
// Letters of all scripts stay, and so do ends of lines, which messages of ours have.
func printable(message string) string {
	var b strings.Builder
	for i, r := range message {
		_, size := utf8.DecodeRuneInString(message[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, message[i])
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// complain tells people what is wrong.
func (t terminal) complain(message string) { fmt.Fprintln(t.err, "mailbrook:", printable(message)) }
