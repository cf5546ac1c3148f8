package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestMessagesCommandNoTerminal(t *testing.T) {
	for message, want := range map[string]string{
		"\x1b[2J\x07":              `\x1b[2J\a`,
		"a\rb\tc\x00\x7f":          `a\rb\tc\x00\x7f`,
		"a\u009b31m":               `a\u009b31m`,
		"a\x9b31m\xff":             `a\x9b31m\xff`,
		"a\u202eb\u2066c\u200bd":   `a\u202eb\u2066c\u200bd`,
		"a\u2028b\ufeffc\u00add":   `a\u2028b\ufeffc\u00add`,
		"\U000e0041":               `\U000e0041`,
		"zażółć 例え '\u00a0\" \\ ü": "zażółć 例え '\u00a0\" \\ ü", // The control: what can be read stays.
		"one\ntwo \ufffd":          "one\ntwo \ufffd",
	} {
		if got := printable(message); got != want {
			t.Errorf("%+q is printed as %+q, not as %+q", message, got, want)
		}
	}
}

// TestNamesInErrorsCommandNoTerminal names what there is not, wherever something can be
// named, so that the error shows the name.
func TestNamesInErrorsCommandNoTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	const bad, shown = "ż\x1b[2J\u202e", `ż\x1b[2J\u202e`
	for _, tc := range []struct {
		name, toml, environ string
		args                []string
	}{
		{"a command", "", "", []string{bad}},
		{"an argument", "", "", []string{"version", bad}},
		{"a flag", "", "", []string{"--" + bad, "version"}},
		{"a flag's value", "", "", []string{"--listen", bad, "config", "check"}},
		{"a configuration file", "", "", []string{"--config", "/none/" + bad, "config", "check"}},
		{"a variable", "", "MAILBROOK_" + bad + "=1", []string{"config", "check"}},
		{"a variable's file", "", "MAILBROOK_AUTH_SECRET_FILE=/none/" + bad, []string{"config", "check"}},
		{"a key", `"ż\u001b[2J\u202e" = 1`, "", []string{"config", "check"}},
		{"a key of a table", "[poll]\n\"ż\\u001b[2J\\u202e\" = 1", "", []string{"config", "check"}},
		{"a placeholder", "", "MAILBROOK_MAILBOX=maildir:/{" + bad + "}", []string{"config", "check"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if tc.toml != "" {
				tc.args = append([]string{"--config", inFile(t, tc.toml)}, tc.args...)
			}
			status := run(t.Context(), terminal{nil, &out, &errs, []string{tc.environ}}, tc.args)
			said := out.String() + errs.String()
			if status != exitUsage || !strings.Contains(said, shown) || strings.ContainsAny(said, "\x1b\u202e") {
				t.Errorf("status %d: %+q", status, said)
			}
		})
	}
	// The name of a file that is right is printed, too.
	const named = "\x1b[2J.toml"
	if err := os.WriteFile(named, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status := run(t.Context(), terminal{nil, &out, &errs, nil}, []string{"--config", named, "config", "check"})
	if status != exitOK || !strings.Contains(out.String(), `\x1b[2J.toml`) {
		t.Errorf("status %d: %+q", status, out.String()+errs.String())
	}
}
