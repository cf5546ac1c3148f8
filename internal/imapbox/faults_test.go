package imapbox

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fault is what happens to a connection, once: after so many octets to the server or from it, or behind
// a command that is found in what goes to it.
type faultPlan struct {
	up, down int64  // Below zero: never.
	command  string // Found in what goes up; "": none.
	how      string // reset, closed, late, deaf, or killed: the server's process.
	delay    time.Duration
}

// faulty is a proxy in front of a server that has one fault at a time.
type faulty struct {
	t      testing.TB
	target *net.TCPAddr
	home   string // The Maildir that connections are about.
	l      net.Listener
	wg     sync.WaitGroup

	mu       sync.Mutex
	plan     *faultPlan
	up, down int64 // Since the plan was set.
	alive    map[*through]bool
	dying    []int // Processes of the server whose connections were reset.
}

// through is one connection through it.
type through struct {
	client, server *net.TCPConn
	deaf           atomic.Bool  // Answers vanish.
	held           atomic.Bool  // What goes up is held back, for a time.
	delay          atomic.Int64 // For so long.
}

func newFaulty(t testing.TB, target, home string) *faulty {
	addr, err := net.ResolveTCPAddr("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{t: t, target: addr, home: home, l: l, alive: map[*through]bool{}}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(c.(*net.TCPConn)) })
		}
	})
	return f
}

func (f *faulty) close() {
	_ = f.l.Close()
	f.mu.Lock()
	for c := range f.alive {
		_, _ = c.client.Close(), c.server.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// set has the next fault happen, and forgets the last one. It returns what went up and down since.
func (f *faulty) set(p *faultPlan) (up, down int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	up, down = f.up, f.down
	f.plan, f.up, f.down = p, 0, 0
	return up, down
}

// happened reports whether the fault that was set has.
func (f *faulty) happened() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan == nil
}

func (f *faulty) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := net.DialTCP("tcp", nil, f.target)
	if err != nil {
		return
	}
	defer server.Close()
	c := &through{client: client, server: server}
	f.mu.Lock()
	f.alive[c] = true
	f.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		f.pump(c, true)
		_ = server.CloseWrite() // The server does what it has, and ends.
	})
	f.pump(c, false)
	f.mu.Lock()
	delete(f.alive, c)
	f.mu.Unlock()
	_ = client.Close()
	wg.Wait()
}

// pump copies in one direction until it ends.
func (f *faulty) pump(c *through, up bool) {
	from, to := c.client, c.server
	if !up {
		from, to = to, from
	}
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !f.pass(c, up, to, b[:n]) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass forwards octets, and has the fault happen among them.
func (f *faulty) pass(c *through, up bool, to *net.TCPConn, b []byte) bool {
	f.mu.Lock()
	count, at := &f.down, int64(-1)
	if up {
		count = &f.up
	}
	p := f.plan
	if p != nil {
		switch {
		case up && p.command != "":
			if i := bytes.Index(b, []byte(p.command)); i >= 0 {
				at = int64(i + len(p.command))
				if end := bytes.IndexByte(b[i:], '\n'); end >= 0 && p.how == "killed" {
					at = int64(i + end + 1)
				}
			}
		case up && p.up >= 0 && *count+int64(len(b)) > p.up:
			at = p.up - *count
		case !up && p.down >= 0 && *count+int64(len(b)) > p.down:
			at = p.down - *count
		}
		if at >= 0 {
			f.plan = nil
		}
	}
	*count += int64(len(b))
	f.mu.Unlock()
	if at < 0 {
		return f.write(c, up, to, b)
	}
	pid := 0
	if p.how == "killed" || p.how == "reset" {
		pid = f.process(c)
	}
	ok := f.write(c, up, to, b[:at])
	switch p.how {
	case "reset":
		f.mu.Lock()
		if pid != 0 {
			f.dying = append(f.dying, pid)
		}
		f.mu.Unlock()
		_, _ = c.client.SetLinger(0), c.server.SetLinger(0)
		_, _ = c.client.Close(), c.server.Close()
		return false
	case "closed":
		_, _ = c.client.CloseWrite(), c.server.CloseWrite()
		c.deaf.Store(true)
		return !up
	case "late": // The client notices at once. What it has sent arrives, after a time.
		c.delay.Store(int64(p.delay))
		c.deaf.Store(true)
		c.held.Store(true)
		_ = c.client.CloseWrite()
	case "deaf": // The client notices after a time. What it sends meanwhile arrives.
		c.deaf.Store(true)
		f.wg.Go(func() {
			time.Sleep(p.delay)
			_ = c.client.CloseWrite()
		})
	case "killed":
		time.Sleep(p.delay)
		if pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			f.wg.Go(f.unlock)
		}
	}
	return ok && f.write(c, up, to, b[at:])
}

// unlock removes the lock on a folder's list of UIDs that a killed Dovecot has left, as Dovecot itself does
// after two minutes: what is still the same file after seconds is nobody's.
func (f *faulty) unlock() {
	locks := func() map[string]os.FileInfo {
		all := map[string]os.FileInfo{}
		for _, pattern := range []string{"dovecot-uidlist.lock", ".*/dovecot-uidlist.lock"} {
			names, err := filepath.Glob(filepath.Join(f.home, pattern))
			if err != nil {
				f.t.Error(err)
			}
			for _, name := range names {
				if info, err := os.Stat(name); err == nil {
					all[name] = info
				}
			}
		}
		return all
	}
	before := locks()
	if len(before) == 0 {
		return
	}
	time.Sleep(5 * time.Second)
	for name, info := range locks() {
		if before[name] != nil && os.SameFile(info, before[name]) {
			_ = os.Remove(name)
		}
	}
}

func (f *faulty) write(c *through, up bool, to *net.TCPConn, b []byte) bool {
	if !up && c.deaf.Load() {
		return true
	}
	if up && c.held.Swap(false) {
		time.Sleep(time.Duration(c.delay.Load()))
	}
	_, err := to.Write(b)
	return err == nil || !up && errors.Is(err, syscall.EPIPE) || !up && errors.Is(err, syscall.ECONNRESET)
}

// process is the server's that has the other end of a connection; 0: none is found.
func (f *faulty) process(c *through) int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		f.t.Error(err)
		return 0
	}
	theirs, ours := fmt.Sprintf(":%04X", f.target.Port), fmt.Sprintf(":%04X", c.server.LocalAddr().(*net.TCPAddr).Port)
	inode := ""
	for line := range strings.Lines(string(table)) {
		if w := strings.Fields(line); len(w) > 9 && strings.HasSuffix(w[1], theirs) && strings.HasSuffix(w[2], ours) {
			inode = "socket:[" + w[9] + "]"
		}
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		f.t.Error(err)
	}
	for _, dir := range all {
		if name, err := os.ReadFile(dir + "/comm"); err != nil || string(name) != "imap\n" {
			continue
		}
		open, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // It has ended.
		}
		for _, fd := range open {
			if to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && to == inode {
				var pid int
				_, _ = fmt.Sscan(filepath.Base(dir), &pid)
				return pid
			}
		}
	}
	return 0
}

// settled waits until the server has done everything that connections brought which have ended for
// their clients: what a quiet time that is long enough waits for, however busy the machine is.
func (f *faulty) settled(but func(client net.Addr) bool) {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		busy := false
		for c := range f.alive {
			busy = busy || !but(c.client.RemoteAddr())
		}
		for _, pid := range f.dying {
			busy = busy || syscall.Kill(pid, 0) == nil
		}
		if !busy {
			f.dying = nil
		}
		f.mu.Unlock()
		if !busy {
			return
		}
	}
	f.t.Error("the server does not end its sessions")
}
