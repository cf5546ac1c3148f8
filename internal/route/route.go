// Package route is a way that mail goes: from a mailbox at a server into one of ours,
// and by which rules. It does no I/O and knows nothing of accounts.
package route

import (
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// ID names a route: a random UUID, which nobody can guess.
type ID string

// Kind is for how long mail goes a route.
type Kind string

// The kinds.
const (
	Keep Kind = "keep" // Mail keeps going, as to an account's folder.
	Once Kind = "once" // What is there goes, once: a copy of a whole mailbox.
)

// Route is a way that mail goes: from a mailbox at a server into a folder of its owner's
// own mailbox, or into the whole of a mailbox.
type Route struct {
	ID    ID
	Kind  Kind
	Owner owner.Owner
	From  remote.Mailbox
	// To is the mailbox at a server into which mail goes; the zero Mailbox is the owner's own.
	To     remote.Mailbox
	Folder string // Where it arrives in the owner's mailbox: "Gmail", "Work/Old"; "/" between parts. Of kind Keep.
	// Names is where single folders arrive, by the source's name. Of kind Once.
	Names   map[string]string
	Folders FolderRules
	Start   Start
	// MaxMessageBytes is the largest message that is fetched unasked; 0 stands
	// for DefaultMessageBytes.
	MaxMessageBytes int64
	Dates           Dates     // Of what goes. IMAP alone says internal dates.
	OldestFirst     bool      // What has the earliest internal date goes first; else what has the latest.
	CreatedAt       time.Time // Start is counted from then.
	// Journal identifies the journal of what was delivered: a random UUID that
	// outlives the route, so that making it again delivers nothing twice.
	Journal string
}

// Dates bound internal dates.
type Dates struct {
	From, Before time.Time // From that one on, and earlier than that one; zero: no bound.
}

// Has reports whether a date is within the bounds. One that is not known is.
func (d Dates) Has(t time.Time) bool {
	return t.IsZero() || !t.Before(d.From) && (d.Before.IsZero() || t.Before(d.Before))
}

// FolderRules choose among the remote folders, by name ("Archive/2023", in the
// server's hierarchy with "/" between parts) or by special use (`\Junk`).
// Include empty means all; Exclude wins.
type FolderRules struct {
	Include, Exclude []string
}

// Names reports whether a rule to include names a folder, or one of its parents, by
// its name, given with "/" between parts.
func (r FolderRules) Names(name string) bool {
	return slices.ContainsFunc(r.Include, func(rule string) bool {
		return !strings.HasPrefix(rule, `\`) && (FolderRules{Include: []string{rule}}).Selects(name, "")
	})
}

// Unmet returns the rules to include that nothing meets, each asked about alone.
func (r FolderRules) Unmet(met func(FolderRules) bool) (unmet []string) {
	for _, rule := range r.Include {
		if !met(FolderRules{Include: []string{rule}}) {
			unmet = append(unmet, rule)
		}
	}
	return unmet
}

// Selects reports whether the rules choose a folder, given its name with "/"
// between parts ("INBOX" for the inbox) and its special use. A rule names a
// folder exactly or one of its parents; INBOX, in any case, only itself.
func (r FolderRules) Selects(name, specialUse string) bool {
	matches := func(rules []string) bool {
		for _, rule := range rules {
			if strings.HasPrefix(rule, `\`) {
				if strings.EqualFold(rule, specialUse) {
					return true
				}
				continue
			}
			if strings.EqualFold(rule, "INBOX") { // The inbox alone, whatever a server nests below it.
				if strings.EqualFold(name, "INBOX") {
					return true
				}
				continue
			}
			if rule == name || strings.HasPrefix(name, rule+"/") {
				return true
			}
		}
		return false
	}
	return (len(r.Include) == 0 || matches(r.Include)) && !matches(r.Exclude)
}

// Progress is how far a visit has come.
type Progress struct {
	Folder        string // Remote name, for people.
	MessagesDone  int64
	MessagesTotal int64
	BytesDone     int64
}
