package fetch

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// ErrFenced says that the lease is no longer held: another worker took the
// account, or its owner edited or removed it. Nothing was written.
var ErrFenced = errors.New("the lease on the account was lost")

// ErrNotMade says that a user has no mailbox yet, and that one may be made.
var ErrNotMade = errors.New("the local mailbox is not made yet")

// Lease is the right to visit one route, held by one worker until it ends.
// Epoch is the fencing token: it grows with every lease of the route, every
// journal write carries it, and a write with an old one changes nothing.
type Lease struct {
	Route   route.Route
	Worker  string
	Epoch   int64
	Aborted Aborted
	// Requested says that the visit is made for its owner, who asks for it or has
	// added or edited the account: what waits is tried too.
	Requested bool
	Failures  int  // Visits in a row that failed before this one.
	Slow      bool // The last visits took long.
}

// Aborted is what a lease knows of visits in a row, before its own, that began and
// never ended: their process died.
type Aborted struct {
	Visits int
	Last   bool // The last of them was found by this lease's claim: nothing has come of it yet.
}

// Source opens sessions at external servers.
type Source interface {
	// Open connects, secures, greets and signs in. ctx governs the opening only. Its
	// error is a *fault.Error, or wraps ctx's.
	Open(ctx context.Context, m remote.Mailbox, c remote.Credential) (Session, error)
}

// Session reads one external account. It cannot change anything there. It is
// used by one goroutine at a time, except for Close. This is the whole of what the
// engine counts on, and of what internal/source promises.
type Session interface {
	// Folders lists what the account holds, with status where that costs
	// nothing extra. POP3 has one folder, INBOX. A folder that cannot be read
	// has its Problem.
	Folders(ctx context.Context) ([]mail.Folder, error)
	// List calls yield once for each query, in order, without waiting for an
	// answer before the next question is sent. err is about that folder alone;
	// an error that ends the session is returned, as yield's is, unchanged. What a
	// long listing has in memory is taken from the share of ctx (package memory).
	List(ctx context.Context, queries []mail.Query, yield func(l mail.Listing, err error) error) error
	// Fetch reads the wanted messages, its commands pipelined as List's are. Of take
	// and miss, one is called for each item, once, in any order, unless Fetch returns
	// an error: then the items for which neither was called are as before. body is
	// good until take returns. take's error ends the fetch and is returned unchanged;
	// but a take that fails because the server broke off in the middle of its body
	// does not count as called: the message is asked for again, and in the end missed.
	Fetch(ctx context.Context, wants []mail.Want, take func(f mail.Folder, it mail.Item, body io.Reader) error,
		miss func(f mail.Folder, it mail.Item, why *fault.Error)) error
	// Headers reads of the wanted messages the fields Message-ID, Date, From and
	// Subject, at least, and calls take for each that came; header is cut at 256 KiB
	// and good until take returns. What does not come is left out, all of it where a
	// server gives no headers alone. take's error ends it and is returned unchanged.
	Headers(ctx context.Context, wants []mail.Want, take func(f mail.Folder, it mail.Item, header []byte) error) error
	// Capabilities returns, in at most 10,000 printable octets, what of the
	// server's offers a later Open is quicker for knowing: see
	// remote.Mailbox.Capabilities.
	Capabilities() string
	// Leave ends the session as the protocol wants it, after everything taken
	// is committed locally: for POP3 RSET, then QUIT.
	Leave(ctx context.Context) error
	// Close ends the connection at once, without a word. It may be called at
	// any time, from any goroutine, and after Leave.
	Close() error
}

// Mailbox is the mailboxes that mail goes into: the users' own, and those that routes name.
type Mailbox interface {
	// Open prepares delivery along a route into one mailbox. The route's journal
	// and epoch name the spool's owner; limit is enforced by Reserve, beside the
	// mailbox's own. No mailbox is made: where there is none, and Make may make it,
	// the error is ErrNotMade.
	Open(ctx context.Context, r route.Route, epoch int64, limit owner.Limit) (Delivery, error)
	// Make makes a user's mailbox, if it is not there.
	Make(ctx context.Context, o owner.Owner) error
	// InboxValidity returns the UIDVALIDITY under which the server of users'
	// mailboxes shows a user's inbox; 0: not known.
	InboxValidity(ctx context.Context, o owner.Owner) (uint32, error)
	// InboxMessage reads the message with this UID in a user's inbox under this
	// UIDVALIDITY; false where there is none.
	InboxMessage(ctx context.Context, o owner.Owner, validity, uid uint32) (mail.Fingerprint, bool, error)
}

// Delivery carries the messages of one lease to where they go, by the protocol of
// docs/decisions/0002-exactly-once.md. Only Stage may be called concurrently.
type Delivery interface {
	Spool
	Target
	// Close gives back what is still reserved.
	Close() error
}

// Spool keeps messages on their way: it is ours, on our disk, whatever the destination.
type Spool interface {
	// Stage writes the body into a spool file of this epoch, CRLF turned into
	// LF, dates it with received (zero: by the message's own header, else
	// now), and starts to make it durable. max bounds its octets as received:
	// message_failed above it. After an error no spool file is left.
	Stage(ctx context.Context, t mail.Token, body io.Reader, received time.Time, max int64) (mail.Staged, error)
	// Seal makes staged messages last: what it returns names each of them, in the order of
	// ps, for other processes and after a power cut, as Placement.Spool has to from then on; or it
	// says why the destination does not take this one, of which nothing is left then.
	Seal(ctx context.Context, ps []mail.Placement) ([]mail.Sealed, error)
	// Discard removes what was not committed as staged, before it was sealed or after.
	Discard(staged []mail.Staged)
	// Sweep removes what is left of older epochs, except what is named in keep.
	Sweep(ctx context.Context, keep map[string]bool) error
	// Finish is called when the journal has confirmed all that was published: of
	// this epoch, too, nothing is needed any more.
	Finish(ctx context.Context)
	// Generation returns what SetGeneration noted last; false where the spool
	// has no note, because it is new or somebody emptied it. mail.ErrNoNote says that there is
	// no place for one: then nothing is compared, and nothing is noted.
	Generation(ctx context.Context) (int64, bool, error)
	// SetGeneration notes beside the spool how many batches were staged. The note
	// need not be durable by itself, but is once a later Publish is.
	SetGeneration(ctx context.Context, n int64) error
	// NoteSpool notes, as durably as SetGeneration, that the spool belongs where it
	// lies. It is called once the journal has what Find said, so that a copy of the
	// spool is distinguished from the original.
	NoteSpool(ctx context.Context) error
}

// Target is a destination: where messages are delivered to.
type Target interface {
	// Reserve makes room for messages about to be staged, against the limit
	// and against other deliveries into the same mailbox. When there is none
	// it fails with local_over_quota and reserves nothing.
	Reserve(ctx context.Context, messages, bytes int64) error
	// Release gives back what was reserved and not delivered.
	Release(messages, bytes int64)
	// Publish delivers staged messages. What it returns is durable at the destination:
	// all, unless there is an error, when more may have arrived. Folders are made and
	// subscribed as needed. A message that was published before is not put there again
	// while the spool knows of it; calling Publish again with the same placements does
	// the rest.
	Publish(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error)
	// Placed returns where the destination said that it has messages of Publish, since the last call, as far as it did:
	// nothing but what is shown and looked for later depends on it.
	Placed() []mail.Placed
	// Find answers the one question that is asked after a crash: which of these messages,
	// staged and never confirmed, are delivered? The answers are in the order of ps. What
	// is Delivered is durable there, and what is Pending is safe to publish. noted is
	// false where the spool's note is older than the journal: then no delivery of the
	// last batch was begun, and that a message is gone from the spool proves nothing.
	Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error)
	// Present fails with local_mailbox_unavailable unless the user's mailbox is
	// still what was opened. Publish asks for it first.
	Present(ctx context.Context) error
	// Mark makes the account folder and, in it, an empty folder of this name
	// that is not subscribed. Where that is there nothing is done.
	Mark(ctx context.Context, folder, mark string) error
	// EnsureFolders makes and subscribes folders that hold nothing yet.
	EnsureFolders(ctx context.Context, folders []string) error
	// Tokens looks through the whole mailbox for delivered messages, wherever
	// their user put them, and calls each for every one, perhaps more than once:
	// the last is where it lies now.
	Tokens(ctx context.Context, each func(t mail.Token, f mail.Found)) error
	// Fingerprint reads a message that Tokens found.
	Fingerprint(ctx context.Context, f mail.Found) (mail.Fingerprint, error)
}

// Folder is one remote folder as the journal remembers it.
type Folder struct {
	ID          int64 // The journal's own number; 0 until AddFolders.
	Wire        string
	Remote      string // Decoded, "/" between parts, for people.
	Local       string // Its folder in the local mailbox. Never changes, never shared.
	SpecialUse  string
	Selected    bool
	Shared      bool  // See mail.Folder.
	LeadsBack   bool  // The account's rules choose it, and it is left out for what loop.go says.
	Epoch       int64 // Grows with each change of UIDVALIDITY.
	UIDValidity uint32
	Cursor      Cursor
	Since       time.Time // The start for which the cursor holds: what is older was left out; zero: nothing was.
	// UIDNEXT of this epoch when the folder was first listed: what lies above came later. 0: not yet.
	FirstUID uint32
	// When the server was last seen to use UIDs of the folder again: see renumber.go. Zero: never.
	Renumbered time.Time
	Remaining  int64 // Messages at the remote at the last visit.
	Fetched    int64 // Messages delivered so far.
	Bytes      int64 // Their octets.
}

// Cursor is how far a folder is settled in its epoch: every message below
// UIDNext that the server ever listed is delivered, skipped with a reason, or gone.
type Cursor struct {
	UIDNext  uint32    // 0: nothing is settled yet.
	Messages uint32    // What the server counted then.
	Listing  [16]byte  // POP3: digest of the UIDL listing that is settled.
	FullScan time.Time // When the whole folder was last compared.
}

// BatchKey names a batch within an account: the lease under which it was
// begun, and its number in that visit.
type BatchKey struct {
	Epoch int64
	Seq   int
}

// Member is one message of a staged batch.
type Member struct {
	FolderID    int64
	FolderEpoch int64
	ID          mail.ID
	Global      string // See mail.Item; "" where the server has no such name.
	Fingerprint mail.Fingerprint
	Placement   mail.Placement
}

// Batch is a group of messages on their way: intended, then staged, then
// delivered, at which point the journal forgets the batch and keeps only the
// messages.
type Batch struct {
	Key     BatchKey
	Members []Member // Nil while only intended.
}

// Skipped is a message that could not be fetched, and why.
type Skipped struct {
	FolderID    int64
	FolderEpoch int64
	ID          mail.ID
	Size        int64
	Code        fault.Code
	Detail      words.Detail
	Attempts    int
	FirstAt     time.Time
	LastAt      time.Time
	NextAt      time.Time // When it is tried again.
	Held        bool      // Too large: it is not tried again by itself.
	Requested   bool      // Its owner asks for it. In an entry: this was done, and did not help.
	// Who sent it, what about and when, each at most 200 octets, as far as that is known. In an entry: what is not
	// known stays as it was.
	About mail.Envelope
}

// BeforeStart lists POP3 messages of a folder that are older than the account's start date;
// POP3 listings carry no dates.
type BeforeStart struct {
	FolderID    int64
	FolderEpoch int64
	// Each calls yield for every one of them; nil: there is none. It may be
	// called more than once.
	Each func(yield func(id mail.ID) error) error
}

// Ref names one settled message in the journal.
type Ref struct {
	FolderID    int64
	FolderEpoch int64
	ID          mail.ID
}

// Known is a message that was delivered, with what distinguishes it from others.
type Known struct {
	Ref
	Fingerprint mail.Fingerprint
}

// Alias is a message in a folder that is the same, by the server's own word, as
// one that was delivered from another folder; or, without a Global, the same as one
// that was delivered from this folder under the same unique-id with another size.
type Alias struct {
	Ref
	Size   int64
	Global string
}

// Placed is where a delivered message lies at the destination.
type Placed struct {
	Ref
	Validity, UID uint32
}

// Rematch says that a delivered message has another name now.
type Rematch struct{ From, To Ref }

// Entry is one journal write: all of it or nothing.
type Entry struct {
	Deliver  []BatchKey // Staged batches that are delivered now.
	Placed   []Placed   // Where messages of them lie, as far as that is known and somebody will want to know it.
	Stage    *Batch     // A batch whose messages are durable in the spool. It must have been intended.
	Restage  *Batch     // A staged batch whose messages have other names now: these are its members from now on.
	Intend   *BatchKey  // A batch about to be downloaded.
	Drop     []BatchKey // Intended batches that came to nothing.
	Found    []Member   // Delivered messages that the journal had forgotten; of the placement only Received is set.
	Unsettle []Member   // Staged messages that are lost: they are fetched again.
	Restored int64      // Not 0: the journal's generation is at least this again, as all that was forgotten is found.
	Alias    []Alias    // Settled without a delivery: the same message was delivered under another name.
	Rematch  []Rematch  // Delivered messages that were rematched: they have another name now.
	// Cursor, epoch, validity, selection and Remaining as they are now; Fetched and Bytes are the journal's own
	// sums and ignored.
	Folders     []Folder
	BeforeStart []BeforeStart // In place of what was listed as older in these folders before.
	Skip        []Skipped     // Skipped now, or once more.
	Unskip      []Skipped     // Settled after all.
	// Capabilities is what the server offers, where that is not what the account has; else "".
	Capabilities string
	// Inbox is the UIDVALIDITY of the owner's inbox, where it is known.
	Inbox    uint32
	Progress route.Progress
}

// Journal remembers, for each account, what was delivered.
type Journal interface {
	// Folders returns what is known, in the order in which it was added.
	Folders(ctx context.Context, l Lease) ([]Folder, error)
	// AddFolders gives new folders their numbers. A Local that is used already
	// by another folder of the account is an error.
	AddFolders(ctx context.Context, l Lease, fs []Folder) ([]Folder, error)
	// Generation counts the batches that were ever staged. One that is lower
	// than what the spool notes means that the database went back in time.
	Generation(ctx context.Context, l Lease) (int64, error)
	// Open returns the batches that were begun and not delivered, oldest first.
	Open(ctx context.Context, l Lease) ([]Batch, error)
	// Settled calls each for the messages of a folder's current epoch, from UID
	// from on, that are staged or delivered, with their sizes as sent: by
	// ascending UID, unique-id and ordinal. None is kept in memory. each's error
	// is returned.
	Settled(ctx context.Context, l Lease, f Folder, from uint32, each func(id mail.ID, size int64) error) error
	// HeadersOf returns, by UID or unique-id, the header hashes of the messages of a
	// folder's current epoch that are staged or delivered under these, whatever
	// their ordinals; ids have none. What has no hash is left out.
	HeadersOf(ctx context.Context, l Lease, f Folder, ids []mail.ID) (map[mail.ID][][16]byte, error)
	// Delivered returns which of these global names were delivered for the
	// account, from whatever folder.
	Delivered(ctx context.Context, l Lease, globals []string) (map[string]bool, error)
	// Remembered calls each for every message that was ever delivered from this
	// remote mailbox, under whatever identity: also those in journals that the
	// account was edited away from. None is kept in memory. each's error is
	// returned.
	Remembered(ctx context.Context, l Lease, each func(k Known) error) error
	// BeforeStart calls each for what is older than the start in a folder's current epoch.
	// each's error is returned.
	BeforeStart(ctx context.Context, l Lease, f Folder, each func(id mail.ID) error) error
	// Skipped returns what is skipped in the account.
	Skipped(ctx context.Context, l Lease) ([]Skipped, error)
	// OwnerOf returns the user into whose mailbox a journal's account is, or
	// was, fetched.
	OwnerOf(ctx context.Context, journal string) (owner.Owner, bool, error)
	// Suspects returns users whose inbox has, or had, this UIDVALIDITY, or who
	// go by one of these login names, with a domain or without: 20 at most.
	Suspects(ctx context.Context, validity uint32, logins []string) ([]owner.Owner, error)
	// Brought calls yield for every message that was ever delivered for any
	// account of a user, one after the other.
	Brought(ctx context.Context, o owner.Owner, yield func(size int64, received time.Time, digest [32]byte)) error
	// Commit writes the entry, durably, and extends the lease, if l is still
	// the account's lease; ErrFenced otherwise.
	Commit(ctx context.Context, l Lease, e Entry) error
	// Limit returns what the owner's mailbox may hold.
	Limit(ctx context.Context, o owner.Owner) (owner.Limit, error)
}

// Credentials gives a login's secret, fresh.
type Credentials interface {
	Credential(ctx context.Context, m remote.Mailbox) (remote.Credential, error)
}
