package imapbox

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Description is what a mailbox is and takes, by its server's word.
type Description struct {
	// Folders are all that it has, those of others too, with the use that the server says of them. At most twenty have a
	// Status: the inbox, and those that Describe was asked for.
	Folders   []mail.Folder
	Delimiter string // Between the parts of a name; "": its folders have no hierarchy.
	// AppendLimit is the largest message that it takes (RFC 7889); 0: it does not say. ByStatus says that STATUS told it.
	AppendLimit int64
	ByStatus    bool
	// Used and Limit are its quota (RFC 9208) where Counted; else nothing is known of either.
	Used    owner.Use
	Limit   owner.Limit
	Counted bool
	// Flags are those that it keeps, `\*` for any keyword (PERMANENTFLAGS, RFC 9051 section 7.1); nil: not known.
	Flags []string
	// Rights are ours to the inbox (RFC 4314 section 2.1); "": it does not say.
	Rights string
	// SpecialUse says that a folder can be made with a use (RFC 6154 section 3).
	SpecialUse bool
	Newest     []Known // The newest messages of the inbox, or of the first folder asked for that has any.
	NewestIn   string  // Its name at the server.
}

// Known is what a server says of a message that two mailboxes do not have in common.
type Known struct {
	UID            uint32
	Size, Received int64 // Received in Unix seconds.
}

// Limits of what Describe asks for.
const (
	describedFolders = 20
	describedNewest  = 5
	searchedEmpty    = 50 // Folders that are asked for an empty one.
)

// Describe asks what a mailbox is and takes. Nothing is written: no folder is opened for writing but one that is empty,
// in which nothing can change by that. of are names at the server of which the state is wanted, too.
func (r *Reader) Describe(ctx context.Context, of []string) (d Description, err error) {
	err = r.use(ctx, "looking at the mailbox", func(c *conn) error {
		for _, ask := range []func(*conn) error{
			d.list, func(c *conn) error { return d.stand(c, of) }, d.askLimit, d.askQuota, d.askRights, d.askFlags, d.askNewest,
		} {
			if err := ask(c); err != nil {
				return err
			}
		}
		return nil
	})
	d.Folders = slices.DeleteFunc(d.Folders, func(f mail.Folder) bool { return r.store.isStaging(f.Wire) })
	return d, err
}

// refusedOr returns err, unless a server only refused to say something.
func refusedOr(c *conn, err error) error {
	if errors.As(err, new(*wire.Refused)) && c.Failure() == nil {
		return nil
	}
	return err
}

// list takes the folders with their uses: many servers tell these with any LIST, the others if they are asked.
func (d *Description) list(c *conn) error {
	command := `LIST "" "*"`
	if c.caps["SPECIAL-USE"] {
		command += " RETURN (SPECIAL-USE)"
	}
	d.Delimiter, d.SpecialUse = c.delimiter, c.caps["CREATE-SPECIAL-USE"]
	take := func(a wire.Answer) error {
		if a.Kind == "LIST" && len(a.Values) >= 3 {
			d.Folders = append(d.Folders, c.folderOf(a))
		}
		return nil
	}
	_, err := c.Do(command, take)
	if errors.As(err, new(*wire.Refused)) && c.Failure() == nil {
		d.Folders = nil
		_, err = c.Do(`LIST "" "*"`, take)
	}
	return err
}

// folderOf is the folder of an answer to LIST.
func (c *conn) folderOf(a wire.Answer) mail.Folder {
	name := a.Values[2].Text
	f := mail.Folder{Wire: name, Selectable: true, Shared: c.isForeign(name)}
	for _, v := range a.Values[0].List {
		switch lower := strings.ToLower(v.Text); lower {
		case `\noselect`, `\nonexistent`:
			f.Selectable = false
		case `\all`, `\archive`, `\drafts`, `\flagged`, `\junk`, `\sent`, `\trash`, `\important`:
			f.SpecialUse = `\` + strings.ToUpper(lower[1:2]) + lower[2:]
		}
	}
	if strings.EqualFold(name, inbox) {
		f.Wire = inbox
		return f
	}
	rest := name
	if !f.Shared {
		rest = strings.TrimPrefix(name, c.prefix)
	}
	parts := []string{rest}
	if c.delimiter != "" {
		parts = strings.Split(strings.TrimSuffix(rest, c.delimiter), c.delimiter)
	}
	for i, p := range parts {
		parts[i] = wire.ReadableName(p)
	}
	f.Path = parts
	return f
}

// stand asks how the inbox and some other folders are.
func (d *Description) stand(c *conn, of []string) error {
	for i := range d.Folders {
		f := &d.Folders[i]
		if f.Wire != inbox && !slices.Contains(of, f.Wire) || !f.Selectable || i >= describedFolders && f.Wire != inbox {
			continue
		}
		if err := d.status(c, f); err != nil {
			return err
		}
	}
	return nil
}

func (d *Description) status(c *conn, f *mail.Folder) error {
	_, err := c.Do("STATUS "+wire.Quote(f.Wire)+" (MESSAGES UIDNEXT UIDVALIDITY)", func(a wire.Answer) error {
		if a.Kind == "STATUS" && len(a.Values) == 2 {
			items := a.Values[1].Pairs()
			f.Status = mail.Status{
				Known: true, Messages: uint32(items["MESSAGES"].Number()), UIDNext: items["UIDNEXT"].UID(),
				UIDValidity: items["UIDVALIDITY"].UID(),
			}
		}
		return nil
	})
	return refusedOr(c, err)
}

// askLimit asks how large a message may be (RFC 7889): the server as a whole says so, or its inbox.
func (d *Description) askLimit(c *conn) error {
	for name := range c.caps {
		if digits, said := strings.CutPrefix(name, "APPENDLIMIT="); said {
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 {
				d.AppendLimit = n
			}
		}
	}
	if d.AppendLimit > 0 || !c.caps["APPENDLIMIT"] {
		return nil
	}
	_, err := c.Do(`STATUS "INBOX" (APPENDLIMIT)`, func(a wire.Answer) error {
		if a.Kind == "STATUS" && len(a.Values) == 2 {
			if n := a.Values[1].Pairs()["APPENDLIMIT"].Number(); n > 0 {
				d.AppendLimit, d.ByStatus = n, true
			}
		}
		return nil
	})
	return refusedOr(c, err)
}

func (d *Description) askQuota(c *conn) error {
	if !c.caps["QUOTA"] {
		return nil
	}
	tag, err := c.Send(`GETQUOTAROOT "INBOX"`)
	if err != nil {
		return err
	}
	used, most, counted, err := c.awaitQuota(tag)
	d.Used, d.Limit, d.Counted = used.shown(), most, counted.any()
	return err
}

func (d *Description) askRights(c *conn) error {
	if !c.caps["ACL"] {
		return nil
	}
	_, err := c.Do(`MYRIGHTS "INBOX"`, func(a wire.Answer) error {
		if a.Kind == "MYRIGHTS" && len(a.Values) == 2 {
			d.Rights = a.Values[1].Text
		}
		return nil
	})
	return refusedOr(c, err)
}

// askFlags opens a folder that is empty: by EXAMINE a server says that no flag is kept, as nothing can be written.
func (d *Description) askFlags(c *conn) error {
	asked := 0
	for i := range d.Folders {
		f := &d.Folders[i]
		if !f.Selectable || f.Shared {
			continue
		}
		if !f.Status.Known {
			if asked++; asked > searchedEmpty {
				return nil
			}
			if err := d.status(c, f); err != nil {
				return err
			}
		}
		if !f.Status.Known || f.Status.Messages > 0 {
			continue
		}
		if err := c.selects(f.Wire); err != nil {
			if err = refusedOr(c, err); err != nil && c.Failure() != nil {
				return err
			}
			continue
		}
		if c.keeps != nil {
			for flag := range c.keeps {
				d.Flags = append(d.Flags, flag)
			}
			slices.Sort(d.Flags)
			return nil
		}
	}
	return nil
}

// askNewest asks for the newest messages of a folder that has some, by which two mailboxes are distinguished.
func (d *Description) askNewest(c *conn) error {
	for _, f := range d.Folders {
		if !f.Status.Known || f.Status.Messages == 0 || f.Status.UIDNext == 0 || f.Shared {
			continue
		}
		if _, err := c.examines(f.Wire); err != nil {
			return refusedOr(c, err)
		}
		first := max(1, int64(f.Status.UIDNext)-describedNewest)
		set := strconv.FormatInt(first, 10) + ":*"
		_, err := c.Do("UID FETCH "+set+" (UID RFC822.SIZE INTERNALDATE)", func(a wire.Answer) error {
			uid, items := fetched(a)
			if received, ok := receivedIn(items); uid != 0 && ok && len(d.Newest) < describedNewest+1 {
				d.Newest = append(d.Newest, Known{uid, sizeOf(items), received})
			}
			return nil
		})
		d.NewestIn = f.Wire
		return err
	}
	return nil
}
