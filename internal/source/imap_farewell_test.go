package source

import (
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// bugreports F9, the control: what was said before a folder was opened is no
// reason for what comes later, and none for what is of our own making.
func TestLastWordsAreAReasonBeforeAFolderIsOpenedOnly(t *testing.T) {
	c, said := &imapConn{}, wire.Reply{}
	broke := &fault.Error{
		Code:   fault.ServerUnavailable,
		Detail: words.Detail{words.Say("The connection to the server broke.")},
	}
	if f := c.blames(said, "listing folders", broke); f != nil {
		t.Errorf("nothing was said: %v", f)
	}
	said = wire.Reply{Kind: "OK", Code: "ALERT", Text: "Please enable IMAP access in your account settings first."}
	if f := c.blames(said, "listing folders", broke); f == nil || f.Code != fault.AccessDisabled || !f.Session {
		t.Errorf("after an alert: %v", f)
	}
	if f := c.blames(said, "listing folders", &fault.Error{Code: fault.Interrupted}); f != nil {
		t.Errorf("interrupted: %v", f)
	}
	c.inside = true
	if f := c.blames(said, "listing folder INBOX", broke); f != nil {
		t.Errorf("after a folder was opened: %v", f)
	}
}
