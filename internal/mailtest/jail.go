package mailtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// makeDevices gives a root directory what programs expect in /dev.
func makeDevices(root string) error {
	var errs []error
	for name, minor := range map[string]int{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		errs = append(errs, os.MkdirAll(filepath.Join(root, "dev"), 0o755))
		path := filepath.Join(root, "dev", name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|minor); !errors.Is(err, fs.ErrExist) {
			errs = append(errs, err)
		}
		errs = append(errs, os.Chmod(path, 0o666)) // Whatever the umask.
	}
	return errors.Join(errs...)
}

// jailed returns a command that runs within a root directory, with no
// environment but env.
func jailed(root string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir, cmd.Env = "/", append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}, env...)
	return cmd
}

// runJailed runs a command within a root directory to its end, and returns
// what it printed.
func runJailed(root, input, name string, args ...string) (string, error) {
	cmd := jailed(root, nil, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return string(out), err
}

// populate writes the users of a root directory, with passwords and homes
// that are empty. They share one number, as the mail of the real servers does.
// A program may want users and groups of its own, without a password.
func populate(root string, users map[string]string, system ...string) error {
	var passwd, shadow, passwords strings.Builder
	passwd.WriteString("root:x:0:0::/:/bin/false\n")
	shadow.WriteString("root:*:1::::::\n")
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/home/%s:/bin/false\n", name, mailUID, mailUID, name)
		fmt.Fprintf(&shadow, "%s:*:1::::::\n", name)
		fmt.Fprintf(&passwords, "%s:%s\n", name, users[name])
	}
	group := "root:x:0:\nmail:x:8:\nshadow:x:42:\n"
	for i, name := range system {
		group += fmt.Sprintf("%s:x:%d:\n", name, mailUID+1+i)
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/:/bin/false\n", name, mailUID+1+i, mailUID+1+i)
	}
	errs := []error{
		os.RemoveAll(filepath.Join(root, "home")),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd.String()), 0o644),
		os.WriteFile(filepath.Join(root, "etc/group"), []byte(group), 0o644),
		os.WriteFile(filepath.Join(root, "etc/shadow"), []byte(shadow.String()), 0o600),
		os.WriteFile(filepath.Join(root, "etc/nsswitch.conf"), []byte("passwd: files\nshadow: files\ngroup: files\n"), 0o644),
		os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644),
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		errs = append(errs, ownedDir(filepath.Join(root, "home", name)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := runJailed(root, passwords.String(), "/usr/sbin/chpasswd", "-c", "SHA512")
	return err
}

// ownedDir makes a directory that belongs to the owner of mail.
func ownedDir(path string) error {
	return errors.Join(os.MkdirAll(path, 0o755), os.Lchown(path, mailUID, mailUID))
}
