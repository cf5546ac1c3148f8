package settings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// What files that are named by hand may hold, in octets: far more than anybody needs, and far less than what
// holds up a machine.
const (
	maxTOML   = 1 << 20
	maxSecret = 64 << 10
)

// pipePatience is how long somebody may take to write into a pipe: the program at its other end may ask a person
// for a passphrase first.
const pipePatience = time.Minute

// ReadRegular returns what a regular file holds, to which links may lead. It neither waits nor reads more than
// most octets, whatever the name leads to.
func ReadRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // A pipe that nobody writes into opens, too.
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a %s: name a regular file", path, kindOfFile(info.Mode()))
	}
	return readMost(f, path, most)
}

// readOnce is ReadRegular for what may come by a pipe as well (/dev/stdin, or <(…) of a shell), which gives it
// once. It waits for who writes there, but not for ever.
func readOnce(ctx context.Context, path string, most int64, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type result struct {
		data []byte
		err  error
	}
	got := make(chan result, 1)
	go func() { // Opening and reading cannot be broken off: it is left alone when ctx ends, as then the command ends.
		f, err := os.Open(path)
		if err != nil {
			got <- result{nil, err}
			return
		}
		defer f.Close()
		data, err := readMost(f, path, most)
		got <- result{data, err}
	}()
	select {
	case r := <-got:
		return r.data, r.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("%s has no end after %v: see that what writes there writes it and ends, or name a "+
			"regular file", path, patience)
	}
	return nil, ctx.Err()
}

// readMost reads a file to its end, which comes after most octets at the latest.
func readMost(f *os.File, path string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s is longer than %d KiB: name the right file, or make it shorter", path, most>>10)
	}
	return data, err
}

// kindOfFile says what a file is that is no regular one.
func kindOfFile(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "file of a special kind"
}

// readTOML reads the configuration file. Some editors begin each with a byte order mark.
func readTOML(ctx context.Context, file string) ([]byte, error) {
	data, err := readOnce(ctx, file, maxTOML, pipePatience)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// readSecret reads a file that holds one secret, without its last line end.
func readSecret(ctx context.Context, path string) (string, error) {
	data, err := readOnce(ctx, path, maxSecret, pipePatience)
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return value, nil
}
