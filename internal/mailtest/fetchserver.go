package mailtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// unpackDebian unpacks Debian packages, with every library that they need,
// into a root of their own, <cache>/<name>: nothing is installed, and a server
// there has its own /etc, users and /run. It needs apt's lists, and root: for
// the root's device files and to enter it. What was unpacked once is kept.
func unpackDebian(cache, name string, packages ...string) (root string, err error) {
	root = filepath.Join(cache, name)
	switch {
	case os.Getuid() != 0:
		return "", errors.New("only root may run it in a root directory of its own")
	case exists(filepath.Join(root, "complete")):
		return root, nil
	}
	tmp, err := os.MkdirTemp("", "mailtest-packages-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := os.WriteFile(filepath.Join(tmp, "status"), nil, 0o644); err != nil {
		return "", err
	}
	// As if nothing were installed: apt names all that is needed. passwd sets passwords.
	plan, err := output(tmp, nil, "apt-get", append([]string{
		"install", "-s", "--no-install-recommends",
		"-o", "Dir::State::status=" + filepath.Join(tmp, "status"), "passwd",
	}, packages...)...)
	if err != nil {
		return "", err
	}
	wanted := append([]string{"passwd"}, packages...)
	for line := range strings.Lines(plan) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" && isLibrary.MatchString(f[1]) {
			wanted = append(wanted, f[1])
		}
	}
	if _, err := output(tmp, nil, "apt-get", append([]string{"download", "-q"}, wanted...)...); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	for _, deb := range debs {
		if _, err := output(tmp, nil, "dpkg", "-x", deb, root); err != nil {
			return "", err
		}
	}
	if err := makeDevices(root); err != nil {
		return "", err
	}
	return root, os.WriteFile(filepath.Join(root, "complete"), nil, 0o644)
}

// isLibrary knows Debian's packages of libraries by their names.
var isLibrary = regexp.MustCompile(`^(lib|zlib1g$|guile-.*-libs$)`)

// buildGoServer builds a server's program from its public Go module, into
// <cache>, and returns its path. The module's version is named, so that each
// run meets the same server.
func buildGoServer(cache, module, version, pkg string) (program string, err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	program = filepath.Join(cache, filepath.Base(module)+"-"+version)
	if exists(program) {
		return program, nil
	}
	tmp, err := os.MkdirTemp("", "mailtest-module-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	told, err := output(tmp, nil, "go", "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", err
	}
	var source struct{ Dir string }
	if err := json.Unmarshal([]byte(told), &source); err != nil {
		return "", fmt.Errorf("reading what go says about %s: %w", module, err)
	}
	// In a copy, so that what its go.mod replaces is replaced: "go install" refuses that.
	if err := os.CopyFS(filepath.Join(tmp, "source"), os.DirFS(source.Dir)); err != nil {
		return "", err
	}
	// Readonly: of a vendor directory, a module has the list alone.
	_, err = output(filepath.Join(tmp, "source"), []string{"CGO_ENABLED=0"}, "go", "build", "-mod=readonly",
		"-o", program+".new", pkg)
	if err != nil {
		return "", err
	}
	return program, os.Rename(program+".new", program)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// output runs a command and returns what it printed; an error has the last
// line of its complaint.
func output(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "LC_ALL=C"), env...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, lines[len(lines)-1])
	}
	return string(out), nil
}
