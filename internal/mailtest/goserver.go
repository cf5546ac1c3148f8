package mailtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FetchMox builds mox below the cache directory and returns its path.
func FetchMox(cache string) (program string, err error) {
	return buildGoServer(cache, "github.com/mjl-/mox", "v0.0.15", ".")
}

// FetchMaddy builds maddy below the cache directory and returns its path.
func FetchMaddy(cache string) (program string, err error) {
	return buildGoServer(cache, "github.com/foxcpp/maddy", "v0.8.2", "./cmd/maddy")
}

// goServer is an IMAP server made of one program and one directory.
type goServer struct {
	Server
	tb   testing.TB
	dir  string
	proc *process
}

// startGoServer writes configuration for fresh ports and starts the program by
// it, until the test ends.
func startGoServer(tb testing.TB, name string, ca *CA, users map[string]string, program string,
	configure func(s *goServer) (args []string),
) *goServer {
	tb.Helper()
	s := &goServer{Server: Server{Host: "localhost", CA: ca, Users: users}, tb: tb, dir: openDir(tb, name)}
	cert := ca.Server()
	writeFile(tb, s.file("server.pem"), cert.CertPEM, 0o644)
	writeFile(tb, s.file("server.key"), cert.KeyPEM, 0o600)
	tb.Cleanup(func() {
		if s.proc == nil {
			return
		}
		if err := s.proc.stop(); err != nil {
			tb.Errorf("stopping %s: %v", name, err)
		}
		if tb.Failed() {
			tb.Logf("%s said: %s", name, s.proc.out.String())
		}
	})
	const tries = 5
	for try := 1; ; try++ {
		ports, err := freePorts(2)
		if err != nil {
			tb.Fatalf("setting up %s: %v", name, err)
		}
		s.IMAP, s.IMAPS = ports[0], ports[1]
		if s.proc, err = startProcess(nil, program, configure(s)...); err == nil {
			if err = s.proc.awaitGreetings(s.Addr("imap")); err == nil {
				return s
			}
			err = errors.Join(err, s.proc.stop())
		}
		if try == tries {
			tb.Fatalf("starting %s: %v", name, err)
		}
	}
}

func (s *goServer) file(name string) string { return filepath.Join(s.dir, name) }

// administer runs a command of the program, with a password on its input.
func (s *goServer) administer(password, program string, args ...string) string {
	s.tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(password+"\n"+password+"\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		s.tb.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// StartMox starts an IMAP server by what FetchMox built, with empty mailboxes,
// until the test ends. Its users' names are addresses at localhost.
func StartMox(tb testing.TB, program string, ca *CA, users map[string]string) *Server {
	tb.Helper()
	s := startGoServer(tb, "mox", ca, users, program, func(s *goServer) []string {
		writeFile(tb, s.file("mox.conf"), fmt.Appendf(nil, moxConfig, s.IMAP, s.IMAPS), 0o600)
		domains := "Domains:\n\tlocalhost: nil\nAccounts:\n"
		for address := range users {
			domains += fmt.Sprintf("\t%s:\n\t\tDomain: localhost\n\t\tDestinations:\n\t\t\t%s: nil\n", account(address), address)
		}
		writeFile(tb, s.file("domains.conf"), []byte(domains), 0o600)
		return []string{"localserve", "-dir", s.dir}
	})
	for address, password := range users {
		s.administer(password, program, "-config", "mox.conf", "setaccountpassword", account(address))
	}
	return &s.Server
}

func account(address string) string {
	local, _, _ := strings.Cut(address, "@")
	return local
}

const moxConfig = `DataDir: .
LogLevel: info
User: 0
Hostname: localhost
Listeners:
	local:
		IPs:
			- 127.0.0.1
		TLS:
			KeyCerts:
				-
					CertFile: server.pem
					KeyFile: server.key
		IMAP:
			Enabled: true
			Port: %d
			NoRequireSTARTTLS: true
		IMAPS:
			Enabled: true
			Port: %d
Postmaster:
	Account: anna
	Mailbox: Inbox
`

// StartMaddy starts an IMAP server by what FetchMaddy built, with empty
// mailboxes, until the test ends. Its users' names are addresses.
func StartMaddy(tb testing.TB, program string, ca *CA, users map[string]string) *Server {
	tb.Helper()
	s := startGoServer(tb, "maddy", ca, users, program, func(s *goServer) []string {
		writeFile(tb, s.file("maddy.conf"), fmt.Appendf(nil, maddyConfig, s.dir, s.IMAPS, s.IMAP), 0o644)
		for _, dir := range []string{"state", "run"} {
			if err := os.MkdirAll(s.file(dir), 0o755); err != nil {
				tb.Fatalf("setting up maddy: %v", err)
			}
		}
		var passwords strings.Builder
		for name, password := range users {
			hash := s.administer("", program, "--config", "maddy.conf", "hash", "--password", password)
			fmt.Fprintf(&passwords, "%s: %s\n", name, hash)
		}
		writeFile(tb, s.file("passwords"), []byte(passwords.String()), 0o600)
		return []string{"--config", s.file("maddy.conf"), "run"}
	})
	for name := range users {
		s.administer("", program, "--config", "maddy.conf", "imap-acct", "create", name)
	}
	return &s.Server
}

const maddyConfig = `state_dir %[1]s/state
runtime_dir %[1]s/run
hostname localhost
tls file %[1]s/server.pem %[1]s/server.key
auth.pass_table local_authdb {
	table file %[1]s/passwords
}
storage.imapsql local_mailboxes {
	driver sqlite3
	dsn imapsql.db
}
imap tls://127.0.0.1:%[2]d tcp://127.0.0.1:%[3]d {
	auth &local_authdb
	storage &local_mailboxes
	insecure_auth yes
}
`
