package transfer

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// ID names a copy: a random UUID, which nobody can guess. A copy and its route have one id.
type ID = route.ID

// The fields of a copy's secrets: see remote.SecretRef.
const (
	SourceField remote.Field = "source"
	TargetField remote.Field = "target"
)

// Copy is one copy of a mailbox, without its secrets.
type Copy struct {
	ID     ID
	Owner  owner.Owner // Who asked for it, and may see it.
	Source remote.Mailbox
	// Target is a mailbox at an IMAP server; the zero Mailbox is the owner's own mailbox, wherever that is.
	Target  remote.Mailbox
	Options Options

	CreatedAt time.Time
	StartedAt time.Time // When its first message was asked for; zero: not yet.
	EndedAt   time.Time // When it completed, failed or was cancelled last; zero: it has not.
	// CredentialsUntil is when the passwords of an ended copy are erased; zero: it has not ended. In the past: they are.
	CredentialsUntil time.Time
	Journal          string // As Account.Journal.
	Edits            int64  // Counts changes: the later of two of one version is refused.
	// Pass counts how often the copy was set to work: 1 is its beginning, and each Sync, Verify and Retry is another. With
	// the ID it names the report and the mail of an end, so that each is delivered once.
	Pass int64

	Status Status
}

// Local reports whether a copy goes into its owner's own mailbox.
func (c Copy) Local() bool { return c.Target.Server.Host == "" }

// TargetAddress is the address of the mailbox that is copied into.
func (c Copy) TargetAddress() string {
	if c.Local() {
		return c.Owner.String()
	}
	return c.Target.Email
}

// Version names what was chosen for a copy as it is: each edit changes it, and nothing else does.
func (c Copy) Version() string {
	return fmt.Sprintf("%d-%s", c.Edits, strconv.FormatInt(c.CreatedAt.UnixMilli(), 36))
}

// Options are how a mailbox is copied.
type Options struct {
	Folders  route.FolderRules // Which of the source's folders; see route.FolderRules.
	Prefix   string            // The folder of the target below which everything goes, "/" between parts; "": none.
	StartAt  time.Time         // Not before; zero: at once.
	Existing Existing
	Labels   Labels
	Order    Order
	Verify   Verify
	// MaxBytes is the largest message that is copied; 0: the target's limit, and route.MostMessageBytes.
	MaxBytes int64
	// Since and Before bound the internal dates of what is copied: from Since on, and earlier than Before; zero: no bound.
	Since, Before time.Time
	NotifyEmail   string // Who hears of the end beside the target mailbox; "": nobody.
	Language      string // Of mail about it: "en" or "pl".
	BytesPerSec   int64  // The most that is read in a second; 0: no limit of its own.
	// Names is where each of the source's folders goes at the target, by its name with "/" between parts. It is made of
	// the plan when a copy begins, with what the owner changed; what comes later is called as at the source.
	Names map[string]string
}

// Existing is what becomes of a message that the target has already. ExistingSkip is not offered yet.
type Existing string

// The ways: nothing at the target is looked at, or what is there octet for octet is not copied again.
const (
	ExistingIgnore Existing = "ignore"
	ExistingSkip   Existing = "skip"
)

// Labels is what becomes of a Gmail message's further labels. Only the first way is offered yet.
type Labels string

// The ways: the folder of the best label alone; the others as keywords too, where the target takes them; or a copy in
// the folder of each.
const (
	LabelsFirst    Labels = "first"
	LabelsKeywords Labels = "keywords"
	LabelsCopies   Labels = "copies"
)

// Order is which messages are copied first.
type Order string

// The orders, by internal date. In the first the target's UIDs follow the dates.
const (
	OldestFirst Order = "oldest_first"
	NewestFirst Order = "newest_first"
)

// Verify is how many messages are read back at the target. That each is there, by size and date, is always looked at.
type Verify string

// The ways: none is read; some of each folder; all.
const (
	VerifyQuick  Verify = "quick"
	VerifySample Verify = "sample"
	VerifyFull   Verify = "full"
)

// State says in a word how a copy is.
type State string

// The states.
const (
	Queued         State = "queued"  // Not begun.
	Running        State = "running" // See Phase.
	Waiting        State = "waiting" // It continues by itself: see Reason.
	Paused         State = "paused"  // Its owner, or an operator, has paused it.
	NeedsAttention State = "needs_attention"
	Completed      State = "completed"
	// CompletedWithWarnings: something is not exactly at the target as it was at the source; the report says what.
	CompletedWithWarnings State = "completed_with_warnings"
	Failed                State = "failed"
	Cancelled             State = "cancelled"
)

// States returns every state, in the order in which people are shown them.
func States() []State {
	return []State{
		Queued, Running, Waiting, Paused, NeedsAttention, Completed, CompletedWithWarnings, Failed, Cancelled,
	}
}

// Ended reports whether a copy in this state does nothing more by itself.
func (s State) Ended() bool {
	return s == Completed || s == CompletedWithWarnings || s == Failed || s == Cancelled
}

// Phase is what a running copy does.
type Phase string

// The phases, in their order.
const (
	Connecting Phase = "connecting"
	Listing    Phase = "listing"
	Copying    Phase = "copying"
	Verifying  Phase = "verifying"
)

// Phases returns every phase.
func Phases() []Phase { return []Phase{Connecting, Listing, Copying, Verifying} }

// Reason is why a copy waits.
type Reason string

// The reasons.
const (
	SourceLimit Reason = "source_limit" // The source's provider allows no more for now.
	TargetLimit Reason = "target_limit" // The target's does not.
	TargetFull  Reason = "target_full"  // Its mailbox is full: looked at every hour, and when asked.
	Retry       Reason = "retry"        // Something failed that may be over soon.
	Maintenance Reason = "maintenance"  // An operator has paused it, or all copies.
)

// Reasons returns every reason.
func Reasons() []Reason { return []Reason{SourceLimit, TargetLimit, TargetFull, Retry, Maintenance} }

// Status is what is known of a copy's work.
type Status struct {
	State     State
	Phase     Phase     // While Running.
	Reason    Reason    // While Waiting.
	Until     time.Time // While Waiting: when it is tried again; zero: nobody can tell.
	Failures  int       // In a row.
	Diagnosis *Diagnosis
	Progress  Progress
	Totals    Totals
	Grade     Grade // "": it was not verified yet.
}

// Diagnosis is why a copy waits, needs attention or failed.
type Diagnosis struct {
	account.Diagnosis
	Side Side
}

// Side is one end of a copy.
type Side string

// The ends.
const (
	Source Side = "source"
	Target Side = "target"
)

// Progress is how far the work of a phase has come.
type Progress struct {
	Folder string // The source's name of the one under way; "": none is.
	route.Progress
	BytesTotal int64 // 0: not known yet.
	// MessagesPerMinute is how quick the last minutes were; 0: nothing to go by.
	MessagesPerMinute int64
	Left              time.Duration // Until the phase is over, at this rate; 0: not known.
}

// Totals are what a copy has come to so far.
type Totals struct {
	Folders          int64
	Messages         int64 // At the target by this copy.
	Bytes            int64
	AlreadyThere     int64 // At the target before: not copied again.
	Skipped          int64 // Not copied, each with its reason.
	Ambiguous        int64 // Sent again although they may have been stored: see package imapbox.
	KeywordsRefused  int64 // Keywords that the target did not take.
	MovedOrDeleted   int64 // At the target, and moved or deleted there since: by the last verification.
	Missing          int64 // Not at the target, and nobody's doing: by the last verification.
	Altered          int64 // There, with other octets: by the last verification.
	VerifiedByDigest int64
}

// Grade is how well a copy went, in the field's words.
type Grade string

// The grades, the best first.
const (
	// Perfect: everything is there, octet for octet.
	Perfect Grade = "perfect"
	// Good: everything is there; keywords, names of folders or what the target rewrote differ.
	Good Grade = "good"
	// Investigate: at most a thousandth, or ten messages, are not there, each with its reason.
	Investigate Grade = "investigate"
	// Poor: more than that.
	Poor Grade = "poor"
)

// FolderState is one folder of a copy.
type FolderState struct {
	Source     string // The source's name, "/" between parts.
	Target     string // The target's.
	SpecialUse string
	Selected   bool
	Shared     bool
	Renamed    Renamed // Why the target's name is another; "": it is not.
	Messages   int64   // At the source, when it was listed last.
	Copied     int64
	Bytes      int64
	Skipped    int64
	// Pending is how many of its chosen messages are neither copied nor skipped; -1: nobody knows, as the folder could not
	// be listed. Above 0 once the copy has ended they are not there either.
	Pending   int64
	Diagnosis *Diagnosis // Why the folder could not be copied; nil: it could.
}

// Renamed is why a folder has another name at the target.
type Renamed string

// The reasons.
const (
	RenamedBySpecialUse Renamed = "special_use" // It goes where its use goes at the target.
	RenamedByOwner      Renamed = "owner"
	RenamedByPrefix     Renamed = "prefix"
	// RenamedForTarget: the name has what the target does not take, is too long or too deep, or the target has that folder
	// in another spelling.
	RenamedForTarget Renamed = "refused_by_target"
	RenamedForClash  Renamed = "clash" // Another folder has that name.
)

// MessageState is what became of a message.
type MessageState string

// The states of messages.
const (
	MessageCopied         MessageState = "copied"
	MessageAlreadyThere   MessageState = "already_there"
	MessageSkipped        MessageState = "skipped"
	MessageMissing        MessageState = "missing"
	MessageAltered        MessageState = "altered"
	MessageMovedOrDeleted MessageState = "moved_or_deleted"
)

// MessageStates returns every state of a message, in the order in which people are shown them.
func MessageStates() []MessageState {
	return []MessageState{
		MessageCopied, MessageAlreadyThere, MessageSkipped, MessageMissing, MessageAltered, MessageMovedOrDeleted,
	}
}

// Why is why a message is not at the target. A fault.Code alone does not say it: message_failed may be any of the first
// three, and people have to do something else about each.
type Why string

// The reasons.
const (
	WhyTooLarge     Why = "too_large"     // For the target, or for what was asked for.
	WhyRefused      Why = "refused"       // The target took others, and not this one.
	WhyUnreadable   Why = "unreadable"    // The source did not send it.
	WhyFolderFailed Why = "folder_failed" // Its folder could not be read, or not be made at the target.
	WhyTargetFull   Why = "target_full"
	WhyLoop         Why = "mail_loop"   // This service put it into the source, out of another mailbox.
	WhyUnavailable  Why = "unavailable" // A server was out of order, or let nobody in.
	WhyInternal     Why = "internal"    // A defect or an outage of ours.
	WhyNotReached   Why = "not_reached" // The copy ended before it was its turn.
	WhyMissing      Why = "missing"     // It was stored, was not there when the copy was verified, and nobody knows why.
)

// Whys returns every reason, in the order in which people are shown them.
func Whys() []Why {
	return []Why{
		WhyTooLarge, WhyRefused, WhyUnreadable, WhyFolderFailed, WhyTargetFull, WhyLoop, WhyUnavailable, WhyInternal,
		WhyNotReached, WhyMissing,
	}
}

// Message is one message of a copy, for lists and manifests.
type Message struct {
	Folder    string // The source's name.
	Target    string
	ID        mail.ID // At the source.
	TargetUID uint32  // 0: the target did not tell, or it was not copied.
	Size      int64
	Received  time.Time
	Digest    [32]byte // Zero: it was not read.
	State     MessageState
	Why       Why                // It is not exactly there; "": it is, or see State.
	Diagnosis *account.Diagnosis // What is known of that beside; nil: nothing.
	About     mail.Envelope      // Of what is not there, as far as that is known.
}

// Work is what a slice of work at a copy came to, beside the messages that the journal has.
type Work struct {
	Took      time.Duration
	Ambiguous int64 // See Totals.
	Keywords  int64 // Refused by the target.
	Rewritten bool  // The target does not keep messages as they are sent.
}
