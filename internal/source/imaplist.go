package source

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
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

// Folders implements Session.
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
	ahead := c.flight.pending()
	folders, err = c.folders()
	release()
	if err != nil && ahead && s.mayRetry(ctx, err) {
		// A server or proxy may have lost what was sent behind the login.
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
	asked, listed, short, err := c.land()
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
	unread := 0
	for _, data := range listed {
		if f, ok := unreadFolder(data.Mailbox); ok {
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
		folders = append(folders, folderOf(data, raw, long, ns))
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
// number is told. It is how many such lines of a connection the log has, too.
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
		f.Detail, f.Err = "The server does not list its folders. "+f.Detail, err
		return nil, f // It speaks of itself, or of the account.
	}
	// One folder, such as a broken share, may keep it from listing all.
	top, err := c.client.List("", "%", nil).Collect()
	if err != nil && refusal(err) == nil {
		return nil, c.failed("listing folders", err)
	}
	// INBOX always is, see folders.
	c.unlisted = fault.New(fault.FolderFailed, "listing folders", "The server does not list all of its folders. "+f.Detail)
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
// it is not known, the questions sent ahead once one was answered. A folder of
// which the server does not tell it is opened all the same; where it tells of none,
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
	sent, most, ahead, told := 0, unproven, sentAhead, false
	if !c.countUntil.IsZero() {
		ahead = countedAhead
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
			most, told = ahead, true
		case refusal(err) == nil:
			if err = c.failed("asking for the state of folders", err); !c.countUntil.IsZero() && wire.Silent(err) {
				return nil // Whether a folder opens is seen anyway.
			}
			return err
		case !told:
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

// question is one folder's listing under way.
type question struct {
	query  mail.Query
	opened *imapclient.SelectCommand
	items  *imapclient.FetchCommand
	sent   *wire.IMAPCommand
	left   *fault.Error // Why it was not asked; nil: it was.
}

// List implements Session. A folder whose listing ends the connection is asked
// for once more, on a new one, and then reported as failed; the others go on.
func (s *imapSession) List(ctx context.Context, queries []mail.Query, yield func(l mail.Listing,
	err error) error,
) error {
	if len(queries) == 0 {
		return nil
	}
	c, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer func() { release() }()
	failures := 0
	doubts := &folderDoubts{known: s.known, yield: yield}
	var accused []string
	defer func() {
		if doubts.read == "" { // It may be the server that says BYE to everything.
			for _, word := range accused {
				s.quirks.suspects.remove(word)
			}
		}
	}()
	for len(queries)+len(doubts.held) > 0 {
		done, asked, err := c.listAll(ctx, &s.listings, queries, doubts)
		var stop *callerError
		if errors.As(err, &stop) {
			return stop.err
		}
		if err == nil {
			s.keep(c, asked)
			return nil
		}
		if done > 0 {
			failures = 0
		}
		queries = queries[done:]
		// Over a BYE no folder is asked for twice in a visit.
		if failures++; len(queries) > 0 && (failures > 1 || fault.Of(err).Session) {
			name := displayName(queries[0].Folder)
			doubts.hold(queries[0], folderFault("listing folder "+name, name, err))
			if fault.Of(err).Session {
				accused = append(accused, suspectFolder(queries[0].Folder.Wire))
				s.quirks.suspects.add(suspectFolder(queries[0].Folder.Wire))
			}
			queries, failures = queries[1:], 0
		}
		if !s.mayRetry(ctx, err) {
			return err
		}
		if over, err := doubts.alone(queries); over {
			return err
		}
		release()
		if c, release, err = s.renew(ctx); err != nil {
			release = func() {}
			return err
		}
	}
	return nil
}

// callerError is an error of the caller's own callback.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// mayRetry reports whether a new connection can help.
func (s *imapSession) mayRetry(ctx context.Context, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := fault.CodeOf(err)
	return ctx.Err() == nil && !s.closed && !wire.GivenUp(err) && code != fault.Interrupted && code != fault.Internal
}

// listAll lists folders until the connection ends and returns of how many it has
// the outcome, and the bodies that were asked for on the way.
func (c *imapConn) listAll(ctx context.Context, into *collector, queries []mail.Query,
	doubts *folderDoubts,
) (done int, asked []*earlyRequest, err error) {
	questions := make([]question, 0, min(len(queries), sentAhead))
	sent, early := 0, false
	defer func() {
		if err != nil {
			c.link.Close()
			for _, q := range questions {
				if q.left == nil {
					q.items.Close()
				}
			}
			c.drop(asked)
		}
	}()
	for done < len(queries) || len(doubts.held) > 0 {
		if len(questions) == 0 && (doubts.waits() || done == len(queries)) {
			if !c.readPast(asked) {
				return done, nil, c.failed("fetching", errReadPast)
			}
			asked = nil
			if err := doubts.tell(c, queries[done:]); err != nil {
				return done, asked, err
			}
			continue
		}
		if most := doubts.mostAhead(); len(questions) <= most/2 { // Asked in bulk: fewer and fuller packets.
			for ; sent < len(queries) && len(questions) < most; sent++ {
				if left := c.leaves(queries[sent]); left != nil {
					questions = append(questions, question{query: queries[sent], left: left})
				} else {
					questions = append(questions, c.ask(queries[sent]))
				}
			}
			if !early && sent == len(queries) {
				early, asked = true, c.askEarly(queries)
			}
		}
		if left := questions[0].left; left != nil {
			doubts.hold(queries[done], left)
			questions, done = questions[1:], done+1
			continue
		}
		listing, why, err := c.answer(ctx, into, questions[0])
		if err != nil {
			return done, asked, err
		}
		questions = questions[1:]
		c.quirks.suspects.remove(suspectFolder(queries[done].Folder.Wire))
		var known *fault.Error
		if errors.As(why, &known) && known.Session {
			doubts.hold(queries[done], known)
		} else if err := doubts.settle(listing, why); err != nil {
			return done, asked, &callerError{err}
		}
		done++
	}
	return done, asked, nil
}

func (c *imapConn) ask(q mail.Query) question {
	set := imap.UIDSet{}
	set.AddRange(imap.UID(max(q.From, 1)), 0)
	asked := question{query: q, opened: c.client.Select(wire.AliasOf(q.Folder.Wire), &imap.SelectOptions{ReadOnly: true})}
	asked.items = c.client.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true})
	asked.sent = c.wire.Newest()
	return asked
}

// answer reads one folder's listing to its end. why is about that folder alone.
func (c *imapConn) answer(ctx context.Context, into *collector, q question) (l mail.Listing, why, err error) {
	l = mail.Listing{Folder: q.query.Folder}
	name := displayName(l.Folder)
	op := "listing folder " + name
	opened, err := q.opened.Wait()
	if err != nil && refusal(err) == nil {
		return l, nil, c.failed(op, err)
	}
	if err != nil {
		// Whatever is answered now is about no folder, or another one.
		if closed := q.items.Close(); closed != nil && refusal(closed) == nil {
			return l, nil, c.failed(op, closed)
		}
		return l, folderFault(op, name, err), nil
	}
	c.inside = true
	l.Folder.Status = mail.Status{
		Known: true, Messages: opened.NumMessages, UIDNext: uint32(opened.UIDNext),
		UIDValidity: opened.UIDValidity, HighestModSeq: opened.HighestModSeq,
	}
	if l.Folder.Status.UIDNext == 0 { // Courier, Winmail and others tell it by STATUS only.
		l.Folder.Status.UIDNext = q.query.Folder.Status.UIDNext
	}
	listed := into.begin(ctx)
	defer listed.end()
	for msg := q.items.Next(); msg != nil; msg = q.items.Next() {
		it := itemOf(msg)
		it.Global = nameOf(&it, q.sent)
		if err := listed.add(&it); err != nil {
			return l, nil, c.link.Abort(err)
		}
	}
	if err := q.items.Close(); err != nil {
		if refusal(err) == nil {
			return l, nil, c.failed(op, err)
		}
		if e := refusal(err); e.Type == imap.StatusResponseTypeBad && q.sent.NamedBy() != "" && opened.NumMessages > 0 {
			// It offers names over all folders and does not know the word for
			// them: once more, on a new connection, without.
			c.quirks.nameless.Store(true)
			return l, nil, c.link.Abort(folderFault(op, name, err))
		}
		// Some servers refuse a set that names nothing, as the end of a folder may
		// since something went: what is there the whole of it tells.
		why, next := folderFault(op, name, err), l.Folder.Status.UIDNext
		if nothing := next != 0 && q.query.From >= next; opened.NumMessages > 0 && !nothing &&
			(q.query.From <= 1 || why.Session) {
			return mail.Listing{Folder: l.Folder}, why, nil
		}
	}
	if opened.UIDValidity == 0 {
		return mail.Listing{Folder: l.Folder}, fault.New(fault.FolderFailed, op,
			"Folder "+name+" cannot be fetched: the server gives its messages no lasting numbers (UIDVALIDITY)."), nil
	}
	if err := listed.fill(&l); err != nil {
		return l, nil, err
	}
	if l.Complete, err = isComplete(&l, q); err != nil {
		return l, nil, err
	}
	l.Unread, l.Below = q.sent.Unread(), q.sent.Below()
	return l, nil, nil
}

// nameOf is a message's name over all folders.
//
// RFC 8474 section 5.1 has messages of one EMAILID agree in all that cannot
// change, the internal date included, and some servers, which reckon it from the
// octets (Cyrus), do not keep to that: two equal messages that came one after
// the other would be one. Hence the date is part of the name, and what is there
// twice in one folder has none: see distinctNames.
func nameOf(it *mail.Item, sent *wire.IMAPCommand) string {
	name := sent.TakeName(it.ID.UID)
	switch {
	case name == "" || sent.NamedBy() != wire.ItemEmailID:
		return name
	case it.Received.IsZero():
		return ""
	}
	return name + "@" + strconv.FormatInt(it.Received.Unix(), 10)
}

// distinctNames takes from messages of one folder the names that two bear. Those
// of Gmail nobody bears twice.
func distinctNames(items []mail.Item) {
	bearers := make(map[string]int)
	for i := range items {
		if g := items[i].Global; g != "" && !items[i].Labelled() {
			bearers[g]++
		}
	}
	for i := range items {
		if bearers[items[i].Global] > 1 {
			items[i].Global = ""
		}
	}
}

// isComplete compares a listing with the server's own count.
func isComplete(l *mail.Listing, q question) (bool, error) {
	messages, n := l.Folder.Status.Messages, uint32(l.Len())
	switch {
	case q.query.From <= 1:
		return n == messages, nil
	case n > 0:
		first, err := l.Page(0, 1)
		return err == nil && messages-first[0].Number+1 == n, err
	}
	next := l.Folder.Status.UIDNext
	return messages == 0 || q.sent.Below() > 0 || next != 0 && next <= q.query.From, nil
}

func itemOf(msg *imapclient.FetchMessageData) mail.Item {
	it := mail.Item{Number: msg.SeqNum}
	for data := msg.Next(); data != nil; data = msg.Next() {
		switch d := data.(type) {
		case imapclient.FetchItemDataUID:
			it.ID.UID = uint32(d.UID)
		case imapclient.FetchItemDataFlags:
			it.Flags = flagsOf(d.Flags)
		case imapclient.FetchItemDataInternalDate:
			it.Received = d.Time
		case imapclient.FetchItemDataRFC822Size:
			it.Size = d.Size
		}
	}
	return it
}

func flagsOf(flags []imap.Flag) (f mail.Flags) {
	for _, flag := range flags {
		switch flag {
		case imap.FlagSeen:
			f |= mail.Seen
		case imap.FlagAnswered:
			f |= mail.Answered
		case imap.FlagFlagged:
			f |= mail.Flagged
		case imap.FlagDraft:
			f |= mail.Draft
		}
	}
	return f
}
