package maildir

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/spool"
	"github.com/mailbrook/mailbrook/internal/words"
)

// fileName is the name under which a message is delivered. It is the same each
// time, so that the same message cannot lie twice in one directory. letters are those of
// its keywords.
func (s *Store) fileName(p mail.Placement, letters string) (sub, name string) {
	name = fmt.Sprintf("%d.%s.%s,S=%d,W=%d", max(0, p.Received.Unix()), p.Token, s.host, p.FileSize, p.VirtualSize)
	if p.Flags == 0 && letters == "" {
		return "new", name
	}
	name += ":2,"
	for _, f := range []struct {
		flag   mail.Flags
		letter string
	}{{mail.Draft, "D"}, {mail.Flagged, "F"}, {mail.Answered, "R"}, {mail.Seen, "S"}} {
		if p.Flags&f.flag != 0 {
			name += f.letter
		}
	}
	return "cur", name + letters
}

// publication is one call of Publish.
type publication struct {
	d       *Delivery
	targets map[string]*target // Open directories, by folder and sub-directory.
	opened  []*target          // With those that were removed meanwhile.
	arrived []arrival
	linked  []string // Spool files that were linked, not moved.
	names   []string // Spool files that are settled.
	moved   usage
	gone    bool // Whether some were delivered before.

	keywords map[string][]string // By folder: which keywords its letters stand for.
	dropped  int                 // Keywords that no letter stands for.
}

// target is an open directory of a folder, as it was found.
type target struct {
	fd           int
	folder, sub  string // The names of both directories.
	dirSt, subSt disk.Stat
}

// arrival is a message that was put where its folder is.
type arrival struct {
	mail.Placement
	in   *target
	name string
}

// Publish delivers: one atomic rename each, then the directories are made
// durable. A spool file that is gone was delivered before. Folders are made and
// subscribed as needed. Nothing is delivered when the mailbox is not the one that
// is at its place: see Present. What came into a folder that was taken out of the
// mailbox at that moment is taken back into the spool.
//
// What it returns is durable in the mailbox: all, or none after an error, when more
// may have been delivered. Calling it again with the same placements does the rest.
func (d *Delivery) Publish(ctx context.Context, ps []mail.Placement) (done []mail.Token, err error) {
	const op = "delivering messages"
	for _, p := range ps {
		if err := checkPlacement(op, p); err != nil {
			return nil, err
		}
	}
	if err := d.Present(ctx); err != nil {
		return nil, err
	}
	p := &publication{
		d: d, targets: map[string]*target{}, keywords: map[string][]string{},
	}
	if err := d.tracker.moves.Acquire(ctx, 1); err != nil {
		return nil, disk.Trouble(op, err)
	}
	err = p.run(ctx, ps)
	if p.dropped > 0 && err == nil {
		d.store.droppedKeywords.Add(int64(p.dropped))
		d.store.log.InfoContext(ctx, "keywords were dropped: no letter stands for them in their folders",
			"mailbox", d.root.Path, "keywords", p.dropped)
	}
	counted := err == nil && d.settle(p.moved, p.names, p.gone)
	d.tracker.moves.Release(1)
	if err != nil {
		return nil, disk.Trouble(op, err) // What was moved is found gone next time, and then counted.
	}
	if !counted && d.keepsQuota() {
		if err := d.remeasure(ctx); err != nil {
			d.store.log.Warn("the mailbox was not measured", "mailbox", d.root.Path, "error", err)
		}
	}
	for _, m := range ps {
		done = append(done, m.Token)
	}
	return done, nil
}

// checkPlacement refuses a placement that cannot be one of a staged message.
func checkPlacement(op string, p mail.Placement) error {
	if !spool.IsStaged(p) || p.Flags >= mail.Seen<<1 {
		return disk.Internal(op, words.Say("the placement is not one of a staged message"))
	}
	return checkLocal(p.Folder)
}

func (p *publication) run(ctx context.Context, ps []mail.Placement) error {
	defer func() {
		for _, t := range p.opened {
			p.d.root.Disk.Close(t.fd)
		}
	}()
	for _, m := range ps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.move(ctx, m); err != nil {
			return err
		}
	}
	if err := p.syncTargets(); err != nil {
		return err
	}
	p.d.store.step("publish.synced")
	if err := p.retrieve(ctx); err != nil {
		return err
	}
	for _, name := range p.linked {
		if err := p.d.root.Unlink(p.d.Spool.FD, name); err != nil && !disk.Missing(err) {
			return err
		}
	}
	return nil
}

// move delivers one message.
func (p *publication) move(ctx context.Context, m mail.Placement) error {
	letters := ""
	if m.Keywords != "" {
		_, err := p.d.root.Lstat(p.d.Spool.FD, m.Spool)
		if err == nil { // Else it was delivered, whatever its folder is like now.
			letters, err = p.letters(ctx, m)
		}
		if err != nil && !disk.Missing(err) {
			return err
		}
	}
	sub, name := p.d.store.fileName(m, letters)
	for try := 0; ; try++ {
		t, err := p.target(m.Folder, sub)
		if err == nil {
			p.d.store.step("publish.rename")
			err = p.rename(arrival{m, t, name})
		}
		if !disk.Missing(err) {
			return err
		}
		// Either the message or its folder is not there.
		if _, err := p.d.root.Lstat(p.d.Spool.FD, m.Spool); disk.Missing(err) {
			p.gone = true
			p.names = append(p.names, m.Spool)
			return nil
		} else if err != nil {
			return err
		}
		if try == 3 {
			return unix.ENOENT // Somebody removes the folder as fast as we make it.
		}
		p.forgetTarget(m.Folder, sub)
		if err := p.d.ensure(ctx, []string{m.Folder}); err != nil {
			return err
		}
	}
}

func (p *publication) rename(m arrival) error {
	r, own := p.d.root, m.name
	err := p.put(m)
	for n := 1; disk.Exists(err); n++ {
		same, unread := r.SameContent(p.d.Spool.FD, m.Spool, m.in.fd, m.name)
		if disk.Missing(unread) {
			break // Taken away just now: as far as can be told it was this one.
		}
		if unread != nil {
			return unread
		}
		if same {
			break
		}
		p.d.store.log.Warn("another message has the name of this one, which is put beside it", "mailbox", r.Path,
			"name", m.name)
		m.name = beside(own, n)
		err = p.put(m)
	}
	switch {
	case disk.Exists(err):
		// Delivered before, and the database went back in time: theirs stays.
		p.gone = true
		if err = r.Unlink(p.d.Spool.FD, m.Spool); disk.Missing(err) {
			err = nil
		}
	case err == nil:
		p.moved = p.moved.plus(usage{m.FileSize, 1})
		p.arrived = append(p.arrived, m)
	}
	if err == nil {
		p.names = append(p.names, m.Spool)
	}
	return err
}

// beside is the n-th other name for a message whose own is taken: the second of its
// arrival is a later one. Its token is the same, so check reports both.
func beside(name string, n int) string {
	second, rest, _ := strings.Cut(name, ".")
	at, _ := strconv.ParseInt(second, 10, 64) // It is a number: see fileName.
	return fmt.Sprintf("%d.%s", at+int64(n), rest)
}

// put moves a message to its name, or links it there where a move would replace.
func (p *publication) put(m arrival) error {
	r, fd := p.d.root, m.in.fd
	err := r.Move(p.d.Spool.FD, m.Spool, fd, m.name)
	if disk.Unsupported(err) {
		if err = r.Link(p.d.Spool.FD, m.Spool, fd, m.name); err == nil {
			p.linked = append(p.linked, m.Spool)
		}
	}
	return err
}

// target opens new or cur of a folder, checked to be what it should be.
func (p *publication) target(folder, sub string) (*target, error) {
	key := folder + "/" + sub
	if t, ok := p.targets[key]; ok {
		return t, nil
	}
	t, err := p.d.root.openTarget(dirName(folder), sub)
	if err != nil {
		return nil, err
	}
	p.targets[key] = t
	p.opened = append(p.opened, t)
	return t, nil
}

func (r *root) openTarget(folder, sub string) (*target, error) {
	dir, st, err := r.OpenDir(r.FD, folder)
	if err != nil {
		return nil, err
	}
	defer r.Disk.Close(dir)
	t := &target{folder: folder, sub: sub, dirSt: st}
	if t.fd, t.subSt, err = r.OpenDir(dir, sub); err != nil {
		return nil, err
	}
	return t, nil
}

func (p *publication) forgetTarget(folder, sub string) { delete(p.targets, folder+"/"+sub) }

// syncers is how many directories are made durable at a time.
const syncers = 32

// syncTargets makes the directories durable, several at a time.
func (p *publication) syncTargets() error {
	var wait sync.WaitGroup
	turn := make(chan struct{}, syncers)
	errs := make(chan error, len(p.targets))
	for _, t := range p.targets {
		turn <- struct{}{}
		wait.Go(func() {
			errs <- p.d.root.Sync(t.fd)
			<-turn
		})
	}
	wait.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

// EnsureFolders makes and subscribes folders that hold nothing yet.
func (d *Delivery) EnsureFolders(ctx context.Context, folders []string) error {
	for _, f := range folders {
		if err := checkLocal(f); err != nil {
			return err
		}
	}
	return disk.Trouble("making folders", d.ensure(ctx, folders))
}

// ensure makes what is missing of the folders and their parents. Subscriptions
// come first: after a crash in between, the next delivery finds the folder
// missing and completes it.
func (d *Delivery) ensure(ctx context.Context, folders []string) error {
	d.tracker.folders.Lock()
	defer d.tracker.folders.Unlock()
	r := d.root
	var absent []string
	seen := map[string]bool{}
	for _, folder := range folders {
		for _, f := range withParents(folder) {
			if seen[f] {
				continue
			}
			seen[f] = true
			st, err := r.Lstat(r.FD, dirName(f))
			switch {
			case disk.Missing(err):
				absent = append(absent, f)
			case err != nil:
				return err
			case !st.IsDir():
				return unix.ENOTDIR
			default:
				if err := r.complete(dirName(f)); err != nil {
					return err
				}
			}
		}
	}
	if len(absent) == 0 {
		return nil
	}
	if err := d.subscribe(ctx, absent); err != nil {
		return err
	}
	for _, f := range absent {
		if err := d.makeFolder(dirName(f), subdirs); err != nil {
			return err
		}
	}
	return r.Sync(r.FD)
}

// complete makes what a folder lacks that somebody else made, or emptied.
func (r *root) complete(dir string) error {
	fd, _, err := r.OpenDir(r.FD, dir)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	made, err := r.makeDirs(fd, subdirs)
	if made {
		err = errors.Join(err, r.Sync(fd))
	}
	return err
}

// makeFolder builds a folder with these directories in the spool and moves it to its
// place whole.
func (d *Delivery) makeFolder(dir string, subs []string) error {
	r := d.root
	temp := d.Temp("folder")
	if err := r.Mkdir(d.Spool.FD, temp, r.dirPerm(temp)); err != nil {
		return err
	}
	err := d.furnish(temp, subs)
	if err == nil {
		d.store.step("folder.make")
		err = r.Move(d.Spool.FD, temp, r.FD, dir)
		if disk.Unsupported(err) {
			err = r.Replace(d.Spool.FD, temp, r.FD, dir) // Fails on a folder that has anything in it.
			if errors.Is(err, unix.ENOTEMPTY) {
				err = unix.EEXIST
			}
		}
	}
	if err == nil {
		d.store.step("folder.made")
		return nil
	}
	if rm := r.RemoveTree(d.Spool.FD, temp); rm != nil && !disk.Missing(rm) {
		err = errors.Join(err, rm)
	}
	if disk.Exists(err) {
		if len(subs) == 0 {
			return nil
		}
		return r.complete(dir) // Somebody else made it just now.
	}
	return err
}

// furnish makes what belongs into a Maildir++ folder.
func (d *Delivery) furnish(temp string, subs []string) error {
	r := d.root
	fd, _, err := r.OpenDir(d.Spool.FD, temp)
	if err != nil {
		return err
	}
	defer r.Disk.Close(fd)
	if err := r.Adopt(fd); err != nil {
		return err
	}
	if _, err := r.makeDirs(fd, subs); err != nil {
		return err
	}
	if err := r.WriteNew(fd, "maildirfolder", nil, false); err != nil {
		return err
	}
	return r.Sync(fd)
}
