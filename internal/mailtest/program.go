package mailtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Program is `mailbrook`, built once in a test binary by the first test that
// needs it, or before all of them: then MAILBROOK_BUILT says where it lies.
type Program struct {
	// Redirected has it look up and reach hosts as an Elsewhere says.
	Redirected bool

	once sync.Once
	dir  string
	err  error
}

// Path returns where the program lies.
func (p *Program) Path(tb testing.TB) string {
	tb.Helper()
	if built := os.Getenv("MAILBROOK_BUILT"); built != "" && !p.Redirected {
		return built
	}
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "mailbrook-built-"); p.err != nil {
			return
		}
		args := []string{"build", "-o", filepath.Join(p.dir, "mailbrook")}
		if p.Redirected {
			var list string
			if list, p.err = overlay(p.dir); p.err != nil {
				return
			}
			args = append(args, "-overlay", list)
		}
		out, err := exec.Command("go", append(args, "github.com/mailbrook/mailbrook/cmd/mailbrook")...).CombinedOutput()
		if err != nil {
			p.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if p.err != nil {
		tb.Fatalf("building the program: %v", p.err)
	}
	return filepath.Join(p.dir, "mailbrook")
}

// Remove removes the program, if it was built: for TestMain, at the end.
func (p *Program) Remove() error {
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}
