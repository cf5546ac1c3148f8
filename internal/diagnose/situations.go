package diagnose

import (
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// situation is one of several that a code means, told by its reason. It
// does not pass by itself, and what is known of the provider has no part in it.
type situation struct {
	reason fault.Reason
	user   words.Text
	admin  words.Text // An empty title is the user's.
}

// situations are shown instead of words.Faults.
var situations = []situation{
	{fault.CredentialExpired, words.PasswordExpired, words.AdminPasswordExpired},
	{fault.FoldersTooMany, words.TooManyFolders, words.AdminTooManyFolders},
	{fault.ChosenFoldersMissing, words.FoldersMissing, words.AdminFoldersMissing},
}

// situation returns what is said of a code where the detail tells more than it does.
func (c Context) situation(code fault.Code) (words.Text, bool) {
	reason := fault.ReasonOf(code, c.Detail)
	for _, s := range situations {
		if s.reason == reason {
			if c.Admin {
				return s.user.Over(s.admin), true
			}
			return s.user, true
		}
	}
	return words.Text{}, false
}
