package mailtest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Courier is Debian's Courier, IMAP and POP3, in a root directory of its own.
// Its settings are those of the packages.
type Courier struct {
	Server
	tb    testing.TB
	root  string
	procs []*process
}

// FetchCourier unpacks it below the cache directory and returns where.
func FetchCourier(cache string) (root string, err error) {
	return unpackDebian(cache, "courier", "courier-imap", "courier-pop", "courier-base", "courier-authlib",
		"courier-authdaemon", "courier-authlib-userdb", "gamin")
}

// StartCourier starts what FetchCourier unpacked; it serves empty mailboxes
// until the test ends. Fill them over IMAP.
func StartCourier(tb testing.TB, root string, ca *CA, users map[string]string) *Courier {
	tb.Helper()
	c := &Courier{Server: Server{Host: "localhost", CA: ca, Users: users}, tb: tb, root: root}
	c.configure()
	tb.Cleanup(c.stop)
	c.run(jailed(root, nil, "/usr/lib/courier/courier-authlib/authdaemond"))
	const tries = 5
	for try := 1; ; try++ {
		ports, err := freePorts(4)
		if err != nil {
			tb.Fatalf("setting up Courier: %v", err)
		}
		c.setPorts(ports)
		if err = c.listen(); err == nil {
			return c
		}
		if try == tries {
			tb.Fatalf("starting Courier: %v", err)
		}
	}
}

// configure writes users into Courier's own database, and its certificate.
func (c *Courier) configure() {
	c.tb.Helper()
	must := func(err error) {
		c.tb.Helper()
		if err != nil {
			c.tb.Fatalf("setting up Courier: %v", err)
		}
	}
	must(populate(c.root, c.Users, "courier"))
	for _, dir := range []string{"run/courier/authdaemon", "var/lib/courier", "tmp"} {
		must(os.MkdirAll(c.file(dir), 0o755))
	}
	cert := c.CA.Server()
	writeFile(c.tb, c.file("etc/courier/server.pem"), append(slices.Clone(cert.CertPEM), cert.KeyPEM...), 0o644)
	writeFile(c.tb, c.file("etc/courier/ca.pem"), cert.CertPEM, 0o644)
	rc, err := os.ReadFile(c.file("etc/courier/authdaemonrc"))
	must(err)
	writeFile(c.tb, c.file("etc/courier/authdaemonrc"), bytes.ReplaceAll(rc, []byte(`="authpam"`),
		[]byte(`="authuserdb"`)), 0o644)

	var users, secrets strings.Builder
	for name, password := range c.Users {
		digest, err := runJailed(c.root, password+"\n", "/usr/sbin/userdbpw", "-md5")
		must(err)
		fmt.Fprintf(&users, "%s\tuid=%d|gid=%d|home=/home/%s\n", name, mailUID, mailUID, name)
		fmt.Fprintf(&secrets, "%s\tsystempw=%s\n", name, strings.TrimSpace(digest))
		must(ownedDir(c.file("home/" + name)))
		must(c.asOwner("/usr/bin/maildirmake.courier", "/home/"+name+"/Maildir"))
	}
	for name, records := range map[string]string{
		"userdb":       users.String() + ".\n",
		"userdbshadow": secrets.String() + ".\n",
	} {
		_, err := runJailed(c.root, records, "/usr/lib/courier/courier-authlib/makedatprog", "-",
			"/etc/courier/"+name+".tmp", "/etc/courier/"+name+".dat")
		must(err)
		must(os.Chmod(c.file("etc/courier/"+name+".dat"), 0o600))
	}
}

func (c *Courier) asOwner(name string, args ...string) error {
	cmd := jailed(c.root, nil, name, args...)
	cmd.SysProcAttr.Credential = MailOwner()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (c *Courier) file(name string) string { return filepath.Join(c.root, name) }

// listen starts its four listeners, as the packages' start scripts do.
func (c *Courier) listen() error {
	const login = "/usr/lib/courier/courier/"
	imap := []string{login + "imaplogin", "/usr/bin/imapd", "Maildir"}
	pop3 := []string{login + "courierpop3login", login + "courierpop3d", "Maildir"}
	overTLS := []string{"/usr/bin/couriertls", "-server", "-tcpd"}
	for _, s := range []struct {
		service, settings string
		program           []string
		further           []string
	}{
		{"imap", "imapd", imap, []string{"IMAP_STARTTLS=YES"}},
		{"imaps", "imapd", append(slices.Clone(overTLS), imap...), []string{"IMAP_TLS=1"}},
		{"pop3", "pop3d", pop3, []string{"POP3_STARTTLS=YES"}},
		{"pop3s", "pop3d", append(slices.Clone(overTLS), pop3...), []string{"POP3_TLS=1"}},
	} {
		_, port, err := net.SplitHostPort(c.Addr(s.service))
		if err != nil {
			return err
		}
		env, err := c.settings(s.settings, s.settings+"-ssl")
		if err != nil {
			return err
		}
		p := c.run(jailed(c.root, append(env, s.further...), "/usr/sbin/couriertcpd", append([]string{
			"-address=127.0.0.1", "-maxprocs=100", "-maxperip=100", "-nodnslookup", "-noidentlookup", port,
		}, s.program...)...))
		var config *tls.Config
		if strings.HasSuffix(s.service, "s") {
			config = c.CA.Client()
		}
		if err := p.awaitGreetingsBy(config, c.Addr(s.service)); err != nil {
			return err
		}
	}
	return nil
}

// settings reads what the packages set in etc/courier, as their scripts' shell
// does, but for the certificate.
func (c *Courier) settings(files ...string) ([]string, error) {
	set := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(c.file("etc/courier/" + name))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && !strings.HasPrefix(key, "#") {
				set[key] = os.Expand(strings.Trim(value, `"`), func(k string) string { return set[k] })
			}
		}
	}
	set["TLS_CERTFILE"], set["TLS_TRUSTCERTS"] = "/etc/courier/server.pem", "/etc/courier/ca.pem"
	delete(set, "TLS_CACHEFILE")
	delete(set, "TLS_DHPARAMS")
	var env []string
	for _, k := range slices.Sorted(maps.Keys(set)) {
		env = append(env, k+"="+set[k])
	}
	return env, nil
}

func (c *Courier) stop() {
	for _, p := range slices.Backward(c.procs) {
		if err := p.stop(); err != nil {
			c.tb.Errorf("stopping Courier: %v", err)
		}
		if said := p.out.String(); c.tb.Failed() && said != "" {
			c.tb.Logf("Courier said: %s", said)
		}
	}
}

func (c *Courier) run(cmd *exec.Cmd) *process {
	c.tb.Helper()
	p, err := startCommand(cmd)
	if err != nil {
		c.tb.Fatalf("starting Courier: %v", err)
	}
	c.procs = append(c.procs, p)
	return p
}
