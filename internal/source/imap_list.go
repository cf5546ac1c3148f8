package source

import (
	"context"
	"errors"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// question is one folder's listing under way.
type question struct {
	query  mail.Query
	opened *imapclient.SelectCommand
	items  *imapclient.FetchCommand
	sent   *wire.IMAPCommand
	left   *fault.Error // Why it was not asked; nil: it was.
}

// List implements protocol. A folder whose listing ends the connection is asked
// for once more, on a new one, and then reported as failed; the others continue.
func (s *imapSession) List(ctx context.Context, queries []mail.Query, yield yieldFunc) error {
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
	for len(queries)+len(doubts.refused) > 0 {
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
			doubts.postpone(queries[0], folderFault("listing folder "+name, name, err))
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
) (done int, asked []*speculativeRequest, err error) {
	questions := make([]question, 0, min(len(queries), sentAhead))
	sent, requested := 0, false
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
	for done < len(queries) || len(doubts.refused) > 0 {
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
		if most := doubts.mostPipelined(); len(questions) <= most/2 { // Asked in bulk: fewer and fuller packets.
			for ; sent < len(queries) && len(questions) < most; sent++ {
				if left := c.leaves(queries[sent]); left != nil {
					questions = append(questions, question{query: queries[sent], left: left})
				} else {
					questions = append(questions, c.ask(queries[sent]))
				}
			}
			if !requested && sent == len(queries) {
				requested, asked = true, c.askSpeculatively(queries)
			}
		}
		if left := questions[0].left; left != nil {
			doubts.postpone(queries[done], left)
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
			doubts.postpone(queries[done], known)
		} else if err := doubts.resolve(listing, why); err != nil {
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
	if l.Folder.Status.UIDNext == 0 { // Courier, Winmail and others give it by STATUS only.
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
			c.quirks.noObjectID.Store(true)
			return l, nil, c.link.Abort(folderFault(op, name, err))
		}
		// Some servers refuse a set that names nothing, as the end of a folder may
		// since something went: a full listing shows what is there.
		why, next := folderFault(op, name, err), l.Folder.Status.UIDNext
		if nothing := next != 0 && q.query.From >= next; opened.NumMessages > 0 && !nothing &&
			(q.query.From <= 1 || why.Session) {
			return mail.Listing{Folder: l.Folder}, why, nil
		}
	}
	if opened.UIDValidity == 0 {
		return mail.Listing{Folder: l.Folder}, fault.New(fault.FolderFailed, op,
			words.Say("Folder %s cannot be fetched: the server gives its messages no lasting numbers (UIDVALIDITY).", name)), nil
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
// change, the internal date included, and some servers, which compute it from the
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

// distinctNames takes from messages of one folder the names that two have. Those
// of Gmail nobody has twice.
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
			it.Flags, it.Keywords = flagsOf(d.Flags)
		case imapclient.FetchItemDataInternalDate:
			it.Received = mail.InZone(d.Time)
		case imapclient.FetchItemDataRFC822Size:
			it.Size = d.Size
		}
	}
	return it
}

// flagsOf divides a message's flags. What the wire let through are no more keywords than are
// carried over.
func flagsOf(flags []imap.Flag) (f mail.Flags, k mail.Keywords) {
	var words []string
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
		default:
			words = append(words, string(flag))
		}
	}
	if len(words) > 0 {
		k, _ = mail.KeywordsOf(words)
	}
	return f, k
}
