package source

import "testing"

// bugreports, "To decide: other people's folders": whose a folder is.
func TestOtherPeoplesFoldersAreToldFromTheOwn(t *testing.T) {
	own := func(prefix string) []namespace { return []namespace{{prefix, "/"}} }
	for _, tc := range []struct {
		name         string
		ns           namespaces
		mine, others []string
	}{
		{name: "no namespaces", mine: []string{"INBOX", "user/anna", "Shared Folders/x"}},
		{
			"Cyrus, Dovecot, Stalwart",
			namespaces{own(""), []namespace{{"user/", "/"}, {"Shared Folders/", "/"}}},
			[]string{"INBOX", "Sent", "user", "users/x", "Shared Folders", "Archive/user/x"},
			[]string{"user/boss", "user/boss/Sent", "Shared Folders/support@firma.test/INBOX"},
		},
		{
			"Cyrus of old",
			namespaces{[]namespace{{"INBOX.", "."}}, []namespace{{"user.", "."}, {"", "."}}},
			[]string{"INBOX", "INBOX.Sent", "inbox.Sent"},
			[]string{"user.boss", "bulletin", "INBOXES"},
		},
		{
			"nothing personal is told",
			namespaces{nil, []namespace{{"", "."}, {"#shared/", "/"}}},
			[]string{"INBOX", "Sent"},
			[]string{"#shared/x"},
		},
		{
			"a prefix without its separator",
			namespaces{own(""), []namespace{{"#Public", "/"}, {"~", "/"}}},
			[]string{"#Publications", "#Publications/x"},
			[]string{"#Public", "#Public/x", "~boss", "~boss/x"},
		},
		{
			"below what is shared, and below the inbox",
			namespaces{own("Shared/anna/"), []namespace{{"Shared/", "/"}}},
			[]string{"Shared/anna/x", "INBOX/y"},
			[]string{"Shared/boss/x", "Shared/annabel"},
		},
		{"one prefix for both", namespaces{own("INBOX/"), own("INBOX/")}, []string{"INBOX", "INBOX/x"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, raw := range tc.mine {
				if folderFrom(raw, false, "/", tc.ns).Shared {
					t.Errorf("%q is another's", raw)
				}
			}
			for _, raw := range tc.others {
				if !folderFrom(raw, false, "/", tc.ns).Shared {
					t.Errorf("%q is one's own", raw)
				}
			}
		})
	}
}
