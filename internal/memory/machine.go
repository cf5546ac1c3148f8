package memory

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unknownMachine is what is assumed where nothing says how much memory
// there is: the budget is then small, not absent.
const unknownMachine = 1 << 30

// Machine returns how many octets of memory this process may use: the lowest
// limit of its control groups (version 2 or 1) and of the machine.
func Machine() int64 { return machine("/") }

// machine is Machine with the file system at root.
func machine(root string) int64 {
	least := int64(math.MaxInt64)
	consider := func(n int64, ok bool) {
		if ok && n > 0 {
			least = min(least, n)
		}
	}
	consider(total(filepath.Join(root, "proc/meminfo")))
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		groups = nil
	}
	for line := range strings.Lines(string(groups)) {
		// "0::/a/b" of version 2, "4:memory:/a/b" of version 1 (cgroups(7)).
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var base, file string
		switch {
		case parts[0] == "0" && parts[1] == "":
			base, file = filepath.Join(root, "sys/fs/cgroup"), "memory.max"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			base, file = filepath.Join(root, "sys/fs/cgroup/memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		// A group is bound by those above it, too. Inside a container its own
		// path may not be there; the mount is the group then.
		for dir := filepath.Join("/", parts[2]); ; dir = filepath.Dir(dir) {
			consider(limit(filepath.Join(base, dir, file)))
			if dir == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return unknownMachine
	}
	return least
}

// limit reads one limit of a control group. "max" is none, as is a number that
// stands for it.
func limit(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil
}

// total reads MemTotal, which is in KiB (proc_meminfo(5)).
func total(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			n, err := strconv.ParseInt(fields[1], 10, 53)
			return n << 10, err == nil
		}
	}
	return 0, false
}
