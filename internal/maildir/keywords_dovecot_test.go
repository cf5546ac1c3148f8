package maildir

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
)

// imapSession is a mail program that stays signed in, as its user has it open.
type imapSession struct {
	t    *testing.T
	conn *tls.Conn
	in   *bufio.Reader
	n    int
}

func signIn(t *testing.T, d *mailtest.Dovecot, user string) *imapSession {
	t.Helper()
	conn, err := tls.Dial("tcp", d.Addr("imaps"), d.CA.Client())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	s := &imapSession{t: t, conn: conn, in: bufio.NewReader(conn)}
	s.do("LOGIN " + user + " sekret")
	return s
}

// do returns the answer to a command, which has to be good.
func (s *imapSession) do(command string) (answer []string) {
	s.t.Helper()
	s.n++
	tag := fmt.Sprintf("t%d ", s.n)
	_, err := io.WriteString(s.conn, tag+command+"\r\n")
	must(s.t, err)
	for {
		line, err := s.in.ReadString('\n')
		must(s.t, err)
		if end, ok := strings.CutPrefix(line, tag); ok {
			if !strings.HasPrefix(end, "OK") {
				s.t.Fatalf("%s: %s", command, line)
			}
			return answer
		}
		answer = append(answer, strings.TrimSpace(line))
	}
}

var flagsInFetch = regexp.MustCompile(`FETCH \(.*FLAGS \(([^)]*)\)`)

// keywords are those of all messages of the selected folder, each message a line.
func (s *imapSession) keywords() (all []string) {
	s.t.Helper()
	s.do("NOOP")
	for _, line := range s.do("FETCH 1:* (UID FLAGS)") {
		m := flagsInFetch.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		k, _ := mail.KeywordsOf(slices.DeleteFunc(strings.Fields(m[1]), func(f string) bool { return f[0] == '\\' }))
		all = append(all, string(k))
	}
	slices.Sort(all)
	return all
}

// served is a mailbox that a running Dovecot serves while we deliver there.
func served(t *testing.T, d disk.Disk) (*mailtest.Dovecot, *Delivery) {
	t.Helper()
	server := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{"anna@firma.test": "sekret"}, Separator: "/",
	})
	signIn(t, server, "anna@firma.test").do("SELECT INBOX") // Which makes the mailbox.
	above := filepath.Dir(filepath.Dir(server.Store("anna@firma.test")))
	s, err := New(Options{Template: "maildir:" + above + "/{user}/Maildir", Host: "test"})
	must(t, err)
	if d != nil {
		s.disk = d
	}
	return server, open(t, s, 1, owner.Limit{})
}

// Keywords that a message has at its own server, a real one, it has in the mailbox that
// another real one serves; and its date is in the zone in which it was sent.
func TestKeywordsArriveFromOneDovecotInAnother(t *testing.T) {
	from := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Append(t, from.Addr("imaps"), from.CA.Client(), "anna", "sekret", mailtest.Corpus(7, 12, false))
	there := signIn(t, from, "anna")
	there.do("CREATE Work")
	there.do("SELECT INBOX")
	there.do("COPY 1 Work")
	there.do("COPY 1 Work")
	there.do("COPY 1 Work")
	there.do("SELECT Work")
	there.do(`STORE 1 +FLAGS ($Forwarded NonJunk \Seen)`)
	there.do(`STORE 2 +FLAGS (nonjunk Klient/Kowalski)`)
	want := there.keywords()

	d, delivery := served(t, nil)
	dates := copyFolder(t, from, "Work", delivery)
	here := signIn(t, d, "anna@firma.test")
	here.do("SELECT Gmail")
	if diff := cmp.Diff(want, here.keywords()); diff != "" {
		t.Errorf("keywords (-want +got):\n%s", diff)
	}
	for _, at := range dates {
		if at.Location() != mail.InZone(at).Location() {
			t.Errorf("the zone of %v is %v", at, at.Location())
		}
	}
	if len(want) != 3 || len(dates) != 3 {
		t.Errorf("%d messages, and %d", len(want), len(dates))
	}
}

// copyFolder delivers a folder of a real server and returns the dates as they were sent.
func copyFolder(t *testing.T, from *mailtest.Dovecot, folder string, d *Delivery) (dates []time.Time) {
	t.Helper()
	c := source.New(source.Options{Dialer: outbound.New(outbound.Options{
		AllowPorts: []int{from.IMAPS}, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		RootCAs: from.CA.Pool(),
	})})
	ctx := t.Context()
	session, err := c.Open(ctx, remote.Mailbox{
		Server: remote.Server{Host: "localhost", Port: from.IMAPS, Security: remote.TLS}, Protocol: remote.IMAP,
	}, remote.Credential{Auth: remote.Password, Username: "anna", Secret: remote.NewSecret("sekret")})
	must(t, err)
	defer session.Close()
	folders, err := session.Folders(ctx)
	must(t, err)
	var wants []mail.Want
	i := slices.IndexFunc(folders, func(f mail.Folder) bool { return f.Wire == folder })
	must(t, session.List(ctx, []mail.Query{{Folder: folders[i]}}, func(l mail.Listing, err error) error {
		wants = append(wants, mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items})
		return err
	}))
	var all []mail.Staged
	var ps []mail.Placement
	must(t, session.Fetch(ctx, wants, func(_ mail.Folder, it mail.Item, body io.Reader) error {
		st, err := d.Stage(ctx, token(int(it.ID.UID)), body, it.Received, 1<<20)
		all = append(all, st)
		p := placement(st, int(it.ID.UID), "Gmail", it.Flags)
		p.Keywords = it.Keywords
		ps, dates = append(ps, p), append(dates, it.Received)
		return err
	}, nil))
	must(t, seal(ctx, d, all))
	must(t, errOf(d.Publish(ctx, ps)))
	return dates
}

// sameDate is a disk on which a file that is replaced keeps its date.
type sameDate struct{ disk.Disk }

func (d sameDate) SetTime(dir int, name string, at time.Time) error {
	if strings.HasPrefix(name, keywordsTemp) {
		at = time.Unix(1e9, 0)
	}
	return d.Disk.SetTime(dir, name, at)
}

// A Dovecot whose user has the folder open, and makes keywords there itself, sees ours and
// loses none of its own. The control: where the file's date stays as it is, it makes names up.
func TestADovecotAtWorkSeesOurKeywords(t *testing.T) {
	for name, d := range map[string]disk.Disk{"as it is": nil, "control": sameDate{disk.Kernel()}} {
		t.Run(name, func(t *testing.T) {
			server, delivery := served(t, d)
			bringWith(t, delivery, 1, "First")
			session := signIn(t, server, "anna@firma.test")
			session.do("SELECT Gmail")
			want := []string{"First"}
			for i := range 6 {
				bringWith(t, delivery, i+2, mail.Keywords(fmt.Sprintf("Ours%d first", i)))
				want = append(want, fmt.Sprintf("First Ours%d", i))
				session.keywords()
				if d == nil {
					session.do(fmt.Sprintf("STORE %d +FLAGS (Theirs%d)", i+2, i))
					want[i+1] += fmt.Sprintf(" Theirs%d", i)
				}
			}
			slices.Sort(want)
			got := session.keywords()
			diff := cmp.Diff(want, got, cmp.Transformer("fold", strings.ToLower))
			if made := strings.Contains(strings.Join(got, " "), "unknown-"); (diff != "") != (d != nil) || made != (d != nil) {
				t.Errorf("keywords (-want +got):\n%s", diff)
			}
		})
	}
}
