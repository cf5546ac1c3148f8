package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// jump is how far a clock jumps. It is less than a certificate of the soak is good for.
const jump = 20 * time.Hour

// jumpEvery is how far apart two jumps are at most. By chance alone there was
// none in ten minutes.
const jumpEvery = time.Minute

// now is the line of package time that reads the machine's clock.
const now = "\tsec, nsec, mono := runtimeNow()\n"

// follower is added to the program: it moves the clock by what a file says.
const follower = `package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	go func() {
		for {
			text, _ := os.ReadFile(os.Getenv("SOAK_CLOCK"))
			seconds, _ := strconv.ParseInt(string(text), 10, 64)
			time.Shift(seconds)
			time.Sleep(100 * time.Millisecond)
		}
	}()
}
`

// buildMailbrook builds the program so that the clock of each of its processes
// can be set: of package time it gets a copy that adds a number of seconds. Nothing
// of the program itself is another.
func (w *world) buildMailbrook(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "time",
		"github.com/mailbrook/mailbrook/cmd/mailbrook").Output()
	if err != nil {
		return fmt.Errorf("looking for the sources: %w", err)
	}
	std, program, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if !strings.HasSuffix(std, "time") { // In the order of their paths.
		std, program = program, std
	}
	source, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		return err
	}
	if bytes.Count(source, []byte(now)) < 1 {
		return errors.New("package time reads the clock in another way than this soak knows")
	}
	source = bytes.ReplaceAll(source, []byte(now), []byte(now+"\tsec += shifted.Load()\n"))
	source = bytes.Replace(source, []byte("\t\"math/bits\"\n"), []byte("\t\"math/bits\"\n\t\"sync/atomic\"\n"), 1)
	source = append(source, "\nvar shifted atomic.Int64\n\n// Shift moves the clock.\nfunc Shift(seconds int64) { "+
		"shifted.Store(seconds) }\n"...)
	overlay := map[string]map[string]string{"Replace": {
		filepath.Join(std, "time.go"):         w.path("time.go"),
		filepath.Join(program, "follower.go"): w.path("follower.go"),
	}}
	text, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(w.path("time.go"), source, 0o600), os.WriteFile(w.path("follower.go"), []byte(follower), 0o600),
		os.WriteFile(w.path("overlay.json"), text, 0o600),
	); err != nil {
		return err
	}
	w.mailbrook = w.path("mailbrook")
	return output(exec.CommandContext(ctx, "go", "build", "-overlay", w.path("overlay.json"), "-o", w.mailbrook,
		"github.com/mailbrook/mailbrook/cmd/mailbrook"))
}

// setClock has a process's clock be ahead by so much from now on.
func (p *process) setClock(ahead time.Duration) error {
	return os.WriteFile(p.log+".clock", []byte(strconv.Itoa(int(ahead.Seconds()))), 0o644)
}

// jumpClock sets a process's clock a day or so ahead, or back, for a while.
func (w *world) jumpClock(s *site, p *process) error {
	ahead := jump
	if w.rand.IntN(2) == 0 {
		ahead = -jump
	}
	w.did("%s: the clock of process %d jumps by %v", s.name, p.cmd.Process.Pid, ahead)
	w.counts.jumps++
	p.right = w.soon(20 * time.Second)
	return p.setClock(ahead)
}
