package transfer_test

import (
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// TestRareTreesAreNamed: each is one in which a rule alone keeps two folders from being one.
func TestRareTreesAreNamed(t *testing.T) {
	t.Parallel()
	inner := mail.Folder{Wire: "INBOX.INBOX", Path: []string{"INBOX"}, Selectable: true}
	long := strings.Repeat("p", 100)
	for _, tc := range []struct {
		name, target string
		change       func(*transfer.Naming)
		wire, want   string
	}{
		{"what held others holds mail by now", "dovecot", func(n *transfer.Naming) {
			n.Source = foldersOf("h", "H", "H/x")
			n.Chosen = []transfer.FolderName{
				{Wire: "h", Source: "h", Target: "h"}, {Wire: "H", Source: "H", Target: "H", ParentOnly: true},
			}
		}, "H", "H (2) clash"},
		{"a folder called INBOX where the inbox is elsewhere", "dovecot", func(n *transfer.Naming) {
			n.Source, n.Map = append(foldersOf("INBOX"), inner), map[string]string{}
			n.Prefix = "Old"
		}, "INBOX.INBOX", "Old/INBOX prefix"},
		{"a folder called INBOX where the inbox was named before", "dovecot", func(n *transfer.Naming) {
			n.Source = append(foldersOf("INBOX"), inner)
			n.Chosen = []transfer.FolderName{{Wire: "INBOX", Source: "INBOX", Target: "Incoming", Renamed: "owner"}}
		}, "INBOX.INBOX", "INBOX (2) clash"},
		{"of two for a use, that which is called as the target's", "exchange", func(n *transfer.Naming) {
			n.Source = foldersOf("Sent", "Elementy wysłane")
		}, "Sent", "Sent"},
		{"a use's folder that another had, which is gone", "dovecot", func(n *transfer.Naming) {
			n.Source = foldersOf("INBOX", "Wysłane")
			n.Chosen = []transfer.FolderName{{Wire: "Old", Source: "Old", Target: "Sent", Renamed: "owner"}}
		}, "Wysłane", "Wysłane"},
		{"another's sent mail", "dovecot", func(n *transfer.Naming) {
			n.Source = foldersOf("INBOX", `Others/anna/Wysłane \Sent \Shared`)
		}, "Others/anna/Wysłane", "Others/anna/Wysłane"},
		{"a user's folder called like a use's at the target", "dovecot", func(n *transfer.Naming) {
			n.Source, n.Target = foldersOf("INBOX", "Bulky"), append(n.Target, folderOf(`Bulky \Flagged`))
		}, "Bulky", "Bulky (2) clash"},
		{"listed twice", "dovecot", func(n *transfer.Naming) { n.Source = foldersOf("INBOX", "A", "A") }, "A", "A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := targets()[tc.target]
			tc.change(&n)
			got, _, err := n.Names()
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, g := range got {
				if g.Wire == tc.wire {
					found++
					if said(g) != tc.want {
						t.Errorf("%s, want %s", said(g), tc.want)
					}
				}
			}
			if found != 1 {
				t.Errorf("it is there %d times", found)
			}
		})
	}
	n := targets()["maildir"]
	n.Prefix, n.Source = long, foldersOf(strings.Repeat("q", 60)+"/"+strings.Repeat("r", 60)+"/"+strings.Repeat("s", 60))
	if got, _, err := n.Names(); err != nil || !strings.HasPrefix(got[0].Target, long+"/") {
		t.Errorf("not below its prefix: %v, %v", got, err)
	}
}
