package source

import (
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// request is a batch under way. Each opens its folder, even if it is open
// already: a server may answer two UID FETCH of one folder at the same time
// (Dovecot does, when the first is slow to leave), and the library would wait
// for ever for us to read the second while we wait for the first. Nothing
// passes an EXAMINE (RFC 9051 section 5.5).
type request struct {
	*batch
	opened *imapclient.SelectCommand
	bodies *imapclient.FetchCommand
}

// enter waits for the folder of a request to be open: see opened.
func (r *fetchRun) enter(c *imapConn, q request) (verdict *fault.Error, err error) {
	if verdict, err = c.opened(q); verdict == nil && err == nil {
		r.open, r.openAt = q.want, c
	}
	return verdict, err
}

func (c *imapConn) request(b *batch, headers bool) request {
	var set imap.UIDSet
	for _, it := range b.items {
		set.AddNum(imap.UID(it.ID.UID))
	}
	q := request{batch: b}
	q.opened, q.bodies = c.askBodies(b.want.Folder.Wire, set, headers)
	return q
}

// askBodies asks for the bodies, or the headers, of messages in a folder.
func (c *imapConn) askBodies(folder string, set imap.UIDSet,
	headers bool,
) (*imapclient.SelectCommand, *imapclient.FetchCommand) {
	opened := c.client.Select(wire.AliasOf(folder), &imap.SelectOptions{ReadOnly: true})
	return opened, c.bodies(set, headers)
}

// bodies asks for them in the folder that is open.
func (c *imapConn) bodies(set imap.UIDSet, headers bool) *imapclient.FetchCommand {
	section := &imap.FetchItemBodySection{Peek: true}
	if headers {
		section.Specifier, section.HeaderFields = imap.PartSpecifierHeader, []string{"MESSAGE-ID", "DATE", "FROM", "SUBJECT"}
	}
	return c.client.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
}

// opened waits for the folder and says whether it is still the one that was
// listed.
func (c *imapConn) opened(q request) (verdict *fault.Error, err error) {
	name := displayName(q.want.Folder)
	op := "opening folder " + name
	data, err := q.opened.Wait()
	switch {
	case err != nil && refusal(err) == nil:
		return nil, c.failed(op, err)
	case err != nil:
		return folderFault(op, name, err), nil
	}
	c.inside = true
	if data.UIDValidity == 0 || data.UIDValidity != q.want.Validity {
		return fault.New(fault.FolderFailed, op,
			words.Say("Folder %s was recreated on the server after it was listed.", name)), nil
	}
	return nil, nil
}

// receive reads the bodies of one batch. suspect is the message in whose body
// the connection ended, if it was one.
func (r *fetchRun) receive(c *imapConn, q request) (suspect uint32, err error) {
	last := uint32(0) // The highest of those that came.
	for msg := q.bodies.Next(); msg != nil; msg = q.bodies.Next() {
		var uid uint32
		for data := msg.Next(); data != nil; data = msg.Next() {
			switch d := data.(type) {
			case imapclient.FetchItemDataUID:
				uid = uint32(d.UID)
			case imapclient.FetchItemDataBodySection:
				if d.Literal == nil {
					continue
				}
				if broken, err := r.body(c, q.batch, uid, d.Literal); broken {
					return uid, err
				} else if err != nil {
					return 0, err
				}
				r.disordered = r.disordered || uid < last
				last = max(last, uid)
			}
		}
	}
	why := words.Detail{words.Say("The server did not send this message, though it was asked for it three times.")}
	if err := q.bodies.Close(); err != nil {
		e := refusal(err)
		if e == nil {
			if last == 0 && (q.stage == speculative || r.brought > 0 && !r.disordered) {
				return q.first(), c.failed("fetching", err)
			}
			return q.next(last), c.failed("fetching", err)
		}
		f := wire.IMAPReply(e).Judge(wire.ReadingMessage, "fetching from folder "+displayName(q.want.Folder), r.s.cred)
		why = append(words.Detail{refusesMessage}, f.Detail...)
		if f.Session {
			r.doubt(&batch{want: q.want, items: q.items, stage: q.stage}, f, false, q.next(last))
			q.items = nil
			return 0, nil
		}
	}
	if q.doubt != nil {
		why = q.doubt
	}
	r.unanswered(q.batch, why)
	return 0, nil
}

// body hands one body to the caller. broken says that the connection ended in
// the middle of it.
func (r *fetchRun) body(c *imapConn, b *batch, uid uint32, lit imap.LiteralReader) (broken bool, err error) {
	i := b.find(uid)
	if i < 0 {
		if r.past += lit.Size(); r.past > maxReadPast {
			return false, errReadPast
		}
		r.came(b.want, uid, lit.Size())
		return false, nil
	}
	body := &bodyReader{conn: c, r: lit, left: lit.Size()}
	var whole io.Reader = body
	if !r.headers {
		var why words.Detail
		if whole, why = substance(body, b.items[i].Size, &r.head); why != nil && body.err == nil {
			b.doubt = why // Among those without an answer.
			return false, nil
		}
	}
	err = r.take(b.want.Folder, b.items[i], whole)
	c.taken += lit.Size()
	switch {
	case err != nil && body.err != nil:
		return true, body.err
	case err != nil:
		return false, &callerError{err}
	}
	b.items = slices.Delete(b.items, i, i+1)
	r.settled++
	r.came(b.want, uid, lit.Size())
	return false, nil
}

// find returns where a message is, or -1. Servers send in ascending order, and
// newest first is wanted: mostly it is the last.
func (b *batch) find(uid uint32) int {
	for i := len(b.items) - 1; i >= 0; i-- {
		if b.items[i].ID.UID == uid {
			return i
		}
	}
	return -1
}

// bodyReader reads a body. Where the connection ends inside, the library is
// given zeros to the body's end; here it is an error.
type bodyReader struct {
	conn *imapConn
	r    io.Reader
	left int64
	err  error // The connection ended inside.
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.conn.wire.Padded() || err != nil && b.left > 0 {
		b.err = b.conn.failed("receiving a message", io.ErrUnexpectedEOF)
		return 0, b.err
	}
	return n, err
}
