package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// ErrNoMailbox says that a user has no mailbox of ours.
var ErrNoMailbox = errors.New("there is no mailbox")

// Size is how much lies somewhere.
type Size struct{ Bytes, Messages int64 }

// QuotaRows keeps what users may hold, and what was last measured.
type QuotaRows interface {
	// Quota returns what was set, and last measured, of a user; of one who was never seen an empty one.
	Quota(ctx context.Context, o owner.Owner) (owner.Quota, error)
	// Limit returns what a user may hold as it was set here, defaults included, as it is now.
	Limit(ctx context.Context, o owner.Owner) (owner.Limit, error)
	// SetLimits and ClearLimits change that, unless what was set does not match: ErrPrecondition.
	SetLimits(ctx context.Context, o owner.Owner, l owner.Limit, match Match) error
	ClearLimits(ctx context.Context, o owner.Owner, match Match) error
	// SaveUsage keeps a measure; nil shares stay as they are.
	SaveUsage(ctx context.Context, o owner.Owner, bytes, messages int64, own owner.Limit,
		shares []owner.AccountUsage) error
	// MailboxSeen reports whether the user's mailbox was there once.
	MailboxSeen(ctx context.Context, o owner.Owner) (bool, error)
}

// Mailboxes measures users' mailboxes. Without one the error is ErrNoMailbox; one that cannot be read is a
// *fault.Error with LocalMailboxUnavailable.
type Mailboxes interface {
	// Usage measures all of a mailbox.
	Usage(ctx context.Context, o owner.Owner) (Size, error)
	// Shares returns what Usage does and, of it, what lies in each of these folders: that reads whole folders.
	Shares(ctx context.Context, o owner.Owner, folders []string) (all Size, of []Size, err error)
	// OwnLimit returns the limits that the mail server wrote into the mailbox, beside those set here.
	OwnLimit(ctx context.Context, o owner.Owner, set owner.Limit) (owner.Limit, error)
}

// Quotas is users' quotas: limits as they are set, use as it is measured.
type Quotas struct {
	Rows      QuotaRows
	Mailboxes Mailboxes
	Nudger    Nudger // Is notified when a user may have room again.
	Log       *slog.Logger
}

// Quota measures one user's mailbox, and saves the measure for the lists. Of a
// mailbox that was there and is gone, or that nothing opens, it tells what was measured last.
func (q Quotas) Quota(ctx context.Context, o owner.Owner) (owner.Quota, error) {
	quota, err := q.Rows.Quota(ctx, o)
	if err != nil {
		return owner.Quota{}, err
	}
	saved, own := quota.Used(), quota.Own.Version()
	folders := make([]string, len(quota.Accounts))
	for i, a := range quota.Accounts {
		folders[i] = a.Folder
	}
	all, shares, err := q.Mailboxes.Shares(ctx, o, folders)
	if errors.Is(err, ErrNoMailbox) {
		quota.Gone, err = q.Rows.MailboxSeen(ctx, o)
		if quota.Gone {
			return quota, err
		}
	}
	if errors.Is(err, owner.ErrLocked) {
		quota.Locked = true
		return quota.Limited(), nil
	}
	if err != nil {
		return owner.Quota{}, err
	}
	quota.UsedBytes, quota.UsedMessages = all.Bytes, all.Messages
	for i, u := range shares {
		quota.Accounts[i].Bytes, quota.Accounts[i].Messages = u.Bytes, u.Messages
	}
	if quota.Own, err = q.Mailboxes.OwnLimit(ctx, o, quota.Set); err != nil {
		return owner.Quota{}, err
	}
	if !slices.Equal(saved, quota.Used()) || own != quota.Own.Version() {
		stopped, err := q.save(ctx, o, quota)
		if err != nil {
			return owner.Quota{}, err
		}
		if quota.Stopped && !stopped {
			q.Nudger.Nudge()
		}
		quota.Stopped = stopped
	}
	return quota.Limited(), nil
}

// save keeps a measure, and reports whether an account of the user still waits for room.
func (q Quotas) save(ctx context.Context, o owner.Owner, quota owner.Quota) (stopped bool, err error) {
	err = q.Rows.SaveUsage(ctx, o, quota.UsedBytes, quota.UsedMessages, quota.Own, quota.Accounts)
	if err != nil {
		return false, err
	}
	now, err := q.Rows.Quota(ctx, o)
	return now.Stopped, err
}

// SetLimit replaces both limits and returns the quota as it is then; unless what was set before does not match:
// ErrPrecondition.
func (q Quotas) SetLimit(ctx context.Context, o owner.Owner, l owner.Limit, match Match) (owner.Quota, error) {
	if err := q.Rows.SetLimits(ctx, o, l, match); err != nil {
		return owner.Quota{}, err
	}
	q.Log.InfoContext(ctx, "limits set", "user", o)
	q.Nudger.Nudge()
	return q.Quota(ctx, o)
}

// ClearLimit takes back what was set for the user, so that its default counts. What was set has to match as in
// SetLimit.
func (q Quotas) ClearLimit(ctx context.Context, o owner.Owner, match Match) (owner.Quota, error) {
	if err := q.Rows.ClearLimits(ctx, o, match); err != nil {
		return owner.Quota{}, err
	}
	q.Log.InfoContext(ctx, "limits taken back", "user", o)
	q.Nudger.Nudge()
	return q.Quota(ctx, o)
}

// measurePatience is how long a visit's mailbox is measured for, whatever becomes of the visit.
const measurePatience = 30 * time.Second

// Measure saves how full a user's mailbox is after a visit, for the lists of administrators. The accounts' shares
// are measured when somebody looks at them. Of a mailbox that is gone what was measured last stays.
func (q Quotas) Measure(ctx context.Context, o owner.Owner) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), measurePatience)
	defer cancel()
	all, err := q.Mailboxes.Usage(ctx, o)
	if errors.Is(err, ErrNoMailbox) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("measuring a mailbox: %w", err)
	}
	set, err := q.Rows.Limit(ctx, o)
	if err != nil {
		return err
	}
	own, err := q.Mailboxes.OwnLimit(ctx, o, set)
	if err != nil {
		return err
	}
	return q.Rows.SaveUsage(ctx, o, all.Bytes, all.Messages, own, nil)
}
