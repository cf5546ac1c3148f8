package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

// skip skips n messages of a folder, one second after the other.
func (w *world) skip(l fetch.Lease, f fetch.Folder, n int, change ...func(*fetch.Skipped)) (ss []fetch.Skipped) {
	w.Helper()
	for i := range n {
		at := w.clock.pass(time.Second)
		s := fetch.Skipped{
			FolderID: f.ID, FolderEpoch: f.Epoch, ID: mail.ID{UID: uint32(i + 1)}, Size: int64(i), Code: fault.MessageFailed,
			Detail:   words.Detail{words.Say("The server says: %s", "no")},
			Attempts: 1, FirstAt: at, LastAt: at, NextAt: at.Add(24 * time.Hour),
		}
		for _, c := range change {
			c(&s)
		}
		ss = append(ss, s)
	}
	w.must(w.commit(l, fetch.Entry{Skip: ss}))
	return ss
}

func (w *world) skipped(a account.Account, limit int, cursor string) account.SkippedPage {
	w.Helper()
	page, err := w.Accounts().Skipped(w.Context(), a.Owner, a.ID, limit, cursor)
	w.must(err)
	return page
}

func TestSkippedMessagesAreListedNewestFirstInPages(t *testing.T) {
	onBoth(t, func(w *world) {
		a, other := w.add("anna@firma.test", 1), w.add("jan@firma.test", 2)
		l, f := w.lease(a)
		lo, fo := w.lease(other)
		w.skip(lo, fo, 2)
		ss := w.skip(l, f, 5)
		w.must(w.commit(l, fetch.Entry{Skip: ss[2:4]})) // Once more: each keeps its name.
		var seen []string
		cursor, sids := "", map[string]bool{}
		for {
			page := w.skipped(a, 2, cursor)
			for _, m := range page.Messages {
				seen = append(seen, m.Message)
				sids[m.SID] = isID(m.SID)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if want := []string{"UID 5", "UID 4", "UID 3", "UID 2", "UID 1"}; !cmp.Equal(seen, want) || len(sids) != 5 {
			w.Errorf("seen %v under %v", seen, sids)
		}
		got := w.skipped(a, 1, "").Messages[0]
		want := account.Skipped{
			SID: got.SID, Folder: "INBOX", LocalFolder: a.Folder, Message: "UID 5", Size: 4, Code: fault.MessageFailed,
			Detail:   words.Detail{words.Say("The server says: %s", "no")},
			Attempts: 1, FirstAt: ss[4].FirstAt, LastAt: ss[4].LastAt, NextAt: ss[4].NextAt,
		}
		if !cmp.Equal(got, want) {
			w.Error(cmp.Diff(got, want))
		}
		for _, bad := range []string{"x", "e30", w.skipped(other, 1, "").Next} {
			var invalid *account.InvalidError
			if _, err := w.Accounts().Skipped(w.Context(), a.Owner, a.ID, 2, bad); !errors.As(err, &invalid) {
				w.Errorf("cursor %q: %v", bad, err)
			}
		}
		if first, last := w.skipped(a, 1, ""), w.skipped(a, 10, ""); first.Total != 5 || last.Total != 5 {
			w.Errorf("in all %d, and %d with all on one page, want 5", first.Total, last.Total)
		}
		f.Epoch++
		w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f}}))
		if n := w.skipped(a, 10, "").Total; n > 0 {
			w.Errorf("%d in all under UIDs that mean nothing any more", n)
		}
		if left := w.skipped(a, 10, "").Messages; len(left) > 0 {
			w.Errorf("under UIDs that mean nothing any more: %v", left)
		}
	})
}

// TestSkippedMessagesAreListedByTheirOwnDates, whatever the order in which they were come across; one that has none
// stands where it was first come across. The control is the test before this, in which none has a date.
func TestSkippedMessagesAreListedByTheirOwnDates(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		days := map[uint32]int{1: -10, 2: -30, 3: 0, 4: -10, 5: -20, 6: 400}
		today := w.clock.pass(time.Second)
		ss := w.skip(l, f, len(days), func(s *fetch.Skipped) {
			if n := days[s.ID.UID]; n != 0 {
				s.About.Date = today.AddDate(0, 0, n)
			}
		})
		for size := 1; size <= len(ss); size++ {
			var seen []string
			for cursor, more := "", true; more; more = cursor != "" {
				page := w.skipped(a, size, cursor)
				for _, m := range page.Messages {
					seen = append(seen, m.Message)
				}
				cursor = page.Next
			}
			slices.Sort(seen[2:4]) // Two of one date, in any order.
			if want := []string{"UID 6", "UID 3", "UID 1", "UID 4", "UID 5", "UID 2"}; !cmp.Equal(seen, want) {
				w.Errorf("in pages of %d: %v", size, seen)
			}
		}
	})
}

func TestAMessageThatIsAskedForIsDueWithItsAccount(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a, other := w.add("anna@firma.test", 1), w.add("jan@firma.test", 2)
		l, f := w.lease(a)
		w.skip(l, f, 2, func(s *fetch.Skipped) { s.Held = true })
		before := w.skipped(a, 10, "").Messages
		sid := before[0].SID
		if !before[0].NextAt.IsZero() {
			w.Errorf("held, but due at %s", before[0].NextAt)
		}
		w.finish(l, time.Hour)
		for _, tc := range []struct {
			a   account.Account
			sid string
		}{
			{other, sid},
			{a, uuid.NewString()},
			{a, "x"},
			{account.Account{ID: a.ID, Owner: other.Owner}, sid},
			{account.Account{ID: "x", Owner: a.Owner}, sid},
		} {
			_, err := w.Accounts().RetrySkipped(ctx, tc.a.Owner, tc.a.ID, tc.sid)
			w.want(err, account.ErrNotFound)
		}
		for range 2 {
			m, err := w.Accounts().RetrySkipped(ctx, a.Owner, a.ID, sid)
			w.must(err)
			if m.SID != sid || m.NextAt.IsZero() {
				w.Errorf("asked for: %+v", m)
			}
		}
		if !w.load(a).Status.NextPollAt.Equal(w.clock.now()) {
			w.Errorf("next visit at %s", w.load(a).Status.NextPollAt)
		}
		l, err := leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, schedule.Claim{
			Worker: "p1/1", Now: w.clock.now(),
			Lease: time.Minute,
		}))
		w.must(err)
		ss, err := w.Journal().Skipped(ctx, l)
		w.must(err)
		var asked []fetch.Skipped
		for _, s := range ss {
			if s.Requested {
				asked = append(asked, s)
			}
		}
		if len(ss) != 2 || len(asked) != 1 || !asked[0].Held {
			w.Fatalf("the visit sees %+v", ss)
		}
		// A visit that began before it was asked for does not undo it.
		late := asked[0]
		late.Requested = false
		w.must(w.commit(l, fetch.Entry{Skip: []fetch.Skipped{late}}))
		if m := w.skipped(a, 1, "").Messages[0]; m.NextAt.IsZero() {
			w.Error("the request was lost")
		}
		w.must(w.commit(l, fetch.Entry{Skip: asked}))
		if m := w.skipped(a, 1, "").Messages[0]; !m.NextAt.IsZero() || m.SID != sid {
			w.Errorf("after it was tried: %+v", m)
		}
	})
}

func TestAllSkippedMessagesAreAskedForAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a, other := w.add("anna@firma.test", 1), w.add("jan@firma.test", 2)
		l, f := w.lease(a)
		w.skip(l, f, 3, func(s *fetch.Skipped) { s.Held = true })
		w.finish(l, time.Hour)
		l2, f2 := w.lease(other)
		w.skip(l2, f2, 2, func(s *fetch.Skipped) { s.Held = true })
		for _, stranger := range []account.Account{{ID: a.ID, Owner: other.Owner}, {ID: "x", Owner: a.Owner}} {
			_, err := w.Accounts().RetryAllSkipped(ctx, stranger.Owner, stranger.ID)
			w.want(err, account.ErrNotFound)
		}
		if w.load(a).Status.NextPollAt.Equal(w.clock.now()) {
			w.Error("due before anybody asked")
		}
		n, err := w.Accounts().RetryAllSkipped(ctx, a.Owner, a.ID)
		w.must(err)
		if n != 3 || !w.load(a).Status.NextPollAt.Equal(w.clock.now()) {
			w.Errorf("%d are asked for, the next visit is at %s", n, w.load(a).Status.NextPollAt)
		}
		for _, m := range w.skipped(a, 10, "").Messages {
			if m.NextAt.IsZero() {
				w.Errorf("not asked for: %+v", m)
			}
		}
		for _, m := range w.skipped(other, 10, "").Messages { // The control: another account's are not.
			if !m.NextAt.IsZero() {
				w.Errorf("asked for with another account's: %+v", m)
			}
		}
	})
}

func TestALargerLimitHasHeldMessagesFetchedThatItAllows(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1, func(a *account.Account) { a.MaxMessageBytes = 2000 })
		l, f := w.lease(a)
		w.skip(l, f, 3, func(s *fetch.Skipped) { s.Held, s.Size = true, int64(s.ID.UID)*3000 })
		a = w.load(a)
		a.MaxMessageBytes = 6000
		a, err := w.Accounts().Update(w.Context(), a, nil, true)
		w.must(err)
		if a.MaxMessageBytes != 6000 {
			w.Errorf("saved %d", a.MaxMessageBytes)
		}
		ss, err := w.Journal().Skipped(w.Context(), l)
		w.must(err)
		var held []int64
		for _, s := range ss {
			if s.Held {
				held = append(held, s.Size)
			}
		}
		if !cmp.Equal(held, []int64{9000}) {
			w.Errorf("still held: %v", held)
		}
	})
}

func TestTheStartAndWhatItLeftOutAreKept(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1, func(a *account.Account) { a.Start = route.StartNew })
		l, f := w.lease(a)
		if l.Route.Start != route.StartNew {
			w.Errorf("the lease has start %s", l.Route.Start)
		}
		f.Since, f.FirstUID = time.UnixMilli(1_700_000_000_000).UTC(), 1<<32-1
		ids := map[mail.ID]bool{{UIDL: "no"}: false}
		for i := range 500 {
			ids[mail.ID{UIDL: fmt.Sprintf("\xff%d", i), Ordinal: i % 2}] = true
		}
		w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f}, BeforeStart: []fetch.BeforeStart{{
			FolderID: f.ID, FolderEpoch: f.Epoch,
			Each: eachOf(ids),
		}}}))
		delete(ids, mail.ID{UIDL: "no"})
		got, err := passedOf(ctx, w.Journal(), l, f)
		w.must(err)
		if !cmp.Equal(got, ids) {
			w.Error(cmp.Diff(got, ids))
		}
		fs, err := w.Journal().Folders(ctx, l)
		w.must(err)
		if !cmp.Equal(fs, []fetch.Folder{f}) {
			w.Error(cmp.Diff(fs, []fetch.Folder{f}))
		}
		other, of := w.lease(w.add("jan@firma.test", 2))
		if got, err := passedOf(ctx, w.Journal(), other, f); err != nil || len(got) > 0 {
			w.Errorf("another's: %d, %v", len(got), err)
		}
		w.want(w.commit(other, fetch.Entry{BeforeStart: []fetch.BeforeStart{{FolderID: f.ID}}}), errOtherFolder)
		w.must(w.commit(other, fetch.Entry{BeforeStart: []fetch.BeforeStart{{FolderID: of.ID}}}))
		w.must(w.commit(l, fetch.Entry{BeforeStart: []fetch.BeforeStart{{FolderID: f.ID, FolderEpoch: f.Epoch}}}))
		if got, err := passedOf(ctx, w.Journal(), l, f); err != nil || len(got) > 0 {
			w.Errorf("in place of it: %d, %v", len(got), err)
		}
		a = w.load(a)
		a.Start = 30
		a, err = w.Accounts().Update(ctx, a, nil, true)
		w.must(err)
		if a.Start != 30 {
			w.Errorf("start %s", a.Start)
		}
		// The visit under way had the old start.
		w.want(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f}}), fetch.ErrFenced)
	})
}

func TestSkippedMessagesOfBeforeGetTheirNames(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.skip(l, f, 3)
		for range 2 { // Below the migration that gives the names.
			w.must(w.MigrateDown(w.Context()))
		}
		w.must(w.Migrate(w.Context()))
		sids := map[string]bool{}
		for _, m := range w.skipped(a, 10, "").Messages {
			if !isID(m.SID) {
				w.Errorf("the name %q", m.SID)
			}
			sids[m.SID] = true
		}
		if len(sids) != 3 {
			w.Errorf("%d names", len(sids))
		}
	})
}

// bugreports F1: whoever asks for a visit, over the interface or at the command line,
// has it try what waits; what a limit keeps away still waits.
func TestAVisitThatIsAskedForTriesWhatWaits(t *testing.T) {
	onBoth(t, func(w *world) {
		held := func(s *fetch.Skipped) { s.Held = s.ID.UID == 2 }
		ask := map[string]func(a account.Account) error{
			"requested": func(a account.Account) error { return w.Accounts().Hurry(w.Context(), a.Owner, a.ID) },
			"claimed": func(a account.Account) error {
				_, err := w.Queue().ClaimOne(w.Context(), a.Owner, a.ID, schedule.Claim{
					Worker: "one/1", Now: w.clock.now(),
					Lease: time.Minute,
				})
				return err
			},
		}
		n := 0
		for name, do := range ask {
			n++
			a, other := w.add(fmt.Sprintf("a%d@firma.test", n), 1), w.add(fmt.Sprintf("b%d@firma.test", n), 2)
			l, f := w.lease(a)
			w.skip(l, f, 2, held)
			lo, fo := w.lease(other)
			w.skip(lo, fo, 1)
			w.must(w.Queue().Abandon(w.Context(), l))
			if due := w.dueNow(l); len(due) != 0 {
				w.Errorf("%s: %v are due before", name, due)
			}
			w.must(do(a))
			if due := w.dueNow(l); !cmp.Equal(due, []uint32{1}) {
				w.Errorf("%s: %v are due", name, due)
			}
			if due := w.dueNow(lo); len(due) != 0 {
				w.Errorf("%s: %v of another account are due", name, due)
			}
		}
	})
}

// dueNow returns the UIDs of an account's skipped messages whose time has come.
func (w *world) dueNow(l fetch.Lease) (due []uint32) {
	w.Helper()
	ss, err := w.Journal().Skipped(w.Context(), l)
	w.must(err)
	for _, s := range ss {
		if !s.NextAt.After(w.clock.now()) {
			due = append(due, s.ID.UID)
		}
	}
	return due
}

// TestWhatASkippedMessageIsAboutIsKept when it is skipped once more without it.
func TestWhatASkippedMessageIsAboutIsKept(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		about := mail.Envelope{Sender: "Anna Żółw", Subject: "Faktura\x00", Date: w.clock.pass(0).Add(-time.Hour)}
		ss := w.skip(l, f, 2, func(s *fetch.Skipped) {
			if s.ID.UID == 2 {
				s.About = about
			}
		})
		ss[1].About = mail.Envelope{}
		w.must(w.commit(l, fetch.Entry{Skip: ss}))
		got := w.skipped(a, 2, "").Messages
		if m := got[1]; m.Sender != "Anna Żółw" || m.Subject != "Faktura\uFFFD" || !m.SentAt.Equal(about.Date) {
			w.Errorf("kept is %+v", m)
		}
		if m := got[0]; m.Sender != "" || m.Subject != "" || !m.SentAt.IsZero() { // The control.
			w.Errorf("of another nothing is known, and kept is %+v", m)
		}
		kept, err := w.Journal().Skipped(w.Context(), l)
		w.must(err)
		if len(kept) != 2 || kept[1].About.Sender != "Anna Żółw" || !kept[1].About.Date.Equal(about.Date) {
			w.Errorf("the journal has %+v", kept)
		}
	})
}
