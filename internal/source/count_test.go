package source

import (
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
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
			a := account.Account{
				Protocol: account.IMAP,
				Server:   account.Server{Host: "127.0.0.1", Port: s.Port(), Security: account.None},
			}
			opened, err := loopback(nil, nil).Open(t.Context(), a, credential("anna", "sekret"))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			session := opened.(*imapSession)
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
// neither has told it, the listing is not known to be whole.
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
		{"nothing, and STATUS did not tell", 0, "S: TAG OK -\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mailtest.Play(t, "S: * OK [CAPABILITY IMAP4rev1] hello\nC: TAG LOGIN \"anna\" \"sekret\"\n"+
				"S: TAG OK [CAPABILITY IMAP4rev1] in\n"+examined+tc.answer, mailtest.ScriptOptions{Lenient: true})
			a := account.Account{
				Protocol: account.IMAP,
				Server:   account.Server{Host: "127.0.0.1", Port: s.Port(), Security: account.None},
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
