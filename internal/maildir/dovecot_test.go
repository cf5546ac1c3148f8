package maildir_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// What Open returns is what the engine asks for.
var _ fetch.Delivery = (*maildir.Delivery)(nil)

const user = "anna@firma.test"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bring delivers messages as a visit does, in batches, each into the local
// folder that its remote one is mapped to.
func bring(t testing.TB, d *maildir.Delivery, msgs []mailtest.Message, from int) {
	t.Helper()
	for batch := range slices.Chunk(msgs, 100) {
		var ps []mail.Placement
		for _, m := range batch {
			from++
			token := mail.TokenFor([]byte("key"), "journal", m.Folder, 1, mail.ID{UID: uint32(from)})
			st, err := d.Stage(t.Context(), token, bytes.NewReader(m.Wire()), m.Date, 1<<30)
			must(t, err)
			must(t, d.Reserve(t.Context(), 1, st.FileSize))
			var path []string
			if m.Folder != "INBOX" {
				path = strings.Split(m.Folder, "/")
			}
			folder := maildir.LocalName("Gmail", path, func(string) bool { return false })
			ps = append(ps, mail.Placement{
				Spool: st.Spool, Token: token, Folder: folder, Flags: flagsOf(m.Flags),
				Received: st.Received, FileSize: st.FileSize, VirtualSize: st.VirtualSize,
			})
		}
		_, err := d.Seal(t.Context(), ps)
		must(t, err)
		_, err = d.Publish(t.Context(), ps)
		must(t, err)
	}
}

func flagsOf(letters string) (f mail.Flags) {
	for l, flag := range map[rune]mail.Flags{'D': mail.Draft, 'F': mail.Flagged, 'R': mail.Answered, 'S': mail.Seen} {
		if strings.ContainsRune(letters, l) {
			f |= flag
		}
	}
	return f
}

func openFor(t testing.TB, template string, l owner.Limit) (*maildir.Store, owner.Owner, *maildir.Delivery) {
	t.Helper()
	s, err := maildir.New(maildir.Options{Template: "maildir:" + template, Host: "test"})
	must(t, err)
	o, err := owner.Parse(user)
	must(t, err)
	must(t, s.Make(t.Context(), o))
	d, err := s.Open(t.Context(), o, "journal", 1, l)
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, o, d
}

// A real Dovecot lists the folders, subscribed, and serves every message as it
// was sent, with its flags and date.
func TestDovecotServesWhatWasDelivered(t *testing.T) {
	dir := t.TempDir()
	_, _, d := openFor(t, dir+"/{user}", owner.Limit{})
	msgs := mailtest.Corpus(7, 150, true)
	bring(t, d, msgs, 0)
	must(t, d.EnsureFolders(t.Context(), []string{"Gmail/Empty & wide: łódź/😀"}))

	root := filepath.Join(dir, user)
	mailtest.CompareDelivered(t, mailtest.ByIMAP(msgs), mailtest.ReadMaildir(t, root), "Gmail")

	server := mailtest.OpenOn(t, root, user)
	served := mailtest.ReadIMAP(t, server.Addr("imaps"), server.CA.Client(), user, "sekret")
	mailtest.CompareDelivered(t, mailtest.ByIMAP(msgs), served, "Gmail")

	want := map[string]bool{"Gmail": true, "Gmail/Empty & wide: łódź": true, "Gmail/Empty & wide: łódź/😀": true}
	for _, m := range msgs {
		if m.Folder == "INBOX" {
			continue
		}
		name := "Gmail"
		for p := range strings.SplitSeq(m.Folder, "/") {
			name += "/" + strings.ReplaceAll(p, ".", "_")
			want[name] = true
		}
	}
	got := map[string]bool{}
	for _, f := range mailtest.SubscribedIMAP(t, server.Addr("imaps"), server.CA.Client(), user, "sekret") {
		got[f] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subscribed (-want +got):\n%s", diff)
	}
}

// Dovecot's Maildir++ quota and ours keep one file.
func TestQuotaAgreesWithDovecot(t *testing.T) {
	server := mailtest.StartDovecot(t, mailtest.DovecotOptions{
		Users: map[string]string{user: "sekret"}, Separator: "/",
		Extra: []string{
			"mail_plugins = quota",
			"plugin {", "  quota = maildir:User quota", "  quota_rule = *:storage=1G", "}",
		},
	})
	root := server.Store(user)
	limit := int64(1 << 30)
	s, o, d := openFor(t, filepath.Dir(filepath.Dir(root))+"/{user}/Maildir", owner.Limit{Bytes: &limit})
	agree := func(when string) {
		t.Helper()
		used, messages, err := s.Usage(t.Context(), o)
		must(t, err)
		want := fmt.Sprintf("%d kB, %d messages", (used+1023)/1024, messages)
		if got := dovecotUsage(t, server); got != want {
			t.Errorf("%s: Dovecot says %s, we say %s", when, got, want)
		}
		server.Adm("quota", "recalc", "-u", user)
		if got := dovecotUsage(t, server); got != want {
			t.Errorf("%s: measured by Dovecot: %s, we say %s", when, got, want)
		}
		if again, n, err := s.Usage(t.Context(), o); again != used || n != messages || err != nil {
			t.Errorf("%s: after Dovecot wrote the file: %d, %d, %v", when, again, n, err)
		}
	}
	msgs := mailtest.Corpus(11, 60, true)
	bring(t, d, msgs[:20], 0)
	before, err := os.ReadFile(filepath.Join(root, "maildirsize"))
	must(t, err)
	agree("after the first batch")
	bring(t, d, msgs[20:40], 20)
	if after, err := os.ReadFile(filepath.Join(root, "maildirsize")); err != nil || bytes.Equal(before, after) {
		t.Errorf("the quota file is %q, %v", after, err)
	}
	agree("after a further batch")
	server.Adm("expunge", "-u", user, "mailbox", "Gmail*", "all")
	agree("after the user deleted mail")
	bring(t, d, msgs[40:], 40)
	agree("after more came")
	must(t, s.RemoveFolder(t.Context(), o, "Gmail"))
	agree("after the folder was removed")
	if list := server.Adm("mailbox", "list", "-s", "-u", user); strings.Contains(list, "Gmail") {
		t.Errorf("still subscribed:\n%s", list)
	}
	if list := server.Adm("mailbox", "list", "-u", user); strings.Contains(list, "Gmail") {
		t.Errorf("still there:\n%s", list)
	}
}

// dovecotUsage reads the columns of "doveadm quota get".
func dovecotUsage(t *testing.T, server *mailtest.Dovecot) string {
	t.Helper()
	var kb, messages string
	for line := range strings.Lines(server.Adm("-f", "flow", "quota", "get", "-u", user)) {
		_, value, _ := strings.Cut(line, "Value=")
		value, _, _ = strings.Cut(value, " ")
		if strings.Contains(line, "Type=STORAGE") {
			kb = value
		}
		if strings.Contains(line, "Type=MESSAGE") {
			messages = value
		}
	}
	return fmt.Sprintf("%s kB, %s messages", kb, messages)
}

// Names that are awkward on the wire or on disk work in a real Dovecot.
func TestDovecotTakesOurNames(t *testing.T) {
	dir := t.TempDir()
	_, _, d := openFor(t, dir+"/{user}", owner.Limit{})
	taken := map[string]bool{}
	var folders []string
	var msgs []mail.Placement
	for i, p := range [][]string{
		{"..", "..", "etc"},
		{"a*b%c"},
		{`back\slash "quote"`},
		{"~tilde"},
		{" padded "},
		{"nul\x00"},
		{"cur"},
		{"INBOX"},
		{"a.b"},
		{"a/b"},
		{"Work"},
		{"work"},
		{strings.Repeat("ł", 300)},
		strings.Split(strings.Repeat("deep/", 40), "/"),
		{"e\u0301"},
		{"é"},
		{"rtl\u202e"},
		{"&"},
		{"&AAA-"},
		{"\ufffe"},
		{"{curly}|pipe"},
	} {
		name := maildir.LocalName("Gmail", p, func(s string) bool { return taken[strings.ToLower(s)] })
		taken[strings.ToLower(name)] = true
		folders = append(folders, name)
		token := mail.TokenFor([]byte("key"), "journal", name, 1, mail.ID{UID: uint32(i)})
		st, err := d.Stage(t.Context(), token, strings.NewReader("Subject: "+fmt.Sprint(i)+"\r\n\r\n"), time.Unix(1e9, 0),
			100)
		must(t, err)
		msgs = append(msgs, mail.Placement{
			Spool: st.Spool, Token: token, Folder: name, Received: st.Received,
			FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		})
	}
	_, err := d.Seal(t.Context(), msgs)
	must(t, err)
	_, err = d.Publish(t.Context(), msgs)
	must(t, err)
	server := mailtest.OpenOn(t, filepath.Join(dir, user), user)
	var got []string
	for _, m := range mailtest.ReadIMAP(t, server.Addr("imaps"), server.CA.Client(), user, "sekret") {
		got = append(got, m.Folder)
	}
	slices.Sort(got)
	slices.Sort(folders)
	if diff := cmp.Diff(folders, got); diff != "" {
		t.Errorf("folders with their message (-want +got):\n%s", diff)
	}
}
