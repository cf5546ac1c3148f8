package mailtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// CheckedUser is what "mailbrook check --json" says of one user.
type CheckedUser struct {
	User     string
	OK       bool
	Messages int64
	Foreign  int
	Accounts []struct {
		AccountID string `json:"account_id"`
		Email     string
		Visiting  bool
		Present   int
		Gone      int
		Elsewhere int
		Staged    int
		Intended  int
		Stray     int
		Skipped   map[string]int
		ByContent int `json:"by_content"`
	}
	Findings []CheckFinding
}

// CheckFinding is one thing that the check noticed.
type CheckFinding struct {
	Kind      string
	Wrong     bool
	AccountID string `json:"account_id"`
	Token     string
	Detail    string
}

// Check runs "mailbrook check --json" with this binary, environment and
// configuration flags, fails the test if anything is wrong, and returns what
// was said. A test that brings mail calls it at its end:
//
//	mailtest.Check(t, binary, env, "--config", file)
//
// The service may be running meanwhile.
func Check(tb testing.TB, binary string, env []string, args ...string) []CheckedUser {
	tb.Helper()
	users, wrong := AskCheck(tb, binary, env, args...)
	for _, w := range wrong {
		tb.Errorf("mailbrook check: %s", w)
	}
	return users
}

// AskCheck is Check for a test that spoiled something: it returns what is wrong,
// a line each, and fails the test only when the program does not answer.
func AskCheck(tb testing.TB, binary string, env []string, args ...string) (users []CheckedUser, wrong []string) {
	tb.Helper()
	cmd := exec.Command(binary, append([]string{"check", "--json"}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "MAILBROOK_") // The tests' own, which the program does not know.
	}), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		tb.Fatalf("mailbrook check: %v: %s", err, said.String())
	}
	for d := json.NewDecoder(&out); ; {
		var u CheckedUser
		if err := d.Decode(&u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			tb.Fatalf("reading what mailbrook check said: %v", err)
		}
		users = append(users, u)
		for _, f := range u.Findings {
			if f.Wrong {
				wrong = append(wrong, fmt.Sprintf("%s: %s %s %s", u.User, f.Kind, f.Token, f.Detail))
			}
		}
	}
	if (err != nil) != (len(wrong) > 0) {
		wrong = append(wrong, fmt.Sprintf("it ends with %v, with %d findings: %s", err, len(wrong), said.String()))
	}
	return users, wrong
}
