package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// used is what one command took, all of its processes together.
type used struct {
	Wall    float64 `json:"wall_s"`
	CPU     float64 `json:"cpu_s"`  // User and system.
	Peak    float64 `json:"rss_mb"` // Of the biggest process, in MiB.
	Exit    int     `json:"exit"`
	TimeOut bool    `json:"timed_out,omitempty"`
}

// command is what a peer is started by.
type command struct {
	argv []string
	env  []string
}

// launcher is the argument by which this program becomes one that starts a
// command, waits, and writes what it took to its file descriptor 3. The kernel
// counts the memory of whoever starts a program as the program's own, until it
// takes the starter's place: so the starter must be small.
const launcher = "launch-and-measure"

// launch is the launcher's main function.
func launch(argv []string) error {
	report := os.NewFile(3, "report")
	syscall.CloseOnExec(3)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := used{Wall: time.Since(began).Seconds()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	u.Exit = cmd.ProcessState.ExitCode()
	u.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Peak = float64(r.Maxrss) / 1024
	}
	return json.NewEncoder(report).Encode(u)
}

// run starts a command through the launcher and measures it. What it prints
// goes to the log. Its whole process group ends with ctx, or when time is up.
func run(ctx context.Context, c command, log string, limit time.Duration) (u used, err error) {
	self, err := os.Executable()
	if err != nil {
		return u, err
	}
	out, err := os.Create(log)
	if err != nil {
		return u, err
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return u, err
	}
	defer r.Close()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, self, append([]string{launcher}, c.argv...)...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	began := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return u, err
	}
	said, readErr := io.ReadAll(r)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return u, context.Cause(ctx)
	}
	if bounded.Err() != nil {
		return used{Wall: time.Since(began).Seconds(), Exit: -1, TimeOut: true}, nil
	}
	if err != nil || readErr != nil {
		return u, fmt.Errorf("starting %s: %w: %s", c.argv[0], errors.Join(err, readErr), tail(log))
	}
	return u, json.Unmarshal(said, &u)
}

// quietly runs a command that is not measured.
func quietly(ctx context.Context, stdin string, c command) (string, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(c.argv[:min(3, len(c.argv))], " "), err, strings.TrimSpace(
			problems.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// tail returns the end of a log.
func tail(name string) string {
	b, _ := os.ReadFile(name)
	return strings.TrimSpace(string(b[max(0, len(b)-600):]))
}

// messages counts the messages in all Maildirs below dir, and their octets.
func messages(dir string) (n int, octets int64, err error) {
	err = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		if in := filepath.Base(filepath.Dir(p)); in != "cur" && in != "new" {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		n++
		octets += info.Size()
		return nil
	})
	return n, octets, err
}
