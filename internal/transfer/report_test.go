package transfer_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

var update = flag.Bool("update-reports", false, "rewrite testdata/reports")

// golden compares a text with the file that has it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "reports", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", file, diff)
	}
}

var began = time.Date(2026, 11, 29, 18, 3, 7, 0, time.UTC)

// copied is a copy that has ended.
func copied(t testing.TB, state transfer.State, lang words.Language) transfer.Copy {
	t.Helper()
	o, err := owner.Parse("anna@new.test")
	if err != nil {
		t.Fatal(err)
	}
	return transfer.Copy{
		ID: "5f1f7f0e-8a5e-4b7e-9d39-0a8f4c1f6a11", Owner: o, Pass: 1,
		Source: remote.Mailbox{
			Email: "anna@old.test", Protocol: remote.IMAP, Server: remote.Server{Host: "imap.old.test", Port: 993},
		},
		Options:          transfer.Options{Language: string(lang)},
		CreatedAt:        began,
		StartedAt:        began.Add(time.Minute),
		EndedAt:          began.Add(26*time.Hour + 12*time.Minute),
		CredentialsUntil: began.Add(50 * time.Hour),
		Status:           transfer.Status{State: state},
	}
}

// bad is a report in which there is some of everything.
func bad(t testing.TB, lang words.Language) transfer.Report {
	c := copied(t, transfer.CompletedWithWarnings, lang)
	c.Status.Totals = transfer.Totals{
		Folders: 12, Messages: 12_344, Bytes: 1_234_567_890, AlreadyThere: 22, Skipped: 7, KeywordsRefused: 4,
		MovedOrDeleted: 2, Missing: 1, Altered: 5, VerifiedByDigest: 1_201,
	}
	c.Status.Grade = transfer.Investigate
	return transfer.Report{
		Copy: c, Grade: transfer.Investigate, VerifiedAt: c.EndedAt, How: transfer.VerifySample,
		Duration: 3*time.Hour + 25*time.Minute,
		Lists: map[transfer.MessageState]int64{
			transfer.MessageCopied: 12_336, transfer.MessageSkipped: 7, transfer.MessageMissing: 1,
		},
		Reasons: []transfer.ReasonCount{
			{Code: transfer.WhyTooLarge, Messages: 3},
			{Code: transfer.WhyRefused, Messages: 2},
			{Code: transfer.WhyUnreadable, Messages: 1},
		},
		Keywords: []transfer.KeywordCount{{Keyword: "$Label1", Messages: 1}, {Keyword: "Ważne\r\nX: y", Messages: 3}},
		Folders: []transfer.FolderState{
			{Source: "INBOX", Target: "INBOX", Selected: true, Messages: 9_000, Copied: 8_999},
			{
				Source: "Sent", Target: "Wysłane", SpecialUse: `\Sent`, Selected: true,
				Renamed: transfer.RenamedBySpecialUse,
			},
			{Source: "a:b", Target: "a_b", Selected: true, Renamed: transfer.RenamedForTarget, Pending: 2},
			{Source: "Spam", Renamed: transfer.RenamedForTarget, Pending: 5},
			{
				Source: "Broken", Target: "Broken", Selected: true,
				Diagnosis: &transfer.Diagnosis{
					Diagnosis: account.Diagnosis{
						Code: fault.FolderFailed, Detail: words.Detail{words.Say("The server says: %s", "no")},
					},
					Side: transfer.Source,
				},
			},
		},
		LeftOut: []string{"shared/team"}, Rewritten: true, NotIncluded: transfer.NotIncluded(),
	}
}

// perfect is the report of a copy in which all went well, into a mailbox elsewhere.
func perfect(t testing.TB, lang words.Language) transfer.Report {
	c := copied(t, transfer.Completed, lang)
	c.Target = remote.Mailbox{
		Email: "anna@elsewhere.test", Protocol: remote.IMAP, Server: remote.Server{Host: "imap.elsewhere.test", Port: 993},
	}
	c.Status.Totals = transfer.Totals{Folders: 1, Messages: 1, Bytes: 512, VerifiedByDigest: 1}
	c.Status.Grade = transfer.Perfect
	return transfer.Report{
		Copy: c, Grade: transfer.Perfect, VerifiedAt: c.EndedAt, How: transfer.VerifyFull, Duration: 42 * time.Second,
		Folders: []transfer.FolderState{{Source: "INBOX", Target: "INBOX", Selected: true, Messages: 1, Copied: 1}},
	}
}

// failed is the report of a copy that broke off at its target and was never verified.
func failed(t testing.TB, lang words.Language) transfer.Report {
	r := perfect(t, lang)
	r.Grade, r.VerifiedAt, r.Duration, r.Copy.CredentialsUntil = "", time.Time{}, 3*24*time.Hour+4*time.Hour, time.Time{}
	r.Copy.Status = transfer.Status{
		State: transfer.Failed, Totals: transfer.Totals{Folders: 2, Messages: 5, Bytes: 1500},
		Diagnosis: &transfer.Diagnosis{
			Diagnosis: account.Diagnosis{
				Code: fault.LocalMailboxUnavailable, Detail: words.Detail{words.Say("The server says: %s", "no")},
			},
			Side: transfer.Target,
		},
	}
	r.Folders = []transfer.FolderState{
		{Source: "INBOX", Target: "INBOX", Selected: true, Messages: 9, Copied: 5, Pending: -1},
	}
	return r
}

func reports(t testing.TB, lang words.Language) map[string]transfer.Report {
	return map[string]transfer.Report{"bad": bad(t, lang), "perfect": perfect(t, lang), "failed": failed(t, lang)}
}

// TestWhatPeopleReadOfAReport is golden in both languages, as is what programs read.
func TestWhatPeopleReadOfAReport(t *testing.T) {
	t.Parallel()
	for _, lang := range words.Languages() {
		for name, r := range reports(t, lang) {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(r.Document(lang)); err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("%s.%s.json", name, lang), b.String())
			if text := b.String(); strings.Contains(text, "null,\n    \"items") || strings.Contains(text, "{from}") {
				t.Errorf("%s in %s is not filled in", name, lang)
			}
		}
	}
}

// TestCopiesAreExplained: how a copy is, with the time that is known and without.
func TestCopiesAreExplained(t *testing.T) {
	t.Parallel()
	now := began.Add(time.Hour)
	var b strings.Builder
	for _, lang := range words.Languages() {
		say := func(c transfer.Copy) {
			title, advice := c.Explain(now, lang)
			if d := c.Status.Diagnosis; d == nil || d.Code == fault.AuthFailed || d.Code == fault.LocalOverQuota {
				fmt.Fprintf(&b, "%s\n  %s\n", title, advice)
			}
			if title == "" || strings.ContainsAny(title+advice, "{}\n") || strings.HasSuffix(title, ".") {
				t.Errorf("%+v in %s: %q, %q", c.Status, lang, title, advice)
			}
		}
		for _, state := range transfer.States() {
			c := copied(t, state, lang)
			c.Status.Grade = transfer.Good
			switch state {
			case transfer.Queued:
				say(c)
				c.Options.StartAt = now.Add(time.Hour)
				say(c)
			case transfer.Running:
				for _, p := range transfer.Phases() {
					c.Status.Phase = p
					say(c)
				}
			case transfer.Waiting:
				for _, r := range transfer.Reasons() {
					c.Status.Reason = r
					c.Status.Until = time.Time{}
					say(c)
					c.Status.Until = now.Add(90 * time.Minute)
					say(c)
				}
			case transfer.NeedsAttention, transfer.Failed:
				say(c)
				for _, side := range []transfer.Side{transfer.Source, transfer.Target} {
					for _, code := range fault.Codes() {
						c.Status.Diagnosis = &transfer.Diagnosis{
							Diagnosis: account.Diagnosis{Code: code, Detail: words.Plain("detail")}, Side: side,
						}
						say(c)
					}
				}
			default:
				say(c)
			}
		}
	}
	golden(t, "explained.txt", b.String())
}

// TestWhoHasTheCodeReadsTheSame, but for what only the owner may know.
func TestWhoHasTheCodeReadsTheSame(t *testing.T) {
	t.Parallel()
	now := began.Add(time.Hour)
	for _, lang := range words.Languages() {
		for _, state := range transfer.States() {
			c := copied(t, state, lang)
			c.Status.Phase, c.Status.Reason, c.Status.Until = transfer.Copying, transfer.TargetLimit, now.Add(time.Hour)
			c.Status.Grade = transfer.Investigate
			p := transfer.PublicStatus{
				State: state, Phase: transfer.Copying, Reason: transfer.TargetLimit, Until: c.Status.Until,
				Grade: transfer.Investigate,
			}
			title, advice := c.Explain(now, lang)
			if gotTitle, gotAdvice := p.Explain(now, lang); gotTitle != title || gotAdvice != advice {
				t.Errorf("%s in %s: %q, %q; not %q, %q", state, lang, gotTitle, gotAdvice, title, advice)
			}
		}
	}
}

// TestEverythingThatACopyCanBeIsSaid: each word of this package has its text in both languages, and each text its word.
func TestEverythingThatACopyCanBeIsSaid(t *testing.T) {
	t.Parallel()
	titles := func(all map[string]words.Text) map[string]words.Phrase {
		phrases := map[string]words.Phrase{}
		for key, text := range all {
			phrases[key] = text.Title
			if (text.Advice.En == "") != (text.Advice.Pl == "") {
				t.Errorf("%s: what is advised is in one language only", key)
			}
		}
		return phrases
	}
	keys := func(list ...string) []string { return list }
	for name, tc := range map[string]struct {
		keys []string
		said map[string]words.Phrase
	}{
		"states":  {strs(transfer.States()), titles(words.CopyStates)},
		"phases":  {strs(transfer.Phases()), words.CopyPhases},
		"reasons": {strs(transfer.Reasons()), titles(words.CopyReasons)},
		"whys":    {strs(transfer.Whys()), titles(words.CopyWhy)},
		"leaves":  {transfer.NotIncluded(), words.CopyLeaves},
		"sides":   {keys("source", "target"), words.CopySides},
		"grades":  {keys("perfect", "good", "investigate", "poor"), titles(words.CopyGrades)},
		"checks":  {keys("quick", "sample", "full"), words.CopyChecked},
		"renamed": {keys("special_use", "owner", "prefix", "refused_by_target", "clash"), words.CopyRenamed},
		"messages": {
			keys("copied", "already_there", "skipped", "missing", "altered", "moved_or_deleted"), titles(words.CopyMessages),
		},
		"parts": {keys("not_there", "differs", "left_out", "not_included", "next"), titles(words.CopyParts)},
		"next":  {keys("check", "forward", "source", "passwords", "passwords_until"), words.CopyNext},
		"faults": {keys("local_over_quota", "local_mailbox_unavailable", "folder_failed", "message_failed", "visit_aborted",
			"mail_loop"), words.CopyFaults},
		"facts": {keys("from", "to", "began", "ended", "took", "folders", "copied", "already_there", "not_there", "grade",
			"checked"), words.CopyFacts},
	} {
		if wrong := unsaid(tc.keys, tc.said); len(wrong) > 0 {
			t.Errorf("%s: these have no text, or are said of nothing: %v", name, wrong)
		}
	}
	// The control.
	said := map[string]words.Phrase{"a": {En: "a", Pl: "a"}, "b": {En: "b"}, "d": {En: "d", Pl: "d"}}
	if wrong := unsaid(keys("a", "b", "c"), said); len(wrong) != 3 {
		t.Errorf("of three mistakes these were found: %v", wrong)
	}
}

func strs[S ~string](all []S) (texts []string) {
	for _, s := range all {
		texts = append(texts, string(s))
	}
	return texts
}

func unsaid(keys []string, said map[string]words.Phrase) (wrong []string) {
	left := map[string]bool{}
	for key := range said {
		left[key] = true
	}
	for _, key := range keys {
		delete(left, key)
		if p := said[key]; p.En == "" || p.Pl == "" {
			wrong = append(wrong, key)
		}
	}
	for key := range left {
		wrong = append(wrong, key)
	}
	return wrong
}
