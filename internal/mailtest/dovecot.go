package mailtest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Server is a running mail server, whichever program it is.
type Server struct {
	Host  string            // "localhost", which its certificate names.
	IMAP  int               // Port with STARTTLS; plaintext is accepted too.
	IMAPS int               // Port with TLS from the first byte.
	POP3  int               // Port with STLS; plaintext is accepted too.
	POP3S int               // Port with TLS from the first byte.
	CA    *CA               // Vouches for its certificate.
	Users map[string]string // Passwords by user name.
}

// Addr returns the address of a service: "imap", "imaps", "pop3" or "pop3s".
func (s *Server) Addr(service string) string {
	port := map[string]int{"imap": s.IMAP, "imaps": s.IMAPS, "pop3": s.POP3, "pop3s": s.POP3S}[service]
	if port == 0 {
		panic("mailtest: no service " + service)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (s *Server) setPorts(p []int) { s.IMAP, s.IMAPS, s.POP3, s.POP3S = p[0], p[1], p[2], p[3] }

// DovecotOptions says how a private Dovecot differs from the usual one. The
// zero value is good.
type DovecotOptions struct {
	Users        map[string]string // Passwords by user name; nil: anna with "sekret".
	Separator    string            // Hierarchy separator; "": ".".
	Prefix       string            // Prefix of the personal namespace ("INBOX."); ends with Separator.
	Capability   string            // imap_capability: what IMAP advertises after login; "": all Dovecot can.
	Mechanisms   string            // auth_mechanisms; "": "plain login".
	Extra        []string          // Further lines of the configuration; they win.
	POP3SetsSeen bool              // QUIT after RETR marks mail as seen, as many providers do.
	Certificate  *Certificate      // Nil: one for localhost by CA.
	CA           *CA               // Nil: a new one.
}

// Dovecot is a private Dovecot with mail in Maildir++ format.
type Dovecot struct {
	Server
	// Log is the path of its log.
	Log string

	tb   testing.TB
	base string
	opts DovecotOptions
	cert *Certificate
	proc *process
}

// StartDovecot starts a Dovecot that serves empty mailboxes until the test ends.
func StartDovecot(tb testing.TB, o DovecotOptions) *Dovecot {
	tb.Helper()
	return startDovecot(tb, o, nil)
}

// OpenOn starts a Dovecot on a copy of an existing Maildir++, whose owner has
// the password "sekret". The original is not touched: Dovecot renames files
// as it reads, and the next visit's test wants to see them as they were.
func OpenOn(tb testing.TB, maildir, user string) *Dovecot {
	tb.Helper()
	return startDovecot(tb, DovecotOptions{Users: map[string]string{user: "sekret"}, Separator: "/"}, func(d *Dovecot) {
		if err := copyTree(d.Store(user), maildir); err != nil {
			tb.Fatalf("copying a Maildir for Dovecot: %v", err)
		}
		d.Own(filepath.Dir(d.Store(user)))
	})
}

func startDovecot(tb testing.TB, o DovecotOptions, prepare func(*Dovecot)) *Dovecot {
	tb.Helper()
	for _, p := range []string{"imap", "pop3"} {
		if _, err := os.Stat(filepath.Join(dovecotLib(), p)); err != nil {
			tb.Fatalf("Dovecot's %s server is missing; install it: apt-get install dovecot-imapd dovecot-pop3d", p)
		}
	}
	if o.Users == nil {
		o.Users = map[string]string{"anna": "sekret"}
	}
	if o.Separator == "" {
		o.Separator = "."
	}
	if o.CA == nil {
		o.CA = NewCA(tb)
	}
	d := &Dovecot{
		Server: Server{Host: "localhost", CA: o.CA, Users: o.Users},
		tb:     tb, base: openDir(tb, "dovecot"), opts: o, cert: o.Certificate,
	}
	d.Log = filepath.Join(d.base, "dovecot.log")
	if d.cert == nil {
		d.cert = o.CA.Server()
	}
	for _, dir := range []string{"run", "state", "mail"} {
		d.must(os.Mkdir(filepath.Join(d.base, dir), 0o755))
	}
	var users strings.Builder
	for _, u := range slices.Sorted(maps.Keys(o.Users)) {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", u, o.Users[u])
		d.must(os.MkdirAll(filepath.Dir(d.Store(u)), 0o700))
	}
	writeFile(tb, filepath.Join(d.base, "users"), []byte(users.String()), 0o644)
	d.Own(filepath.Join(d.base, "mail"))
	if prepare != nil {
		prepare(d)
	}
	tb.Cleanup(func() {
		d.Stop()
		if tb.Failed() {
			log, _ := os.ReadFile(d.Log)
			tb.Logf("Dovecot's log:\n%s", log)
		}
	})
	d.Start()
	return d
}

// Start starts it again after Stop, on the same ports unless they were taken.
func (d *Dovecot) Start() {
	d.tb.Helper()
	const tries = 5
	for try := 1; ; try++ {
		if d.IMAP == 0 {
			ports, err := freePorts(4)
			d.must(err)
			d.setPorts(ports)
		}
		writeFile(d.tb, d.config(), []byte(d.configuration()), 0o644)
		p, err := startProcess(nil, "dovecot", "-F", "-c", d.config())
		if err == nil {
			if err = p.awaitGreetings(d.Addr("imap"), d.Addr("pop3")); err == nil {
				d.proc = p
				return
			}
			err = errors.Join(err, p.stop())
		}
		if try == tries {
			log, _ := os.ReadFile(d.Log)
			d.tb.Fatalf("starting Dovecot: %v\n%s", err, log)
		}
		d.IMAP = 0 // Perhaps somebody took a port: others then.
	}
}

// Stop stops it and waits for its end. It may be called twice.
func (d *Dovecot) Stop() {
	d.tb.Helper()
	if d.proc == nil {
		return
	}
	if err := d.proc.stop(); err != nil {
		d.tb.Errorf("stopping Dovecot: %v", err)
	}
	d.proc = nil
}

// Store returns the path of the user's Maildir.
func (d *Dovecot) Store(user string) string {
	return filepath.Join(d.base, "mail", user, "Maildir")
}

// Adm runs doveadm on this instance and returns what it printed.
func (d *Dovecot) Adm(args ...string) string {
	d.tb.Helper()
	out, err := exec.Command("doveadm", append([]string{"-c", d.config()}, args...)...).CombinedOutput()
	if err != nil {
		d.tb.Fatalf("doveadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Own gives what lies below path to the user as whom Dovecot reads mail. Call
// it after writing into Store by hand.
func (d *Dovecot) Own(path string) {
	d.tb.Helper()
	d.must(own(path))
}

func (d *Dovecot) must(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatalf("setting up Dovecot: %v", err)
	}
}

func (d *Dovecot) config() string { return filepath.Join(d.base, "dovecot.conf") }

func (d *Dovecot) configuration() string {
	uid, gid := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	rootless := os.Getuid() != 0
	if !rootless {
		uid, gid = strconv.Itoa(mailUID), strconv.Itoa(mailUID)
	}
	yes := map[bool]string{true: "yes", false: "no"}
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s = %v\n", key, value) }
	set("base_dir", filepath.Join(d.base, "run"))
	set("state_dir", filepath.Join(d.base, "state"))
	set("instance_name", filepath.Base(d.base))
	set("log_path", d.Log)
	set("protocols", "imap pop3")
	set("listen", "127.0.0.1")
	set("ssl", "yes")
	set("ssl_cert", "<"+d.cert.CertFile)
	set("ssl_key", "<"+d.cert.KeyFile)
	set("ssl_min_protocol", "TLSv1.2")
	set("disable_plaintext_auth", "no")
	set("auth_mechanisms", cmp.Or(d.opts.Mechanisms, "plain login"))
	set("auth_failure_delay", 0)
	set("mail_location", "maildir:~/Maildir")
	set("mail_uid", uid)
	set("mail_gid", gid)
	set("first_valid_uid", 1)
	set("mail_max_userip_connections", 1000)
	set("mail_fsync", "never")
	set("mailbox_list_index", "yes")
	set("pop3_no_flag_updates", yes[!d.opts.POP3SetsSeen])
	set("default_vsz_limit", 0)
	if d.opts.Capability != "" {
		set("imap_capability", d.opts.Capability)
	}
	fmt.Fprintf(&b, "namespace inbox {\n  inbox = yes\n  separator = %s\n  prefix = %q\n}\n", d.opts.Separator,
		d.opts.Prefix)
	fmt.Fprintf(&b, "passdb {\n  driver = passwd-file\n  args = username_format=%%u %s\n}\n", filepath.Join(d.base,
		"users"))
	fmt.Fprintf(&b, "userdb {\n  driver = static\n  args = uid=%s gid=%s home=%s/%%u\n}\n", uid, gid, filepath.Join(d.base,
		"mail"))
	noChroot := ""
	if rootless {
		// Everything runs as ourselves, in no chroot.
		me := userName()
		set("default_internal_user", me)
		set("default_login_user", me)
		set("default_internal_group", groupName())
		noChroot = "  chroot =\n"
		for _, s := range []string{"anvil", "stats"} {
			fmt.Fprintf(&b, "service %s {\n%s}\n", s, noChroot)
		}
	}
	login := func(name string, plain, tls int) {
		fmt.Fprintf(&b, "service %s-login {\n  service_count = 0\n  process_min_avail = 0\n  client_limit = 1000\n%s", name,
			noChroot)
		fmt.Fprintf(&b, "  inet_listener %s {\n    port = %d\n  }\n  inet_listener %ss {\n    port = %d\n    ssl = yes\n  "+
			"}\n}\n", name, plain, name, tls)
	}
	login("imap", d.IMAP, d.IMAPS)
	login("pop3", d.POP3, d.POP3S)
	for _, line := range d.opts.Extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// dovecotLib is where Debian keeps Dovecot's protocol servers; other systems
// differ, and there dovecot itself says what it misses.
func dovecotLib() string { return "/usr/lib/dovecot" }

func copyTree(dst, src string) error {
	type stamp struct {
		path string
		time time.Time
	}
	var dirs []stamp
	err := filepath.WalkDir(src, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			dirs = append(dirs, stamp{to, info.ModTime()})
			return os.MkdirAll(to, 0o700)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no plain file", p)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
		return os.Chtimes(to, info.ModTime(), info.ModTime())
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, os.Chtimes(d.path, d.time, d.time))
	}
	return err
}
