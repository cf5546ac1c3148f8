package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Keywords in a Maildir are Dovecot's: a letter from a to z in the file's name, and, in each
// folder, a file that says which keyword a letter stands for, as "0 $Forwarded" for a.
//
// Dovecot changes that file only while it holds the lock of the folder's list of UIDs, by
// replacing it; it reads the file again when its date, in seconds, is another, and asks for
// that only where a letter's number is beyond those that it knows. A letter that stands for
// nothing becomes a keyword "unknown-0". Hence a name is added under that lock, behind all
// others, with a date that differs, and durably, before a message has its letter.
const (
	keywordsFile  = "dovecot-keywords"
	keywordsMax   = 64 << 10 // Octets.
	keywordLetter = 26       // How many letters there are.
	keywordsTemp  = "keywords"
	uidsFile      = "dovecot-uidlist"
	uidsLock      = "dovecot-uidlist.lock"
	// uidsStale is when Dovecot takes that lock for abandoned.
	uidsStale = 2 * time.Minute
	// uidsPatience is how long it is waited for: Dovecot holds it while it looks through
	// the folder. Then messages are delivered without their keywords.
	uidsPatience = 10 * time.Second
	// keywordsPause is how long a folder in which none could be added is left alone: its lock may
	// take a tenth of the time. One whose files are not ours to change is left alone for the visit.
	keywordsPause = 9 * uidsPatience
	forTheVisit   = 7 * 24 * time.Hour
	// uidsAhead is how far ahead of our clock the date of a lock may be and somebody still hold it.
	uidsAhead = 24 * time.Hour
)

// parseKeywords reads which keyword each letter stands for. Dovecot passes over what is no
// such line, too.
func parseKeywords(text string) (names []string) {
	for line := range strings.SplitSeq(text, "\n") {
		number, name, ok := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= keywordLetter || name == "" {
			continue
		}
		for len(names) <= n {
			names = append(names, "")
		}
		names[n] = name
	}
	return names
}

func letterOf(names []string, keyword string) (letter byte, ok bool) {
	for i, name := range names {
		if strings.EqualFold(name, keyword) {
			return 'a' + byte(i), true
		}
	}
	return 0, false
}

// wanting are the keywords that no letter stands for, as far as there are letters for them.
func wanting(names []string, k mail.Keywords) (add []string) {
	for _, word := range k.List() {
		if _, ok := letterOf(names, word); !ok && len(names)+len(add) < keywordLetter {
			add = append(add, word)
		}
	}
	return add
}

// letters returns the letters of a message's keywords in its folder, which it makes if need
// be. What has none is counted in p.dropped.
func (p *publication) letters(ctx context.Context, m mail.Placement) (string, error) {
	if m.Keywords == "" {
		return "", nil
	}
	names, known := p.keywords[m.Folder]
	if !known {
		var err error
		if names, err = p.d.readKeywords(m.Folder); err != nil {
			if err = p.d.withoutKeywords(ctx, m.Folder, err); err != nil {
				return "", err
			}
		}
	}
	if add := wanting(names, m.Keywords); len(add) > 0 && !time.Now().Before(p.d.noKeywords[m.Folder]) {
		after, err := p.d.addKeywords(ctx, m)
		switch {
		case err != nil:
			if err = p.d.withoutKeywords(ctx, m.Folder, err); err != nil {
				return "", err
			}
		case after == nil:
			p.d.noKeywords[m.Folder] = time.Now().Add(keywordsPause)
		default:
			names = after
		}
	}
	p.keywords[m.Folder] = names
	set, words := [keywordLetter]bool{}, m.Keywords.List()
	for _, word := range words {
		if letter, ok := letterOf(names, word); ok {
			set[letter-'a'] = true
		} else {
			p.dropped++
		}
	}
	var all []byte
	for i, is := range set {
		if is {
			all = append(all, 'a'+byte(i))
		}
	}
	return string(all), nil
}

// withoutKeywords has messages delivered into a folder without keywords that have no letter yet,
// where its files are not ours to read or to change; any other error it returns.
func (d *Delivery) withoutKeywords(ctx context.Context, folder string, err error) error {
	if !notOurs(err) {
		return err
	}
	d.noKeywords[folder] = time.Now().Add(forTheVisit)
	d.store.log.WarnContext(ctx, "keywords cannot be added in a folder", "mailbox", d.root.Path, "folder", folder,
		"error", err)
	return nil
}

// notOurs reports whether an error says that a file belongs to somebody else, or is something
// else, and not that the disk failed or is full.
func notOurs(err error) bool {
	for _, failed := range []error{unix.EIO, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, failed) {
			return false
		}
	}
	for _, refused := range []error{
		unix.EACCES, unix.EPERM, unix.EROFS, unix.EISDIR, unix.ENOTDIR, unix.ENOTEMPTY, unix.ELOOP, unix.EXDEV,
		unix.EMLINK, unix.ETXTBSY, disk.ErrNotPlain,
	} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// readKeywords reads a folder's file; without one there are no names.
func (d *Delivery) readKeywords(folder string) ([]string, error) {
	r := d.root
	dir, _, err := r.OpenDir(r.FD, dirName(folder))
	if disk.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Disk.Close(dir)
	text, err := r.ReadSmall(dir, keywordsFile, keywordsMax)
	if disk.Missing(err) || errors.Is(err, disk.ErrNotPlain) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	return parseKeywords(string(text)), err
}

// addKeywords has letters stand for a message's keywords and returns all names of its
// folder; nil where that cannot be: another server than Dovecot shows the mailbox, or one
// that keeps such files elsewhere, or it is busy.
func (d *Delivery) addKeywords(ctx context.Context, m mail.Placement) ([]string, error) {
	if kept, err := d.keepsKeywords(); err != nil || !kept {
		return nil, err
	}
	if err := d.ensure(ctx, []string{m.Folder}); err != nil {
		return nil, err
	}
	r := d.root
	dir, _, err := r.OpenDir(r.FD, dirName(m.Folder))
	if disk.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Disk.Close(dir)
	d.store.step("keywords.lock")
	temp := d.Temp(keywordsTemp)
	locked, err := d.lockUIDs(ctx, dir, temp)
	if err != nil || !locked {
		return nil, err
	}
	names, err := d.replaceKeywords(dir, m.Keywords)
	// The lock goes first: as long as the other is there, the next visit knows whose it is.
	for _, left := range []struct {
		dir  int
		name string
	}{{dir, uidsLock}, {d.Spool.FD, temp}} {
		if rm := r.Unlink(left.dir, left.name); rm != nil && !disk.Missing(rm) {
			err = errors.Join(err, rm)
		}
	}
	return names, err
}

// keepsKeywords reports whether files of Dovecot's belong into the mailbox: they are there,
// or nobody has read the mailbox yet.
func (d *Delivery) keepsKeywords() (bool, error) {
	r := d.root
	for _, name := range []string{uidsFile, keywordsFile} {
		if _, err := r.Lstat(r.FD, name); !disk.Missing(err) {
			return err == nil, err
		}
	}
	cur, _, err := r.OpenDir(r.FD, "cur")
	if err != nil {
		return false, err
	}
	defer r.Disk.Close(cur)
	err = r.Each(cur, func(string) error { return disk.ErrEnough })
	if errors.Is(err, disk.ErrEnough) {
		return false, nil
	}
	return err == nil, err
}

// lockUIDs takes the lock of a folder's list of UIDs by linking temp there, which says in
// Dovecot's way who has it. It reports false when another has it for too long.
func (d *Delivery) lockUIDs(ctx context.Context, dir int, temp string) (bool, error) {
	r := d.root
	if err := r.WriteNew(d.Spool.FD, temp, fmt.Appendf(nil, "%d:%s", os.Getpid(), d.store.host), false); err != nil {
		return false, err
	}
	deadline := time.Now().Add(uidsPatience)
	for {
		err := r.Link(d.Spool.FD, temp, dir, uidsLock)
		if err == nil {
			return true, nil
		}
		if !disk.Exists(err) {
			return false, errors.Join(err, r.Unlink(d.Spool.FD, temp))
		}
		stale, err := d.staleUIDsLock(dir, temp)
		if err == nil && stale {
			if err = r.Unlink(dir, uidsLock); err == nil || disk.Missing(err) {
				continue
			}
		}
		if err != nil || time.Now().After(deadline) {
			return false, errors.Join(err, r.Unlink(d.Spool.FD, temp))
		}
		pause := time.NewTimer(lockPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return false, errors.Join(ctx.Err(), r.Unlink(d.Spool.FD, temp))
		}
	}
}

// staleUIDsLock reports whether whoever took the lock is gone: it is old, or an earlier lease
// of this journal has left it.
func (d *Delivery) staleUIDsLock(dir int, temp string) (bool, error) {
	r := d.root
	lock, err := r.Lstat(dir, uidsLock)
	if disk.Missing(err) {
		return false, nil
	}
	if age := time.Since(lock.Modified); err != nil || age > uidsStale || age < -uidsAhead {
		return err == nil, err
	}
	err = r.Each(d.Spool.FD, func(name string) error {
		if !strings.HasPrefix(name, keywordsTemp+".e") || name == temp {
			return nil
		}
		if st, err := r.Lstat(d.Spool.FD, name); err == nil && st.Is(lock) {
			return disk.ErrEnough
		}
		return nil
	})
	if errors.Is(err, disk.ErrEnough) {
		return true, nil
	}
	return false, err
}

// replaceKeywords adds names to a folder's file, whose lock is held, and returns all.
func (d *Delivery) replaceKeywords(dir int, k mail.Keywords) ([]string, error) {
	r := d.root
	before, err := r.Lstat(dir, keywordsFile)
	if err != nil && !disk.Missing(err) {
		return nil, err
	}
	var names []string
	if err == nil {
		if !before.IsRegular() {
			return nil, nil
		}
		text, err := r.ReadSmall(dir, keywordsFile, keywordsMax)
		if errors.Is(err, disk.ErrNotPlain) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		names = parseKeywords(string(text))
	}
	add := wanting(names, k)
	if len(add) == 0 {
		return names, nil
	}
	names = append(names, add...)
	var text []byte
	for i, name := range names {
		if name != "" {
			text = fmt.Appendf(text, "%d %s\n", i, name)
		}
	}
	temp := d.Temp(keywordsTemp)
	if err := r.WriteNew(d.Spool.FD, temp, text, true); err != nil {
		return nil, err
	}
	// Dovecot looks at seconds, and the date has to grow.
	at := time.Now()
	if at.Unix() <= before.Modified.Unix() {
		at = before.Modified.Add(time.Second)
	}
	d.store.step("keywords.replace")
	err = r.SetTime(d.Spool.FD, temp, at)
	if err == nil {
		err = r.Replace(d.Spool.FD, temp, dir, keywordsFile)
	}
	if err != nil {
		return nil, errors.Join(err, r.Unlink(d.Spool.FD, temp))
	}
	return names, r.Sync(dir)
}

// DroppedKeywords is how many keywords of messages were not kept so far: where files of
// Dovecot's do not belong, where more than 26 are in a folder, and where its lock was held
// for too long.
func (s *Store) DroppedKeywords() int64 { return s.droppedKeywords.Load() }
