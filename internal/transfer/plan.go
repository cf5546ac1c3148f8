package transfer

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Plan is what a copy would do. Making one writes nothing anywhere.
type Plan struct {
	Folders  []PlannedFolder
	Messages int64 // Of the chosen folders.
	Bytes    int64 // 0: not known (POP3 without sizes).
	// TooLarge are messages above Limit, at most MostTooLarge, and TooLargeCount is how many there are.
	TooLarge      []TooLarge
	TooLargeCount int64
	// Limit is the largest message that the target takes, by LimitSource's word; 0: it does not say.
	Limit       int64
	LimitSource LimitSource
	Room        Room
	// Refused is what the target will not keep.
	RefusedFlags    []string
	RefusedKeywords []string
	Clashes         []Clash
	// Left out unless asked for: folders that are shared, or of other users.
	Shared []string
	// Duration is how long it will take at the least, and Days over how many days the providers' daily limits spread it;
	// 0: not known.
	Duration time.Duration
	Days     int
	// Writable says that the target lets folders be made and messages be put there, by its rights and quota.
	Writable bool
}

// MostTooLarge is how many messages a plan names that are too large.
const MostTooLarge = 100

// PlannedFolder is one folder of a plan.
type PlannedFolder struct {
	FolderState
	Exists   bool // The target has it already.
	Bytes    int64
	TooLarge int64
}

// TooLarge is a message that the target does not take.
type TooLarge struct {
	Folder   string
	Size     int64
	Received time.Time
	About    mail.Envelope
}

// LimitSource is who says how large a message may be.
type LimitSource string

// The sources, the surest first.
const (
	LimitByCapability LimitSource = "capability" // APPENDLIMIT (RFC 7889).
	LimitByStatus     LimitSource = "status"     // STATUS (APPENDLIMIT).
	LimitByProvider   LimitSource = "provider"   // What is known of the provider.
	LimitByOptions    LimitSource = "options"    // What was asked for.
	LimitUnknown      LimitSource = "unknown"
)

// Room is whether a copy fits the target's quota.
type Room struct {
	Known bool // The target told (GETQUOTAROOT, RFC 9208), or it is the owner's own mailbox.
	Fits  bool
	Used  owner.Use
	Limit owner.Limit
}

// Clash is two folders of the source that would be one at the target: each keeps a folder of its own.
type Clash struct {
	Folders []string // The source's names.
	Target  string   // The name that both would have.
}
