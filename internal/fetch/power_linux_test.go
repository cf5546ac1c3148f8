package fetch_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cutPower makes a file system forget what it has not written, as if the
// machine had lost power: EXT4_IOC_SHUTDOWN without flushing the journal.
func cutPower(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, 2
	return unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
}

// dieWithUs lets no worker outlive the tests, not even a stopped one. The kernel
// watches the thread that started it; Go keeps its threads.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// stopUs stops the process until it is continued. A signal to the process as a
// whole might be taken by another thread, a moment later.
func stopUs() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
}

// voidSyncs lets fsync and fdatasync say yes and do nothing, in the whole
// process, as a disk does that lies about its cache.
func voidSyncs() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // The number of the call.
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO}, // Errno 0: success.
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if n, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program))); errno != 0 || n != 0 {
		return fmt.Errorf("seccomp: %d, %w", n, errno)
	}
	return nil
}

// volume is an ext4 file system of the test's own, on a loop device.
type volume struct{ image, dir string }

// newVolume makes and mounts one. An error means that this machine does not let us.
func newVolume(t *testing.T) (*volume, error) {
	t.Helper()
	base, err := os.MkdirTemp("", "volume-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Errorf("removing a volume: %v", err)
		}
	})
	v := &volume{image: filepath.Join(base, "ext4.img"), dir: filepath.Join(base, "mounted")}
	if err := errors.Join(os.WriteFile(v.image, nil, 0o600), os.Truncate(v.image, 96<<20),
		os.Mkdir(v.dir, 0o755)); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", v.image); err != nil {
		return nil, err
	}
	if err := v.mount(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := v.unmount(); err != nil {
			t.Error(err)
		}
	})
	return v, nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (v *volume) mount() error { return command("mount", "-o", "loop", v.image, v.dir) }

// unmount waits until nobody uses the volume: a process that is just being
// started holds our files for a moment.
func (v *volume) unmount() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		err := unix.Unmount(v.dir, 0)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-tick.C:
		case <-late.C:
			return errors.Join(fmt.Errorf("unmounting: %w", err), unix.Unmount(v.dir, unix.MNT_DETACH))
		}
	}
}

// restart is what happens after a power cut.
func (v *volume) restart() error { return errors.Join(v.unmount(), v.mount()) }

// sync makes durable what is on the volume.
func (v *volume) sync() error {
	f, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
