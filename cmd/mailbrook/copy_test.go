package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// copyService has one copy and remembers what it was asked for; what is not here is asked of nobody.
type copyService struct {
	transfer.Service
	copy  transfer.Copy
	grade transfer.Grade
}

func (c *copyService) Plan(context.Context, owner.Owner, transfer.Draft) (transfer.Plan, error) {
	return transfer.Plan{
		Folders: []transfer.PlannedFolder{
			{FolderState: transfer.FolderState{Source: "Versendet", Target: "Sent", Selected: true, Messages: 4}, Bytes: 2000},
			{FolderState: transfer.FolderState{Source: "Junk", Target: "Junk"}},
		},
		Messages: 4, Bytes: 2000, TooLargeCount: 1, Limit: 25_000_000, Writable: true, Room: transfer.Room{Known: true},
	}, nil
}

func (c *copyService) Start(context.Context, owner.Owner, transfer.Draft) (transfer.Copy, string, error) {
	return c.copy, "K7QM-3XWP", nil
}

func (c *copyService) All(_ context.Context, _ owner.Owner, f transfer.Filter) (transfer.Page, error) {
	if f.Cursor == "" {
		return transfer.Page{Copies: []transfer.Copy{c.copy}, Next: "more"}, nil
	}
	return transfer.Page{Copies: []transfer.Copy{c.copy}}, nil
}

func (c *copyService) Report(context.Context, owner.Owner, transfer.ID) (transfer.Report, error) {
	return transfer.Report{
		Copy: c.copy, Grade: c.grade, Lists: map[transfer.MessageState]int64{transfer.MessageSkipped: 2},
		Reasons: []transfer.ReasonCount{{Code: transfer.WhyRefused, Messages: 2}},
	}, nil
}

func (c *copyService) EachMessage(_ context.Context, _ owner.Owner, _ transfer.ID, states []transfer.MessageState,
	yield func(transfer.Message) error,
) error {
	if !slices.Contains(states, transfer.MessageSkipped) {
		return errors.New("what was skipped is not asked for")
	}
	return yield(transfer.Message{Folder: "=1+1", State: transfer.MessageSkipped})
}

// plainWords explains everything alike.
type plainWords struct{}

func (plainWords) Explain(code fault.Code, _ account.Account, _ words.Language) (string, string) {
	return "title of " + string(code), "advice"
}

func (plainWords) ExplainDelay(account.Account, words.Language) diagnose.Delay {
	return diagnose.Delay{}
}

func aCopy(t *testing.T, s transfer.Status) transfer.Copy {
	t.Helper()
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	return transfer.Copy{
		ID: "0c7f4f7a-3c1e-4b53-9a67-5d1f0b8a2e90", Owner: o, Source: remote.Mailbox{Email: "old@gmail.com"}, Status: s,
	}
}

// quietTerminal is a terminal that nobody types at.
func quietTerminal(in string) (t terminal, out, errs *bytes.Buffer) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return terminal{in: strings.NewReader(in), out: out, err: errs, environ: []string{"LANG=C.UTF-8"}}, out, errs
}

func statusOf(err error) int {
	var special statusError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &special):
		return special.status
	case errors.As(err, &usage):
		return exitUsage
	}
	return -1
}

func TestStatusOfACopy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state transfer.State
		grade transfer.Grade
		want  int
	}{
		{transfer.Completed, transfer.Perfect, 0},
		{transfer.CompletedWithWarnings, transfer.Good, 0},
		{transfer.CompletedWithWarnings, transfer.Investigate, 1},
		{transfer.CompletedWithWarnings, transfer.Poor, 1},
		{transfer.Failed, "", 3},
		{transfer.Failed, transfer.Good, 3},
		{transfer.Cancelled, "", 3},
		{transfer.NeedsAttention, "", 3},
	} {
		x := aCopy(t, transfer.Status{State: c.state, Grade: c.grade})
		if got := statusOf(endedAs(x)); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.state, c.grade, got, c.want)
		}
	}
	invalid := &account.InvalidError{}
	invalid.Add("source.email", "required", "is needed")
	for err, want := range map[error]int{
		invalid: 2, transfer.ErrSameMailbox: 3, usageError{errors.New("x")}: 2, &transfer.ExistsError{}: 3,
	} {
		if got := statusOf(ofCopies(err)); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestCopyLine(t *testing.T) {
	t.Parallel()
	running := func(done, total int64, left time.Duration) transfer.Status {
		return transfer.Status{State: transfer.Running, Phase: transfer.Copying, Progress: transfer.Progress{
			Progress: route.Progress{MessagesDone: done, MessagesTotal: total}, Left: left,
		}}
	}
	for _, c := range []struct {
		status transfer.Status
		want   string
	}{
		{transfer.Status{State: transfer.Queued}, "The copy has not begun yet"},
		{running(0, 0, 0), "The copy is under way: copying messages"},
		{running(0, 40, 0), "The copy is under way: copying messages [" + strings.Repeat(".", 30) + "] 0 of 40 messages"},
		{
			running(20, 40, 90*time.Second),
			"The copy is under way: copying messages [" + strings.Repeat("#", 15) + strings.Repeat(".", 15) +
				"] 20 of 40 messages, 1m30s left",
		},
		{
			running(50, 40, 0),
			"The copy is under way: copying messages [" + strings.Repeat("#", 30) + "] 50 of 40 messages",
		},
		{
			transfer.Status{State: transfer.Waiting, Reason: transfer.TargetFull},
			"The copy is waiting: the new mailbox is full",
		},
	} {
		if got := copyLine(aCopy(t, c.status)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestWatchEndsWithTheCopy(t *testing.T) {
	t.Parallel()
	states := []transfer.Status{
		{State: transfer.Queued},
		{State: transfer.Queued},
		{State: transfer.Running, Phase: transfer.Listing},
		{State: transfer.Paused},
		{State: transfer.CompletedWithWarnings, Grade: transfer.Investigate},
	}
	tick := make(chan time.Time, len(states))
	for range states {
		tick <- time.Time{}
	}
	term, out, errs := quietTerminal("")
	err := watchCopy(t.Context(), term, tick, plainWords{}, func() (transfer.Copy, error) {
		s := states[0]
		states = states[1:]
		return aCopy(t, s), nil
	})
	if statusOf(err) != exitFailed || !errors.Is(err, errQuiet) {
		t.Errorf("it ends with %v", err)
	}
	want := "The copy has not begun yet\nThe copy is under way: looking at what there is to copy\nThe copy is paused\n" +
		"The copy has ended, with remarks\n"
	if errs.String() != want || !strings.Contains(out.String(), "investigate: ") {
		t.Errorf("it says %q and %q", errs, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err = watchCopy(ctx, term, nil, plainWords{}, func() (transfer.Copy, error) {
		return aCopy(t, transfer.Status{State: transfer.Queued}), nil
	})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestPasswordsOfACopyAreNeverArguments: they come from the standard input, a line each, or from files.
func TestPasswordsOfACopyAreNeverArguments(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from a file\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := []string{"--user=anna@firma.test", "--source-email=old@gmail.com"}
	target := []string{"--target-email=new@example.net", "--target-host=imap.example.net"}
	for _, c := range []struct {
		name           string
		in             string
		args           []string
		source, target string
		status         int
	}{
		{"both lines", "one\ntwo\n", slices.Concat(source, target, []string{
			"--source-password-stdin", "--target-password-stdin",
		}), "one", "two", 0},
		{"the own mailbox", "one", append(slices.Clone(source), "--source-password-stdin"), "one", "", 0},
		{"a file", "two\r\n", slices.Concat(source, target, []string{
			"--source-password-file=" + file, "--target-password-stdin",
		}), "from a file", "two", 0},
		{"one line for two", "one\n", slices.Concat(source, target, []string{
			"--source-password-stdin", "--target-password-stdin",
		}), "", "", exitUsage},
		{"none, and nobody to ask", "", source, "", "", exitUsage},
		{"both ways", "one", slices.Concat(source, []string{
			"--source-password-stdin", "--source-password-file=" + file,
		}), "", "", exitUsage},
		{"a target without an address", "one\n", slices.Concat(source, target[1:]), "", "", exitUsage},
		{"no source", "", source[:1], "", "", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var flags struct {
				newCopyFlags
			}
			parser, err := kong.New(&flags)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			term, _, _ := quietTerminal(c.in)
			_, d, err := flags.draft(t.Context(), term)
			if statusOf(err) != c.status {
				t.Fatalf("%v, want status %d", err, c.status)
			}
			if err == nil && (d.Source.Password.Reveal() != c.source || d.Target.Password.Reveal() != c.target) {
				t.Errorf("%q and %q", d.Source.Password.Reveal(), d.Target.Password.Reveal())
			}
			if err == nil && d.Target.Local != (c.target == "") {
				t.Errorf("into the own mailbox: %t", d.Target.Local)
			}
		})
	}
}

func TestWhatIsSaidOfCopies(t *testing.T) {
	t.Parallel()
	s := &copyService{
		copy: aCopy(t, transfer.Status{State: transfer.CompletedWithWarnings}), grade: transfer.Poor,
	}
	o, ctx := s.copy.Owner, t.Context()
	for _, c := range []struct {
		name   string
		do     func(terminal) error
		want   []string
		status int
	}{
		{"plan", func(t terminal) error { return copyPlanCmd{}.plan(ctx, t, s, o, transfer.Draft{}) }, []string{
			"Versendet", "Sent", "(left out)", "4 messages, 2 kB", "1 message larger than 25 MB", "does not fit",
			"Calendars and tasks",
		}, 0},
		{"plan for programs", func(t terminal) error {
			return copyPlanCmd{JSON: true}.plan(ctx, t, s, o, transfer.Draft{})
		}, []string{`"max_bytes": 25000000`, `"fits": "no"`}, 0},
		{"start", func(t terminal) error { return startCopy(ctx, t, s, o, transfer.Draft{}) }, []string{
			string(s.copy.ID) + "\n",
		}, 0},
		{"list", func(t terminal) error { return copyListCmd{}.list(ctx, t, s, plainWords{}) }, []string{
			"old@gmail.com", "completed_with_warnings",
		}, 0},
		{"list for programs", func(t terminal) error {
			return copyListCmd{JSON: true}.list(ctx, t, s, plainWords{})
		}, []string{`"copies": [`, `"state": "completed_with_warnings"`}, 0},
		{"report", func(t terminal) error { return copyReportCmd{}.report(ctx, t, s, plainWords{}, o, s.copy.ID) }, []string{
			"skipped: 2 messages", "- Look into the new mailbox",
		}, 1},
		{"report as a table", func(t terminal) error {
			return copyReportCmd{CSV: true}.report(ctx, t, s, plainWords{}, o, s.copy.ID)
		}, []string{"folder,target_folder,", "'=1+1,"}, 1},
		{"report for programs", func(t terminal) error {
			return copyReportCmd{JSON: true}.report(ctx, t, s, plainWords{}, o, s.copy.ID)
		}, []string{`"grade": "poor"`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			term, out, _ := quietTerminal("")
			if err := c.do(term); statusOf(err) != c.status {
				t.Errorf("%v, want status %d", err, c.status)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%q is missing in:\n%s", w, out)
				}
			}
		})
	}
}
