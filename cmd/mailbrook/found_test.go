package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The command line, then MAILBROOK_CONFIG, then the first standard file that
// there is.
func TestTheConfigurationFileIsLookedForInOrder(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"flag", "variable", "here", "etc"} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, flag, variable string
		standard             []string
		want, says           string
	}{
		{"named by hand", "flag", "variable", []string{"here", "etc"}, "flag", ""},
		{"named by the variable", "", "variable", []string{"here", "etc"}, "variable", ""},
		{"in the working directory", "", "", []string{"here", "etc"}, "here", ""},
		{"in /etc", "", "", []string{"missing", "etc"}, "etc", ""},
		{"nowhere", "", "", []string{"missing", "missing too"}, "", ""},
		{"named by hand and missing", "missing", "variable", []string{"here"}, "", "--config"},
		{"named by the variable and missing", "", "missing", []string{"here"}, "", "MAILBROOK_CONFIG"},
		{"below what is no directory", "", "", []string{"here/x", "etc"}, "", "here/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			full := func(name string) string {
				if name == "" {
					return ""
				}
				return path(name)
			}
			environ := []string{"MAILBROOK_CONFIGS=x"}
			if tc.variable != "" {
				environ = append(environ, "MAILBROOK_CONFIG="+path(tc.variable))
			}
			var standard []string
			for _, name := range tc.standard {
				standard = append(standard, path(name))
			}
			got, err := findFile(full(tc.flag), environ, standard)
			if got != full(tc.want) || (err != nil) != (tc.says != "") ||
				err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
