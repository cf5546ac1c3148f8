package maildir

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/check"
	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/spool"
)

// tokenInName finds the token in a file's name. Mail programs change what
// follows a colon, and nothing before it.
var tokenInName = regexp.MustCompile(`^([0-9]+)\.(F[a-z2-7]{26})[.,:]`)

// virtualInName finds the size with line ends as CRLF.
var virtualInName = regexp.MustCompile(`,W=([0-9]{1,18})(?:[,:]|$)`)

// found reads what a file's name tells. The token is "" for one that was not
// delivered by us.
func found(folder, sub, name string) (mail.Found, mail.Token) {
	f := mail.Found{Where: folder + "/" + sub + "/" + name, Received: -1, VirtualSize: -1}
	m := tokenInName.FindStringSubmatch(name)
	if m == nil {
		return f, ""
	}
	if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
		f.Received = n
	}
	if m := virtualInName.FindStringSubmatch(name); m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			f.VirtualSize = n
		}
	}
	return f, mail.Token(m[2])
}

// maxLooks bounds how often a mailbox is looked through because somebody moves
// messages in it meanwhile.
const maxLooks = 3

// Tokens looks through the whole mailbox for messages that have tokens. New
// mail is looked for before read mail, as it becomes that; and while messages
// are moved between folders it is looked through again, and what was seen once
// is there.
func (d *Delivery) Tokens(ctx context.Context, each func(t mail.Token, f mail.Found)) error {
	for range maxLooks {
		began := time.Now().Add(-2 * time.Second) // A disk's clock ticks slowly.
		err := d.root.eachMessage(ctx, func(folder, sub, name string, _ int) error {
			if f, t := found(folder, sub, name); t != "" {
				each(t, f)
			}
			return nil
		})
		if err != nil {
			return disk.Trouble("looking through the mailbox", err)
		}
		changed, err := d.root.changedSince(ctx, began)
		if err != nil {
			return disk.Trouble("looking through the mailbox", err)
		}
		if !changed {
			break
		}
	}
	return nil
}

// eachMessage calls f for every file in new and cur of every folder; dir is
// open while f runs.
func (r *root) eachMessage(ctx context.Context, f func(folder, sub, name string, dir int) error) error {
	return r.folders(ctx, func(folder string) error {
		dir, _, err := r.OpenDir(r.FD, folder)
		if disk.Missing(err) {
			return nil // Removed meanwhile.
		}
		if err != nil {
			return err
		}
		defer r.Disk.Close(dir)
		for _, sub := range []string{"new", "cur"} {
			fd, _, err := r.OpenDir(dir, sub)
			if disk.Missing(err) {
				continue
			}
			if err != nil {
				return err
			}
			err = r.Each(fd, func(name string) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return f(folder, sub, name, fd)
			})
			r.Disk.Close(fd)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Fingerprint reads a message that Tokens found and returns what it was as it
// was sent, its line ends being CRLF then.
func (d *Delivery) Fingerprint(ctx context.Context, f mail.Found) (mail.Fingerprint, error) {
	sum, err := d.root.fingerprint(ctx, f)
	return sum, disk.Trouble("reading a message", err)
}

// Fingerprint reads a message of a user's mailbox: see Delivery.Fingerprint.
func (s *Store) Fingerprint(ctx context.Context, o owner.Owner, f mail.Found) (mail.Fingerprint, error) {
	r, err := s.openRoot(o, toLook)
	if err != nil {
		return mail.Fingerprint{}, err
	}
	defer r.close()
	sum, err := r.fingerprint(ctx, f)
	return sum, disk.Trouble("reading a message", err)
}

func (r *root) fingerprint(ctx context.Context, f mail.Found) (mail.Fingerprint, error) {
	folder, rest, _ := strings.Cut(f.Where, "/")
	inner, name, _ := strings.Cut(rest, "/")
	dir, _, err := r.OpenDir(r.FD, folder)
	if err != nil {
		return mail.Fingerprint{}, err
	}
	defer r.Disk.Close(dir)
	sub, _, err := r.OpenDir(dir, inner)
	if err != nil {
		return mail.Fingerprint{}, err
	}
	defer r.Disk.Close(sub)
	fd, err := r.Open(sub, name, disk.OpenFile, 0)
	if err != nil {
		return mail.Fingerprint{}, err
	}
	defer r.Disk.Close(fd)
	if st, err := r.Fstat(fd); err != nil || !st.IsRegular() {
		return mail.Fingerprint{}, errors.Join(err, disk.ErrNotPlain)
	}
	return spool.Fingerprint(ctx, &r.Root, fd)
}

// Inspect returns all that lies in a user's mailbox, for comparing it with the
// journals. It changes nothing and holds up nobody; one that is not there,
// or that is no Maildir, is empty.
func (s *Store) Inspect(ctx context.Context, o owner.Owner) (check.Inventory, error) {
	inv := check.Inventory{Spools: map[string]map[string]int64{}, Notes: map[string]int64{}}
	r, err := s.openRoot(o, toMeasure)
	if disk.Missing(err) {
		inv.Missing = true
		return inv, nil
	}
	if err != nil {
		return inv, err
	}
	defer r.close()
	for _, look := range []func(context.Context, *check.Inventory) error{
		r.listFolders, r.listFiles, r.listSpools, r.listQuota,
	} {
		if err := look(ctx, &inv); err != nil {
			return inv, disk.Trouble("inspecting the mailbox", err)
		}
	}
	return inv, nil
}

func (r *root) listFolders(ctx context.Context, inv *check.Inventory) error {
	text, err := r.ReadSmall(r.FD, subscriptionsFile, subscriptionsMax)
	if err != nil && !disk.Missing(err) {
		return err
	}
	tabs := bytes.HasPrefix(text, []byte(versionTwo))
	lines := strings.Split(string(text), "\n")
	return r.folders(ctx, func(dir string) error {
		line := strings.TrimPrefix(dir, ".")
		if tabs {
			line = strings.ReplaceAll(line, ".", "\t")
		}
		inv.Folders = append(inv.Folders, check.LocalFolder{Dir: dir, Subscribed: dir == "." || slices.Contains(lines, line)})
		return nil
	})
}

func (r *root) listFiles(ctx context.Context, inv *check.Inventory) error {
	return r.eachMessage(ctx, func(folder, sub, name string, dir int) error {
		st, err := r.Lstat(dir, name)
		if disk.Missing(err) {
			return nil // Renamed or removed at this moment.
		}
		if err != nil {
			return err
		}
		f, t := found(folder, sub, name)
		named, ok := sizeInName(name)
		if !ok {
			named = -1
		}
		inv.Files = append(inv.Files, check.LocalFile{
			Found: f, Token: t, Named: named, Size: st.Size, Modified: st.Modified, Inode: st.Ino,
			Links: st.Links,
		})
		inv.Measured.Messages++
		if ok {
			inv.Measured.Bytes += named
		} else {
			inv.Measured.Bytes += st.Size
		}
		return nil
	})
}

func (r *root) listSpools(ctx context.Context, inv *check.Inventory) error {
	base, _, err := r.OpenDir(r.FD, spool.Dir)
	if disk.Missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Disk.Close(base)
	return r.Each(base, func(journal string) error {
		if !spool.IsJournal(journal) || strings.HasPrefix(journal, removedDir) {
			return nil
		}
		fd, _, err := r.OpenDir(base, journal)
		if disk.Missing(err) || errors.Is(err, unix.ENOTDIR) {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Disk.Close(fd)
		n, name, err := spool.ReadNote(ctx, &r.Root, fd)
		if err != nil {
			return err
		}
		if name != "" {
			inv.Notes[journal] = n
		}
		files := map[string]int64{}
		inv.Spools[journal] = files
		return r.Each(fd, func(name string) error {
			st, err := r.Lstat(fd, name)
			if disk.Missing(err) || spool.IsNote(name) {
				return nil
			}
			files[name] = st.Size
			return err
		})
	})
}

func (r *root) listQuota(_ context.Context, inv *check.Inventory) error {
	f, err := r.readQuotaFile()
	if err == nil && f.ok() {
		inv.Quota = &check.Usage{Bytes: f.bytes, Messages: f.messages}
	}
	if disk.Missing(err) {
		err = nil
	}
	return err
}

// DirName returns the directory of a local folder, as an inventory names it.
func DirName(folder string) string { return dirName(folder) }
