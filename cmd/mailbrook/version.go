package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases.
var version = "dev"

type versionCmd struct{}

func (versionCmd) Run(t terminal) error {
	fmt.Fprintf(t.out, "mailbrook %s (%s) %s\n", version, commit(), runtime.Version())
	return nil
}

// commit returns the commit that the binary was built from, as the Go tool
// noted it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown commit"
	}
	rev, dirty := "unknown commit", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = "commit " + s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = ", with changes"
			}
		}
	}
	return rev + dirty
}
