package imapbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// served is a mailbox that is read, and worked in, by a third client: whatever its server keeps mail in.
type served struct {
	mailbox
	name, password string // As whom its user signs in.
}

// asUser signs in as the mailbox's user.
func (p served) asUser(do func(u *mailtest.User)) {
	u := mailtest.DialUser(p.t, p.at.Addr("imap"), nil, p.name, p.password)
	defer u.Close()
	do(u)
}

func (p served) Messages() (all []destination.Message, err error) {
	if p.d != nil {
		if _, err := os.Stat(filepath.Dir(p.home())); os.IsNotExist(err) {
			return nil, nil
		}
	}
	var found []mailtest.UserMessage
	p.asUser(func(u *mailtest.User) {
		found = u.Messages(func(folder string) bool { return !strings.Contains(folder, "mailbrook-staging-") })
	})
	for _, f := range found {
		m := destination.Message{
			Folder: f.Folder, Body: strings.ReplaceAll(string(f.Body), "\r\n", "\n"), Received: f.Received,
			Where: fmt.Sprint(f.Folder, "\x00", f.UID),
		}
		system := map[string]mail.Flags{
			`\Draft`: mail.Draft, `\Flagged`: mail.Flagged, `\Answered`: mail.Answered, `\Seen`: mail.Seen,
		}
		var words []string
		for _, flag := range f.Flags {
			if m.Flags |= system[flag]; system[flag] == 0 {
				words = append(words, flag)
			}
		}
		m.Keywords, _ = mail.KeywordsOf(words)
		all = append(all, m)
	}
	return all, nil
}

// with does something with a message where it lies now.
func (p served) with(m destination.Message, do func(u *mailtest.User, m mailtest.UserMessage) bool) (err error) {
	p.asUser(func(u *mailtest.User) {
		for _, f := range u.Messages(func(folder string) bool { return folder == m.Folder }) {
			if fmt.Sprint(f.Folder, "\x00", f.UID) == m.Where {
				if !do(u, f) {
					err = errors.New("the message was not there")
				}
				return
			}
		}
		err = errors.New("the message is not there")
	})
	return err
}

func (p served) Move(m destination.Message, folder string) error {
	return p.with(m, func(u *mailtest.User, f mailtest.UserMessage) bool { return u.Move(f, folder) })
}

func (p served) Delete(m destination.Message) error {
	return p.with(m, func(u *mailtest.User, f mailtest.UserMessage) bool { return u.Delete(f) })
}

func (p served) Remove() error {
	if p.away == nil {
		return p.mailbox.Remove()
	}
	p.away.set(true)
	return nil
}

func (p served) PutBack() error {
	if p.away == nil {
		return p.mailbox.PutBack()
	}
	p.away.set(false)
	return nil
}

// away stands for a mailbox that is gone where it cannot be taken away under a server: its connections
// end, and no new ones are made.
type away struct {
	mu   sync.Mutex
	gone bool
	all  []*wire.Link
}

func (a *away) set(gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = gone
	for _, l := range a.all {
		_ = l.Close()
	}
	a.all = nil
}

// dialing is how a Store makes connections.
type dialing = func(ctx context.Context, l Login) (*wire.Link, error)

func (a *away) dial(dial dialing) dialing {
	return func(ctx context.Context, login Login) (*wire.Link, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.gone {
			return nil, errors.New("there is no such mailbox")
		}
		l, err := dial(ctx, login)
		if err == nil {
			a.all = append(a.all, l)
		}
		return l, err
	}
}

// dovecots are private Dovecots of several kinds.
func dovecots(t *testing.T) map[string]mailtest.DovecotOptions {
	zlib := []string{
		"mail_location = mdbox:~/mdbox", "mail_plugins = zlib", "plugin {\n zlib_save = gz\n zlib_save_level = 6\n}",
	}
	all := map[string]mailtest.DovecotOptions{
		"sdbox":      {Separator: "/", Extra: []string{"mail_location = sdbox:~/sdbox"}},
		"mdbox zlib": {Separator: "/", Extra: zlib},
		"quota": {Separator: "/", Extra: []string{
			"mail_plugins = quota", "protocol imap {\n mail_plugins = quota imap_quota\n}",
			"plugin {\n quota = count:User\n quota_rule = *:storage=100M\n quota_vsizes = yes\n}",
		}},
		"INBOX.": {Separator: ".", Prefix: "INBOX."},
		"dots":   {Separator: "."},
	}
	all["mdbox mail_crypt zlib"] = mailtest.DovecotOptions{Separator: "/", Extra: append(slices.Clone(zlib),
		"mail_plugins = zlib mail_crypt", "plugin {\n"+keys(t)+"}",
	)}
	return all
}

// keys makes a pair of keys for mail_crypt, and returns the lines that name them.
func keys(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err1 := x509.MarshalPKCS8PrivateKey(key)
	public, err2 := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	dir, lines := t.TempDir(), " mail_crypt_save_version = 2\n"
	for _, k := range []struct {
		which, kind string
		der         []byte
	}{{"private", "PRIVATE KEY", private}, {"public", "PUBLIC KEY", public}} {
		name := filepath.Join(dir, k.which+".pem")
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: k.kind, Bytes: k.der}), 0o600); err != nil {
			t.Fatal(err)
		}
		lines += fmt.Sprintf(" mail_crypt_global_%s_key = <%s\n", k.which, name)
	}
	return lines
}

// Whatever a Dovecot keeps mail in, and however it calls its folders.
func TestDestinationOnDovecots(t *testing.T) {
	t.Parallel()
	for name, o := range dovecots(t) {
		if mailtest.Leaves(t, name, "sdbox") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat("/usr/lib/dovecot/modules/lib10_mail_crypt_plugin.so"); err != nil &&
				strings.Contains(name, "mail_crypt") {
				mailtest.NotRun(t, "Dovecot's mail_crypt plugin is not installed")
			}
			o.Extra = append(slices.Clone(o.Extra), everybody)
			d := mailtest.StartDovecot(t, o)
			destination.Sample(t, func(tb testing.TB) destination.Place {
				m := newPlace(tb, d)
				return served{mailbox: m, name: m.user, password: "sekret"}
			})
			if strings.Contains(name, "mail_crypt") != encrypted(t, filepath.Dir(filepath.Dir(d.Store("anna")))) {
				t.Error("mail_crypt should have encrypted, and nothing else")
			}
		})
	}
}

// encrypted reports whether a file below a directory is what Dovecot's mail_crypt writes.
func encrypted(t *testing.T, dir string) (found bool) {
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), "m.") {
			return err
		}
		b, err := os.ReadFile(name)
		found = found || bytes.Contains(b, []byte("CRYPTED\x03\x07"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// cyrus is a Cyrus where a user of its own may deliver to everybody.
type cyrus struct{ *mailtest.Cyrus }

func startCyrus(t *testing.T, alt bool) cyrus {
	users := map[string]string{"mailbrook": "master"}
	for n := range 1000 {
		users[fmt.Sprintf("c%d", n)] = "sekret"
	}
	return cyrus{mailtest.StartCyrus(t, mailtest.CyrusOptions{Users: users, Alt: alt, Proxy: "mailbrook"})}
}

func (c cyrus) place(tb testing.TB) served {
	name := fmt.Sprintf("c%d", users.Add(1)%1000)
	return served{
		mailbox: mailbox{t: tb, at: &c.Server, user: name + "@firma.test", login: func(owner.Owner) Login {
			return Login{
				Credential: remote.Credential{Username: "mailbrook", Secret: remote.NewSecret("master")}, OnBehalfOf: name,
			}
		}, away: &away{}},
		name: name, password: "sekret",
	}
}

// Cyrus is signed in to as its proxy, in its users' names.
func TestDestinationOnCyrus(t *testing.T) {
	t.Parallel()
	for name, alt := range map[string]bool{"below INBOX": false, "beside INBOX": true} {
		if mailtest.Leaves(t, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCyrus(t, alt)
			destination.Sample(t, func(tb testing.TB) destination.Place { return c.place(tb) })
			if !alt && !mailtest.Long() {
				return
			}
			t.Run("directly", func(t *testing.T) {
				destination.Sample(t, func(tb testing.TB) destination.Place {
					p := c.place(tb)
					p.direct = true
					return newWeaker(p)
				})
			})
		})
	}
}
