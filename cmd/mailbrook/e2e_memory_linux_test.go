package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// I11: four mailboxes of a million messages each, of one user, do not end a process
// that may take 1 GB, and another user's mail arrives meanwhile. What is resident
// counts, as it does where a container has 1 GB: a limit of the data segment would
// count each thread's stack whole, of which pages are touched.
func TestGiantMailboxesDoNotEndTheProcess(t *testing.T) {
	messages, most, budget := 100_000, int64(300<<20), int64(128<<20)
	if os.Getenv("MAILBROOK_TEST_LONG") != "" {
		messages, most, budget = 1_000_000, 512<<20, 768<<20 // Three quarters, as is the default.
	}
	ca := mailtest.NewCA(t)
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": canary}, CA: ca})
	mailtest.Fill(t, d, "anna", mailtest.Corpus(81, 10, false))
	s := newSite(t, ca, "POLL_INTERVAL=1s", "POLL_MIN_INTERVAL=1s", "REMOTE_ALLOW_PLAINTEXT=true",
		fmt.Sprintf("MEMORY_LIMIT=%dMB", budget>>20))
	p := s.serve()
	a, j := p.as(anna), p.as(jan)
	var giants []accountAnswer
	for i, g := range []struct {
		protocol string
		server   *mailtest.Giant
	}{
		{"imap", mailtest.GiantIMAP(t, messages, 1, nil)},
		{"imap", mailtest.GiantIMAP(t, messages, 3, nil)},
		{"pop3", mailtest.GiantPOP3(t, messages, nil)},
		{"pop3", mailtest.GiantPOP3(t, messages, nil)},
	} {
		giants = append(giants, j.add(remoteAccount(fmt.Sprint("Olbrzym ", i), g.protocol, "127.0.0.1", g.server.Port, "none",
			"jan").with(fields{"skip_test": true})))
	}
	same := a.add(remoteAccount("Obok", "imap", d.Host, d.IMAPS, "tls", "anna"))
	a.reaches(same.ID, "ok")
	for _, g := range giants {
		eventually(t, 10*soon, func() (bool, string) {
			n := j.account(g.ID).Status.Totals.Messages
			return n > 0, fmt.Sprintf("%s has brought nothing yet", g.Name)
		})
	}
	mailtest.Fill(t, d, "anna", mailtest.Corpus(82, 3, false))
	eventually(t, soon, func() (bool, string) {
		n := a.account(same.ID).Status.Totals.Messages
		return n == 13, fmt.Sprintf("%d messages, not yet 13", n)
	})
	if peak := peakOf(t, p.cmd.Process.Pid); peak > most {
		t.Errorf("the process took %d MiB, want at most %d", peak>>20, most>>20)
	} else {
		t.Logf("the process took %d MiB at most", peak>>20)
	}
	if text := string(p.plain("GET", "/metrics").body); !strings.Contains(text, fmt.Sprintf(
		"mailbrook_memory_limit_bytes %v\n",
		float64(budget))) || !strings.Contains(text, "mailbrook_memory_taken_bytes ") {
		t.Error("the metrics do not tell the budget")
	}
	p.term()
}

// peakOf is the most memory that a process ever had, in octets.
func peakOf(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no peak is reported")
	return 0
}
