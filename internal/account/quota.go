package account

// Quota is what a user's local mailbox may hold and holds.
type Quota struct {
	Owner         Owner
	UsedBytes     int64
	UsedMessages  int64
	LimitBytes    *int64 // Nil: unlimited.
	LimitMessages *int64 // Nil: unlimited.
	Accounts      []AccountUsage
}

// AccountUsage is what one account has brought in and is accounted to it.
type AccountUsage struct {
	ID       ID
	Name     string
	Bytes    int64
	Messages int64
}

// Limit is how much a local mailbox may hold. Nil: unlimited.
type Limit struct {
	Bytes    *int64
	Messages *int64
}
