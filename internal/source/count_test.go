package source

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// TestD7_WhatCannotBeCountedInTimeIsNotCounted: a connection test of a server that
// takes long for each folder ends well. The control counts.
func TestD7_WhatCannotBeCountedInTimeIsNotCounted(t *testing.T) {
	const dialogue = `S: * OK [CAPABILITY IMAP4rev1] hello
C: TAG LOGIN "anna" "sekret"
S: TAG OK [CAPABILITY IMAP4rev1] in
C: TAG LIST "" "*"
S: * LIST () "/" INBOX
S: * LIST () "/" Work
S: TAG OK -
`
	const counted = `C~ TAG STATUS "INBOX" *
S: * STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7)
S: TAG OK -
C~ TAG STATUS "Work" *
S: * STATUS Work (MESSAGES 4 UIDNEXT 5 UIDVALIDITY 7)
S: TAG OK -
`
	for _, tc := range []struct {
		name     string
		dialogue string
		until    time.Time
		messages uint32
	}{
		{"no time is left", dialogue, time.Now(), 0},
		{"there is time", dialogue + counted, time.Now().Add(time.Hour), 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{Lenient: true})
			a := remote.Mailbox{
				Protocol: remote.IMAP,
				Server:   remote.Server{Host: "127.0.0.1", Port: s.Port(), Security: remote.None},
			}
			opened, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			session := opened.protocol.(*imapSession)
			session.conn.countUntil = tc.until
			folders, err := session.Folders(t.Context())
			if err != nil || len(folders) != 2 {
				t.Fatalf("%d folders, %v", len(folders), err)
			}
			if n := folders[0].Status.Messages + folders[1].Status.Messages; n != tc.messages {
				t.Errorf("%d messages are counted, want %d", n, tc.messages)
			}
		})
	}
}

// TestD4_NoUIDNEXTIsNoTrouble: what EXAMINE leaves out STATUS has told, and a refusal
// of a range above all that there is means that there is nothing. The control: where
// neither has told it, the listing is not known to be whole, and whoever asked lists the
// folder from its first message on.
func TestD4_NoUIDNEXTIsNoTrouble(t *testing.T) {
	const examined = "C: TAG EXAMINE \"INBOX\"\nC~ TAG UID FETCH 141:? (UID *\n" +
		"S: * 135 EXISTS\nS: * OK [UIDVALIDITY 7] -\nS: TAG-1 OK -\n"
	for _, tc := range []struct {
		name     string
		next     uint32 // By STATUS.
		answer   string
		complete bool
	}{
		{"nothing", 141, "S: TAG OK -\n", true},
		{"BAD", 141, "S: TAG BAD no such message\n", true},
		{"NO, and one came and went", 143, "S: TAG NO no such message\n", false},
		{"BAD, and STATUS did not tell", 0, "S: TAG BAD invalid set\n", false},
		{"nothing, and STATUS did not tell", 0, "S: TAG OK -\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, "S: * OK [CAPABILITY IMAP4rev1] hello\nC: TAG LOGIN \"anna\" \"sekret\"\n"+
				"S: TAG OK [CAPABILITY IMAP4rev1] in\n"+examined+tc.answer, mailtest.ScriptOptions{Lenient: true})
			a := remote.Mailbox{
				Protocol: remote.IMAP,
				Server:   remote.Server{Host: "127.0.0.1", Port: s.Port(), Security: remote.None},
			}
			session, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			inbox := mail.Folder{Wire: "INBOX", Selectable: true, Status: mail.Status{
				Known: true, Messages: 136,
				UIDNext: tc.next, UIDValidity: 7,
			}}
			err = session.List(t.Context(), []mail.Query{{Folder: inbox, From: 141}}, func(l mail.Listing, err error) error {
				if err != nil || l.Complete != tc.complete || l.Len() != 0 {
					t.Errorf("complete %v, %d messages, %v", l.Complete, l.Len(), err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestF13_AFolderThatIsRefusedAsAWholeIsNotRead is the control of
// TestD4_NoUIDNEXTIsNoTrouble.
func TestF13_AFolderThatIsRefusedAsAWholeIsNotRead(t *testing.T) {
	s := mailtest.Play(t, `S: * OK [CAPABILITY IMAP4rev1] hello
C: TAG LOGIN "anna" "sekret"
S: TAG OK [CAPABILITY IMAP4rev1] in
C: TAG EXAMINE "INBOX"
C~ TAG UID FETCH 1:? (UID *
S: * 135 EXISTS
S: * OK [UIDVALIDITY 7] -
S: TAG-1 OK -
S: TAG BAD invalid set
`, mailtest.ScriptOptions{Lenient: true})
	session := openLoopback(t, s)
	inbox := mail.Folder{Wire: "INBOX", Selectable: true, Status: mail.Status{Known: true, Messages: 135, UIDValidity: 7}}
	err := session.List(t.Context(), []mail.Query{{Folder: inbox}}, func(_ mail.Listing, err error) error {
		if fault.CodeOf(err) != fault.FolderFailed {
			t.Errorf("%v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func openLoopback(t *testing.T, s *mailtest.Script) *Session {
	t.Helper()
	a := remote.Mailbox{
		Protocol: remote.IMAP,
		Server:   remote.Server{Host: "127.0.0.1", Port: s.Port(), Security: remote.None},
	}
	session, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", "sekret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// TestD7_SilenceInCountingEndsCountingAlone: a folder whose state the server does not
// tell costs a connection test its silence, and no more; that it opens is seen on
// another connection. The control: silence in opening is one.
func TestD7_SilenceInCountingEndsCountingAlone(t *testing.T) {
	t.Parallel()
	const login = `S: * OK [CAPABILITY IMAP4rev1] hello
C: TAG LOGIN "anna" "sekret"
S: TAG OK [CAPABILITY IMAP4rev1 LIST-STATUS] in
`
	const silent = "ALSO TAG LOGOUT => TAG OK bye\\r\\n\n" + login + `C: TAG LIST "" "*"
S: * LIST () "/" INBOX
S: TAG OK -
C~ TAG STATUS "INBOX" *
STALL
---
ALSO TAG LOGOUT => TAG OK bye\r\n
` + login + "C: TAG EXAMINE \"INBOX\"\n"
	for _, tc := range []struct {
		name, dialogue string
		code           fault.Code
	}{
		{"it opens", silent + "S: * 3 EXISTS\nS: TAG OK -\n", ""},
		{"it does not", silent + "STALL\n", fault.ServerUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, tc.dialogue, mailtest.ScriptOptions{Lenient: true})
			a := remote.Mailbox{
				Protocol: remote.IMAP,
				Server:   remote.Server{Host: "127.0.0.1", Port: s.Port(), Security: remote.None},
			}
			c := loopback(nil, func(o *Options) { o.Patience.Idle = 300 * time.Millisecond })
			folders, err := c.Probe(t.Context(), a, credential("anna", "sekret"), func(remote.Step) {})
			if fault.CodeOf(err) != tc.code || tc.code == "" && len(folders) != 1 {
				t.Errorf("%d folders, %v", len(folders), err)
			}
		})
	}
}

// TestF7_OfManyUnreadableFoldersTheNumberIsTold: the first are named.
func TestF7_OfManyUnreadableFoldersTheNumberIsTold(t *testing.T) {
	var lines strings.Builder
	for i := range mostUnread + 5 {
		fmt.Fprintf(&lines, "S: * LIST () \"/\" \"Kat%d\n", i)
	}
	s := mailtest.Play(t, "S: * OK [CAPABILITY IMAP4rev1] hello\nC: TAG LOGIN \"anna\" \"sekret\"\n"+
		"S: TAG OK [CAPABILITY IMAP4rev1] in\nC: TAG LIST \"\" \"*\"\n"+lines.String()+"S: TAG OK -\n"+
		"C~ TAG STATUS \"INBOX\" *\nS: * STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)\nS: TAG OK -\n",
		mailtest.ScriptOptions{Lenient: true})
	folders, err := openLoopback(t, s).Folders(t.Context())
	if err != nil || len(folders) != 1+mostUnread+1 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	if last := folders[len(folders)-1]; last.Problem == nil || last.Path[0] != "+5" {
		t.Errorf("%+v", last)
	}
}
