package fault

import "github.com/mailbrook/mailbrook/internal/words"

// Sentences that tell which of several situations a code means. A fault is kept as its code and its detail and nothing
// else: ReasonOf knows it again by the first sentence, compared as a whole.
const (
	// NotThere is of folder_failed, where chosen folders are not at the provider: their names.
	NotThere = "Chosen folders that the provider does not have: %s"
	// TooManyFolders is of folder_failed, where there are more than are fetched: then
	// nothing is.
	TooManyFolders = "The mailbox has too many folders: more than %d, so nothing was fetched."
	// PasswordExpired is of auth_failed, where the password was right once: it has to
	// be set again at the provider. The server's words follow.
	PasswordExpired = "The password has expired."
	// HeldBack is of rate_limited, where it is not the provider that asks for a pause: package logins does.
	HeldBack = "Too many logins at this mailbox failed lately; nothing is tried there until some time has passed."
	// LoginMissing is of local_mailbox_unavailable, where each user's mailbox is opened by a login of its own: none is
	// saved.
	LoginMissing = "No name and no password are saved with which this user's own mailbox could be opened."
	// LoginRefused is of local_mailbox_unavailable likewise: the one that is saved is not right.
	LoginRefused = "The server of the users' mailboxes refuses the password that is kept for this user's mailbox."
	// MailboxesAway is of local_mailbox_unavailable, where the server that has all users' mailboxes is out of order.
	MailboxesAway = "The server of the users' mailboxes cannot be reached, or does not do what it should."
	// MailboxesShut is of local_mailbox_unavailable, where that server refuses who signs in for all users.
	MailboxesShut = "The server of the users' mailboxes lets Mailbrook into no mailbox."
)

// Reason distinguishes what one code stands for.
type Reason int

// The reasons.
const (
	Plain Reason = iota // The code says it all.
	ChosenFoldersMissing
	FoldersTooMany
	CredentialExpired
	LoginsHeldBack
	MailboxLocked // LoginMissing or LoginRefused.
	MailboxServerAway
	MailboxServerShut
)

// ReasonOf returns the reason of a fault of which code and detail were kept.
func ReasonOf(code Code, detail words.Detail) Reason {
	if len(detail) == 0 {
		return Plain
	}
	switch first := detail[0].Format; {
	case code == FolderFailed && first == NotThere:
		return ChosenFoldersMissing
	case code == FolderFailed && first == TooManyFolders:
		return FoldersTooMany
	case code == AuthFailed && first == PasswordExpired:
		return CredentialExpired
	case code == RateLimited && first == HeldBack:
		return LoginsHeldBack
	case code == LocalMailboxUnavailable:
		return reasonOfMailbox(first)
	}
	return Plain
}

// reasonOfMailbox is why a user's own mailbox could not be used.
func reasonOfMailbox(first string) Reason {
	switch first {
	case LoginMissing, LoginRefused:
		return MailboxLocked
	case MailboxesAway:
		return MailboxServerAway
	case MailboxesShut:
		return MailboxServerShut
	}
	return Plain
}

// Part is a part of how a server is named.
type Part string

// The parts.
const (
	PartHost     Part = "host"
	PartSyntax   Part = "syntax" // Of the host: it is none at all.
	PartPort     Part = "port"
	PartSecurity Part = "security"
)
