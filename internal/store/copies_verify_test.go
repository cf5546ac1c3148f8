package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// copying adds a copy into its owner's own mailbox, and leases it.
func (w *world) copying(user string) (transfer.Copy, fetch.Lease) {
	w.Helper()
	c := transfer.Copy{
		ID: transfer.ID(uuid.NewString()), Owner: anOwner(w, user), Journal: uuid.NewString(), CreatedAt: w.clock.now(),
		Source: remote.Mailbox{
			Email: "old@example.org", Provider: "other", Protocol: remote.IMAP, Username: "old", Auth: remote.Password,
			Server: remote.Server{Host: "imap.example.org", Port: 993, Security: remote.TLS},
		},
	}
	c, err := w.Copies().Add(w.Context(), c, map[remote.Field][]byte{transfer.SourceField: []byte("sealed")},
		[32]byte{1}, 10)
	w.must(err)
	ls := w.claim("p1/copies", func(claim *schedule.Claim) { claim.Kind = route.Once })
	if len(ls) != 1 {
		w.Fatalf("%d leases", len(ls))
	}
	return c, ls[0]
}

// A verification reads a copy's journal by dates, in pages that end with a second, notes what it finds under its lease
// alone, and continues after the last folder that was done.
func TestLedgerOfACopy(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		c, l := w.copying("anna@firma.test")
		fs, err := w.Journal().AddFolders(ctx, l, []fetch.Folder{
			{Wire: "INBOX", Remote: "INBOX", Local: "INBOX", Selected: true, UIDValidity: 7},
			{Wire: "Empty", Remote: "Empty", Local: "Empty", Selected: true, UIDValidity: 7},
			{Wire: "A", Remote: "A", Local: "Old/A", Selected: true, UIDValidity: 7},
		})
		w.must(err)
		first := members(fs[0], 1, 50)
		begins := time.Date(1969, 12, 31, 23, 59, 50, 0, time.UTC) // Also what is before the epoch has its place.
		for i := range first {
			first[i].Placement.Received = begins.Add(time.Duration(i/4)*time.Second + time.Duration(i%4)*time.Millisecond)
		}
		w.deliver(l, 1, first)
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 2}
		second := members(fs[2], 1, 3)
		w.must(w.commit(l, fetch.Entry{Intend: &k}))
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: second}}))
		placed := fetch.Placed{Ref: fetch.Ref{FolderID: fs[2].ID, ID: mail.ID{UID: 2}}, Validity: 9, UID: 4294967295}
		w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{k}, Placed: []fetch.Placed{placed}}))

		letters, err := w.Journal().AddFolders(ctx, l, []fetch.Folder{{
			Wire: fetch.LettersWire, Remote: "letters", Local: "letters", Epoch: 1,
		}})
		w.must(err)
		w.deliver(l, 3, members(letters[0], 1, 1)) // Which nobody compares.

		g := w.Copies().Ledger(l)
		f, more, err := g.Next(ctx)
		w.must(err)
		if !more || f != (transfer.SoughtFolder{Number: fs[0].ID, Target: "INBOX", Messages: 50}) {
			w.Errorf("%+v, %t", f, more)
		}
		for _, n := range []int{1, 3, 4, 7, 49, 50, 1000} {
			var seen []uint32
			for from := int64(-1 << 50); ; {
				page, err := g.Page(ctx, f.Number, from, n)
				w.must(err)
				if len(page) == 0 {
					break
				}
				if len(page) > n+3 {
					w.Errorf("a page of %d has %d", n, len(page))
				}
				for _, s := range page {
					m := first[s.ID.UID-1]
					if s.Received != m.Placement.Received.Unix() || s.Received < from || s.Print != m.Fingerprint || s.State != "" {
						w.Errorf("%+v is %+v", m, s)
					}
					seen = append(seen, s.ID.UID)
				}
				from = page[len(page)-1].Received + 1
			}
			if slices.Sort(seen); len(slices.Compact(seen)) != 50 || len(seen) != 50 {
				w.Errorf("in pages of %d: %v", n, seen)
			}
		}
		w.must(g.Done(ctx, f.Number))
		f, more, err = g.Next(ctx)
		w.must(err)
		if !more || f != (transfer.SoughtFolder{Number: fs[2].ID, Target: "Old/A", Messages: 3, Told: 1}) {
			w.Errorf("%+v, %t", f, more)
		}
		verdict := func(uid uint32, state transfer.MessageState, at uint64, read bool) transfer.Verdict {
			return transfer.Verdict{ID: mail.ID{UID: uid}, State: state, At: at, Validity: 9, Read: read}
		}
		w.must(g.Note(ctx, fs[2].ID, []transfer.Verdict{
			verdict(1, transfer.MessageCopied, 11, true), verdict(2, transfer.MessageAltered, 0, true),
			verdict(3, transfer.MessageMissing, 0, false),
		}))
		page, err := g.Page(ctx, fs[2].ID, 0, 10)
		w.must(err)
		var is []string
		for _, s := range page {
			is = append(is, fmt.Sprintf("%d %d %d %s %t", s.ID.UID, s.At, s.Validity, s.State, s.Read))
		}
		want := []string{"1 11 9 copied true", "2 4294967295 9 altered true", "3 0 9 missing false"}
		if !slices.Equal(is, want) {
			w.Errorf("%q, want %q", is, want)
		}
		gone, err := g.Missing(ctx, 10)
		w.must(err)
		if len(gone) != 1 || gone[0].ID.UID != 3 || gone[0].Folder != fs[2].ID || gone[0].Print != second[2].Fingerprint {
			w.Errorf("%+v", gone)
		}
		taken, err := g.Taken(ctx, "Old/A", 9, []uint64{11, 12, 4294967295})
		if w.must(err); fmt.Sprint(taken) != "map[11:true 4294967295:true]" {
			w.Error(taken)
		}
		totals, _, err := g.Sums(ctx)
		w.must(err)
		if totals.Missing != 1 || totals.Altered != 1 || totals.VerifiedByDigest != 2 || totals.Messages < 53 {
			w.Errorf("%+v", totals)
		}
		list, err := w.Copies().Messages(ctx, c.Owner, c.ID, transfer.MessageAltered, 10, "")
		w.must(err)
		if list.Total != 1 || list.Messages[0].TargetUID != 4294967295 {
			w.Errorf("%+v", list)
		}

		w.must(g.Done(ctx, fs[2].ID))
		if _, more, err := g.Next(ctx); more || err != nil {
			w.Error(more, err)
		}
		// Another's folder is nobody's business here, and without the lease nothing is written.
		w.want(g.Note(ctx, 12345, []transfer.Verdict{verdict(1, transfer.MessageMissing, 0, false)}), errOtherFolder)
		_, err = w.Copies().Switch(ctx, c.Owner, c.ID, false, false)
		w.must(err)
		w.want(g.Note(ctx, fs[2].ID, []transfer.Verdict{verdict(1, transfer.MessageMissing, 0, false)}), fetch.ErrFenced)
		w.want(g.Done(ctx, 0), fetch.ErrFenced)

		// The next pass begins with the first folder, and what was read before is to be read again.
		w.must(w.Copies().Verified(ctx, w.resumed(c), transfer.VerifySample, totals, transfer.Investigate,
			transfer.CompletedWithWarnings, w.clock.now()))
		_, err = w.Copies().Again(ctx, c.Owner, c.ID, transfer.Verifying, c.Options, false)
		w.must(err)
		if f, more, err := g.Next(ctx); err != nil || !more || f.Number != fs[0].ID {
			w.Error(f, more, err)
		}
		page, err = g.Page(ctx, fs[2].ID, 0, 10)
		if w.must(err); page[0].Read {
			w.Error("it is said to be read in a pass that has not begun")
		}
	})
}

// resumed leases a copy that was paused.
func (w *world) resumed(c transfer.Copy) fetch.Lease {
	w.Helper()
	_, err := w.Copies().Switch(w.Context(), c.Owner, c.ID, true, false)
	w.must(err)
	return w.claim("p2/copies", func(claim *schedule.Claim) { claim.Kind = route.Once })[0]
}
