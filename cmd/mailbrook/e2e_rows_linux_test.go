package main

import (
	"strings"
	"testing"
)

// What newcomers stumbled over, as a terminal shows it: each row with a control
// beside it.
func TestATerminalShowsWhatNewcomersMissed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env, args []string
		status    int
		says, not string
	}{
		"version":                      {nil, []string{"version"}, exitOK, "commit", "mailbrook:"},
		"account test's flags":         {nil, []string{"account", "test", "--help"}, exitOK, "--host", "--skip-test"},
		"account add's, the control":   {nil, []string{"account", "add", "--help"}, exitOK, "--skip-test", "mailbrook:"},
		"no command":                   {nil, nil, exitUsage, "\n  serve  ", "expected one of"},
		"no command of a group":        {nil, []string{"account"}, exitUsage, "\n  account delete  ", "expected one of"},
		"no such command, the control": {nil, []string{"acount"}, exitUsage, "unexpected argument acount", "\n  serve  "},
		"numbers of migrations":        {nil, []string{"migrate", "up"}, exitOK, "not consecutive", "mailbrook:"},
		"an interval below the least": {
			[]string{"MAILBROOK_POLL_INTERVAL=1m", "MAILBROOK_POLL_MIN_INTERVAL=2m"},
			[]string{"config", "check"},
			exitUsage,
			"poll.min_interval (from MAILBROOK_POLL_MIN_INTERVAL) is 2m0s, which is longer than poll.interval", "",
		},
		"the least interval, the control": {
			[]string{"MAILBROOK_POLL_INTERVAL=2m", "MAILBROOK_POLL_MIN_INTERVAL=2m"},
			[]string{"config", "check"},
			exitOK, "",
			"mailbrook:",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, shown := newSite(t, nil).showing(200, tc.env, tc.args...)
			if status != tc.status || !strings.Contains(shown, tc.says) || tc.not != "" && strings.Contains(shown, tc.not) {
				t.Errorf("status %d, want %d with %q and without %q: %s", status, tc.status, tc.says, tc.not, shown)
			}
		})
	}
}
