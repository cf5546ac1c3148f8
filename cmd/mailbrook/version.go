package main

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
)

// version and revision are set by the linker for what "make build" builds.
var (
	version  = "dev"
	revision = ""
)

type versionCmd struct{}

func (versionCmd) Run(t terminal) error {
	info, _ := debug.ReadBuildInfo()
	fmt.Fprintf(t.out, "mailbrook %s (%s) %s\n", version, commit(revision, info), runtime.Version())
	return nil
}

// pseudoVersion is what the Go tool calls a module at a commit without a tag.
var pseudoVersion = regexp.MustCompile(`-[0-9]{14}-([0-9a-f]{12})(\+dirty)?$`)

// commit returns the commit that the binary was built from: as the linker was
// told, else as the Go tool noted it, else as the module's version has it.
func commit(linked string, info *debug.BuildInfo) string {
	noted, changes := "", ""
	if info != nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				noted = s.Value[:min(12, len(s.Value))]
			case "vcs.modified":
				if s.Value == "true" {
					changes = ", with changes"
				}
			}
		}
		if m := pseudoVersion.FindStringSubmatch(info.Main.Version); m != nil {
			noted = cmp.Or(noted, m[1])
		}
	}
	switch {
	case linked != "":
		return "commit " + linked
	case noted != "":
		return "commit " + noted + changes
	}
	return "unknown commit"
}
