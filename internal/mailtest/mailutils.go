package mailtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Mailutils is one of Debian's servers of GNU mailutils, imap4d or pop3d, in a
// root directory of its own. Its other ports are 0.
type Mailutils struct {
	Server
	tb   testing.TB
	root string
	proc *process
}

// FetchMailutils unpacks both below the cache directory and returns where.
func FetchMailutils(cache string) (root string, err error) {
	return unpackDebian(cache, "mailutils", "mailutils-imap4d", "mailutils-pop3d", "mailutils-common")
}

// StartMailutils starts "imap4d" or "pop3d" of what FetchMailutils unpacked; it
// serves empty mailboxes until the test ends, in the format "mbox" or "maildir".
func StartMailutils(tb testing.TB, root, program, format string, ca *CA, users map[string]string) *Mailutils {
	tb.Helper()
	m := &Mailutils{Server: Server{Host: "localhost", CA: ca, Users: users}, tb: tb, root: root}
	cert := ca.Server()
	if err := errors.Join(populate(root, users), os.MkdirAll(m.file("run"), 0o755),
		os.MkdirAll(m.file(mailutilsLocks), 0o755), os.Chmod(m.file(mailutilsLocks), 0o777), emptySpool(
			root, users)); err != nil {
		tb.Fatalf("setting up mailutils: %v", err)
	}
	writeFile(tb, m.file("etc/server.pem"), cert.CertPEM, 0o644)
	writeFile(tb, m.file("etc/server.key"), cert.KeyPEM, 0o600)
	writeFile(tb, m.file("etc/pam.d/mailutils"), []byte(pamUnix), 0o644)
	// It offers SCRAM by this file alone.
	var proofs strings.Builder
	for name, password := range users {
		fmt.Fprintf(&proofs, "%s\t%s\n", name, password)
	}
	writeFile(tb, m.file("etc/cram-md5.pwd"), []byte(proofs.String()), 0o600)
	tb.Cleanup(func() {
		if m.proc == nil {
			return
		}
		if err := m.proc.stop(); err != nil {
			tb.Errorf("stopping mailutils: %v", err)
		}
		if tb.Failed() {
			tb.Logf("mailutils said: %s", m.proc.out.String())
		}
	})
	const tries = 5
	for try := 1; ; try++ {
		err := m.start(program, format)
		if err == nil {
			return m
		}
		if try == tries {
			tb.Fatalf("starting mailutils: %v", err)
		}
	}
}

// mailutilsLocks is where its servers lock mailboxes.
const mailutilsLocks = "var/lock/subsys/mail"

// pamUnix has passwords of /etc/shadow, and nothing else.
const pamUnix = "auth required pam_unix.so\naccount required pam_unix.so\n"

// Deliver puts messages, of whatever folder, into a user's inbox, as an MTA on
// its machine does.
func (m *Mailutils) Deliver(user string, msgs []Message) {
	m.tb.Helper()
	deliverMbox(m.tb, m.file(filepath.Join("var/mail", user)), msgs)
}

func (m *Mailutils) file(name string) string { return filepath.Join(m.root, name) }

func (m *Mailutils) start(program, format string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	plain, secure := ports[0], ports[1]
	if program == "imap4d" {
		m.IMAP, m.IMAPS = plain, secure
	} else {
		m.POP3, m.POP3S = plain, secure
	}
	inbox := "/var/mail/${user}"
	if format == "maildir" {
		inbox = "maildir:/home/${user}/INBOX"
	}
	config := fmt.Sprintf(`mode daemon;
transcript no;
pidfile /run/%[1]s.pid;
logging { syslog no; }
auth {
	authorization system;
	authentication pam;
}
pam { service mailutils; }
mailbox {
	mailbox-pattern "%[4]s";
	mailbox-type %[5]s;
}
tls {
	ssl-certificate-file /etc/server.pem;
	ssl-key-file /etc/server.key;
}
server 127.0.0.1:%[2]d { tls-mode ondemand; }
server 127.0.0.1:%[3]d { tls-mode connection; }
`, program, plain, secure, inbox, format)
	writeFile(m.tb, m.file("etc/server.conf"), []byte(config), 0o644)
	m.proc, err = startCommand(jailed(m.root, nil, "/usr/sbin/"+program,
		"--foreground", "--no-config", "--config-file=/etc/server.conf"))
	if err != nil {
		return err
	}
	err = m.proc.awaitGreetings(fmt.Sprintf("127.0.0.1:%d", plain))
	if err == nil {
		err = m.proc.awaitGreetingsBy(m.CA.Client(), fmt.Sprintf("127.0.0.1:%d", secure))
	}
	if err != nil {
		return errors.Join(err, m.proc.stop())
	}
	return nil
}
