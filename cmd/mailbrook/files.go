package main

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

	"github.com/mailbrook/mailbrook/internal/webui"
)

// What files that are named by hand may hold, in octets: far more than anybody needs,
// and far less than what holds up a machine.
const (
	maxTOML   = 1 << 20
	maxSecret = 64 << 10
	maxRoots  = 16 << 20 // A system has less than 1 MiB of them.
)

// pipePatience is how long somebody may take to write into a pipe: the program at its
// other end may ask a person for a passphrase first.
const pipePatience = time.Minute

// readRegular returns what a regular file holds, to which links may lead. It neither
// waits nor reads more than most octets, whatever the name leads to.
func readRegular(path string, most int64) ([]byte, error) {
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

// readOnce is readRegular for what may come by a pipe as well (/dev/stdin, or <(…) of a
// shell), which gives it once. It waits for who writes there, but not for ever.
func readOnce(path string, most int64, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	data, err := await(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readMost(f, path, most)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%s has no end after %v: see that what writes there writes it and ends, or name a "+
			"regular file", path, patience)
	}
	return data, err
}

// readMost reads a file to its end, which comes after most octets at the latest.
func readMost(f *os.File, path string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s is longer than %d KiB: name the right file, or make it shorter", path, most>>10)
	}
	return data, err
}

// await returns what do returns, or the error of ctx as soon as that ends. Then do is
// left alone: the command ends.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	got := make(chan result, 1)
	go func() {
		value, err := do()
		got <- result{value, err}
	}()
	select {
	case r := <-got:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
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
func readTOML(file string) ([]byte, error) {
	data, err := readOnce(file, maxTOML, pipePatience)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// readSecret reads a file that holds one secret, without its last line end.
func readSecret(path string) (string, error) {
	data, err := readOnce(path, maxSecret, pipePatience)
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return value, nil
}

func readLogo(file string) (webui.Logo, error) {
	data, err := readRegular(file, webui.MaxLogo)
	if err != nil {
		return webui.Logo{}, fmt.Errorf("must name a picture that can be read: %w", err)
	}
	return webui.NewLogo(file, data)
}

// checkRoots sees to it that a file of certificates, which is read later and more than
// once, can be.
func checkRoots(v string) error {
	if v == "" {
		return nil
	}
	if _, err := readRegular(v, maxRoots); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return nil
}
