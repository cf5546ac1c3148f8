package main

import (
	"context"
	"log/slog"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// What descriptors are counted for: a visit holds a connection, a few directories
// and up to 32 files on their way to the disk (mailbox.Delivery); the rest is the
// database, requests and streams.
const (
	perVisit      = 40
	forEverything = 64
)

// boundWorkers returns how many visits at a time the limit of open files allows,
// which is raised as far as may be first.
func boundWorkers(ctx context.Context, wanted int, log *slog.Logger) int {
	files := openFiles()
	workers := workersFor(files, wanted)
	if workers < wanted {
		log.WarnContext(ctx, "fewer visits at a time than poll.workers says: too few files may be open (ulimit -n, "+
			"LimitNOFILE)",
			"workers", workers, "wanted", wanted, "open_files", files, "needed", forEverything+perVisit*wanted)
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

// spareFiles returns how many files may be held open beyond what the visits are
// counted for, -1 for none.
func spareFiles(wanted int) int {
	files := openFiles()
	spare := int64(min(files, math.MaxInt64)) - int64(forEverything+perVisit*workersFor(files, wanted))
	if spare <= 0 {
		return -1
	}
	return int(min(spare, math.MaxInt32))
}

// workersFor is how many visits fit into a limit of open files, one at least.
func workersFor(files uint64, wanted int) int {
	if files >= uint64(forEverything+perVisit*wanted) {
		return wanted
	}
	return min(wanted, max(1, (int(files)-forEverything)/perVisit))
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
	if uid, ok := owner(cfg.DataDir); ok && uid != 0 && os.Geteuid() == 0 {
		log.WarnContext(ctx, "running as root in a data_dir that belongs to another user, who may not be able to open what "+
			"is made now: run it as that user", "data_dir", cfg.DataDir, "uid", uid)
	}
}

// owner returns whose a file is.
func owner(path string) (uid uint32, ok bool) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Uid, err == nil
}
