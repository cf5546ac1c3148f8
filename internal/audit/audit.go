// Package audit has the words in which it is written down who did what to whose
// account, from where and when. It keeps nothing itself: package store writes an
// act's row in the transaction of the act, and asks the context who acts.
//
// Nothing in it is a secret: no password, no token, no link and no session's name
// has a place in an Entry. Of settings there is the name of the field, and a value
// only where it is public knowledge between an administrator and the user: a
// server, a limit, an address.
package audit

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Role says by which right somebody acts.
type Role string

// The roles.
const (
	User   Role = "user"   // For what is its own.
	Admin  Role = "admin"  // With the scope of an administrator, also for what is its own.
	CLI    Role = "cli"    // By a command on a machine of the installation.
	System Role = "system" // Nobody: the program by its own rules.
)

// Roles lists them.
func Roles() []Role { return []Role{User, Admin, CLI, System} }

// Actor is who acts. The zero Actor is the program itself.
type Actor struct {
	Role Role   // "": System.
	Name string // The address of a user or administrator; of the command line, who runs it; else "".
	// Client is from where: the network address of the request, of the command line
	// the machine's name; "" where there is none.
	Client string
}

type actorKey struct{}

// By returns a context in which the actor acts.
func By(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, actorKey{}, a) }

// ActorOf returns who acts in a context; without one it is the program itself.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	if a.Role == "" {
		a.Role = System
	}
	return a
}

// Action is what was done. The words stay as they are once they were written.
type Action string

// The actions.
const (
	AccountAdded      Action = "account.added"
	AccountTested     Action = "account.tested"      // A connection test was begun, with settings saved or not.
	AccountTestFailed Action = "account.test_failed" // Its outcome, where it is not success.
	AccountChanged    Action = "account.changed"
	AccountPaused     Action = "account.paused"  // Switched off, and nothing else changed.
	AccountResumed    Action = "account.resumed" // Switched on, and nothing else changed.
	AccountFetched    Action = "account.fetched" // Made due by somebody else than its user.
	AccountDeleted    Action = "account.deleted"
	MessageRetried    Action = "message.retried" // A skipped message was asked for by somebody else than its user.
	QuotaSet          Action = "quota.set"
	DefaultSet        Action = "default_limit.set"     // What users of a domain may hold of whom nothing else was said.
	DefaultRemoved    Action = "default_limit.removed" // That is not said any more.
	MailboxLoginSet   Action = "mailbox_login.set"     // How a user's own mailbox is signed in to was saved.
	// MailboxLoginRemoved is that it was forgotten.
	MailboxLoginRemoved Action = "mailbox_login.removed"

	CopyStarted   Action = "copy.started" // Of a whole mailbox: see package transfer.
	CopyChanged   Action = "copy.changed"
	CopyPaused    Action = "copy.paused"
	CopyResumed   Action = "copy.resumed"
	CopyCancelled Action = "copy.cancelled"
	CopyRepeated  Action = "copy.repeated" // Set to work again: to bring what is new, to compare, or to retry.
	CopyDeleted   Action = "copy.deleted"

	UserRemoved       Action = "user.removed"
	UserExported      Action = "user.exported" // All that is stored about a user was handed out.
	LinkMade          Action = "link.made"
	SessionBegun      Action = "session.begun"
	SessionEnded      Action = "session.ended"
	SessionsEnded     Action = "sessions.ended" // All of a user, or everybody's.
	TranscriptBegun   Action = "transcript.begun"
	TranscriptRead    Action = "transcript.read"
	TranscriptRemoved Action = "transcript.removed"
	// InstallationAdopted is that somebody said of database, keys or mailboxes that they
	// are right although they have another identity.
	InstallationAdopted Action = "installation.adopted"
)

// Actions lists them.
func Actions() []Action {
	return []Action{
		AccountAdded, AccountTested, AccountTestFailed, AccountChanged, AccountPaused, AccountResumed, AccountFetched,
		AccountDeleted, MessageRetried, QuotaSet, DefaultSet, DefaultRemoved, MailboxLoginSet,
		MailboxLoginRemoved, CopyStarted, CopyChanged, CopyPaused, CopyResumed, CopyCancelled, CopyRepeated, CopyDeleted,
		UserRemoved, UserExported, LinkMade,
		SessionBegun, SessionEnded, SessionsEnded, TranscriptBegun, TranscriptRead, TranscriptRemoved,
		InstallationAdopted,
	}
}

// Entry is one act.
type Entry struct {
	ID      int64 // Given when it is written.
	At      time.Time
	Actor   Actor
	Action  Action
	User    owner.Owner // Whom it concerns; zero: everybody.
	Account account.ID  // Which of its accounts; "": none of them, or one that is not saved.
	// Changed are the names of the settings that an edit changed, as the API calls them.
	Changed []string
	// Details say more of the act in few words, each under a fixed name.
	Details map[string]string
}

// Filter chooses entries. Its zero value chooses all.
type Filter struct {
	User    owner.Owner
	Query   string // A part of the address of whom it concerns, in any case.
	Account account.ID
	Role    Role
	// Actor is an address, or whom a machine calls so; where Role is "", one of Roles is
	// all who act by that right.
	Actor  string
	Action Action
	From   time.Time // Not before.
	To     time.Time // Before.
	Limit  int       // Of the page; 0: 50.
	Cursor string    // As the page before returned it; "": the first page.
}

// Page is a page of entries, the newest first.
type Page struct {
	Entries []Entry
	Next    string // The cursor of the next page; "": this is the last.
	// Since is the moment before which entries were forgotten; zero: none were.
	Since time.Time
}
