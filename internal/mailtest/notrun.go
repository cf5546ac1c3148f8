package mailtest

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// NotRun ends a test whose means this machine lacks. It is counted where
// MAILBROOK_NOT_RUN names a file, and never silent.
func NotRun(t *testing.T, why string) {
	t.Helper()
	if name := os.Getenv("MAILBROOK_NOT_RUN"); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err == nil {
			_, err = fmt.Fprintf(f, "  %s: %s\n", t.Name(), why)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Errorf("counting a check that was not made: %v", err)
		}
	}
	t.Skipf("not run: %s", why)
}
