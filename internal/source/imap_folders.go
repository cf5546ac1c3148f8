package source

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// sentAhead is how many questions about folders are sent before the first
// answer is read: many enough to hide any distance, few enough to fit into the
// buffers below.
const sentAhead = 64

var statusAsked = imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true}

// specialUses are the uses of RFC 6154, with Important of RFC 8457.
var specialUses = []imap.MailboxAttr{
	imap.MailboxAttrAll, imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrFlagged,
	imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash, imap.MailboxAttrImportant,
}

// Folders implements protocol.
func (s *imapSession) Folders(ctx context.Context) (folders []mail.Folder, err error) {
	stateless := s.quirks.stateless.Load()
	defer func() {
		if err != nil {
			s.quirks.stateless.Store(stateless) // It lists none without their state either.
		}
	}()
	c, release, err := s.hold(ctx)
	if err != nil {
		return nil, err
	}
	ahead := c.pipelined.pending()
	folders, err = c.folders()
	release()
	if err != nil && ahead && s.mayRetry(ctx, err) {
		// A server or proxy may have lost what was sent after the login.
		if c, release, err = s.renew(ctx); err != nil {
			return nil, err
		}
		folders, err = c.folders()
		release()
	}
	if err != nil && c.lostState(err) && s.mayRetry(ctx, err) {
		// One folder's state may be what ends the connection: each is opened by
		// itself, where that shows.
		s.quirks.stateless.Store(true)
		if c, release, err = s.renew(ctx); err != nil {
			return nil, err
		}
		folders, err = c.folders()
		release()
	}
	s.known = nil
	for _, f := range folders {
		if f.Selectable && f.Problem == nil {
			s.known = append(s.known, f.Wire)
		}
	}
	return folders, err
}

// opensAny opens the inbox, or, where the server refuses that, one other folder. Its
// error is why the server opens none.
func (s *imapSession) opensAny(ctx context.Context, folders []mail.Folder) error {
	c, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	var first error
	tried := 0
	for _, f := range folders {
		if !f.Selectable || f.Problem != nil {
			continue
		}
		_, err := c.client.Select(wire.AliasOf(f.Wire), &imap.SelectOptions{ReadOnly: true}).Wait()
		if err == nil {
			return nil
		}
		name := displayName(f)
		op := "opening folder " + name
		if refusal(err) == nil {
			return cmp.Or(first, c.failed(op, err))
		}
		if first == nil {
			first = folderFault(op, name, err)
		}
		if tried++; tried == unproven {
			break
		}
	}
	return first
}

// lostState reports whether the server ended the connection, by BYE or without a
// word, when it was asked for the state of folders.
func (c *imapConn) lostState(err error) bool {
	if !c.askedState || c.quirks.stateless.Load() || c.link.Failure() == nil || wire.Silent(err) {
		return false
	}
	f := fault.Of(err)
	return c.farewell() != nil || f.Code == fault.ServerUnavailable && !f.Session
}

// folders asks for the folders, as far as that was not done with the login.
func (c *imapConn) folders() ([]mail.Folder, error) {
	asked, listed, short, err := c.takePipelined()
	if err != nil {
		return nil, err
	}
	switch named := c.caps.Has(imap.CapNamespace); {
	case named && asked == nil:
		asked = c.askNamespaces()
	case !named:
		asked = nil
	}
	if listed == nil {
		listed, err = c.list(short)
	}
	if err != nil {
		return nil, err
	}
	ns := c.namespaces(asked, listed)
	folders := make([]mail.Folder, 0, len(listed)+1)
	seen := make(map[string]bool, len(listed))
	unread, secret := 0, 0
	for _, data := range listed {
		if f, ok := unreadFolder(data.Mailbox, c.link.Redact); ok {
			if !seen[f.Wire] {
				if unread++; unread <= mostUnread {
					folders = append(folders, f)
				}
			}
			seen[f.Wire] = true
			continue
		}
		raw, long, ok := wire.FromAlias(data.Mailbox)
		if !ok || seen[raw] {
			continue
		}
		seen[raw] = true
		f := folderOf(data, raw, long, ns)
		if c.bearsSecret(f, data.Delim) {
			secret++
			f = secretFolder(secret)
		}
		folders = append(folders, f)
	}
	if !seen["INBOX"] { // It always is (RFC 9051 section 5.1), listed or not.
		folders = append(folders, mail.Folder{Wire: "INBOX", Selectable: true, Unlisted: true})
	}
	if err := c.statuses(folders); err != nil {
		return nil, err
	}
	if last := len(folders) - 1; !seen["INBOX"] && len(listed) > 0 && c.unlisted == nil && !c.quirks.stateless.Load() &&
		!folders[last].Status.Known {
		folders = folders[:last]
	}
	if unread > mostUnread {
		folders = append(folders, otherUnread(unread-mostUnread))
	}
	if c.unlisted != nil {
		folders = append(folders, mail.Folder{Wire: "\x00*", Path: []string{"*"}, Problem: c.unlisted})
	}
	slices.SortStableFunc(folders, func(a, b mail.Folder) int { return inboxFirst(a) - inboxFirst(b) })
	return folders, nil
}

// mostUnread is how many folders are named that cannot be read; of the others their
// number is said. It is how many such lines of a connection the log has, too.
const mostUnread = 20

func inboxFirst(f mail.Folder) int {
	if f.Wire == "INBOX" {
		return 0
	}
	return 1
}

// list asks for all folders, with their status where that costs nothing. A
// server that offers the longer form and refuses it is asked in the short one,
// as is one that is known to.
func (c *imapConn) list(short bool) ([]*imap.ListData, error) {
	if c.caps.Has(imap.CapListStatus) && !short && !c.quirks.stateless.Load() && c.countUntil.IsZero() {
		c.askedState = true
		listed, err := c.client.List("", "*", listOptions(c.caps)).Collect()
		if refusal(err) == nil {
			return listed, c.sessionError("listing folders", err)
		}
	}
	listed, err := c.client.List("", "*", nil).Collect()
	no := refusal(err)
	if no == nil {
		return listed, c.sessionError("listing folders", err)
	}
	f := c.refused("listing folders", no)
	if _, told := wire.IMAPReply(no).Means(); told || f.Code != fault.ServerUnavailable {
		f.Detail, f.Err = append(words.Detail{words.Say("The server does not list its folders.")}, f.Detail...), err
		return nil, f // It speaks of itself, or of the account.
	}
	// One folder, such as a broken share, may keep it from listing all.
	top, err := c.client.List("", "%", nil).Collect()
	if err != nil && refusal(err) == nil {
		return nil, c.failed("listing folders", err)
	}
	// INBOX always is, see folders.
	c.unlisted = fault.New(fault.FolderFailed, "listing folders", append(words.Detail{
		words.Say("The server does not list all of its folders."),
	}, f.Detail...)...)
	return top, nil
}

func listOptions(caps imap.CapSet) *imap.ListOptions {
	return &imap.ListOptions{ReturnStatus: &statusAsked, ReturnSpecialUse: caps.Has(imap.CapSpecialUse)}
}

// sessionError is failed, but for nil.
func (c *imapConn) sessionError(op string, err error) error {
	if err == nil {
		return nil
	}
	return c.failed(op, err)
}

func folderOf(data *imap.ListData, raw string, long bool, ns namespaces) mail.Folder {
	delim := ""
	if data.Delim != 0 {
		delim = string(data.Delim)
	}
	f := folderFrom(raw, long, delim, ns)
	for _, a := range data.Attrs {
		switch {
		case a == imap.MailboxAttrNoSelect, a == imap.MailboxAttrNonExistent:
			f.Selectable = false
		case f.SpecialUse == "" && slices.Contains(specialUses, a):
			f.SpecialUse = string(a)
		}
	}
	// A namespace of others may be listed itself, without the separator at its end. A
	// folder of such a name that holds mail may be the account's own.
	if !f.Selectable && delim != "" && ns.others(raw+delim) {
		f.Shared = true
	}
	f.Status = statusOf(data.Status)
	return f
}

func statusOf(d *imap.StatusData) mail.Status {
	if d == nil || d.NumMessages == nil {
		return mail.Status{}
	}
	return mail.Status{Known: true, Messages: *d.NumMessages, UIDNext: uint32(d.UIDNext), UIDValidity: d.UIDValidity}
}

// statuses asks for the status of every folder that can be read and of which
// it is not known, with pipelined commands once one was answered. A folder whose
// status the server does not give is opened all the same; where it gives none,
// in words about the session, nothing else is asked for.
//
// A connection test counts messages only as far as it may: until countUntil, and
// until the server falls silent.
func (c *imapConn) statuses(folders []mail.Folder) error {
	if c.quirks.stateless.Load() {
		return nil
	}
	var open []*mail.Folder
	for i := range folders {
		if f := &folders[i]; f.Selectable && f.Problem == nil && !f.Status.Known {
			open = append(open, f)
		}
	}
	commands := make([]*imapclient.StatusCommand, len(open))
	sent, most, window, answered := 0, unproven, sentAhead, false
	if !c.countUntil.IsZero() {
		window = countsPipelined
	}
	var refused *fault.Error
	for i, f := range open {
		if sent == i && !c.countUntil.IsZero() && time.Now().After(c.countUntil) {
			return nil // The rest is not counted.
		}
		for ; sent < len(open) && sent < i+most; sent++ {
			c.askedState = true
			commands[sent] = c.client.Status(wire.AliasOf(open[sent].Wire), &statusAsked)
		}
		data, err := commands[i].Wait()
		switch {
		case err == nil:
			f.Status = statusOf(data)
			most, answered = window, true
		case refusal(err) == nil:
			if err = c.failed("asking for the state of folders", err); !c.countUntil.IsZero() && wire.Silent(err) {
				return nil // Whether a folder opens is seen anyway.
			}
			return err
		case !answered:
			said := wire.IMAPReply(refusal(err)).Judge(wire.OpeningFolder, "asking for the state of folders", c.cred)
			if said.Session && refused != nil {
				return refused
			} else if said.Session {
				refused, most = said, 1
			}
		}
	}
	return nil
}
