package mailtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// CyrusOptions says how a private Cyrus is set up. The zero value is good.
type CyrusOptions struct {
	Users map[string]string // Passwords by user name; nil: anna with "sekret".
	// Alt serves folders beside INBOX, with "/" between levels. Otherwise they
	// lie below it, as "INBOX.Sent": the other common form, and Cyrus's own
	// for long.
	Alt bool
	// Proxy is a user who may work in anybody's mailbox, by SASL's authorization identity; "":
	// there is none.
	Proxy string
	// Domains has it know users by their whole addresses.
	Domains bool
	CA      *CA // Nil: a new one.
}

// Cyrus is a private Cyrus IMAP server: a second opinion beside Dovecot, with
// its own store, its own names and its own notion of what a message may be.
type Cyrus struct {
	Server
	tb   testing.TB
	root string // Where the program was unpacked.
	base string
	opts CyrusOptions
	cert *Certificate
	auth *saslauthd
	proc *process
}

// StartCyrus starts a Cyrus that serves empty mailboxes until the test ends.
// Fill them over IMAP.
func StartCyrus(tb testing.TB, o CyrusOptions) *Cyrus {
	tb.Helper()
	root := cyrusRoot()
	if root == "" {
		tb.Fatal("Cyrus is missing; fetch it: internal/mailtest/install-cyrus.sh")
	}
	if o.Users == nil {
		o.Users = map[string]string{"anna": "sekret"}
	}
	if o.CA == nil {
		o.CA = NewCA(tb)
	}
	c := &Cyrus{
		Server: Server{Host: "localhost", CA: o.CA, Users: o.Users},
		tb:     tb, root: root, base: openDir(tb, "cyrus"), opts: o, cert: o.CA.Server(),
	}
	var err error
	if c.auth, err = listenSASL(filepath.Join(c.base, "mux"), o.Users); err != nil {
		tb.Fatalf("answering Cyrus's questions about passwords: %v", err)
	}
	tb.Cleanup(func() {
		if c.proc != nil {
			if err := c.proc.stop(); err != nil {
				tb.Errorf("stopping Cyrus: %v", err)
			}
			if tb.Failed() {
				tb.Logf("Cyrus said: %s", c.proc.out.String())
			}
		}
		if err := c.auth.close(); err != nil {
			tb.Errorf("ending the password check: %v", err)
		}
	})
	c.start()
	return c
}

// cyrusRoot returns the directory into which install-cyrus.sh unpacked Cyrus,
// "/" if it is installed as a package, "" if it is not there.
func cyrusRoot() string {
	candidates := []string{os.Getenv("MAILBROOK_TEST_CYRUS"), "/usr/local/lib/mailbrook-cyrus"}
	if cache, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(cache, "mailbrook-cyrus"))
	}
	for _, dir := range append(candidates, "/") {
		if dir == "" {
			continue
		}
		_, err1 := os.Stat(filepath.Join(dir, "usr/lib/cyrus/bin/imapd"))
		_, err2 := os.Stat(filepath.Join(dir, "usr/lib/cyrus/bin/pop3d"))
		if err1 == nil && err2 == nil {
			return dir
		}
	}
	return ""
}

func (c *Cyrus) program(name string) string { return filepath.Join(c.root, "usr/lib/cyrus/bin", name) }

// environment lets its programs find the libraries that were unpacked with them.
func (c *Cyrus) environment() []string {
	var dirs []string
	for _, lib := range []string{"usr/lib", "lib"} {
		found, _ := filepath.Glob(filepath.Join(c.root, lib, "*-linux-gnu*")) // The pattern is good.
		dirs = append(dirs, found...)
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
}

func (c *Cyrus) start() {
	c.tb.Helper()
	const tries = 5
	for try := 1; ; try++ {
		ports, err := freePorts(4)
		if err != nil {
			c.tb.Fatalf("setting up Cyrus: %v", err)
		}
		c.setPorts(ports)
		c.configure()
		p, err := startProcess(c.environment(), c.program("master"), "-C", c.file("imapd.conf"), "-M", c.file("cyrus.conf"),
			"-p", c.file("pid"), "-D")
		if err == nil {
			if err = p.awaitGreetings(c.Addr("imap"), c.Addr("pop3")); err == nil {
				c.proc = p
				return
			}
			err = errors.Join(err, p.stop())
		}
		if try == tries {
			c.tb.Fatalf("starting Cyrus: %v", err)
		}
	}
}

func (c *Cyrus) file(name string) string { return filepath.Join(c.base, name) }

func (c *Cyrus) configure() {
	c.tb.Helper()
	uid, gid, name := c.identity()
	for _, dir := range []string{
		"conf", "conf/db", "conf/socket", "conf/proc", "conf/lock", "conf/user", "conf/quota",
		"spool", "spool/stage.",
	} {
		if err := os.MkdirAll(c.file(dir), 0o755); err != nil {
			c.tb.Fatalf("setting up Cyrus: %v", err)
		}
	}
	writeFile(c.tb, c.file("server.pem"), c.cert.CertPEM, 0o644)
	writeFile(c.tb, c.file("server.key"), c.cert.KeyPEM, 0o600)
	yes := map[bool]string{true: "yes", false: "no"}
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s: %v\n", key, value) }
	set("configdirectory", c.file("conf"))
	set("proc_path", c.file("conf/proc"))
	set("mboxname_lockpath", c.file("conf/lock"))
	set("partition-default", c.file("spool"))
	set("defaultpartition", "default")
	set("cyrus_user", name)
	set("admins", "administrator")
	if c.opts.Proxy != "" {
		set("proxyservers", c.opts.Proxy)
	}
	set("servername", "localhost")
	set("altnamespace", yes[c.opts.Alt])
	set("unixhierarchysep", yes[c.opts.Alt])
	set("virtdomains", map[bool]string{true: "userid", false: "off"}[c.opts.Domains])
	set("autocreate_quota", 0)
	set("autocreate_users", "anyone")
	set("allowplaintext", "yes")
	set("sasl_pwcheck_method", "saslauthd")
	set("sasl_saslauthd_path", c.file("mux"))
	set("sasl_mech_list", "PLAIN LOGIN")
	set("tls_server_cert", c.file("server.pem"))
	set("tls_server_key", c.file("server.key"))
	set("lmtpsocket", c.file("conf/socket/lmtp"))
	set("idlesocket", c.file("conf/socket/idle"))
	set("notifysocket", c.file("conf/socket/notify"))
	set("munge8bit", "no")
	set("popminpoll", 0)
	set("popexpiretime", -1)
	set("maxlogins_per_user", 100)
	writeFile(c.tb, c.file("imapd.conf"), []byte(b.String()), 0o644)

	b.Reset()
	fmt.Fprintf(&b, "START {\n  recover cmd=\"%s -C %s -r\"\n}\nSERVICES {\n", c.program("ctl_cyrusdb"),
		c.file("imapd.conf"))
	for _, s := range []struct {
		name, program string
		port          int
	}{{"imap", "imapd", c.IMAP}, {"imaps", "imapd -s", c.IMAPS}, {"pop3", "pop3d", c.POP3}, {
		"pop3s", "pop3d -s",
		c.POP3S,
	}} {
		fmt.Fprintf(&b, "  %s cmd=\"%s -C %s\" listen=\"127.0.0.1:%d\" proto=\"tcp4\" prefork=0 maxforkrate=1000\n", s.name,
			c.program(s.program), c.file("imapd.conf"), s.port)
	}
	b.WriteString("}\nEVENTS {\n}\n")
	writeFile(c.tb, c.file("cyrus.conf"), []byte(b.String()), 0o644)
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(c.base, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, uid, gid)
	})
	if err != nil {
		c.tb.Fatalf("setting up Cyrus: %v", err)
	}
}

// identity is as whom Cyrus runs: it gives up root.
func (c *Cyrus) identity() (uid, gid int, name string) {
	c.tb.Helper()
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), userName()
	}
	// Cyrus wants a user by name; every system has this one.
	u, err := user.Lookup("nobody")
	if err != nil {
		c.tb.Fatalf("finding a user for Cyrus: %v", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		c.tb.Fatalf("finding a user for Cyrus: %v", err)
	}
	return uid, gid, u.Username
}

// saslauthd checks passwords for Cyrus: it speaks the protocol of the daemon of
// that name, so that no password database needs another package.
type saslauthd struct {
	l     net.Listener
	users map[string]string
	wg    sync.WaitGroup
}

func listenSASL(path string, users map[string]string) (*saslauthd, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		l.Close()
		return nil, err
	}
	s := &saslauthd{l: l, users: maps.Clone(users)}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.answer(c) })
		}
	})
	return s, nil
}

func (s *saslauthd) close() error {
	err := s.l.Close()
	s.wg.Wait()
	return err
}

// answer reads user, password, service and realm, each behind its length as 16
// bits, and answers in the same form.
func (s *saslauthd) answer(c net.Conn) {
	defer c.Close()
	var part [4]string
	for i := range part {
		var n uint16
		if err := binary.Read(c, binary.BigEndian, &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		part[i] = string(b)
	}
	answer, name := "NO", part[0]
	if _, ok := s.users[name]; !ok {
		name += "@" + part[3]
	}
	if pw, ok := s.users[name]; ok && pw == part[1] {
		answer = "OK"
	}
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}
