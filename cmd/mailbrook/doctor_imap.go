package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
	"github.com/mailbrook/mailbrook/internal/vault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// destinationPatience is for how long the server of users' own mailboxes may take to say what it offers.
const destinationPatience = 30 * time.Second

// destination looks at the server of users' own mailboxes: whether it is reached, whether a user's mailbox is signed in
// to, and what it offers.
func (d *doctor) destination(ctx context.Context, n *installation, keys *vault.Vault) error {
	ctx, cancel := context.WithTimeout(ctx, destinationPatience)
	defer cancel()
	dialer, err := d.cfg.imapDialer(time.Now)
	if err != nil {
		d.found("mailboxes", bad, err.Error(), "correct imap.ca_file")
		return nil
	}
	d.found("mailboxes", well, fmt.Sprintf("at %s, by IMAP; the installation's identity is not kept there, so that it is "+
		"not noticed when another server answers", d.cfg.IMAP.Address), "")
	if err := d.removals(ctx, n); err != nil {
		return err
	}
	page, _, err := n.store.Admin().Accounts(ctx, insight.AccountFilter{Limit: 1})
	if err != nil {
		return err
	}
	if len(page) == 0 {
		d.reach(ctx, dialer)
		return nil
	}
	d.signsInThere(ctx, n, keys, dialer, page[0].Owner)
	return nil
}

// removals says which users' removals wait.
func (d *doctor) removals(ctx context.Context, n *installation) error {
	all, err := n.store.Removals(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	do := "serve finishes that by itself once the server of users' own mailboxes opens them; its log says what is wrong"
	if d.cfg.IMAP.Login == loginPerUser {
		do += `; where the password that is saved is refused there, save the right one ("mailbrook user mailbox set"), or ` +
			`forget it ("mailbrook user mailbox forget"): then the mail stays`
	}
	d.found("users", warn, fmt.Sprintf("the removal of %s is not finished, such as that of %s",
		words.Count(int64(len(all)), "user"), all[0].Owner), do)
	return nil
}

// reach goes to the server as far as one can without a user.
func (d *doctor) reach(ctx context.Context, dialer *outbound.Dialer) {
	err := source.New(source.Options{Dialer: dialer, Version: version}).Reach(ctx, d.cfg.IMAP.server(),
		func(remote.Step) {})
	if err != nil {
		d.found("mailboxes", bad, fmt.Sprintf("%s cannot be signed in to: %v", d.cfg.IMAP.Address, err),
			whatToDoThere(err))
		return
	}
	d.found("mailboxes", well, fmt.Sprintf("%s is reached; nobody has an account yet, so that nothing was signed in to",
		d.cfg.IMAP.Address), "")
}

// signsInThere signs in to a user's mailbox and says what the server offers.
func (d *doctor) signsInThere(ctx context.Context, n *installation, keys *vault.Vault, dialer *outbound.Dialer,
	o owner.Owner,
) {
	pool, err := outbound.LoadRoots(d.cfg.Remote.CAFile)
	if err != nil {
		return // The finding about roots says so.
	}
	logins := d.cfg.newMailboxLogins(n.store, keys, outbound.New(outbound.Options{RootCAs: pool}).Trusted(), time.Now)
	offers, err := imapbox.New(imapbox.Options{
		Connector: destinationLink(dialer, slog.New(slog.DiscardHandler)), Server: d.cfg.IMAP.server(),
		Login: logins.login, Key: []byte("doctor"), Connections: 1,
	}).Look(ctx, o)
	if err != nil {
		d.found("mailboxes", bad, fmt.Sprintf("the mailbox of %s cannot be signed in to at %s: %v", o, d.cfg.IMAP.Address,
			err), d.whatToDoAbout(err))
		return
	}
	d.found("mailboxes", well, fmt.Sprintf("that of %s is signed in to at %s", o, d.cfg.IMAP.Address), "")
	if offers.Staging {
		d.found("mailboxes", well, "mail goes through a staging folder, as the server offers MOVE and UIDPLUS, and is there "+
			"once, whatever fails in between", "")
	} else {
		d.found("mailboxes", well, "mail is appended to its folder directly, as the server does not offer MOVE and UIDPLUS, "+
			"or is Gmail: where its answer is lost, a message that its user moves or deletes meanwhile may come twice", "")
	}
	for _, x := range []struct{ capability, with, without string }{
		{"MULTIAPPEND", "50 messages go there at once", "each message is put there by itself, which is slower"},
		{
			"QUOTA", "it says how full a mailbox is before mail is fetched",
			"that a mailbox is full is known when a message is refused",
		},
	} {
		if slices.Contains(offers.Capabilities, x.capability) {
			d.found("mailboxes", well, "the server offers "+x.capability+": "+x.with, "")
		} else {
			d.found("mailboxes", well, "the server does not offer "+x.capability+": "+x.without, "")
		}
	}
}

// whatToDoAbout says what helps when a user's mailbox cannot be signed in to.
func (d *doctor) whatToDoAbout(err error) string {
	var no *wire.Refused
	switch {
	case elsewhere(err):
		return "correct imap.oauth, and see that its token_url can be reached"
	case errors.Is(err, owner.ErrNoMailbox),
		errors.As(err, &no) && strings.EqualFold(no.Reply.Code, "AUTHORIZATIONFAILED"):
		return "see that the user has a mailbox there, and that who signs in may open it"
	case d.cfg.IMAP.Login == loginPerUser && (errors.As(err, &no) || errors.Is(err, owner.ErrLocked)):
		return `save the user's name and password there: "mailbrook user mailbox set"`
	case errors.As(err, &no) && d.cfg.IMAP.Login == loginXOAUTH2:
		return "see that the registration of imap.oauth may open mailboxes there"
	case errors.As(err, &no):
		return "correct imap.login and imap.password, and see that the server knows this master user; see docs/destinations"
	}
	return whatToDoThere(err)
}

// whatToDoThere says what helps when the server cannot be reached.
func whatToDoThere(err error) string {
	switch rootCode(err) {
	case fault.DNSFailure, fault.HostNotAllowed:
		return "correct imap.address, or see to /etc/resolv.conf; without TLS it has to be in remote.allow_networks"
	case fault.TLSCertificateInvalid:
		return "give the server a certificate for the name in imap.address; if an authority of your own signed it, set " +
			"imap.ca_file"
	case fault.STARTTLSUnsupported, fault.TLSFailure, fault.ProtocolError:
		return "see that imap.address and imap.security belong together: 993 and tls, or 143 and starttls"
	case fault.AuthMechanismUnsupported:
		return "have the server take passwords on such a connection"
	}
	return "see that the server runs, and that no firewall is between; correct imap.address"
}

// rootCode is the code of what went wrong first, below what that means for a delivery.
func rootCode(err error) fault.Code {
	code := fault.CodeOf(err)
	for f := (*fault.Error)(nil); errors.As(err, &f); err = f.Err {
		code = f.Code
	}
	return code
}

// elsewhere reports whether it was not the server of mailboxes that failed, but where its tokens come from.
func elsewhere(err error) bool {
	for f := (*fault.Error)(nil); errors.As(err, &f); err = f.Err {
		if f.Elsewhere {
			return true
		}
	}
	return false
}
