package source

import (
	"math/rand/v2"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// refusedFolder is a folder that was refused in words about the session, or ended
// the connection.
type refusedFolder struct {
	query mail.Query
	why   *fault.Error
}

// folderDoubts are such folders, in the order in which they were asked for, until
// another one shows whose fault it is.
type folderDoubts struct {
	refused []refusedFolder
	read    string   // A folder that was read by this List.
	known   []string // Folders that there are.
	yield   yieldFunc
}

// postpone keeps a folder's failure until it is known whose fault it is.
func (d *folderDoubts) postpone(q mail.Query, why *fault.Error) {
	d.refused = append(d.refused, refusedFolder{q, why})
}

// waits reports whether nothing is to be asked for but to find out whose fault a
// refusal is. After a connection ended over a folder the next is asked for anyway.
func (d *folderDoubts) waits() bool {
	return slices.ContainsFunc(d.refused, func(h refusedFolder) bool { return h.why.Session })
}

// mostPipelined is how many questions may be under way.
func (d *folderDoubts) mostPipelined() int {
	switch {
	case d.waits():
		return 0
	case d.read == "":
		return unproven
	}
	return sentAhead / 2
}

// resolve hands over what was postponed, followed by another folder's outcome.
func (d *folderDoubts) resolve(l mail.Listing, why error) error {
	if why == nil {
		d.read = l.Folder.Wire
	}
	if err := d.blame(); err != nil {
		return err
	}
	return d.yield(l, why)
}

// blame reports what was postponed as failed.
func (d *folderDoubts) blame() error {
	held := d.refused
	d.refused = nil
	for _, h := range held {
		if err := d.yield(mail.Listing{Folder: h.query.Folder}, h.why); err != nil {
			return err
		}
	}
	return nil
}

// session is what ended the session.
func (d *folderDoubts) session() *fault.Error {
	why := *d.refused[0].why
	if !why.Session {
		why.Code = fault.CodeOf(why.Err)
	}
	why.Session = true
	return &why
}

// tell opens another folder, to see whether the server opens any. rest is what is
// still to be asked for.
func (d *folderDoubts) tell(c *imapConn, rest []mail.Query) error {
	if over, err := d.alone(rest); over {
		return d.gaveUp(err)
	}
	name := d.other(rest)
	if len(d.refused) > 1 && d.read == "" && !d.cut() {
		return &callerError{d.session()}
	}
	_, err := c.client.Select(wire.AliasOf(name), &imap.SelectOptions{ReadOnly: true}).Wait()
	switch {
	case err != nil && refusal(err) == nil:
		return &callerError{d.session()}
	case err != nil && wire.IMAPReply(refusal(err)).Judge(wire.OpeningFolder, "opening a folder", c.cred).Session:
		return &callerError{d.session()}
	case err == nil:
		c.inside, d.read = true, name
	}
	return d.gaveUp(d.blame())
}

// alone reports whether there is no other folder to ask for. Then the server's words
// are about the session, and a connection that ended without any is the folder's.
func (d *folderDoubts) alone(rest []mail.Query) (over bool, err error) {
	switch {
	case len(d.refused) == 0 || d.other(rest) != "":
		return false, nil
	case d.cut():
		return true, d.blame()
	}
	return true, d.session()
}

// cut reports whether a connection ended over one of them without a word.
func (d *folderDoubts) cut() bool {
	return slices.ContainsFunc(d.refused, func(h refusedFolder) bool { return !h.why.Session })
}

func (d *folderDoubts) gaveUp(err error) error {
	if err != nil {
		return &callerError{err}
	}
	return nil
}

// other names a folder that was not refused: one that was read before any other.
func (d *folderDoubts) other(rest []mail.Query) string {
	refused := func(name string) bool {
		return slices.ContainsFunc(d.refused, func(h refusedFolder) bool { return h.query.Folder.Wire == name })
	}
	if d.read != "" {
		return d.read
	}
	var names []string
	for _, q := range rest {
		names = append(names, q.Folder.Wire)
	}
	if len(names) == 0 {
		names = slices.DeleteFunc(slices.Clone(d.known), refused)
	}
	if len(names) == 0 {
		return ""
	}
	return names[rand.IntN(len(names))]
}
