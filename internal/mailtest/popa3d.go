package mailtest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Popa3d is Debian's popa3d, in a root directory of its own: POP3 in plaintext
// only. Its other ports are 0.
type Popa3d struct {
	Server
	tb   testing.TB
	root string
}

// FetchPopa3d unpacks it below the cache directory and returns where.
func FetchPopa3d(cache string) (root string, err error) {
	return unpackDebian(cache, "popa3d", "popa3d")
}

// StartPopa3d serves empty mailboxes until the test ends, each a file in mbox
// format, by what FetchPopa3d unpacked: for each connection one process, as inetd
// does; by itself it takes port 110 only.
func StartPopa3d(tb testing.TB, root string, users map[string]string) *Popa3d {
	tb.Helper()
	p := &Popa3d{Server: Server{Host: "localhost", Users: users}, tb: tb, root: root}
	if err := errors.Join(populate(root, users, "popa3d"), emptySpool(root, users),
		os.MkdirAll(filepath.Join(root, "var/lib/popa3d"), 0o755)); err != nil {
		tb.Fatalf("setting up popa3d: %v", err)
	}
	writeFile(tb, filepath.Join(root, "etc/pam.d/popa3d"), []byte(pamUnix), 0o644)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listening for popa3d: %v", err)
	}
	p.POP3 = l.Addr().(*net.TCPAddr).Port
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	})
	tb.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return p
}

// serve lets popa3d talk on a connection until it ends.
func (p *Popa3d) serve(conn *net.TCPConn) {
	f, err := conn.File()
	conn.Close()
	if err != nil {
		p.tb.Errorf("handing a connection to popa3d: %v", err)
		return
	}
	defer f.Close()
	cmd := jailed(p.root, nil, "/usr/sbin/popa3d")
	cmd.Stdin, cmd.Stdout = f, f
	if err := cmd.Run(); err != nil {
		p.tb.Logf("popa3d: %v", err)
	}
}

// Deliver puts messages into a user's mailbox, as an MTA on its machine does.
func (p *Popa3d) Deliver(user string, msgs []Message) {
	p.tb.Helper()
	deliverMbox(p.tb, filepath.Join(p.root, "var/mail", user), msgs)
}
