package disk

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// causes says in plain words what an operator can mend.
var causes = []struct {
	err    error
	detail words.Sentence
}{
	{unix.ENOSPC, words.Say("There is no space left on the disk that holds the local mailbox.")},
	{unix.EROFS, words.Say("The disk that holds the local mailbox is read-only.")},
	{unix.EIO, words.Say("The disk that holds the local mailbox reports errors.")},
	{unix.EACCES, words.Say("The local mailbox may not be written: its permissions are wrong.")},
	{unix.EPERM, words.Say("The local mailbox may not be written: its permissions are wrong.")},
	{unix.ELOOP, words.Say("Something in the local mailbox is a link; links are not followed.")},
	{unix.ENOTDIR, words.Say("Something in the local mailbox is a file or a link where a directory is expected.")},
	{unix.EXDEV, words.Say("A part of the local mailbox lies on another disk, or is a mount point.")},
	{ErrNotPlain, words.Say("Something in the local mailbox is no plain file where one is expected.")},
	{unix.ENAMETOOLONG, words.Say("A folder's name is too long for the disk that holds the local mailbox.")},
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
			Code: fault.LocalOverQuota, Op: op, Err: err,
			Detail: words.Detail{words.Say("The disk quota of the local mailbox is used up.")},
		}
	}
	if fault.Exhausted(err) {
		// Nothing is wrong with the mailbox, and its user can do nothing.
		return fault.Wrap(fault.Internal, op, err)
	}
	detail := words.Say("The local mailbox cannot be written.")
	for _, c := range causes {
		if errors.Is(err, c.err) {
			detail = c.detail
			break
		}
	}
	return &fault.Error{Code: fault.LocalMailboxUnavailable, Op: op, Detail: words.Detail{detail}, Err: err}
}

// Unavailable is the failure of a local mailbox that cannot be used.
func Unavailable(op string, detail words.Sentence) error {
	return fault.New(fault.LocalMailboxUnavailable, op, detail)
}

// Internal reports a mistake of the caller: a name it cannot have got from us.
func Internal(op string, detail words.Sentence) error { return fault.New(fault.Internal, op, detail) }
