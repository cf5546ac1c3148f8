// Package insight is what administrators look at across users: how they choose, and what they see. It is the
// one set of types for whoever counts (store) and whoever answers (httpapi); nothing here performs anything.
package insight

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// AccountFilter chooses a page of accounts across users.
type AccountFilter struct {
	Owner owner.Owner   // Zero: every user's.
	State account.State // "": any.
	Match string        // Part of the user's or the account's address or of the host, in any case, no wildcards; "": any.
	Host  string        // In lower case; "": any.
	Port  int           // 0: any.
	// Affected asks only for accounts whose mail the provider's server keeps away.
	Affected bool
	Code     fault.Code // Of those whose last visit failed for this reason; "": any.
	// Overdue asks only for accounts that are due and not being visited, the one
	// that waits longest first.
	Overdue bool
	Limit   int    // Of the page; 0: 50.
	Cursor  string // As the page before returned it; "": the first page.
}

// QuotaFilter chooses users, and a page of them.
type QuotaFilter struct {
	Match  string           // Part of the user's address, in any case, no wildcards; "": all.
	Domain string           // Of the user's address; "": any.
	State  owner.QuotaState // "": any.
	// Sort is "user" (also ""), "used_bytes", "used_messages", "limit_bytes" or "usage" (the fuller of the two limits;
	// without a limit, empty); "-" before it turns it round.
	Sort   string
	Limit  int    // Of the page; 0: 50.
	Cursor string // As the page before returned it; "": the first page.
}

// QuotaBands is into how many bands users are counted: one for each tenth of a
// limit, and one for those who have reached it.
const QuotaBands = 11

// QuotaSummary counts users by the fuller of their limits.
type QuotaSummary struct {
	Unlimited int64
	Bands     [QuotaBands]int64
}

// LimitStep is what a step of a change of many users' limits came to.
type LimitStep struct {
	Matching int64  // Users that the filter chooses, of those that the step came by.
	Changed  int64  // Those of them for whom something else is set now.
	Next     string // After whom the next step begins; "": there is none.
}

// DefaultLimit is what users of a domain may hold for whom nothing else was set.
type DefaultLimit struct {
	Domain string // owner.EveryDomain: whose domain has none.
	Limit  owner.Limit
}

// Stats are counts over all users.
type Stats struct {
	Accounts map[account.State]int64 // Every state, also those with none.
	LastHour Activity
	LastDay  Activity
	Due      int64                // Accounts that wait for a visit now, and not for a server that is out of order.
	Lag      time.Duration        // How long the one that waits longest has been due.
	Failing  map[fault.Code]int64 // Accounts by the diagnosis that they have now.
}

// Activity is what visits did in some time.
type Activity struct {
	Polls    int64 // Visits that ended.
	Failed   int64 // Those of them that failed.
	Messages int64 // Delivered.
	Bytes    int64
	Failures map[fault.Code]int64 // The failed ones by diagnosis.
}

// HostHealth is how the accounts at one port of a remote host are.
type HostHealth struct {
	Host     string
	Port     int
	Accounts int64
	Affected int64                   // The server keeps their mail away: failing, or not visited while it is out of order.
	Failing  int64                   // Switched on, and the last visit failed by the server's fault.
	Others   int64                   // Switched on, and the last visit failed for another reason.
	Down     bool                    // It is out of order for everybody, and only probed.
	States   map[account.State]int64 // Every state, also those with none.
	Failures map[fault.Code]int64    // The failing ones by diagnosis.
	Overdue  time.Duration           // How long the account that waits longest has been due.
}
