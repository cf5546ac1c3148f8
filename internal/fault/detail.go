package fault

// What the details of some faults begin with, by which they are told from others
// of the same code.
const (
	// NotThere is of folder_failed, where chosen folders are not at the provider;
	// their names follow.
	NotThere = "Chosen folders that the provider does not have: "
	// TooManyFolders is of folder_failed, where there are more than are fetched: then
	// nothing is.
	TooManyFolders = "The mailbox has too many folders"
	// PasswordExpired is of auth_failed, where the password was right once: it has to
	// be set anew at the provider. The server's words follow.
	PasswordExpired = "The password has expired."
)
