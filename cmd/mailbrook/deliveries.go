package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/store"
	"github.com/mailbrook/mailbrook/internal/words"
)

// deliveries gives the engine its mailboxes, and knows which of them may be made:
// only such as were never there, and only where the operator lets us.
type deliveries struct {
	boxes  mailboxes
	rows   *store.Store
	create bool
	// elsewhere opens the mailbox at a server that a route names.
	elsewhere func(ctx context.Context, r route.Route, epoch int64) (fetch.Delivery, error)
	server    bool // They are at a server, which is not asked whether there is one before something has to be.
	log       *slog.Logger
	absent    *prometheus.CounterVec
}

func newDeliveries(a *app) deliveries {
	absent := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailbrook_absent_mailboxes_total",
		Help: "Visits that ended because their user has no mailbox: it was there and is gone, or never was and is not " +
			"ours to make.",
	}, []string{"reason"})
	for _, reason := range []string{mailboxGone, mailboxNever} {
		absent.WithLabelValues(reason)
	}
	a.metrics.MustRegister(absent)
	return deliveries{a.mailboxes, a.store, a.cfg.CreateMailboxes, a.openTarget, a.cfg.byIMAP(), a.log, absent}
}

// Why a user has no mailbox.
const (
	mailboxGone  = "gone"
	mailboxNever = "never_there"
)

// Open implements fetch.Mailbox.
func (d deliveries) Open(ctx context.Context, r route.Route, epoch int64, limit owner.Limit) (fetch.Delivery, error) {
	if r.To.Server.Host != "" {
		return d.elsewhere(ctx, r, epoch)
	}
	o := r.Owner
	delivery, err := d.boxes.Open(ctx, r, epoch, limit)
	if errors.Is(err, account.ErrNoMailbox) {
		return nil, d.missing(ctx, o, err)
	}
	if err != nil || d.server {
		return delivery, err
	}
	seen, err := d.rows.MailboxSeen(ctx, o)
	if err == nil && !seen {
		err = d.rows.NoteMailbox(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(err, delivery.Close())
	}
	return delivery, nil
}

// missing is what a mailbox means that is not there.
func (d deliveries) missing(ctx context.Context, o owner.Owner, why error) error {
	const op = "opening the mailbox"
	seen, err := d.rows.MailboxSeen(ctx, o)
	switch {
	case err != nil:
		return err
	case seen:
		d.absent.WithLabelValues(mailboxGone).Inc()
		d.log.WarnContext(ctx, "a mailbox that was there is gone: it is not made again, and its user's accounts rest",
			"user", o)
		return &fault.Error{
			Code: fault.LocalMailboxUnavailable, Op: op, Err: why,
			Detail: words.Detail{
				words.Say("The user's own mailbox was there and is gone. It is not made again: nothing is " +
					"fetched until it is back, or the user is removed."),
			},
		}
	case !d.create:
		d.absent.WithLabelValues(mailboxNever).Inc()
		d.log.WarnContext(ctx, "a user has no mailbox, and none is made here (create_mailboxes)", "user", o)
		return &fault.Error{
			Code: fault.LocalMailboxUnavailable, Op: op, Err: why,
			Detail: words.Detail{
				words.Say("The user has no mailbox of its own yet: nothing is fetched until the mail system has made it."),
			},
		}
	}
	return fetch.ErrNotMade
}

// Make implements fetch.Mailbox.
func (d deliveries) Make(ctx context.Context, o owner.Owner) error { return d.boxes.Make(ctx, o) }

// InboxValidity implements fetch.Mailbox.
func (d deliveries) InboxValidity(ctx context.Context, o owner.Owner) (uint32, error) {
	return d.boxes.InboxValidity(ctx, o)
}

// InboxMessage implements fetch.Mailbox.
func (d deliveries) InboxMessage(ctx context.Context, o owner.Owner, validity,
	uid uint32,
) (mail.Fingerprint, bool, error) {
	return d.boxes.InboxMessage(ctx, o, validity, uid)
}
