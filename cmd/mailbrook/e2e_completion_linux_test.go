package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// Each shell completes commands, flags and values at its prompt. The control: what
// there is not stays as it was typed.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	const ran = `mailbrook() { echo "ran:$*:"; }`
	for _, tc := range []struct {
		name, shell, setup string
		args               []string
	}{
		{"bash", "bash", `PS1='> '; source DIR/_mailbrook; ` + ran, []string{"--norc", "--noprofile", "-i"}},
		{
			"zsh", "zsh", `autoload -Uz compinit; compinit -D -u; source DIR/_mailbrook; ` + ran,
			[]string{"-f", "-i"},
		},
		{
			"zsh by its path", "zsh", `fpath=(DIR $fpath); autoload -Uz compinit; compinit -D -u; ` + ran,
			[]string{"-f", "-i"},
		},
		{"fish", "fish", `source DIR/_mailbrook; function mailbrook; echo "ran:$argv:"; end`, []string{"--no-config", "-i"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(tc.shell)
			if err != nil {
				mailtest.NotRun(t, "completion: there is no "+tc.shell+" here")
				return
			}
			s := newSite(t, nil)
			file := filepath.Join(s.dir, "_mailbrook")
			if err := os.WriteFile(file, []byte(s.ok("", "completion", tc.shell)), 0o600); err != nil {
				t.Fatal(err)
			}
			c := s.inTerminal(120, []string{"HOME=" + s.dir}, path, tc.args...)
			c.types(strings.ReplaceAll(tc.setup, "DIR", s.dir) + "; echo rea''dy\r")
			c.expect("ready")
			for _, line := range []struct{ keys, ran string }{
				{"mailbrook acc\tt\t--prot\tpo\t\r", "ran:account test --protocol pop3:"},
				{"mailbrook account delete --mail=k\t\r", "ran:account delete --mail=keep:"},
				{"mailbrook migrate do\t--fo\t\r", "ran:migrate down --force:"},
				{"mailbrook --log-level debug installation ado\tmai\t\r", "ran:--log-level debug installation adopt mailboxes:"},
				{"mailbrook config --js\t\r", "ran:config --json:"},
				{"mailbrook check --config _mail\t\r", "ran:check --config _mailbrook:"},
				{"mailbrook zz\t\r", "ran:zz:"},
			} {
				c.types(line.keys)
				c.expect(line.ran[:len(line.ran)-1])
			}
			c.types("exit\r")
			if _, shown := c.ends(); strings.Contains(shown, "rror") {
				t.Errorf("the shell complains: %s", shown)
			}
		})
	}
}

// The page in docs is the one that the program prints, groff has nothing to say
// against it, and it names all commands, flags, keys and variables. So do the
// completions name commands and flags.
func TestTheManualPageIsOfTheSameWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	page := s.ok("", "man")
	kept, err := os.ReadFile("../../docs/mailbrook.1")
	if err != nil || string(kept) != page {
		t.Errorf("docs/mailbrook.1 is not what the program prints (%v): run go generate ./cmd/mailbrook", err)
	}
	var c cli
	parser, err := kong.New(&c, kong.Name("mailbrook"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"man": strings.ReplaceAll(page, `\-`, "-")}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		texts[shell] = s.ok("", "completion", shell)
	}
	for _, n := range parser.Model.Leaves(true) {
		if !strings.Contains(texts["man"], `"mailbrook `+n.Path()) {
			t.Errorf("the manual page does not name %s", n.Path())
		}
		for name, text := range texts {
			for _, f := range slices.Concat(n.Flags, parser.Model.Flags) {
				if f.Help == "" || !strings.Contains(text, "-"+f.Name) && !strings.Contains(text, "-l "+f.Name+" ") {
					t.Errorf("%s does not name --%s of %s, or it has no help", name, f.Name, n.Path())
				}
			}
		}
	}
	for _, setting := range shownSettings() {
		for _, want := range append(schema().VariablesOf(setting), setting.Name) {
			if !strings.Contains(texts["man"], want) {
				t.Errorf("the manual page does not name %s", want)
			}
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		mailtest.NotRun(t, "the manual page: there is no groff here")
		return
	}
	cmd := exec.Command(groff, "-man", "-ww", "-Tutf8")
	cmd.Stdin = strings.NewReader(page)
	var said bytes.Buffer
	cmd.Stderr = &said
	shown, err := cmd.Output()
	if err != nil || said.Len() > 0 || !strings.Contains(string(shown), "MAILBROOK_DATA_DIR") {
		t.Errorf("groff: %v, %s", err, said.String())
	}
}
