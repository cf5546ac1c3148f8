package mail

import "strings"

// reserved are the folders that every mailbox has or mail programs make.
var reserved = []string{"INBOX", "Sent", "Drafts", "Trash", "Junk", "Spam", "Archive", "Templates", "Outbox"}

// IsReservedFolder reports whether a folder of this name, "/" between its parts, has a meaning of its own in
// every mailbox and so cannot be an account folder. Folders below one can be,
// except below INBOX.
func IsReservedFolder(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	if strings.EqualFold(first, "INBOX") {
		return true
	}
	for _, r := range reserved {
		if strings.EqualFold(name, r) {
			return true
		}
	}
	return false
}
