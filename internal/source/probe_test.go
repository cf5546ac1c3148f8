package source

import (
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// servers D9, bugreports F6: what would keep every visit from reading anything is shown
// by the connection test.
func TestAConnectionTestOpensTheInbox(t *testing.T) {
	const login = "ALSO TAG LOGOUT => TAG OK bye\\r\\n\n" + "ALSO TAG STATUS * => TAG OK -\\r\\n\n" +
		"S: * OK [CAPABILITY IMAP4rev1 LIST-STATUS AUTH=PLAIN " +
		"SASL-IR] hello\n" +
		"C~ TAG AUTHENTICATE PLAIN *\nS: TAG OK [CAPABILITY IMAP4rev1 LIST-STATUS] in\nC: TAG LIST \"\" \"*\"\n" +
		"S: * LIST () \"/\" INBOX\n"
	const other = "S: * LIST () \"/\" A\n"
	const inbox, unsafe = "S: TAG OK -\nC: TAG EXAMINE \"INBOX\"\n",
		"S: TAG NO Unsafe Login. Please contact kefu@188.com\n"
	const opened = "S: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] -\nS: TAG OK [READ-ONLY] -\n"
	for name, tc := range map[string]struct {
		dialogue string
		code     fault.Code
	}{
		"opens":                    {login + inbox + opened, ""},
		"refused":                  {login + inbox + unsafe, fault.AccessDisabled},
		"refused without a reason": {login + inbox + "S: TAG NO -\n", fault.FolderFailed},
		"every folder is refused": {
			login + other + inbox + unsafe + "C: TAG EXAMINE \"A\"\n" + unsafe,
			fault.AccessDisabled,
		},
		"the inbox alone is refused":  {login + other + inbox + unsafe + "C: TAG EXAMINE \"A\"\n" + opened, ""},
		"the connection is cut there": {login + inbox + "CLOSE\n", fault.ServerUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			script := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{})
			defer script.Close()
			server := remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None}
			var last remote.Step
			_, err := loopback(nil, nil).Probe(t.Context(), remote.Mailbox{Server: server, Protocol: remote.IMAP}, credential(
				"anna", testSecret), func(s remote.Step) {
				last = s
			})
			if fault.CodeOf(err) != tc.code || last.Name != remote.StepFolders || last.OK != (tc.code == "") {
				t.Errorf("step %+v, error %v", last, err)
			}
		})
	}
}
