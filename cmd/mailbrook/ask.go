package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/mailbrook/mailbrook/internal/account"
)

// errInterrupted ends a command that was interrupted at a question, quietly.
var errInterrupted = errors.New("interrupted")

// keyboard returns the terminal that somebody types at, if there is one.
func (t terminal) keyboard() (fd int, ok bool) {
	f, isFile := t.in.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// ask runs read, which waits for a line, and does not wait longer than ctx. An
// end of the input (Ctrl-D) ends the command as quietly as an interruption.
func (t terminal) ask(ctx context.Context, question string, read func() (string, error)) (string, error) {
	fmt.Fprint(t.err, question)
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // It outlives an interruption, and the command ends at once.
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errInterrupted
	case a := <-got:
		if _, ok := t.keyboard(); ok && errors.Is(a.err, io.EOF) {
			return "", errQuiet
		}
		return a.text, a.err
	}
}

// askHidden asks for what must not be seen.
func (t terminal) askHidden(ctx context.Context, fd int, question string) (text string, err error) {
	before, err := term.MakeRaw(fd) // Before the question: whoever answers early is not seen either.
	if err != nil {
		return "", fmt.Errorf("hiding what is typed: %w", err)
	}
	defer func() {
		err = errors.Join(err, term.Restore(fd, before))
		fmt.Fprintln(t.err)
	}()
	return t.ask(ctx, question, func() (string, error) { return readHidden(t.in) })
}

// readHidden reads a line from a terminal that does nothing by itself: neither
// show, nor delete, nor interrupt.
func readHidden(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		switch b[0] {
		case '\r', '\n':
			return string(line), nil
		case 3: // Ctrl-C
			return "", errInterrupted
		case 4: // Ctrl-D
			if len(line) == 0 {
				return "", io.EOF
			}
		case 8, 127: // Backspace
			_, size := utf8.DecodeLastRune(line)
			line = line[:len(line)-size]
		case 21: // Ctrl-U
			line = line[:0]
		default:
			if line = append(line, b[0]); len(line) > account.MaxPassword {
				return "", errors.New("what is typed is too long")
			}
		}
	}
}

// confirmDeletion asks before something is deleted, where somebody sits at a terminal who
// has not said yes with --yes. Programs, which have none, are not asked.
func (t terminal) confirmDeletion(ctx context.Context, question string, yes bool) error {
	if _, ok := t.keyboard(); !ok || yes {
		return nil
	}
	return t.confirm(ctx, question, "--yes")
}

// fateOf says what becomes of account folders and of the mail in them.
func (t terminal) fateOf(folders []string, keep bool) string {
	names := make([]string, len(folders))
	for i, f := range folders {
		names[i] = fmt.Sprintf("%q", t.page().names(f))
	}
	noun, stay, goes := "folder", "stays", "is deleted"
	if len(folders) > 1 {
		noun, stay, goes = "folders", "stay", "are deleted"
	}
	what := fmt.Sprintf("The %s %s", noun, strings.Join(names, ", "))
	if keep {
		return fmt.Sprintf("%s %s, with the mail fetched so far.", what, stay)
	}
	return fmt.Sprintf("%s %s, with all the mail there.", what, goes)
}

// confirm asks whether to continue. Where nobody is there to answer, it refuses with
// the flag that answers.
func (t terminal) confirm(ctx context.Context, question, flag string) error {
	lines := bufio.NewReader(t.in)
	text, err := t.ask(ctx, question+" [y/N] ", func() (string, error) { return lines.ReadString('\n') })
	answer := strings.ToLower(strings.TrimSpace(text))
	switch {
	case answer == "y" || answer == "yes":
		return nil
	case errors.Is(err, io.EOF) && answer == "":
		fmt.Fprintln(t.err)
		return usageError{fmt.Errorf("nobody answered: %s continues without asking", flag)}
	case err != nil && !errors.Is(err, io.EOF):
		fmt.Fprintln(t.err)
		return err
	}
	fmt.Fprintln(t.err, "Nothing was done.")
	return errQuiet
}
