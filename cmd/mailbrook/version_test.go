package main

import (
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionKnowsItsCommit(t *testing.T) {
	vcs := func(revision, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified},
		}}
	}
	module := &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261129093000-0123456789ab"}}
	for _, tc := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"33024c5aaaaa", nil, "commit 33024c5aaaaa"},
		{"33024c5aaaaa, with changes", vcs("ffffffffffff", "false"), "commit 33024c5aaaaa, with changes"},
		{"", vcs("33024c5aaaaabbbb", "false"), "commit 33024c5aaaaa"},
		{"", vcs("33024c5aaaaabbbb", "true"), "commit 33024c5aaaaa, with changes"},
		{"", module, "commit 0123456789ab"},
		{"", &debug.BuildInfo{}, "unknown commit"},
		{"", nil, "unknown commit"},
	} {
		if got := commit(tc.linked, tc.info); got != tc.want {
			t.Errorf("%q, %+v: %q, want %q", tc.linked, tc.info, got, tc.want)
		}
	}
}

// What make build tells the linker: the commit, whether there are tags or not.
func TestMakeTellsTheCommit(t *testing.T) {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		head = nil // No clone: then there is nothing to tell.
	}
	said, err := exec.Command("make", "-n", "-C", "../..", "build").CombinedOutput()
	if err != nil {
		t.Fatalf("make -n build: %v: %s", err, said)
	}
	if !strings.Contains(string(said), "-X 'main.revision="+strings.TrimSpace(string(head))) {
		t.Errorf("make build runs %s", said)
	}
}
