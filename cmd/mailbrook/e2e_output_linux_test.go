package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestACommandWhoseOutputIsLostHasFailed: on a full disk nothing of it arrives. The control is that each succeeds, or
// says otherwise why not, where it arrives.
func TestACommandWhoseOutputIsLostHasFailed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	doc := filepath.Join(t.TempDir(), "doc")
	silent := map[string]string{
		"serve": "it prints nothing", "demo": "it serves until it is stopped", "init": "it logs",
		"account add":         "it needs a mail server",
		"user mailbox set":    "likewise",
		"migrate-destination": "likewise",
		"copy plan":           "likewise", "copy start": "likewise", "copy show": "it needs a copy", "copy watch": "likewise",
		"copy pause": "likewise", "copy resume": "likewise", "copy cancel": "likewise", "copy sync": "likewise",
		"copy verify": "likewise", "copy report": "likewise",
		"migrate up": "it logs", "migrate down": "it logs",
	}
	further := map[string]string{
		"account list": "", "account show": h.id, "account test": h.id, "account edit": "--name Y " + h.id,
		"account delete": "--yes " + h.id, "link": "--user " + anna, "token": "--user " + anna,
		"user delete": "--yes " + anna, "user export": anna, "user mailbox forget": anna, "sessions end": "--all",
		"installation adopt": "keys", "completion": "bash",
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatalf("this test needs /dev/full: %v", err)
	}
	defer full.Close()
	run := func(args []string, out *os.File) (status int, errs string) {
		cmd := exec.Command(program(t), args...)
		var said bytes.Buffer
		cmd.Dir, cmd.Env = h.dir, append(h.env, "MAILBROOK_WEB_PUBLIC_URL=https://mail.firma.test")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("x\n"), out, &said
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), said.String()
	}
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	commands := []string{"--help"}
	for _, leaf := range parser.Model.Leaves(true) {
		words := strings.Fields(leaf.FullPath())[1:]
		commands = append(commands, strings.Join(words, " "))
	}
	for _, command := range commands {
		if silent[command] != "" {
			continue
		}
		args := append(strings.Fields(command), strings.Fields(further[command])...)
		status, said := run(args, full)
		if status == exitOK || !strings.Contains(said, "no space left on device") {
			t.Errorf("%s: status %d, %s", command, status, said)
		}
		arrives, err := os.Create(doc)
		if err != nil {
			t.Fatal(err)
		}
		status, said = run(args, arrives)
		if info, err := arrives.Stat(); err != nil || info.Size() == 0 && status == exitOK ||
			strings.Contains(said, "could not be written") {
			t.Errorf("%s, to a file: status %d, %v, %s", command, status, err, said)
		}
		arrives.Close()
	}
}
