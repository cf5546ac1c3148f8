package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// workerID names this process in leases: its host and process, and a random
// part, so that a restart is another worker.
func workerID() string {
	return fmt.Sprintf("%s%d-%s", workerHost(), os.Getpid(), uuid.NewString()[:8])
}

func workerHost() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.ReplaceAll(host, "/", "_") + "-"
}

// gone reports whether a worker was a process of this host that has ended. Of
// others it cannot tell: their leases run out.
func gone(worker string) bool {
	rest, ours := strings.CutPrefix(worker, workerHost())
	number, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	if !ours || err != nil || pid <= 0 || pid == os.Getpid() {
		return false
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
