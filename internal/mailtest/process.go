package mailtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for something that works at once on a healthy
// machine, so generously that a busy one passes too.
const patience = 60 * time.Second

// process is a server program in the foreground, our own child.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // Closed once it was waited for.
	err    error         // What Wait said; read after exited.
	out    lockedBuffer
}

// startProcess starts the program in a process group of its own. It is asked to end if this process dies
// before it could stop it.
func startProcess(env []string, name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "TZ=UTC"), env...)
	return startCommand(cmd)
}

// startCommand is startProcess for a command that was set up already.
func startCommand(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = ownGroup(p.cmd.SysProcAttr)
	p.cmd.WaitDelay = time.Second // A grandchild may keep the pipes open.
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the starting thread ends, so
		// that thread stays with us until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

// stop asks the program to end, insists if it does not, and waits for it.
func (p *process) stop() error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	// To its children too: Dovecot alone would wait a second for idle ones.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping process %d: %w", p.cmd.Process.Pid, err)
	}
	t := time.NewTimer(patience / 4)
	defer t.Stop()
	select {
	case <-p.exited:
		return nil
	case <-t.C:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("killing process %d: %w", p.cmd.Process.Pid, err)
	}
	<-p.exited
	return fmt.Errorf("process %d did not end when asked", p.cmd.Process.Pid)
}

// awaitGreetings returns once a server greets on every address, or the program
// has ended. Until it greets, Dovecot is still starting children, and would take
// seconds to stop.
func (p *process) awaitGreetings(addrs ...string) error { return p.awaitGreetingsBy(nil, addrs...) }

// awaitGreetingsBy is awaitGreetings over TLS, unless config is nil.
func (p *process) awaitGreetingsBy(config *tls.Config, addrs ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range addrs {
		for {
			err := greets(ctx, config, addr)
			if err == nil {
				break
			}
			select {
			case <-p.exited:
				return fmt.Errorf("it ended at once (%v): %s", p.err, strings.TrimSpace(p.out.String()))
			case <-ctx.Done():
				return fmt.Errorf("nothing greets on %s: %w", addr, err)
			case <-tick.C:
			}
		}
	}
	// Somebody else may hold the port, and our program be about to notice.
	select {
	case <-p.exited:
		return fmt.Errorf("it ended at once (%v): %s", p.err, strings.TrimSpace(p.out.String()))
	default:
		return nil
	}
}

func greets(ctx context.Context, config *tls.Config, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if config != nil {
		c = tls.Client(c, config)
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
