package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown below the usage.
func (completionCmd) Help() string {
	return "bash: mailbrook completion bash > /etc/bash_completion.d/mailbrook\n\n" +
		"zsh: mailbrook completion zsh > \"${fpath[1]}/_mailbrook\"\n\n" +
		"fish: mailbrook completion fish > ~/.config/fish/completions/mailbrook.fish"
}

// Run prints what makes a shell complete commands, flags and their values.
func (c completionCmd) Run(t terminal, k *kong.Context) error {
	at := places(k.Model.Node)
	script := map[string]func([]place) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	_, err := io.WriteString(t.out, script[c.Shell](at))
	return err
}

// place is where one may be on a command line: behind the names of commands, such
// as " account add".
type place struct {
	path  string
	words []word     // Commands that may follow, and values of what is no flag.
	flags []flagWord // Those of the command and of all that it is part of.
}

// word is something to be completed, and what it is for.
type word struct{ name, help string }

// flagWord is a flag with what it takes.
type flagWord struct {
	word
	takes  bool     // A value.
	values []string // Those that there are, where they can be counted.
	files  bool     // Whether a value names a file or a directory.
}

// places are all of them, from the table of commands that the help shows.
func places(root *kong.Node) []place {
	var all []place
	var visit func(n *kong.Node, path string)
	visit = func(n *kong.Node, path string) {
		p := place{path: path}
		for _, v := range n.Positional {
			for _, value := range values(v) {
				p.words = append(p.words, word{value, v.Help})
			}
		}
		for _, flags := range n.AllFlags(true) {
			p.flags = append(p.flags, flagWords(flags)...)
		}
		if d := n.DefaultCmd; d != nil && d.Tag.Default == "withargs" {
			p.flags = append(p.flags, flagWords(d.Flags)...)
		}
		for _, child := range n.Children {
			if !child.Hidden {
				p.words = append(p.words, word{child.Name, child.Help})
			}
		}
		all = append(all, p)
		for _, child := range n.Children {
			if !child.Hidden {
				visit(child, path+" "+child.Name)
			}
		}
	}
	visit(root, "")
	return all
}

func flagWords(flags []*kong.Flag) (all []flagWord) {
	for _, f := range flags {
		all = append(all, flagWord{
			word: word{"--" + f.Name, f.Help}, takes: !f.IsBool(), values: values(f.Value),
			files: f.PlaceHolder == "FILE" || f.PlaceHolder == "DIR",
		})
	}
	return all
}

// values are those that a flag or an argument can have, where they can be counted.
func values(v *kong.Value) (all []string) {
	for _, s := range v.EnumSlice() {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// taking are the names of all flags that take a value.
func taking(at []place) (names []string) {
	for _, p := range at {
		for _, f := range p.flags {
			if f.takes && !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	return names
}

// paths are the places below the first, as patterns of a shell's case.
func paths(at []place, sep string) string {
	quoted := make([]string, 0, len(at))
	for _, p := range at[1:] {
		quoted = append(quoted, "'"+p.path+"'")
	}
	return strings.Join(quoted, sep)
}

// shared is what bash and zsh have in common: where the cursor is, $at, from the
// words before it, and what the flag before it takes.
func shared(b *strings.Builder, at []place, first string, complete func(flagWord) string) {
	fmt.Fprintf(b, "  for ((i = %s; i < current; i++)); do\n    case ${words[i]} in\n", first)
	fmt.Fprintf(b, "      %s) ((i++)); continue ;;\n    esac\n", strings.Join(taking(at), "|"))
	fmt.Fprintf(b, "    case \"$at ${words[i]}\" in\n      %s) at=\"$at ${words[i]}\" ;;\n    esac\n  done\n",
		paths(at, "|"))
	fmt.Fprint(b, "  case \"$at:$before\" in\n")
	for _, p := range at {
		for _, f := range p.flags {
			if f.takes {
				fmt.Fprintf(b, "    '%s:%s') %s; return ;;\n", p.path, f.name, complete(f))
			}
		}
	}
	fmt.Fprint(b, "  esac\n")
}

func bashCompletion(at []place) string {
	var b strings.Builder
	b.WriteString(`# bash completion for mailbrook
_mailbrook() {
  local at= before=${COMP_WORDS[COMP_CWORD-1]} word=${COMP_WORDS[COMP_CWORD]} current=$COMP_CWORD i found=
  local words=("${COMP_WORDS[@]}")
  COMPREPLY=()
  if [[ $word == = ]]; then # --flag=value is three words here.
    word=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
`)
	shared(&b, at, "1", func(f flagWord) string {
		switch {
		case f.files:
			return `COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames`
		case len(f.values) > 0:
			return fmt.Sprintf(`COMPREPLY=($(compgen -W '%s' -- "$word"))`, strings.Join(f.values, " "))
		}
		return ":"
	})
	b.WriteString("  case $at in\n")
	for _, p := range at {
		var words, flags []string
		for _, w := range p.words {
			words = append(words, w.name)
		}
		for _, f := range p.flags {
			flags = append(flags, f.name)
		}
		fmt.Fprintf(&b, "    '%s') found='%s'; [[ $word == -* ]] && found='%s' ;;\n", p.path, strings.Join(words, " "),
			strings.Join(flags, " "))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$found\" -- \"$word\"))\n}\ncomplete -F _mailbrook mailbrook\n")
	return b.String()
}

func zshCompletion(at []place) string {
	var b strings.Builder
	b.WriteString(`#compdef mailbrook
_mailbrook() {
  local at= before=${words[CURRENT-1]} current=$CURRENT i
  local -a found flags
  if [[ ${words[CURRENT]} == --*=* ]]; then
    before=${words[CURRENT]%%=*}
    compset -P '*='
  fi
`)
	shared(&b, at, "2", func(f flagWord) string {
		switch {
		case f.files:
			return "_files"
		case len(f.values) > 0:
			return "compadd -- " + strings.Join(f.values, " ")
		}
		return ":"
	})
	b.WriteString("  case $at in\n")
	described := func(ws []word) string {
		quoted := make([]string, len(ws))
		for i, w := range ws {
			quoted[i] = "'" + w.name + ":" + quoteShell(strings.ReplaceAll(w.help, ":", `\:`)) + "'"
		}
		return strings.Join(quoted, " ")
	}
	for _, p := range at {
		flags := make([]word, len(p.flags))
		for i, f := range p.flags {
			flags[i] = f.word
		}
		fmt.Fprintf(&b, "    '%s')\n      found=(%s)\n      flags=(%s) ;;\n", p.path, described(p.words), described(flags))
	}
	b.WriteString(`  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe -o flag flags
  else
    _describe command found
  fi
}
if [[ ${funcstack[1]} == _mailbrook ]]; then
  _mailbrook "$@"
else
  compdef _mailbrook mailbrook
fi
`)
	return b.String()
}

func fishCompletion(at []place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# fish completion for mailbrook
function __mailbrook_at
    set -l at ''
    set -l skip 0
    for w in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $w
            case %s
                set skip 1
                continue
        end
        switch "$at $w"
            case %s
                set at "$at $w"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c mailbrook -f
`, strings.Join(taking(at), " "), paths(at, " "))
	for _, p := range at {
		here := fmt.Sprintf("complete -c mailbrook -n '__mailbrook_at \"%s\"'", p.path)
		for _, w := range p.words {
			fmt.Fprintf(&b, "%s -a '%s' -d '%s'\n", here, w.name, quoteFish(w.help))
		}
		for _, f := range p.flags {
			takes := ""
			switch {
			case f.files:
				takes = " -r -F"
			case len(f.values) > 0:
				takes = " -x -a '" + strings.Join(f.values, " ") + "'"
			case f.takes:
				takes = " -x"
			}
			fmt.Fprintf(&b, "%s -l %s%s -d '%s'\n", here, strings.TrimPrefix(f.name, "--"), takes, quoteFish(f.help))
		}
	}
	return b.String()
}

// quoteShell makes a text fit between the single quotes of bash and zsh.
func quoteShell(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }

// quoteFish makes a text fit between the single quotes of fish.
func quoteFish(s string) string { return strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) }
