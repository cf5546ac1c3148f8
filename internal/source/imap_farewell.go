package source

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// lastWords is why a connection ended, by what the server said before, where it
// said something: nil otherwise.
func (c *imapConn) lastWords(op string, why *fault.Error) *fault.Error {
	return c.blames(c.wire.LastSaid(), op, why)
}

func (c *imapConn) blames(said wire.Reply, op string, why *fault.Error) *fault.Error {
	if c.inside || said.Kind == "" || said.Kind == wire.BYE {
		return nil // A BYE is the reason already.
	}
	switch why.Code {
	case fault.ServerUnavailable, fault.ConnectTimeout, fault.ProtocolError:
	default:
		return nil
	}
	f := said.Judge(wire.AskingAccount, op, c.cred)
	f.Err = why
	if _, known := said.Means(); !known {
		f.Code, f.Detail = why.Code, slices.Concat(why.Detail, f.Detail)
	}
	return f
}

// refused says why the server does not do what op says, which is about all
// folders: by its words, or by those that came before.
func (c *imapConn) refused(op string, e *imap.Error) *fault.Error {
	said := wire.IMAPReply(e)
	if before := c.wire.LastSaid(); !c.inside && before.Kind != "" {
		_, told := said.Means()
		if _, better := before.Means(); better && !told {
			said = before
		}
	}
	return said.Judge(wire.AskingAccount, op, c.cred)
}
