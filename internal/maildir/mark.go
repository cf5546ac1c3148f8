package maildir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Mark makes the account folder and, in it, an empty folder of this name that
// is not subscribed: see mail.MarkFor. The mark is there before the folder is,
// so that nobody ever sees an account folder without one. Where the mark is
// there already nothing is done.
//
// It has no cur and no new: for Dovecot it is a folder all the same, which gets them
// when somebody opens it, and for whoever looks for Maildirs it is none.
func (d *Delivery) Mark(ctx context.Context, folder, mark string) error {
	const op = "marking the account folder"
	name := folder + "/" + mark
	if err := checkLocal(name); err != nil {
		return err
	}
	if st, err := d.root.Lstat(d.root.FD, dirName(name)); err == nil && st.IsDir() {
		return nil
	} else if err != nil && !disk.Missing(err) {
		return disk.Trouble(op, err)
	}
	d.tracker.folders.Lock()
	err := d.makeFolder(dirName(name), nil)
	d.tracker.folders.Unlock()
	if err == nil {
		err = d.ensure(ctx, []string{folder}) // Also makes the root durable, where there is something new.
	}
	return disk.Trouble(op, errors.Join(err, d.root.Sync(d.root.FD)))
}

// challengeOld is when a challenge's folder is one that a process left behind
// when it was killed.
const challengeOld = 10 * time.Minute

// Challenge makes an empty folder in the user's mailbox whose name nobody can
// guess, until remove is called. The name is "" where there is no mailbox yet.
func (s *Store) Challenge(ctx context.Context, o owner.Owner) (name string, remove func() error, err error) {
	const op = "making a folder for a test"
	r, err := s.openRoot(o, toMeasure)
	if disk.Missing(err) {
		return "", func() error { return nil }, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer r.close()
	name = mail.ChallengeFor(strings.ToLower(rand.Text()))
	if err := errors.Join(r.dropChallenges(ctx), r.makeChallenge(dirName(name))); err != nil {
		return "", nil, disk.Trouble(op, err)
	}
	return name, func() error {
		r, err := s.openRoot(o, toLook)
		if err != nil {
			return err
		}
		defer r.close()
		if _, err := r.removeEmpty(dirName(name)); !disk.Missing(err) {
			return disk.Trouble("removing a folder of a test", err)
		}
		return nil
	}, nil
}

func (r *root) makeChallenge(dir string) error {
	if err := r.Mkdir(r.FD, dir, r.dirPerm(dir)); err != nil {
		return err
	}
	fd, _, err := r.OpenDir(r.FD, dir)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	_, err = r.makeDirs(fd, subdirs)
	return errors.Join(r.Adopt(fd), err)
}

// dropChallenges removes what a process left behind that was killed.
func (r *root) dropChallenges(ctx context.Context) error {
	return r.folders(ctx, func(dir string) error {
		if !mail.IsChallenge(strings.TrimPrefix(dir, ".")) {
			return nil
		}
		st, err := r.Lstat(r.FD, dir)
		if err == nil && time.Since(st.Modified) > challengeOld {
			_, err = r.removeEmpty(dir)
		}
		if disk.Missing(err) {
			return nil
		}
		return err
	})
}

// removeEmpty removes a folder with what a server keeps in it of its own. One with a
// message in it stays, whoever put it there: then removed is false.
func (r *root) removeEmpty(dir string) (removed bool, err error) {
	fd, _, err := r.OpenDir(r.FD, dir)
	if err != nil {
		return false, err
	}
	defer r.Disk.Close(fd)
	for _, sub := range subdirs {
		err := r.Rmdir(fd, sub)
		if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			_, err = r.makeDirs(fd, subdirs)
			return false, err
		}
		if err != nil && !disk.Missing(err) {
			return false, err
		}
	}
	err = r.RemoveTree(r.FD, dir)
	return err == nil, err
}

// uidList is where Dovecot keeps a folder's UIDVALIDITY and the UIDs of its
// messages, in each Maildir: a line "3 V1700000000 N12 G…", then one for each
// message, "5 W1234 :1700000000.M1P2.host,S=1200".
const uidList = "dovecot-uidlist"

// InboxValidity returns the UIDVALIDITY under which the mailbox's own server
// shows its inbox; 0 where that is not known, as with a server that is not
// Dovecot, or one that has not looked at the inbox yet.
func (s *Store) InboxValidity(ctx context.Context, o owner.Owner) (uint32, error) {
	v, _, err := s.inbox(ctx, o, 0)
	return v, err
}

// InboxMessage reads the message that has this UID in the user's inbox under
// this UIDVALIDITY; false where there is none.
func (s *Store) InboxMessage(ctx context.Context, o owner.Owner, validity,
	uid uint32,
) (mail.Fingerprint, bool, error) {
	v, name, err := s.inbox(ctx, o, uid)
	if err != nil || v != validity || v == 0 || name == "" {
		return mail.Fingerprint{}, false, err
	}
	r, err := s.openRoot(o, toLook)
	if err != nil {
		return mail.Fingerprint{}, false, err
	}
	defer r.close()
	for _, sub := range []string{"cur", "new"} {
		fd, _, err := r.OpenDir(r.FD, sub)
		if disk.Missing(err) {
			continue
		}
		if err != nil {
			return mail.Fingerprint{}, false, disk.Trouble("reading the inbox", err)
		}
		file := ""
		err = r.Each(fd, func(n string) error {
			if n == name || strings.HasPrefix(n, name+":") {
				file = n
				return disk.ErrEnough
			}
			return ctx.Err()
		})
		r.Disk.Close(fd)
		if err != nil && !errors.Is(err, disk.ErrEnough) {
			return mail.Fingerprint{}, false, disk.Trouble("reading the inbox", err)
		}
		if file == "" {
			continue
		}
		f, err := r.fingerprint(ctx, mail.Found{Where: "./" + sub + "/" + file})
		if disk.Missing(err) {
			return mail.Fingerprint{}, false, nil
		}
		return f, err == nil, disk.Trouble("reading the inbox", err)
	}
	return mail.Fingerprint{}, false, nil
}

// inbox reads the list of UIDs: its UIDVALIDITY and, for a uid above 0, the
// message's name in it.
func (s *Store) inbox(ctx context.Context, o owner.Owner, uid uint32) (validity uint32, name string, err error) {
	const op = "reading the inbox"
	r, err := s.openRoot(o, toLook)
	if disk.Missing(err) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	defer r.close()
	fd, err := r.Open(r.FD, uidList, disk.OpenFile, 0)
	if disk.Missing(err) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", disk.Trouble(op, err)
	}
	defer r.Disk.Close(fd)
	lines := bufio.NewReader(r.Reader(fd))
	for first := true; ; first = false {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull), errors.Is(err, io.EOF) && !first:
			return validity, "", nil // No list of Dovecot's, or its end.
		case err != nil && !errors.Is(err, io.EOF):
			return 0, "", disk.Trouble(op, err)
		}
		if first {
			if validity = validityIn(line); validity == 0 || uid == 0 {
				return validity, "", nil
			}
			continue
		}
		number, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		if n, err := strconv.ParseUint(string(number), 10, 32); err != nil || uint32(n) != uid {
			if err := ctx.Err(); err != nil {
				return 0, "", err
			}
			continue
		}
		if i := bytes.IndexByte(rest, ':'); i >= 0 {
			rest = rest[i+1:]
		}
		return validity, string(rest), nil
	}
}

// validityIn reads the first line of a list of UIDs.
func validityIn(line []byte) uint32 {
	words := strings.Fields(string(line))
	if len(words) == 0 || words[0] != "3" {
		return 0
	}
	for _, w := range words[1:] {
		if v, ok := strings.CutPrefix(w, "V"); ok {
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				return 0
			}
			return uint32(n)
		}
	}
	return 0
}
