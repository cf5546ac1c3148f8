package mailtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// emptySpool makes an empty mbox of each user, in the directory of a machine's
// inboxes.
func emptySpool(root string, users map[string]string) error {
	spool := filepath.Join(root, "var/mail")
	// Debian's is open to the group of mail programs, which lock by files there.
	errs := []error{os.RemoveAll(spool), ownedDir(spool), os.Chmod(spool, 0o777)}
	for name := range users {
		path := filepath.Join(spool, name)
		errs = append(errs, os.WriteFile(path, nil, 0o600), os.Lchown(path, mailUID, mailUID))
	}
	return errors.Join(errs...)
}

// deliverMbox appends messages to an mbox, locked by a file beside it.
func deliverMbox(tb testing.TB, path string, msgs []Message) {
	tb.Helper()
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatalf("locking a mailbox: %v", err)
	}
	lock.Close()
	defer os.Remove(path + ".lock")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		tb.Fatalf("delivering: %v", err)
	}
	for _, m := range msgs {
		text := strings.ReplaceAll(string(m.Wire()), "\r\n", "\n")
		// As the mboxrd format has it: a line that begins with "From " is no message's beginning.
		text = fromLine.ReplaceAllString(text, ">$0")
		_, err := fmt.Fprintf(f, "From sender@example.test %s\n%s\n\n", m.Date.UTC().Format(time.ANSIC),
			strings.TrimSuffix(text, "\n"))
		if err != nil {
			tb.Fatalf("delivering: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		tb.Fatalf("delivering: %v", err)
	}
}

var fromLine = regexp.MustCompile(`(?m)^>*From `)
