// Package account is the external account: its settings, the rules they obey,
// its states, and who may have how many.
//
// It performs no I/O of its own: what it needs (rows, secrets, presets, a
// connection test) it declares as interfaces that others implement. It knows
// nothing of SQL, HTTP or mail protocols.
package account

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// ID names an external account: a random UUID, which nobody can guess. An account and
// its route have one id.
type ID = route.ID

// Account is one external account, without its secret.
type Account struct {
	ID         ID
	Owner      owner.Owner
	Email      string // The address at the other provider.
	Name       string // The user's own label for it, unique per user.
	SenderName string // For the From field of mail sent in its name.
	Provider   string // A preset's id, or "other".
	Protocol   remote.Protocol
	Server     remote.Server
	Username   string
	Auth       remote.Auth
	Folder     string // Where its mail goes in the local mailbox: "Gmail", "Work/Old"; "/" between parts.
	Folders    route.FolderRules
	Start      route.Start
	// MaxMessageBytes is the largest message that is fetched unasked; 0 stands
	// for DefaultMessageBytes.
	MaxMessageBytes int64
	PollInterval    time.Duration
	Enabled         bool
	Pause           Pause // Zero while it is enabled.
	CreatedAt       time.Time
	UpdatedAt       time.Time

	// Journal identifies the account's delivery journal: a random UUID that
	// outlives a removed account, so that adding it again delivers nothing twice.
	Journal string
	// Capabilities is what the server was last seen to offer, as a session's
	// Capabilities tells it; "" when unknown. It saves round trips and is
	// a hint only: the server may be another by now.
	Capabilities string
	// SettingsEpoch counts edits. A visit that began before an edit does not
	// report into the account after it.
	SettingsEpoch int64
	// LoginProof is what Proof returned when a server last accepted a login of
	// the account; "" when none has, or one was refused since.
	LoginProof string

	Status Status
}

// State says in a word how an account is.
type State string

// The states of the contract.
const (
	Pending        State = "pending"         // Never visited.
	Fetching       State = "fetching"        // A visit is under way.
	OK             State = "ok"              // The last visit went well.
	Retrying       State = "retrying"        // It failed; the next try is scheduled.
	NeedsAttention State = "needs_attention" // It failed in a way only the user can mend; not tried until then.
	OverQuota      State = "over_quota"      // The local mailbox is full; resumes by itself.
	Paused         State = "paused"          // Switched off by the user.
)

// States returns every state, in the contract's order.
func States() []State {
	return []State{Pending, Fetching, OK, Retrying, NeedsAttention, OverQuota, Paused}
}

// Diagnosis is why the last visit failed. Title and advice are made from Code
// where a person reads them, in that person's language.
type Diagnosis struct {
	Code   fault.Code
	Detail words.Detail // Specific, safe to show; may be empty.
	Since  time.Time    // When it first failed this way.
}

// Pause says how an account came to be switched off.
type Pause struct {
	At       time.Time // Zero: not known.
	Operator bool      // An administrator did it, and not the user.
}

// DelayKind says what keeps an account's mail away.
type DelayKind string

// The kinds of delay.
const (
	DelayPaused      DelayKind = "paused"      // The user has switched it off.
	DelayMaintenance DelayKind = "maintenance" // An administrator has.
	DelayAttention   DelayKind = "attention"   // Only the user can mend what the visits fail at.
	DelayBackoff     DelayKind = "backoff"     // The last visits failed; the next comes later.
	DelayBudget      DelayKind = "budget"      // The provider allows no more for now, or we visit no more at a time.
	DelayQuota       DelayKind = "quota"       // The local mailbox is full.
	DelayOutage      DelayKind = "outage"      // The host is out of order for many accounts.
	DelayInterval    DelayKind = "interval"    // The provider wants longer pauses than the account's interval.
	DelayWaiting     DelayKind = "waiting"     // It is due, and others are before it.
)

// DelayKinds returns every kind.
func DelayKinds() []DelayKind {
	return []DelayKind{
		DelayPaused, DelayMaintenance, DelayAttention, DelayBackoff, DelayBudget, DelayQuota, DelayOutage,
		DelayInterval, DelayWaiting,
	}
}

// Delay is what keeps an account's mail away, with what shows it.
type Delay struct {
	Kind   DelayKind
	Since  time.Time // Zero: not known.
	Until  time.Time // When the next visit is to be; zero: nobody can tell.
	AtHost bool      // DelayBudget: ours, of visits at its host at a time.
	Asked  bool      // DelayWaiting: it goes before all that nobody asked for.
	// Interval is the provider's least, of DelayInterval.
	Interval time.Duration
	// Daily is how many octets the provider allows in a day, of DelayBudget when as
	// many were fetched; 0: the delay is another.
	Daily int64
}

// Status is what is known of an account's visits.
type Status struct {
	State         State
	LastAttemptAt time.Time // Zero: never.
	LastSuccessAt time.Time // Zero: never.
	NextPollAt    time.Time // Zero: none is planned.
	Failures      int       // Consecutive.
	Diagnosis     *Diagnosis
	Delay         *Delay         // What keeps the next visit away; nil: nothing does.
	Progress      route.Progress // Of the visit under way, else zero.
	Totals        Totals
	// Proven says that a visit has succeeded with the server's settings, the
	// username and the credential as they are, and that none was refused since.
	Proven bool
	// Slow is how many visits in a row that do not take long the account is away
	// from counting as quick: 0, it does; 1, as a new one; more, the last was slow.
	Slow int
}

// Totals is what an account has brought into the local mailbox so far.
type Totals struct {
	Folders  int64
	Messages int64
	Bytes    int64
}

// FolderInfo is one remote folder and what has been fetched of it.
type FolderInfo struct {
	RemoteName string // Decoded, "/" between parts.
	LocalName  string // Its folder in the local mailbox, "/" between parts.
	SpecialUse string
	Selected   bool  // Whether it is fetched: the account's rules choose it, and it does not lead back.
	Shared     bool  // It is another user's, or shared with others: chosen only by a rule that names it.
	LeadsBack  bool  // The rules choose it, and it is left out: this service, or another like it, fetched what is in it.
	Messages   int64 // At the last visit.
	Fetched    int64
}

// Run is one visit, finished or under way.
type Run struct {
	ID         string
	StartedAt  time.Time
	FinishedAt time.Time // Zero: under way.
	OK         bool
	Messages   int64
	Bytes      int64
	Diagnosis  *Diagnosis
}

// Grant is what a user allowed on a provider's own page, and no account has
// taken yet.
type Grant struct {
	Provider string        // Whose page it was; as in Grants.ServesHost.
	Name     string        // The provider's, for people.
	Presets  []string      // Of the mail providers whose users sign in there.
	Email    string        // Whose mailbox it is, in lower case; "": the provider did not say.
	Access   remote.Secret // For a connection test.
	Lasting  remote.Secret // What the account keeps, sealed, instead of a password.
	Expires  time.Time
}

// TestReport is what a connection test found.
type TestReport struct {
	OK        bool
	Steps     []remote.Step
	Folders   []string // Remote names, decoded, "/" between parts.
	Shared    []string // Of other users, or shared with others: left out unless a rule names them.
	Messages  int64    // In all selectable folders of Folders, where the server told.
	Diagnosis *Diagnosis
	Warning   *Diagnosis    // Of a test that is OK: what visits will have to tell all the same.
	Held      time.Duration // Not 0: too many logins failed lately, and none is tried for so long.
}
