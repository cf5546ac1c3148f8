package imapbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// What a source calls its folders holds no account up, whatever the server takes in none: it has a substitute there,
// which each process finds, and which goes with its account. What it takes keeps its name.
func TestAFolderThatItsServerRefusesByName(t *testing.T) {
	t.Parallel()
	fs := mailtest.DovecotOptions{
		Separator: "/", Extra: []string{everybody, "mail_location = maildir:~/Maildir:LAYOUT=fs"},
	}
	for name, c := range map[string]struct {
		start      func() string
		user       string
		taken, not []string
	}{
		"Cyrus": {
			func() string { return mailtest.StartCyrus(t, mailtest.CyrusOptions{Alt: true}).Addr("imap") }, "anna",
			[]string{"R&D", "Żółć", "a*b"},
			[]string{"50%", `a"b`, `a\b`, "a;b", "Go!", "<x>", "a`b", "{b}|c", "50%/2023"},
		},
		"Dovecot, one directory in another": {
			func() string { return mailtest.StartDovecot(t, fs).Addr("imap") }, "u9000@firma.test",
			[]string{"50%", "a;b"},
			[]string{"tmp", "new", "cur/cur", strings.Repeat("x", 260)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisitorAt(t, nil, c.start(), "sekret")
			v.login.Username, v.letters = c.user, nil
			for i, f := range append(c.taken, c.not...) {
				v.letters = append(v.letters, letter{
					folder: "Gmail/" + f, body: fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), received: time.Unix(1_700_000_000, 0),
				})
			}
			if err := v.visit(); err != nil || len(v.done) != len(v.letters) {
				t.Fatalf("%d of %d messages arrived: %v", len(v.done), len(v.letters), err)
			}
			v.restart()
			inv, err := v.store.Inspect(t.Context(), anna())
			if err != nil {
				t.Fatal(err)
			}
			holds := map[string]int{}
			for _, f := range inv.Files {
				holds[f.Dir]++
			}
			for _, f := range c.not {
				own := "Gmail/" + wire.EncodeName(f)
				if dir := inv.DirName("Gmail/" + f); holds[dir] != 1 || dir == own {
					t.Errorf("%q, that is %q, holds %d messages", f, dir, holds[dir])
				}
			}
			for _, f := range c.taken {
				if dir := inv.DirName("Gmail/" + f); holds[dir] != 1 || dir != "Gmail/"+wire.EncodeName(f) {
					t.Errorf("%q, that is %q, holds %d messages", f, dir, holds[dir])
				}
			}
			if err := v.store.RemoveFolder(t.Context(), anna(), "Gmail"); err != nil {
				t.Error(err)
			}
			if inv, err = v.store.Inspect(t.Context(), anna()); err != nil || len(inv.Files) != 0 {
				t.Errorf("%d messages are left: %v", len(inv.Files), err)
			}
		})
	}
}

// Some servers write a number where there is no limit; others one that is none. The control is a limit.
func TestWhatIsNoLimit(t *testing.T) {
	t.Parallel()
	for quota, full := range map[string]bool{
		"(STORAGE 10 10)": true, "(MESSAGE 5 5)": true, "(STORAGE 10 18446744073709551615 MESSAGE 5 5)": true,
		"(STORAGE 0 9223372036854775807)": false, "(STORAGE 10 18446744073709551615)": false,
		"(STORAGE 10 9007199254740992)": false, "(MESSAGE 5 18446744073709551615)": false, "(STORAGE 10 0)": false,
		"(STORAGE 10 -1)": false, "(STORAGE x y)": false, "(STORAGE 10)": false, "(MESSAGE 5 0)": false,
		"(STORAGE 9223372036854775807 100)": false, "(STORAGE 10 4294967296)": false, "()": false,
	} {
		t.Run(quota, func(t *testing.T) {
			t.Parallel()
			m := newModel(t)
			m.mu.Lock()
			m.caps += " QUOTA"
			m.on = func(verb, _ string, _ int) string {
				return map[bool]string{
					true: "* QUOTAROOT \"INBOX\" \"\"\r\n* QUOTA \"\" " + quota + "\r\nTAG OK done",
				}[verb == "GETQUOTAROOT"]
			}
			m.mu.Unlock()
			v := newVisitor(t, m)
			if err := v.visit(); (err != nil) != full || len(v.done) != map[bool]int{false: len(v.letters)}[full] {
				t.Errorf("%d messages arrived: %v", len(v.done), err)
			}
		})
	}
}

// Two parts never have one substitute, and what a server may refuse is in none: the delimiter, a word of its own, more
// than a name may be long.
func TestSubstitutes(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	long := strings.Repeat("ż", 200)
	for _, part := range []string{"tmp", "new", "50%", "50_", "50!", "", " ", long, long + "ż", "a/b", "."} {
		is := substitute(part, "/")
		if seen[is] != "" || len(is) > substituteKeeps+digestKeeps+1 || strings.ContainsAny(is, `/%*"\!`) ||
			!aSubstitute.MatchString(is) {
			t.Errorf("%q has %q, as %q has", part, is, seen[is])
		}
		seen[is] = part + "."
	}
}
