package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/prometheus/client_golang/prometheus"
)

// mailboxes are the users' own mailboxes, wherever they are: what the parts of the program need of them.
type mailboxes interface {
	// fetch.Mailbox, account.LocalFolders, account.Mailboxes and check.Mailboxes say what theirs promise. Where a user
	// has no mailbox, Open fails with an error that satisfies account.ErrNoMailbox.
	fetch.Mailbox
	account.LocalFolders
	account.Mailboxes
	check.Mailboxes
	// RemoveEmptyFolder removes the account folder and what is below it as far as it is empty.
	RemoveEmptyFolder(ctx context.Context, o owner.Owner, folder string) error
	// Forget removes what deliveries keep in a mailbox beside the mail.
	Forget(ctx context.Context, o owner.Owner) error
	// Exists reports whether the user has a mailbox.
	Exists(ctx context.Context, o owner.Owner) (bool, error)
	// Check reports whether mailboxes can be delivered into: for readiness.
	Check(ctx context.Context) error
	// DroppedKeywords is how many keywords of messages were not kept.
	DroppedKeywords() int64
}

// mailPlace is where mailboxes lie, with the identity of the installation that they belong to.
type mailPlace interface {
	// Installation returns the identity; "": there is none.
	Installation() (string, error)
	// Inhabited reports whether there are mailboxes.
	Inhabited() (bool, error)
	// SetInstallation writes the identity; false where that is not ours to do.
	SetInstallation(id string) (bool, error)
	// Expect says which identity each mailbox is to have, and which it may have had before.
	Expect(id, former string)
}

// maildirs are mailboxes that are Maildirs.
type maildirs struct{ *maildir.Store }

var _ mailboxes = maildirs{}

// Open implements fetch.Mailbox.
func (m maildirs) Open(ctx context.Context, r route.Route, epoch int64, limit owner.Limit) (fetch.Delivery, error) {
	d, err := m.Store.Open(ctx, r.Owner, r.Journal, epoch, limit)
	if err != nil {
		return nil, absent(err)
	}
	return d, nil
}

// Reach implements account.LocalFolders.
func (m maildirs) Reach(ctx context.Context, o owner.Owner) error {
	_, err := m.Exists(ctx, o)
	return err
}

// Usage implements account.Mailboxes.
func (m maildirs) Usage(ctx context.Context, o owner.Owner) (account.Size, error) {
	bytes, messages, err := m.Store.Usage(ctx, o)
	return account.Size{Bytes: bytes, Messages: messages}, absent(err)
}

// Shares implements account.Mailboxes.
func (m maildirs) Shares(ctx context.Context, o owner.Owner, folders []string) (account.Size, []account.Size, error) {
	all, shares, err := m.Store.Shares(ctx, o, folders)
	return account.Size(all), sizes(shares), absent(err)
}

func sizes(uses []owner.Use) []account.Size {
	of := make([]account.Size, len(uses))
	for i, u := range uses {
		of[i] = account.Size(u)
	}
	return of
}

// absent says in the words of package account that there is no mailbox, and all else that err says.
func absent(err error) error {
	if errors.Is(err, owner.ErrNoMailbox) {
		return fmt.Errorf("%w: %w", account.ErrNoMailbox, err)
	}
	return err
}

// openPlace opens the place of mailboxes. boxes is nil where they are at an IMAP server, which has no place for an
// identity.
func (c config) openPlace(o maildir.Options) (p mailPlace, boxes *maildir.Store, err error) {
	if c.byIMAP() {
		return noPlace{}, nil, nil
	}
	o.Template = c.Mailbox
	if boxes, err = maildir.New(o); err != nil {
		return nil, nil, usageError{fmt.Errorf("mailbox: %w", err)}
	}
	return boxes, boxes, nil
}

// mailboxesAt is where mailboxes are, for people.
func (c config) mailboxesAt() string {
	if c.byIMAP() {
		return "imap:" + c.IMAP.Address.String()
	}
	return c.Mailbox
}

// noPlace is the place of mailboxes at an IMAP server: there is none that could be mounted, lost or another's, and
// nothing but mail is written there.
type noPlace struct{}

func (noPlace) Installation() (string, error)          { return "", nil }
func (noPlace) Inhabited() (bool, error)               { return false, nil }
func (noPlace) SetInstallation(_ string) (bool, error) { return false, nil }
func (noPlace) Expect(_, _ string)                     {}

// openMailboxes wires the mailboxes to which mail is delivered.
func (a *app) openMailboxes() error {
	if !a.cfg.byIMAP() {
		a.mailboxes = maildirs{a.house.boxes}
		return nil
	}
	boxes, link, err := a.newIMAPBoxes()
	if err != nil {
		return err
	}
	a.mailboxes = boxes
	a.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailbrook_destination_available",
		Help: "1 while the server of users' own mailboxes is, by all that this process knows, there for deliveries; else 0.",
	}, func() float64 {
		if boxes.Available() {
			return 1
		}
		return 0
	}), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_destination_ambiguous_total",
		Help: "Messages that were sent again to the server of users' own mailboxes although they may have been stored.",
	}, func() float64 { return float64(boxes.Ambiguous()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailbrook_destination_refused_commands_total",
		Help: "Commands that the writing guard refused to send to the server of users' own mailboxes. Anything but 0 is a " +
			"defect.",
	}, func() float64 { return float64(link.Refused()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailbrook_destination_rewriting_mailboxes",
		Help: "Mailboxes that this process has delivered into whose server does not keep messages as they are sent.",
	}, func() float64 { return float64(boxes.Rewriting()) }))
	return nil
}
