package mailtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Elsewhere is the internet of a test: which hosts there are, and which servers
// of the test they are in truth. Host names and ports stay those that users name,
// from the wizard to the check of the certificate.
type Elsewhere struct {
	// Hosts are servers by host name, reached at the usual ports of the services
	// that they have a port for. There is no other host.
	Hosts map[string]*Server
	// Exchangers are the mail exchangers of domains.
	Exchangers map[string]string

	tb   testing.TB
	file string
}

// NewElsewhere returns an internet without hosts.
func NewElsewhere(tb testing.TB) *Elsewhere {
	tb.Helper()
	return &Elsewhere{
		Hosts: map[string]*Server{}, Exchangers: map[string]string{}, tb: tb,
		file: filepath.Join(openDir(tb, "elsewhere"), "table.json"),
	}
}

// Env returns the variable of a Redirected program's environment by which it finds
// this internet, as it is now.
func (e *Elsewhere) Env() string {
	e.tb.Helper()
	table := struct {
		Hosts, Ports, Exchangers map[string]string
	}{map[string]string{}, map[string]string{}, e.Exchangers}
	for i, name := range slices.Sorted(maps.Keys(e.Hosts)) {
		s := e.Hosts[name]
		addr := fmt.Sprintf("127.193.%d.%d", i/250, 1+i%250)
		table.Hosts[name] = addr
		for port, to := range map[int]int{143: s.IMAP, 993: s.IMAPS, 110: s.POP3, 995: s.POP3S} {
			if to != 0 {
				table.Ports[fmt.Sprintf("%s:%d", addr, port)] = fmt.Sprintf("127.0.0.1:%d", to)
			}
		}
	}
	text, err := json.Marshal(table)
	if err != nil {
		e.tb.Fatalf("writing the table of hosts: %v", err)
	}
	writeFile(e.tb, e.file, text, 0o644)
	return "ELSEWHERE=" + e.file
}

// redirections are what is built otherwise in a Redirected program: where names are
// looked up, and which socket a connection is made to. All checks stay as they are.
var redirections = []struct{ file, old, by string }{
	{"outbound.go", "o.Resolver = net.DefaultResolver", "o.Resolver = elsewhere{}"},
	{"outbound.go", "o.Exchangers = net.DefaultResolver", "o.Exchangers = elsewhere{}"},
	{"dial.go", `DialContext(step, "tcp", addr.String())`, `DialContext(step, "tcp", elsewhere{}.at(addr))`},
}

// overlay writes what the program is built with instead of files of its own
// (`go help build`, -overlay), and returns the path of the list.
func overlay(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}\n{{.Module.Dir}}",
		"github.com/mailbrook/mailbrook/internal/outbound").Output()
	if err != nil {
		return "", fmt.Errorf("looking for package outbound: %w", err)
	}
	outbound, module, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	replace := map[string]string{
		filepath.Join(outbound, "elsewhere.go"): filepath.Join(module, "internal/mailtest/testdata/elsewhere.go"),
	}
	for _, r := range redirections {
		from, to := filepath.Join(outbound, r.file), filepath.Join(dir, r.file)
		if changed, ok := replace[from]; ok {
			from = changed
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := bytes.Count(text, []byte(r.old)); n != 1 {
			return "", fmt.Errorf("package outbound has %q %d times in %s, not once: say what redirects it now", r.old, n,
				r.file)
		}
		if err := os.WriteFile(to, bytes.Replace(text, []byte(r.old), []byte(r.by), 1), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(outbound, r.file)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}
