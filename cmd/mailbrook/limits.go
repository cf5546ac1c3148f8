package main

import (
	"context"
	"log/slog"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// What descriptors are counted for: a visit holds a connection, a few directories
// and up to 32 files on their way to the disk (maildir.Delivery); a caller its
// connection, and as much for what its request opens; the rest is the database.
const (
	perVisit      = 40
	perCaller     = 2
	leastCallers  = 8
	mostCallers   = 10_000
	callersOf     = 16 // One caller of so many descriptors.
	forChecks     = 8  // Callers of listen_ops, which others cannot keep away.
	forEverything = 64
)

// descriptors is how the files that may be open are shared.
type descriptors struct {
	visits  int // At a time.
	callers int // Connections to listen.
	spare   int // What may be held open beyond, -1 for none.
}

// shareFiles shares a limit of open files, of which one visit at least and a few
// callers have a part, however low it is.
func shareFiles(limit uint64, wanted int) descriptors {
	files := int64(min(limit, math.MaxInt64))
	d := descriptors{visits: wanted, callers: int(min(max(files/callersOf, leastCallers), mostCallers))}
	left := files - forEverything - forChecks - perCaller*int64(d.callers)
	if left < perVisit*int64(wanted) {
		d.visits = min(wanted, max(1, int(left/perVisit)))
	}
	d.spare = int(min(left-perVisit*int64(d.visits), math.MaxInt32))
	if d.spare <= 0 {
		d.spare = -1
	}
	return d
}

// filesFor is a limit of open files that has room for so many visits.
func filesFor(visits int) int {
	fixed := forEverything + forChecks + perVisit*visits
	return min(fixed*callersOf/(callersOf-perCaller)+1, fixed+perCaller*mostCallers)
}

// boundWorkers returns how many visits at a time the limit of open files allows,
// which is raised as far as may be first.
func boundWorkers(ctx context.Context, wanted int, log *slog.Logger) int {
	files := openFiles()
	workers := shareFiles(files, wanted).visits
	if workers < wanted {
		log.WarnContext(ctx, "fewer visits at a time than poll.workers says: too few files may be open (ulimit -n, "+
			"LimitNOFILE)",
			"workers", workers, "wanted", wanted, "open_files", files, "needed", filesFor(wanted))
	}
	return workers
}

// openFiles returns how many files may be open, having raised the limit as far as
// it may be.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64
	}
	if raised := (unix.Rlimit{Cur: limit.Max, Max: limit.Max}); limit.Cur < limit.Max &&
		unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
		return raised.Cur
	}
	return limit.Cur
}

// warnOfRoot says loudly that the process may do more than it needs.
func warnOfRoot(ctx context.Context, log *slog.Logger) {
	if os.Geteuid() == 0 {
		log.WarnContext(ctx, "running as root: whatever goes wrong in this process may do anything on this machine; "+
			"run it as a user of its own that can write the mailboxes")
	}
}

// warnOfOwner says when root works in a data directory of somebody else: what it
// makes there the service cannot open.
func warnOfOwner(ctx context.Context, cfg config, log *slog.Logger) {
	if uid, ok := ownerOfFile(cfg.DataDir); ok && uid != 0 && os.Geteuid() == 0 {
		log.WarnContext(ctx, "running as root in a data_dir that belongs to another user, who may not be able to open what "+
			"is made now: run it as that user", "data_dir", cfg.DataDir, "uid", uid)
	}
}

// owner returns whose a file is.
func ownerOfFile(path string) (uid uint32, ok bool) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Uid, err == nil
}
