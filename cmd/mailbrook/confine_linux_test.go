package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
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
// and gains no right, on whichever thread; it goes on reading, writing and
// listening. Before that it could do all of this: the control.
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
			t.Errorf("our own want of descriptors is told as %+v", a.Status.Diagnosis)
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

// startLimited starts the program with a limit of open files.
func (s *site) startLimited(files int, args ...string) *process {
	s.t.Helper()
	shell := fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files)
	return s.startProgram("/bin/sh", append([]string{"-c", shell, program(s.t)}, args...)...)
}

// How many visits fit, one at least, and never more than were wanted.
func TestWorkersFitIntoOpenFiles(t *testing.T) {
	for _, tc := range []struct {
		files  uint64
		wanted int
		want   int
	}{
		{1 << 20, 64, 64},
		{forEverything + 64*perVisit, 64, 64},
		{forEverything + 64*perVisit - 1, 64, 63},
		{1024, 64, 24},
		{64, 64, 1},
		{3, 64, 1},
		{1 << 63, 10000, 10000},
		{1024, 2, 2},
	} {
		if got := workersFor(tc.files, tc.wanted); got != tc.want {
			t.Errorf("%d files, %d wanted: %d visits, want %d", tc.files, tc.wanted, got, tc.want)
		}
	}
	var said bytes.Buffer
	warnOfRoot(t.Context(), slog.New(slog.NewTextHandler(&said, nil)))
	if (said.Len() > 0) != (os.Geteuid() == 0) {
		t.Errorf("as user %d it is said: %s", os.Geteuid(), &said)
	}
}
