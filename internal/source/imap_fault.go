package source

import (
	"errors"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// folderFault says why one folder could not be read: Session and its code tell
// whether the server spoke of that folder, or of itself.
func folderFault(op, name string, err error) *fault.Error {
	detail := words.Detail{words.Say("Folder %s could not be read.", name)}
	if e := refusal(err); e != nil {
		f := wire.IMAPReply(e).Judge(wire.OpeningFolder, op, remote.Credential{})
		f.Detail = append(detail, f.Detail...)
		return f
	}
	var known *fault.Error
	if errors.As(err, &known) && known.Session { // It said BYE.
		return &fault.Error{
			Code: known.Code, Op: op, Detail: append(detail, known.Detail...), RetryAfter: known.RetryAfter, Session: true,
			Ended: true, Err: err,
		}
	}
	return &fault.Error{Code: fault.FolderFailed, Op: op, Detail: detail, Ended: true, Err: err}
}
