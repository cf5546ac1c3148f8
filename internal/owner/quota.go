package owner

import (
	"cmp"
	"math"
	"math/bits"
	"strconv"
)

// Quota is what a user's local mailbox may hold and holds.
type Quota struct {
	Owner         Owner
	UsedBytes     int64
	UsedMessages  int64
	LimitBytes    *int64      // The tighter of Set and Own; nil: unlimited.
	LimitMessages *int64      // The same.
	Set           Limit       // Here: by an administrator for this user, or by a default.
	SetBy         LimitSource // Who said what Set says; "": nobody, and LimitByMailbox never.
	Own           Limit       // The mailbox's own, as last read: the mail server's.
	Accounts      []AccountUsage
	// Stopped says that an account of the user is over_quota: what comes next does
	// not fit, however much of a limit is left.
	Stopped bool
	// Gone says that the mailbox was there and is not any more: what is used is as
	// it was measured last. Lists do not look.
	Gone bool
	// Locked says that the mailbox could not be looked into, for ErrLocked: what is used is as it was last measured.
	Locked bool
}

// QuotaState says how full a mailbox is.
type QuotaState string

// How full a mailbox is.
const (
	QuotaOver QuotaState = "over" // A limit is reached, or what comes next does not fit.
	QuotaNear QuotaState = "near" // 90 % of a limit is used.
	QuotaOK   QuotaState = "ok"   // Neither, or no limit.
)

const (
	// FullMark is the Fill of a mailbox that takes no more.
	FullMark = 10_000
	// NearMark is the Fill from which on it is nearly full.
	NearMark = 9_000
)

// Fill is how full a mailbox is, by the fuller of its limits, in ten-thousandths
// rounded down: exact, so that full is full and not nearly. 0: no limit.
func (q Quota) Fill() int64 {
	fill := max(share(q.UsedBytes, q.LimitBytes), share(q.UsedMessages, q.LimitMessages))
	if q.Stopped {
		return max(fill, FullMark)
	}
	return fill
}

// State is the one meaning of full, for lists, counts, users and administrators
// alike. A mailbox is over as soon as it stops an account: a delivery is refused
// when it would exceed a limit, which is before the limit is reached.
func (q Quota) State() QuotaState {
	switch fill := q.Fill(); {
	case fill >= FullMark:
		return QuotaOver
	case fill >= NearMark:
		return QuotaNear
	}
	return QuotaOK
}

// Used lists all that was measured: the mailbox's octets and messages, then each account's.
func (q Quota) Used() []int64 {
	used := []int64{q.UsedBytes, q.UsedMessages}
	for _, a := range q.Accounts {
		used = append(used, a.Bytes, a.Messages)
	}
	return used
}

// Limited returns q with the limits that count: the tighter of Set and Own.
func (q Quota) Limited() Quota {
	l := q.Set.tighter(q.Own)
	q.LimitBytes, q.LimitMessages = l.Bytes, l.Messages
	return q
}

// LimitSource says whose a limit is.
type LimitSource string

// The sources of limits.
const (
	LimitByMailbrook    LimitSource = "mailbrook"    // An administrator set it here, for this user.
	LimitByDomain       LimitSource = "domain"       // The default for the domain of the user's address.
	LimitByInstallation LimitSource = "installation" // The default for users whose domain has none.
	LimitByMailbox      LimitSource = "mailbox"      // The mail server's: in the mailbox's own quota file, or by IMAP.
)

// Version names the limits that were set for this user: what becomes of a default
// does not change it.
func (q Quota) Version() string {
	if q.SetBy != LimitByMailbrook {
		return "default"
	}
	return q.Set.Version()
}

// EveryDomain stands, instead of a domain, for all that have no default
// limit of their own.
const EveryDomain = "*"

// LimitChange is what becomes of the limits of many users.
type LimitChange struct {
	Inherit                 bool // What was set for them is taken back: their default counts again. Else:
	Limit                   Limit
	KeepBytes, KeepMessages bool // That part of Limit does not count: it stays as it is.
}

// Of returns what becomes of a user's limits.
func (c LimitChange) Of(l Limit) Limit {
	if !c.KeepBytes {
		l.Bytes = c.Limit.Bytes
	}
	if !c.KeepMessages {
		l.Messages = c.Limit.Messages
	}
	return l
}

// Source says whose the limit is that the mailbox comes to first; "" without a
// limit. Where both say the same, it is the one that was set here.
func (q Quota) Source() LimitSource {
	here := cmp.Or(q.SetBy, LimitByMailbrook)
	set := max(share(q.UsedBytes, q.Set.Bytes), share(q.UsedMessages, q.Set.Messages))
	own := max(share(q.UsedBytes, q.Own.Bytes), share(q.UsedMessages, q.Own.Messages))
	switch l := q.Set.tighter(q.Own); {
	case l == Limit{}:
		return ""
	case q.Own == Limit{}, set > own:
		return here
	case q.Set == Limit{}, own > set:
		return LimitByMailbox
	case l.Bytes != nil && !same(l.Bytes, q.Set.Bytes), l.Bytes == nil && !same(l.Messages, q.Set.Messages):
		return LimitByMailbox // As full by the one as by the other, such as empty: by size, then.
	}
	return here
}

// Dimension is what a limit counts.
type Dimension string

// The dimensions of limits.
const (
	InBytes    Dimension = "bytes"
	InMessages Dimension = "messages"
)

// Nearest returns the dimension in which the mailbox comes to its limit first, and
// what part of that is used, in percent rounded down; "" without a limit. Where both
// are used alike it is the size.
func (q Quota) Nearest() (by Dimension, percent int64) {
	b, m := share(q.UsedBytes, q.LimitBytes), share(q.UsedMessages, q.LimitMessages)
	const each = FullMark / 100
	switch {
	case q.LimitBytes != nil && (q.LimitMessages == nil || b >= m):
		return InBytes, b / each
	case q.LimitMessages != nil:
		return InMessages, m / each
	}
	return "", 0
}

// SourceIn says whose the limit is in one dimension; "" without one there. Where both
// say the same, it is the one that was set here.
func (q Quota) SourceIn(d Dimension) LimitSource {
	set, own := q.Set.Bytes, q.Own.Bytes
	if d == InMessages {
		set, own = q.Set.Messages, q.Own.Messages
	}
	switch {
	case set == nil && own == nil:
		return ""
	case set == nil, own != nil && *own < *set:
		return LimitByMailbox
	}
	return cmp.Or(q.SetBy, LimitByMailbrook)
}

func same(a, b *int64) bool { return a != nil && b != nil && *a == *b }

func share(used int64, limit *int64) int64 {
	switch {
	case limit == nil:
		return 0
	case *limit <= 0:
		return FullMark
	}
	hi, lo := bits.Mul64(uint64(max(0, used)), FullMark)
	if hi >= uint64(*limit) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(*limit))
	return int64(min(q, math.MaxInt64))
}

// AccountUsage is what lies in one account's folder and below: the share that it has
// of what the mailbox holds, in the same measure.
type AccountUsage struct {
	ID       string // The account's.
	Name     string
	Folder   string
	Bytes    int64
	Messages int64
}

// Limit is how much a local mailbox may hold. Nil: unlimited.
type Limit struct {
	Bytes    *int64
	Messages *int64
}

// tighter returns what keeps within both.
func (l Limit) tighter(m Limit) Limit {
	return Limit{Bytes: tighter(l.Bytes, m.Bytes), Messages: tighter(l.Messages, m.Messages)}
}

func tighter(a, b *int64) *int64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

// Version names a limit by what it is.
func (l Limit) Version() string {
	part := func(n *int64) string {
		if n == nil {
			return "none"
		}
		return strconv.FormatInt(*n, 36)
	}
	return part(l.Bytes) + "-" + part(l.Messages)
}
