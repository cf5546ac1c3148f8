package store

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

// everyDetail is each column that has a detail, in one line each.
const everyDetail = `SELECT 'account', detail FROM poll_schedule
	UNION ALL SELECT 'last visit', run_detail FROM poll_schedule
	UNION ALL SELECT 'visit', detail FROM runs
	UNION ALL SELECT 'message', detail FROM skipped`

// detailed is an account with a detail in each column.
func (w *world) detailed() account.Account {
	w.Helper()
	a := w.add("anna@firma.test", 1)
	l, f := w.lease(a)
	d := words.Detail{words.Say("The mailbox holds %s of the %s allowed: nothing more fits.", words.Octets(7_900_000),
		words.Octets(8_000_000)), words.Say("The server says: %s", `"no" [1,2]`)}
	now := w.clock.now()
	w.must(w.commit(l, fetch.Entry{Skip: []fetch.Skipped{{
		FolderID: f.ID, ID: mail.ID{UIDL: "x"}, Code: fault.MessageFailed, Detail: d, Attempts: 1, FirstAt: now, LastAt: now,
		NextAt: now.Add(time.Hour),
	}}}))
	failed := &account.Diagnosis{Code: fault.LocalOverQuota, Detail: d, Since: now}
	w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
		State: account.Retrying, DueAt: now.Add(time.Minute), Failures: 1, Diagnosis: failed,
		Run: account.Run{StartedAt: now, FinishedAt: now, Diagnosis: failed}, Keep: true,
	}))
	return a
}

// TestDetailsAreKeptAsSentencesAndExportedAsText: in each column that has one.
func TestDetailsAreKeptAsSentencesAndExportedAsText(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.detailed()
		kept := w.table(everyDetail)
		if len(kept) != 4 {
			w.Fatalf("%d columns: %q", len(kept), kept)
		}
		for _, line := range kept {
			if !strings.Contains(line, `|[1,["The mailbox holds %s of the %s allowed: nothing more fits.",{"b":7900000},`) {
				w.Errorf("kept: %s", line)
			}
		}
		got := w.load(a).Status.Diagnosis.Detail.In(words.Polish, nil)
		if !strings.HasPrefix(got, "Skrzynka zajmuje 7,9 MB") {
			w.Errorf("shown: %s", got)
		}
		shown := 0
		w.must(w.Export(w.Context(), a.Owner, func(section string, rows [][]byte) error {
			for _, r := range rows {
				var columns map[string]any
				w.must(json.Unmarshal(r, &columns))
				for name, value := range columns {
					text, is := value.(string)
					switch {
					case is && strings.HasPrefix(text, "[1,"):
						w.Errorf("%s.%s is exported as it is kept", section, name)
					case text == `The mailbox holds 7.9 MB of the 8 MB allowed: nothing more fits. The server says: "no" [1,2]`:
						shown++
					}
				}
			}
			return nil
		}))
		if shown != 4 {
			w.Errorf("%d of 4 details are exported as sentences", shown)
		}
	})
}

// TestEarlierVersionsAreLeftDetailsAsTheyWriteThem, and those that they wrote themselves stay: the control.
func TestEarlierVersionsAreLeftDetailsAsTheyWriteThem(t *testing.T) {
	onBoth(t, func(w *world) {
		w.detailed()
		kept := w.table(everyDetail)
		w.must(w.MigrateDownTo(w.Context(), 35))
		for _, line := range w.table(everyDetail) {
			if !strings.HasSuffix(line,
				`|The mailbox holds 7.9 MB of the 8 MB allowed: nothing more fits. The server says: "no" [1,2]|`) {
				w.Errorf("an earlier version would show %s", line)
			}
		}
		w.must(w.Migrate(w.Context()))
		w.must(w.w.Exec("UPDATE poll_schedule SET detail = '[1,\"[1,no\"]', run_detail = '[1,?'").Error)
		w.must(w.MigrateDownTo(w.Context(), 34))
		for _, line := range w.table(everyDetail) {
			if strings.Contains(line, "|[1,") || strings.HasSuffix(line, "||") == strings.Contains(line, "mailbox holds") {
				w.Errorf("an earlier version would show %s instead of one of %q", line, kept)
			}
		}
		for _, table := range []string{"poll_schedule", "runs", "skipped"} {
			w.must(w.w.Exec("UPDATE " + table + " SET detail = 'The server says: [1, no'").Error)
		}
		before := w.table(everyDetail)
		w.must(w.Migrate(w.Context()))
		for _, line := range w.table(everyDetail) {
			if !strings.HasSuffix(line, "||") && !strings.HasSuffix(line, `|[1,["The server says: %s","[1, no"]]|`) {
				w.Errorf("what an earlier version wrote became %s", line)
			}
		}
		w.must(w.MigrateDownTo(w.Context(), 35))
		if after := w.table(everyDetail); !slices.Equal(after, before) || len(after) != 4 {
			w.Errorf("what an earlier version wrote is %q, and was %q", after, before)
		}
	})
}
