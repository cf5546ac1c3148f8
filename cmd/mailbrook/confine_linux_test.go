package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// confinedEnv tells the test's own program to confine itself and to tell what it
// can still do.
const confinedEnv = "MAILBROOK_TEST_CONFINED"

// A confined process has no core files, cannot be looked into, starts no program
// and gains no right, on whichever thread; it continues to read, write and
// listen. Before that it could do all of this: the control.
func TestAConfinedProcessStartsNothingAndShowsNothing(t *testing.T) {
	if os.Getenv(confinedEnv) != "" {
		tellWhatWorks(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAConfinedProcessStartsNothingAndShowsNothing$")
	cmd.Env = append(os.Environ(), confinedEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"before: exec <nil>", "after: exec true", "dumpable 0", "core 0 0", "no new rights 1",
		"ptrace true", "file <nil>",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in what it tells:\n%s", want, out)
		}
	}
}

func tellWhatWorks(t *testing.T) {
	// Threads that are there before are confined too.
	ready, confined := make(chan bool), make(chan bool)
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			runtime.LockOSThread()
			ready <- true
			<-confined
			if err := exec.Command("/bin/true").Run(); !errors.Is(err, syscall.EPERM) {
				t.Errorf("another thread starts a program: %v", err)
			}
		})
	}
	for range 4 {
		<-ready
	}
	fmt.Println("before: exec", exec.Command("/bin/true").Run())
	if err := confine(); err != nil {
		t.Fatal(err)
	}
	close(confined)
	others.Wait()
	fmt.Println("after: exec", errors.Is(exec.Command("/bin/true").Run(), syscall.EPERM))
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Println("dumpable", dumpable, err)
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	fmt.Println("core", core.Cur, core.Max)
	privs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	fmt.Println("no new rights", privs, err)
	fmt.Println("ptrace", errors.Is(unix.PtraceAttach(os.Getppid()), syscall.EPERM))
	fmt.Println("file", os.WriteFile(t.TempDir()+"/x", []byte("x"), 0o600))
}

// What a server tells the kernel of itself shows that it is confined; and it says
// so loudly when it runs as root.
func TestServeIsConfined(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.serve("--roles", "api")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in its status:\n%s", want, status)
		}
	}
	if warned := strings.Contains(p.log(), "running as root"); warned != (os.Geteuid() == 0) {
		t.Errorf("user %d, and the log warns of root: %v", os.Geteuid(), warned)
	}
	if got := string(p.plain("GET", "/metrics").body); !strings.Contains(got, "\nprocess_open_fds ") {
		t.Error("a confined process does not count its own descriptors any more")
	}
	p.term()
}

// With few files that may be open, fewer visits are made at a time, and said to
// be; nobody's mailbox is blamed, and all mail arrives.
func TestFewOpenFilesBoundTheVisits(t *testing.T) {
	t.Parallel()
	ca := mailtest.NewCA(t)
	users := map[string]string{}
	for i := range 4 {
		users[fmt.Sprintf("u%d", i)] = canary
	}
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: users, CA: ca})
	s := newSite(t, ca)
	p := s.startLimited(80, "serve")
	p.awaitServing()
	u := p.as(anna)
	var ids []string
	oracle := map[string]mailtest.Oracle{}
	for name := range users {
		oracle[name] = mailtest.Fill(t, d, name, mailtest.Corpus(uint64(len(ids)+70), 120, false))
		ids = append(ids, u.add(remoteAccount(name, "imap", d.Host, d.IMAPS, "tls", name)).ID)
	}
	for _, id := range ids {
		a := u.reaches(id, "ok", "retrying")
		if a.Status.Diagnosis != nil && a.Status.Diagnosis.Code == string(fault.LocalMailboxUnavailable) {
			t.Errorf("our own want of descriptors is shown as %+v", a.Status.Diagnosis)
		}
	}
	for _, id := range ids {
		u.reaches(id, "ok")
	}
	for name, want := range oracle {
		mailtest.CompareDelivered(t, want, below(mailtest.ReadMaildir(t, s.mail(anna)), name), name)
	}
	if said := p.log(); !strings.Contains(said, `"msg":"fewer visits at a time than poll.workers says`) ||
		!strings.Contains(said, `"workers":1,"wanted":64`) {
		t.Error("nothing says that there are fewer workers")
	}
	p.term()
}

// Connections on which nothing is sent use up neither what visits need nor the
// places of users and of who asks for readiness.
func TestSilentCallersLeaveFilesForVisits(t *testing.T) {
	t.Parallel()
	const silent = 100
	limit := filesFor(1) // With fewer, how many are left is luck.
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"u0": canary, "u1": canary}, CA: ca})
	s := newSite(t, ca, "LISTEN_OPS=127.0.0.1:0")
	p := s.startLimited(limit, "serve")
	var ops string
	p.await(func(said string) bool {
		p.addr, ops = listenersIn(said)
		return ops != ""
	})
	// called opens connections, and returns when the last was answered: all the others
	// were accepted before.
	called := func(url string) {
		t.Helper()
		at := strings.TrimPrefix(url, "http://")
		for i := range silent {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if i < silent-1 {
				continue
			}
			if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatalf("after %d silent callers: %v", silent, err)
			}
		}
	}
	u := p.as(anna)
	for n := range 2 {
		user := fmt.Sprint("u", n)
		want := mailtest.Fill(t, d, user, mailtest.Corpus(uint64(n+70), 60, false))
		called(p.addr)
		called(ops)
		id := u.add(remoteAccount(user, "imap", d.Host, d.IMAPS, "tls", user)).ID
		called(p.addr)
		if a := u.reaches(id, "ok", "retrying"); a.Status.State != "ok" {
			t.Errorf("beside silent callers: %+v", a.Status.Diagnosis)
		}
		mailtest.CompareDelivered(t, want, below(mailtest.ReadMaildir(t, s.mail(anna)), user), user)
	}
	p.tells("connections are closed to make room for others")
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) >= limit {
		t.Errorf("%d files are open of %d", len(files), limit)
	}
	public := p.addr
	p.addr = ops
	if r := p.plain("GET", "/readyz"); r.status != http.StatusOK {
		t.Errorf("readiness: %d %s", r.status, r.body)
	}
	p.addr = public
	p.term()
}

// startLimited starts the program with a limit of open files.
func (s *site) startLimited(files int, args ...string) *process {
	s.t.Helper()
	shell := fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files)
	return s.startProgram("/bin/sh", append([]string{"-c", shell, program(s.t)}, args...)...)
}

// How many visits and callers fit, a few at least, and never more visits than were
// wanted.
func TestVisitsAndCallersFitIntoOpenFiles(t *testing.T) {
	for _, tc := range []struct {
		files  uint64
		wanted int
		want   descriptors
	}{
		{1 << 20, 64, descriptors{64, mostCallers, 1<<20 - forEverything - forChecks - 64*perVisit - 2*mostCallers}},
		{uint64(filesFor(64)), 64, descriptors{64, 188, 1}},
		{uint64(filesFor(64)) - 4, 64, descriptors{63, 187, 39}},
		{uint64(filesFor(10_000)), 10_000, descriptors{10_000, mostCallers, -1}},
		{1024, 64, descriptors{20, 64, 24}},
		{64, 64, descriptors{1, leastCallers, -1}},
		{3, 64, descriptors{1, leastCallers, -1}},
		{1 << 63, 10000, descriptors{10000, mostCallers, math.MaxInt32}},
		{1024, 2, descriptors{2, 64, 744}},
	} {
		if got := shareFiles(tc.files, tc.wanted); got != tc.want {
			t.Errorf("%d files, %d wanted: %+v, want %+v", tc.files, tc.wanted, got, tc.want)
		}
	}
	var said bytes.Buffer
	warnOfRoot(t.Context(), slog.New(slog.NewTextHandler(&said, nil)))
	if (said.Len() > 0) != (os.Geteuid() == 0) {
		t.Errorf("as user %d it is said: %s", os.Geteuid(), &said)
	}
}
