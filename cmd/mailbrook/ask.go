package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
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
	fd, ok := t.keyboard()
	var before *term.State
	if ok {
		var err error
		if before, err = term.GetState(fd); err != nil {
			return "", fmt.Errorf("asking the terminal: %w", err)
		}
	}
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
		fmt.Fprintln(t.err)
		if ok {
			if err := term.Restore(fd, before); err != nil {
				return "", fmt.Errorf("giving the terminal back: %w", err)
			}
		}
		return "", errInterrupted
	case a := <-got:
		if errors.Is(a.err, io.EOF) && ok {
			fmt.Fprintln(t.err)
			return "", errQuiet
		}
		return a.text, a.err
	}
}

// confirm asks whether to go on. Where nobody is there to answer, it refuses with
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
		return usageError{fmt.Errorf("nobody answered: %s goes on without asking", flag)}
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	fmt.Fprintln(t.err, "Nothing was done.")
	return errQuiet
}
