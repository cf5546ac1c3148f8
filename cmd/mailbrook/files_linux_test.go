package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fifo makes a pipe with a name, which nobody writes into. Who still waits for that at
// the end of the test is let go.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo.svg")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			syscall.Close(fd)
		}
	})
	return path
}

// piped is the name of a pipe that gives text, as <(…) of a shell makes one.
func piped(t *testing.T, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return fmt.Sprintf("/dev/fd/%d", r.Fd())
}

// TestFilesNamedByHandAreBounded names, in each place where a file can be named, one that
// is none or never ends.
func TestFilesNamedByHandAreBounded(t *testing.T) {
	t.Chdir(t.TempDir())
	long := func(n int) string { return inFile(t, strings.Repeat("# \n", n/3+1)) }
	for _, tc := range []struct{ name, file, environ, says string }{
		{"a logo without an end", "", "MAILBROOK_WEB_BRAND_LOGO=/dev/zero", "/dev/zero is a device: name a regular file"},
		{"a logo from a pipe", "", "MAILBROOK_WEB_BRAND_LOGO=" + fifo(t), "is a pipe: name a regular file"},
		{"a logo that is a directory", "", "MAILBROOK_WEB_BRAND_LOGO=/tmp", "is a directory: name a regular file"},
		{"a long logo", "", "MAILBROOK_WEB_BRAND_LOGO=" + long(64<<10), "is longer than 64 KiB"},
		{"roots without an end", "", "MAILBROOK_REMOTE_CA_FILE=/dev/zero", "/dev/zero is a device: name a regular file"},
		{"roots from a pipe", "", "MAILBROOK_SIGNIN_IMAP_CA_FILE=" + fifo(t), "is a pipe: name a regular file"},
		{"long roots", "", "MAILBROOK_REMOTE_CA_FILE=" + long(maxRoots), "is longer than 16384 KiB"},
		{"a secret without an end", "", "MAILBROOK_AUTH_SECRET_FILE=/dev/zero", "/dev/zero is longer than 64 KiB"},
		{"a secret in the file without an end", inFile(t, `auth.secret_file = "/dev/zero"`), "", "longer than 64 KiB"},
		{"a secret that is a directory", "", "MAILBROOK_AUTH_SECRET_FILE=/tmp", "is a directory"},
		{"a configuration without an end", "/dev/zero", "", "/dev/zero is longer than 1024 KiB"},
		{"a long configuration", long(1 << 20), "", "is longer than 1024 KiB"},
		{"a configuration that is a directory", "/tmp", "", "is a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := loadConfig(t.Context(), tc.file, []string{tc.environ}, nil); err == nil ||
				!strings.Contains(err.Error(), tc.says) {
				t.Errorf("the error is %v, and does not say %q", err, tc.says)
			}
		})
	}
}

// TestSmallFilesAreRead is the control: links, pipes that are given once, a configuration
// with a byte order mark, and none.
func TestSmallFilesAreRead(t *testing.T) {
	t.Chdir(t.TempDir())
	link, logo := "link.svg", inFile(t, "<svg/>"+strings.Repeat(" ", 64<<10-6))
	if err := os.Symlink(logo, link); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, file, environ string
		is                  func(config) bool
	}{
		{"a logo behind a link", "", "MAILBROOK_WEB_BRAND_LOGO=" + link, func(c config) bool {
			return strings.Contains(c.Web.Brand.LogoURI(), "svg")
		}},
		{"a secret from a pipe", "", "MAILBROOK_AUTH_SECRET_FILE=" + piped(t, longSecret+"\n"), func(c config) bool {
			return c.Auth.Secret.Reveal() == longSecret
		}},
		{"a configuration from a pipe", piped(t, `listen = ":81"`), "", func(c config) bool { return c.Listen == ":81" }},
		{"a byte order mark", inFile(t, "\ufefflisten = ':81'"), "", func(c config) bool { return c.Listen == ":81" }},
		{"nothing", "/dev/null", "", func(c config) bool { return c.Listen == defaults().Listen }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if c, err := loadConfig(t.Context(), tc.file, []string{tc.environ}, nil); err != nil || !tc.is(c) {
				t.Errorf("%v; it is not what the file says", err)
			}
		})
	}
}

// Ctrl-C ends the wait of a command for who writes into a pipe.
func TestCtrlCEndsTheWaitForAPipe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if status := run(ctx, terminal{nil, &out, &errs, nil}, []string{"--config", fifo(t), "config"}); status !=
		exitInterrupted || errs.Len() > 0 {
		t.Errorf("status %d: %s", status, errs.String())
	}
}
