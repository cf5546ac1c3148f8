package diagnose

import (
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// situation is one of several that a code means, told by its reason. What is known of the provider has no part in it.
type situation struct {
	reason fault.Reason
	user   words.Text
	admin  words.Text // An empty title is the user's.
	passes bool       // By itself.
}

// situations are shown instead of words.Faults.
var situations = []situation{
	{fault.CredentialExpired, words.PasswordExpired, words.AdminPasswordExpired, false},
	{fault.FoldersTooMany, words.TooManyFolders, words.AdminTooManyFolders, false},
	{fault.ChosenFoldersMissing, words.FoldersMissing, words.AdminFoldersMissing, false},
	{fault.MailboxLocked, words.MailboxLocked, words.AdminMailboxLocked, false},
	{fault.MailboxServerAway, words.MailboxServerAway, words.AdminMailboxServerAway, true},
	{fault.MailboxServerShut, words.MailboxServerAway, words.AdminMailboxServerShut, true},
}

// situation returns what is said of a code where the detail tells more than it does.
func (c Context) situation(code fault.Code) (told words.Text, passes, ok bool) {
	reason := fault.ReasonOf(code, c.Detail)
	for _, s := range situations {
		if s.reason == reason {
			if c.Admin {
				return s.user.Over(s.admin), s.passes, true
			}
			return s.user, s.passes, true
		}
	}
	return words.Text{}, false, false
}
