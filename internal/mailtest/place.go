package mailtest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// mailUID owns the mail of the real servers when the tests run as root: mail
// servers refuse to read mail as root. It needs no entry in /etc/passwd.
const mailUID = 5000

// MailOwner is as whom the real servers read and write mail, and so must
// whatever shares a mailbox with them; nil for ourselves.
func MailOwner() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: mailUID, Gid: mailUID}
}

// own gives what lies below path to the owner of mail.
func own(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, mailUID, mailUID)
	})
}

// openDir makes a temporary directory into which other users may look, which
// testing.TB.TempDir's is not: servers give up root before they read it. Its
// path is short, as Unix sockets want it.
func openDir(tb testing.TB, what string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mailtest-"+what+"-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		tb.Fatalf("making a directory for %s: %v", what, err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("removing %s: %v", dir, err)
		}
	})
	return dir
}

func writeFile(tb testing.TB, name string, data []byte, mode os.FileMode) {
	tb.Helper()
	if err := os.WriteFile(name, data, mode); err != nil {
		tb.Fatalf("writing a file of the test: %v", err)
	}
	if err := os.Chmod(name, mode); err != nil { // Whatever the umask.
		tb.Fatalf("writing a file of the test: %v", err)
	}
}

// freePorts returns n different ports that nothing listened on a moment ago.
// They lie below the range from which the kernel takes ports by itself, so
// that no outgoing connection or ":0" listener takes them meanwhile; another
// test still may, hence those who use them try again.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for try := 0; len(ports) < n; try++ {
		if try > 1000 {
			return nil, fmt.Errorf("no %d free ports on loopback", n)
		}
		p := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue
		}
		held = append(held, l)
		ports = append(ports, p)
	}
	return ports, nil
}

// userName is who we are; a number where the system has no name for it.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

func groupName() string {
	gid := strconv.Itoa(os.Getgid())
	if g, err := user.LookupGroupId(gid); err == nil {
		return g.Name
	}
	return gid
}
