package disk

import (
	"context"
	"errors"

	"github.com/mailbrook/mailbrook/internal/fault"
	"golang.org/x/sys/unix"
)

// causes says in plain words what an operator can mend.
var causes = []struct {
	err    error
	detail string
}{
	{unix.ENOSPC, "There is no space left on the disk that holds the local mailbox."},
	{unix.EROFS, "The disk that holds the local mailbox is read-only."},
	{unix.EIO, "The disk that holds the local mailbox reports errors."},
	{unix.EACCES, "The local mailbox may not be written: its permissions are wrong."},
	{unix.EPERM, "The local mailbox may not be written: its permissions are wrong."},
	{unix.ELOOP, "Something in the local mailbox is a link; links are not followed."},
	{unix.ENOTDIR, "Something in the local mailbox is a file or a link where a directory is expected."},
	{unix.EXDEV, "A part of the local mailbox lies on another disk, or is a mount point."},
	{ErrNotPlain, "Something in the local mailbox is no plain file where one is expected."},
	{unix.ENAMETOOLONG, "A folder's name is too long for the disk that holds the local mailbox."},
}

// Trouble gives an error of the disk its code and plain words. What has a code
// already, and the end of a context, pass through.
func Trouble(op string, err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Interrupted, op, err)
	case errors.Is(err, unix.EDQUOT):
		return &fault.Error{
			Code: fault.LocalOverQuota, Op: op, Detail: "The disk quota of the local mailbox is used up.",
			Err: err,
		}
	}
	if fault.Exhausted(err) {
		// Nothing is wrong with the mailbox, and its user can do nothing.
		return fault.Wrap(fault.Internal, op, err)
	}
	detail := "The local mailbox cannot be written."
	for _, c := range causes {
		if errors.Is(err, c.err) {
			detail = c.detail
			break
		}
	}
	return &fault.Error{Code: fault.LocalMailboxUnavailable, Op: op, Detail: detail, Err: err}
}

// Unavailable is the failure of a local mailbox that cannot be used.
func Unavailable(op, detail string) error {
	return fault.New(fault.LocalMailboxUnavailable, op, detail)
}

// Internal reports a mistake of the caller: a name it cannot have got from us.
func Internal(op, detail string) error { return fault.New(fault.Internal, op, detail) }
