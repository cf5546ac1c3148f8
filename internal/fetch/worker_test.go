package fetch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// workerBinary is what workers run: this test's binary. Under the race detector
// it is built once more without it, since the detector watches one process and
// makes the start of each several times as slow; what workers do at the same
// time is watched in the tests that run in this process.
var workerBinary = sync.OnceValues(func() (string, error) {
	if !underRace {
		return os.Args[0], nil
	}
	path := filepath.Join(workerDir, "worker")
	if out, err := exec.Command("go", "test", "-c", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the worker: %w: %s", err, out)
	}
	return path, nil
})

// workerDir is removed when the tests have ended.
var workerDir string

// withWorkerDir runs the tests with a place for the worker's binary.
func withWorkerDir(run func() int) int {
	dir, err := os.MkdirTemp("", "mailbrook-worker-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	workerDir = dir
	return run()
}
