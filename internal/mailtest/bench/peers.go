package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// place is where a peer works: its own directory, and the mailbox it reads.
// Messages have to land below dst.
type place struct {
	dir, dst string
	port     int
	user     string
	owner    string // Whose mailbox it goes into.
	target   int    // Port of the server where that is; 0: it is a Maildir.
	tree     bool   // All folders, not the inbox alone.
	first    bool   // Nothing was pulled yet.
}

// peer is one program in one configuration.
type peer struct {
	name     string
	protocol string // "imap" or "pop3".
	program  string // In PATH; "": built here.
	pack     string // Debian's package.
	cases    string // Kinds of cases it takes part in.
	serial   bool   // Message by message: it takes part in fewer rounds of first pulls.
	marks    bool   // It marks mail as seen at the server, so it gets a mailbox of its own.
	prepare  func(ctx context.Context, p place) (command, error)
}

// password of all users of the private server.
const password = "sekret-bench"

func (b *bench) allPeers() []peer {
	return []peer{
		{name: "mailbrook-imap", protocol: "imap", cases: "ASBCTDGH", prepare: b.mailbrook("imap")},
		{name: "mailbrook-pop3", protocol: "pop3", cases: "ASCDGH", prepare: b.mailbrook("pop3")},
		{name: "mbsync", protocol: "imap", program: "mbsync", pack: "isync", cases: "ASBCTDGH", prepare: b.mbsync},
		{name: "mpop", protocol: "pop3", program: "mpop", pack: "mpop", cases: "ASCDGH", prepare: b.mpop},
		{
			name: "fetchmail-imap", protocol: "imap", program: "fetchmail", pack: "fetchmail", cases: "ASCD", serial: true,
			marks: true, prepare: b.fetchmail("IMAP"),
		},
		{
			name: "fetchmail-pop3", protocol: "pop3", program: "fetchmail", pack: "fetchmail", cases: "ASCD", serial: true,
			prepare: b.fetchmail("POP3"),
		},
		{
			name: "offlineimap", protocol: "imap", program: "offlineimap", pack: "offlineimap3", cases: "ASBCTD", serial: true,
			prepare: b.offlineimap,
		},
		{
			name: "getmail-imap", protocol: "imap", program: "getmail", pack: "getmail6", cases: "S", serial: true,
			prepare: b.getmail("IMAP"),
		},
		{
			name: "getmail-pop3", protocol: "pop3", program: "getmail", pack: "getmail6", cases: "S", serial: true,
			prepare: b.getmail("POP3"),
		},
	}
}

// helpers are programs that peers need, with their packages.
var helpers = map[string]string{"safecat": "safecat", "sqlite3": "sqlite3"}

// install installs what is missing where it may.
func (b *bench) install(ctx context.Context, peers []peer) {
	need := map[string]string{}
	for name, pack := range helpers {
		need[name] = pack
	}
	for _, p := range peers {
		need[p.program] = p.pack
	}
	var missing []string
	for program, pack := range need {
		if _, err := exec.LookPath(program); program != "" && err != nil {
			missing = append(missing, pack)
		}
	}
	if len(missing) == 0 || os.Geteuid() != 0 {
		return
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return
	}
	fmt.Fprintln(os.Stderr, "installing", strings.Join(missing, " "))
	env := []string{"DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"}
	bounded, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if _, err := quietly(bounded, "", command{[]string{"apt-get", "update", "-q"}, env}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if _, err := quietly(bounded, "", command{append([]string{"apt-get", "install", "-qy", "--no-install-recommends"},
		missing...), env}); err != nil {
		fmt.Fprintln(os.Stderr, err) // Each peer that is missing is named in the report.
	}
}

// version says which version of its package a peer is.
func (p peer) version(ctx context.Context) string {
	out, err := quietly(ctx, "", command{argv: []string{"dpkg-query", "-W", "-f", "${Version}", p.pack}})
	if err != nil {
		return "version unknown"
	}
	return out
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func makeMaildir(dir string) error {
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	return nil
}

const benchUser = "bench@local.test"

// mailbrookEnv is the configuration of the real command: everything else is
// its default.
func (b *bench) mailbrookEnv(p place) []string {
	return []string{
		"MAILBROOK_DATA_DIR=" + p.dst, "MAILBROOK_REMOTE_ALLOW_NETWORKS=127.0.0.0/8,::1/128",
		"MAILBROOK_REMOTE_ALLOW_PORTS=*", "MAILBROOK_REMOTE_CA_FILE=" + b.dovecot.CA.File,
	}
}

func (b *bench) mailbrook(protocol string) func(context.Context, place) (command, error) {
	return func(ctx context.Context, p place) (command, error) {
		env := b.mailbrookEnv(p)
		if p.target != 0 {
			more, err := b.mailbrookInto(p)
			if err != nil {
				return command{}, err
			}
			env = append(env, more...)
		}
		id := filepath.Join(p.dir, "id")
		port := fmt.Sprint(p.port)
		args := []string{
			b.binary, "account", "add", "--user", p.owner, "--email", p.user + "@remote.test", "--name", "far", "--protocol",
			protocol,
			"--host", "localhost", "--port", port, "--security", "tls", "--username", p.user, "--password-stdin", "--skip-test",
			"--max-message-bytes", fmt.Sprint(256 << 20), // As much as there is: the peers know no bound.
		}
		if !p.first {
			known, err := os.ReadFile(id)
			if err != nil {
				return command{}, err
			}
			args = []string{b.binary, "account", "edit", string(known), "--port", port, "--password-stdin", "--skip-test"}
		}
		out, err := quietly(ctx, password+"\n", command{args, env})
		if err != nil {
			return command{}, err
		}
		if p.first {
			if err := write(id, strings.Fields(out)[0]); err != nil {
				return command{}, err
			}
		}
		return command{[]string{b.binary, "pull", "--user", p.owner, "--json"}, env}, nil
	}
}

func (b *bench) mbsync(_ context.Context, p place) (command, error) {
	pattern := "INBOX"
	if p.tree {
		pattern = "*"
	}
	for _, d := range []string{p.dst, filepath.Join(p.dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return command{}, err
		}
	}
	rc := filepath.Join(p.dir, "mbsyncrc")
	return command{argv: []string{"mbsync", "-q", "-c", rc, "c"}}, write(rc, fmt.Sprintf(`FSync yes
IMAPStore far
Host localhost
Port %d
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns %s
Sync Pull
Create Near
Expunge None
SyncState %s/state/
`, p.port, p.user, password, b.dovecot.CA.File, p.dst, p.dst, pattern, p.dir))
}

func (b *bench) mpop(_ context.Context, p place) (command, error) {
	if err := makeMaildir(p.dst); err != nil {
		return command{}, err
	}
	rc := filepath.Join(p.dir, "mpoprc")
	return command{argv: []string{"mpop", "-q", "-C", rc, "x"}}, write(rc, fmt.Sprintf(`account x
host localhost
port %d
user %s
password %s
auth user
tls on
tls_starttls off
tls_trust_file %s
delivery maildir %s
uidls_file %s/uidls
keep on
pipelining on
received_header off
`, p.port, p.user, password, b.dovecot.CA.File, p.dst, p.dir))
}

func (b *bench) fetchmail(protocol string) func(context.Context, place) (command, error) {
	return func(_ context.Context, p place) (command, error) {
		if err := makeMaildir(p.dst); err != nil {
			return command{}, err
		}
		uidl, all := "uidl", ""
		if protocol == "IMAP" {
			if uidl = ""; p.first {
				all = "fetchall"
			}
		}
		rc := filepath.Join(p.dir, "fetchmailrc")
		run := command{
			argv: []string{
				"fetchmail", "-s", "-f", rc, "--pidfile", filepath.Join(p.dir, "pid"), "--idfile", filepath.Join(p.dir, "ids"),
			},
			env: []string{"FETCHMAILHOME=" + p.dir},
		}
		return run, write(rc, fmt.Sprintf(`set no bouncemail
set no spambounce
poll localhost port %d protocol %s %s timeout 120
  username "%s" password "%s" ssl sslcertck sslcertfile "%s" keep %s no rewrite fetchlimit 0
  mda "exec safecat %s/tmp %s/new"
`, p.port, protocol, uidl, p.user, password, b.dovecot.CA.File, all, p.dst, p.dst))
	}
}

func (b *bench) offlineimap(_ context.Context, p place) (command, error) {
	filter := "folderfilter = lambda f: f in ['INBOX']"
	if p.tree {
		filter = ""
	}
	if err := os.MkdirAll(p.dst, 0o755); err != nil {
		return command{}, err
	}
	rc := filepath.Join(p.dir, "offlineimaprc")
	return command{argv: []string{"offlineimap", "-o", "-c", rc}, env: []string{"HOME=" + p.dir}},
		write(rc, fmt.Sprintf(`[general]
metadata = %s/meta
accounts = A
ui = quiet
fsync = True
[Account A]
localrepository = L
remoterepository = R
[Repository L]
type = Maildir
localfolders = %s
[Repository R]
type = IMAP
remotehost = localhost
remoteport = %d
remoteuser = %s
remotepass = %s
ssl = yes
sslcacertfile = %s
readonly = True
createfolders = False
maxconnections = 4
%s
`, p.dir, p.dst, p.port, p.user, password, b.dovecot.CA.File, filter))
}

func (b *bench) getmail(protocol string) func(context.Context, place) (command, error) {
	return func(_ context.Context, p place) (command, error) {
		state := filepath.Join(p.dir, "getmail")
		if err := makeMaildir(p.dst); err != nil {
			return command{}, err
		}
		if err := os.MkdirAll(state, 0o755); err != nil {
			return command{}, err
		}
		boxes := ""
		if protocol == "IMAP" {
			boxes = "mailboxes = (\"INBOX\",)\nuse_peek = true\n"
		}
		rc := filepath.Join(p.dir, "getmailrc")
		if err := write(rc, fmt.Sprintf(`[retriever]
type = Simple%sSSLRetriever
server = localhost
port = %d
username = %s
password = %s
%sca_certs = %s
[destination]
type = Maildir
path = %s/
[options]
read_all = false
delete = false
verbose = 0
delivered_to = false
received = false
`, protocol, p.port, p.user, password, boxes, b.dovecot.CA.File, p.dst)); err != nil {
			return command{}, err
		}
		argv := []string{"getmail", "--getmaildir", state, "--rcfile", rc}
		if os.Geteuid() != 0 {
			return command{argv: argv, env: []string{"HOME=" + p.dir}}, nil
		}
		const nobody = 65534 // It refuses to deliver as root.
		err := filepath.WalkDir(p.dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, nobody, nobody)
		})
		argv = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, argv...)
		return command{argv: argv, env: []string{"HOME=" + p.dir}}, err
	}
}
