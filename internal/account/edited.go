package account

import (
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// JournalStep is what becomes of an edited account's delivery journal.
type JournalStep int

// The steps, from the least change to the greatest.
const (
	JournalStays    JournalStep = iota // The account reads the same mailbox in the same way.
	JournalRenamed                     // The same mailbox at the same host, by another port or spelling of its user.
	JournalCompared                    // Perhaps the same mailbox at another host: UIDVALIDITY decides, folder by folder.
	JournalReplaced                    // Another mailbox, whose UIDs may be the same by chance: it gets its own journal.
)

// Consequences is what an edit of an account means for its schedule, for a visit under way and for its journal.
type Consequences struct {
	// Remote says that server, protocol, user or credential changed: what failed or went well before says nothing
	// of what is tried now, and the connection has to be tested.
	Remote bool
	// Fence says that a visit under way must write nothing more: it has begun with what does not hold any more.
	Fence bool
	// AtOnce says that the account is due before those that nobody asked for.
	AtOnce bool
	// Larger says that messages up to MaxMessageBytes, which were left out, may be fetched now.
	Larger  bool
	Journal JournalStep
}

func journalStep(before, after Account) JournalStep {
	switch {
	case before.sameRemote(after):
		return JournalStays
	case before.Protocol != after.Protocol || !SameUser(before.Username, after.Username):
		return JournalReplaced
	case owner.FoldASCII(before.Server.Host) == owner.FoldASCII(after.Server.Host):
		return JournalRenamed
	}
	return JournalCompared
}

// DueTime is when an edited account is visited.
type DueTime int

// The times.
const (
	DueNever      DueTime = iota // Until it is switched on, or its user mends what it waits for.
	DueAfterVisit                // The visit under way continues; as that began with the old settings, another follows.
	DueAtOnce                    // Before those that nobody asked for.
	DueNow                       // In its turn.
	DueSooner                    // As planned, or when the interval that it has now is over, if that is earlier.
	DueAsPlanned                 // Nothing was planned, and nothing is.
)

// Scheduled is what the schedule knows of an account while it is edited.
type Scheduled struct {
	Visited   bool // A visit is under way.
	Planned   bool // The next one has a time.
	NeedsUser bool // It is not visited until its user mends what the visits fail at.
}

// Due says when the account is visited after an edit from before to after; atOnce: whoever edits asks for it.
func (c Consequences) Due(before, after Account, s Scheduled, atOnce bool) DueTime {
	switch {
	case !after.Enabled:
		return DueNever
	case s.Visited && !c.Fence:
		return DueAfterVisit
	case s.NeedsUser && before.Pause.Operator && !c.Remote && !s.Visited:
		// An administrator who switches it on again, as after a maintenance, has not mended what it waits for its
		// user for.
		return DueNever
	case atOnce:
		return DueAtOnce
	case s.Visited, !before.Enabled: // The visit was cut short, or the account was off.
		return DueNow
	case s.Planned:
		return DueSooner
	}
	return DueAsPlanned
}

// Clash returns what keeps an account from being beside the owner's others: ErrExists, ErrNameTaken,
// ErrFolderTaken, or nil. The account itself may be among them.
func (a Account) Clash(others []Account) error {
	for _, b := range others {
		switch {
		case b.ID == a.ID:
		case a.sameMailbox(b):
			return ErrExists
		case strings.EqualFold(a.Name, b.Name):
			return ErrNameTaken
		case FoldersClash(a.Folder, b.Folder):
			return ErrFolderTaken
		}
	}
	return nil
}

// sameRemote reports whether two accounts read the same mailbox the same way.
func (a Account) sameRemote(b Account) bool {
	return a.Protocol == b.Protocol && owner.FoldASCII(a.Server.Host) == owner.FoldASCII(b.Server.Host) &&
		a.Server.Port == b.Server.Port && a.Username == b.Username
}

// sameMailbox is sameRemote for whoever adds an account: the domain of a user name may be written in other ways.
func (a Account) sameMailbox(b Account) bool {
	localA, _, hasA := owner.Split(a.Username)
	localB, _, hasB := owner.Split(b.Username)
	if hasA && hasB && localA == localB && LabelsOf(owner.Domain(a.Username)) == LabelsOf(owner.Domain(b.Username)) {
		b.Username = a.Username
	}
	return a.sameRemote(b)
}

// SameUser takes "anna" and "anna@example.org" for two ways to sign in to one mailbox.
func SameUser(a, b string) bool {
	la, da, _ := strings.Cut(a, "@")
	lb, db, _ := strings.Cut(b, "@")
	return owner.SameAddress(la, lb) && (da == "" || db == "" || owner.SameAddress(da, db))
}

// FoldersClash reports whether two account folders are the same or one lies in
// the other, where remote folders of both could meet.
func FoldersClash(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
