package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

//go:generate sh -c "go run . man > ../../docs/mailbrook.1"

type manCmd struct{}

// Run prints the manual page, from the words that the help shows.
func (manCmd) Run(t terminal, k *kong.Context) error {
	_, err := io.WriteString(t.out, manualPage(k.Model.Node))
	return err
}

// manualPage is man(7) of everything: commands, flags, keys and variables.
func manualPage(root *kong.Node) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	text := func(s string) { fmt.Fprintln(&b, roff(s)) }
	item := func(bold, plain, meaning string) {
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR%s\n%s\n", roff(bold), roff(plain), roff(meaning))
	}
	flags := func(all []*kong.Flag) {
		for _, f := range all {
			if !f.Hidden {
				short, value := "", ""
				if f.Short != 0 {
					short = "-" + string(f.Short) + ", "
				}
				if !f.IsBool() {
					value = "=" + f.FormatPlaceHolder()
				}
				item(short+"--"+f.Name, value, f.Help)
			}
		}
	}

	fmt.Fprintln(&b, `.TH MAILBROOK 1 "" "mailbrook" "User Commands"`)
	fmt.Fprintln(&b, ".nh\n.ad l") // A variable that is broken at a hyphen is found by no search.
	section("NAME")
	fmt.Fprintf(&b, "mailbrook \\- %s\n", roff(strings.ToLower(root.Help[:1])+strings.TrimSuffix(root.Help[1:], ".")))
	section("SYNOPSIS")
	fmt.Fprintln(&b, ".B mailbrook\n.I command\n.RI [ flags ]")
	section("COMMANDS")
	for _, n := range root.Leaves(true) {
		fmt.Fprintf(&b, ".SS \"%s\"\n", roff(commandLine(n)))
		text(n.Help)
		for _, paragraph := range strings.Split(n.Detail, "\n\n") {
			if paragraph != "" {
				b.WriteString(".PP\n")
				text(paragraph)
			}
		}
		for _, p := range n.Positional {
			item("<"+p.Name+">", "", p.Help)
		}
		flags(n.Flags)
	}
	section("OPTIONS")
	text("All commands take these. Those that are keys of the configuration win over the variable and the file.")
	flags(root.Flags)
	section("CONFIGURATION")
	text("Each key may stand in the configuration file, and has a variable. " + oneForAll())
	for _, s := range shownSettings() {
		item(s.Name, ", "+strings.Join(schema().VariablesOf(s), ", "), meaning(s.Name))
	}
	section("ENVIRONMENT")
	item(fileVariable, "", "Names the configuration file, where --config does not.")
	b.WriteString(".PP\n")
	text("The variables of the keys stand beside them. One that begins with " + schema().Prefix +
		" and is none of these is an error.")
	section("FILES")
	for _, name := range standardFiles() {
		item(name, "", "The configuration, where no other file is named: the first of these that there is.")
	}
	section("EXIT STATUS")
	item(fmt.Sprint(exitOK), "", "All went well.")
	item(fmt.Sprint(exitFailed), "", "What was asked for did not succeed, or not all of it.")
	item(fmt.Sprint(exitUsage), "", "The command line or the configuration is wrong, or there is no installation: "+
		"nothing was begun.")
	item(fmt.Sprint(exitCopyFailed), "", "A copy, or what was asked of one, failed (mailbrook copy; there 1 is a copy "+
		"that has ended, and of which messages are missing).")
	item(fmt.Sprint(exitInterrupted), "", "Ctrl-C ended it.")
	return b.String()
}

// commandLine is a command with what it takes, as its usage begins.
func commandLine(n *kong.Node) string {
	return "mailbrook " + strings.TrimSuffix(n.Summary(), " [flags]")
}

// roff writes a text so that it is taken for nothing but text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\"", `\(dq`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
