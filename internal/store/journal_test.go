package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

func TestWhatAServerOffersIsKnownUntilTheAccountMovesToAnother(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, _ := w.lease(a)
		w.must(w.commit(l, fetch.Entry{Capabilities: "LIST-STATUS NAMESPACE"}))
		w.must(w.commit(l, fetch.Entry{}))
		got := w.load(a)
		if got.Capabilities != "LIST-STATUS NAMESPACE" {
			w.Fatalf("it offers %q", got.Capabilities)
		}
		got.Server.Host = "other.example.com"
		_, err := w.Accounts().Update(w.Context(), got, nil, true)
		w.must(err)
		if got := w.load(a); got.Capabilities != "" {
			w.Errorf("another server offers %q", got.Capabilities)
		}
	})
}

func TestHeadersAreKnownByUniqueIDs(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, f := w.lease(w.add("anna@firma.test", 1))
		other, of := w.lease(w.add("jan@firma.test", 1))
		ms := members(f, 1, 5)
		for i, id := range []mail.ID{{UIDL: "a"}, {UIDL: "a", Ordinal: 1}, {UIDL: "b"}, {UIDL: "c"}, {UID: 7}} {
			ms[i].ID, ms[i].Fingerprint.Header = id, [16]byte{9, byte(i)}
		}
		ms[3].Fingerprint.Header = [16]byte{}
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 1}
		w.must(w.commit(l, fetch.Entry{Intend: &k}))
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: ms}}))
		w.must(w.commit(l, fetch.Entry{Alias: []fetch.Alias{{Ref: fetch.Ref{FolderID: f.ID, FolderEpoch: f.Epoch, ID: mail.ID{
			UIDL: "a", Ordinal: 2,
		}}, Size: 77}}}))
		ids := []mail.ID{{UIDL: "a"}, {UIDL: "c"}, {UIDL: "none"}, {UID: 7}, {UID: 8}}
		for i := range 500 { // More than one statement takes.
			ids = append(ids, mail.ID{UIDL: fmt.Sprint("none", i)})
		}
		got, err := w.Journal().HeadersOf(ctx, l, f, append(ids, mail.ID{UIDL: "b"}))
		w.must(err)
		a := mail.ID{UIDL: "a"}
		slices.SortFunc(got[a], func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
		if diff := cmp.Diff(map[mail.ID][][16]byte{a: {{9, 0}, {9, 1}}, {UIDL: "b"}: {{9, 2}}, {UID: 7}: {{9, 4}}},
			got); diff != "" {
			w.Error(diff)
		}
		settled, err := settledOf(ctx, w.Journal(), l, f, 0)
		w.must(err)
		if settled[mail.ID{UIDL: "a", Ordinal: 2}] != 77 {
			w.Errorf("settled: %v", settled)
		}
		f.Epoch++
		for _, tc := range []struct {
			l fetch.Lease
			f fetch.Folder
		}{{l, f}, {l, of}, {other, of}} {
			if got, err := w.Journal().HeadersOf(ctx, tc.l, tc.f, []mail.ID{{UIDL: "a"}}); err != nil || len(got) != 0 {
				w.Errorf("of another epoch, folder or account: %v, %v", got, err)
			}
		}
	})
}

func TestABatchGoesFromIntendedToStagedToDelivered(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, f := w.lease(w.add("anna@firma.test", 1))
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 1}
		open := func() []fetch.Batch {
			bs, err := w.Journal().Open(ctx, l)
			w.must(err)
			return bs
		}
		w.must(w.commit(l, fetch.Entry{Intend: &k}))
		if bs := open(); len(bs) != 1 || bs[0].Key != k || bs[0].Members != nil {
			w.Fatalf("intended: %+v", bs)
		}
		ms := members(f, 1, 250)
		ms[3].Placement.Received = time.Time{}
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: ms}}))
		if bs := open(); len(bs) != 1 || !cmp.Equal(bs[0].Members, ms) {
			w.Fatalf("staged: %s", cmp.Diff(bs[0].Members, ms))
		}
		settled, err := settledOf(ctx, w.Journal(), l, f, 0)
		w.must(err)
		if len(settled) != 250 || settled[mail.ID{UID: 250}] != 1250 {
			w.Fatalf("%d settled once staged, the last of %d octets", len(settled), settled[mail.ID{UID: 250}])
		}
		if n, err := w.Journal().Generation(ctx, l); err != nil || n != 1 {
			w.Errorf("the generation is %d after the first batch was staged, %v", n, err)
		}
		w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{k}}))
		if bs := open(); len(bs) != 0 {
			w.Fatalf("delivered: %+v", bs)
		}
		some, err := settledOf(ctx, w.Journal(), l, f, 249)
		w.must(err)
		if len(some) != 2 {
			w.Errorf("%d settled from UID 249 on", len(some))
		}
		fs, err := w.Journal().Folders(ctx, l)
		w.must(err)
		if len(fs) != 1 || fs[0].Fetched != 250 || fs[0].Bytes != 250*990+250*251/2 {
			w.Errorf("the folder counts %+v", fs)
		}
		if got := w.of(l).Status.Totals; got != (account.Totals{Folders: 1, Messages: 250, Bytes: fs[0].Bytes}) {
			w.Errorf("the account counts %+v", got)
		}
	})
}

func TestOneCommitDeliversStagesAndIntends(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		key := func(n int) *fetch.BatchKey { return &fetch.BatchKey{Epoch: l.Epoch, Seq: n} }
		w.must(w.commit(l, fetch.Entry{Intend: key(1)}))
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: *key(1), Members: members(f, 1, 3)}, Intend: key(2)}))
		w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{*key(1)}, Stage: &fetch.Batch{Key: *key(2), Members: members(
			f, 4, 3)}, Intend: key(3)}))
		w.must(w.commit(l, fetch.Entry{Deliver: []fetch.BatchKey{*key(2)}, Drop: []fetch.BatchKey{*key(3)}}))
		bs, err := w.Journal().Open(w.Context(), l)
		w.must(err)
		if len(bs) != 0 {
			w.Errorf("left open: %+v", bs)
		}
	})
}

func TestFoldersAreKeptAsTheServerNamesThem(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, first := w.lease(w.add("anna@firma.test", 1))
		odd := fetch.Folder{
			Wire: "Sp\xff&\x01AOk-", Remote: "Sp\xff\x00am", Local: "Box1/Spam", SpecialUse: `\Junk`, UIDValidity: 1<<32 - 1,
			Epoch:     3,
			Cursor:    fetch.Cursor{UIDNext: 1<<32 - 1, Messages: 9, Listing: [16]byte{1, 2}, FullScan: w.clock.now()},
			Remaining: 12,
		}
		added, err := w.Journal().AddFolders(ctx, l, []fetch.Folder{odd, {Wire: "B", Remote: "B", Local: "Box1/B"}})
		w.must(err)
		odd.ID = added[0].ID
		fs, err := w.Journal().Folders(ctx, l)
		w.must(err)
		if len(fs) != 3 || fs[0].ID != first.ID || fs[2].Wire != "B" {
			w.Fatalf("the order is lost: %+v", fs)
		}
		odd.Remote = "Sp\uFFFD\uFFFDam" // For people; the wire name is the identity.
		if !cmp.Equal(fs[1], odd) {
			w.Error(cmp.Diff(fs[1], odd))
		}
		for _, f := range []fetch.Folder{{Wire: "C", Local: "Box1/B"}, {Wire: odd.Wire, Local: "Box1/D"}} {
			if _, err := w.Journal().AddFolders(ctx, l, []fetch.Folder{{Wire: "E", Local: "Box1/E"}, f}); err == nil {
				w.Errorf("%+v was added", f)
			}
		}
		changed := odd
		changed.Epoch, changed.UIDValidity, changed.Cursor, changed.Selected, changed.Local, changed.Fetched = 4, 8,
			fetch.Cursor{UIDNext: 5}, true, "Other/Spam", 77
		w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{changed}}))
		changed.Fetched = 0 // The journal's own sum.
		fs, err = w.Journal().Folders(ctx, l)
		w.must(err)
		if len(fs) != 3 || !cmp.Equal(fs[1], changed) {
			w.Error(cmp.Diff(fs[1], changed))
		}
	})
}

func TestSkippedMessagesAreKeptWithTheirReason(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		l, f := w.lease(w.add("anna@firma.test", 1))
		at := w.clock.now()
		skip := fetch.Skipped{
			FolderID: f.ID, ID: mail.ID{UIDL: "\xfe\x00x", Ordinal: 2}, Size: 5, Code: fault.MessageFailed,
			Detail:   words.Detail{words.Say("The server says: %s", "too\x00 long")},
			Attempts: 1, FirstAt: at, LastAt: at, NextAt: at.Add(time.Hour),
		}
		w.must(w.commit(l, fetch.Entry{Skip: []fetch.Skipped{skip}}))
		skip.Attempts, skip.LastAt, skip.FirstAt = 2, at.Add(time.Minute), at.Add(time.Minute)
		w.must(w.commit(l, fetch.Entry{Skip: []fetch.Skipped{skip}}))
		skip.FirstAt, skip.Detail = at, words.Detail{words.Say("The server says: %s", "too\uFFFD long")}
		got, err := w.Journal().Skipped(ctx, l)
		w.must(err)
		if len(got) != 1 || !cmp.Equal(got[0], skip) {
			w.Fatal(cmp.Diff(got, []fetch.Skipped{skip}))
		}
		w.must(w.commit(l, fetch.Entry{Unskip: []fetch.Skipped{skip}}))
		if got, err = w.Journal().Skipped(ctx, l); err != nil || len(got) != 0 {
			w.Errorf("after all settled: %v, %v", got, err)
		}
	})
}

func TestPOP3IdentitiesAreBytes(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		ms := members(f, 0, 4)
		ids := []mail.ID{{UIDL: "a"}, {UIDL: "A"}, {UIDL: "a", Ordinal: 1}, {UIDL: "\xff\x00\xfe"}}
		for i := range ms {
			ms[i].ID = ids[i]
		}
		w.deliver(l, 1, ms)
		got, err := settledOf(w.Context(), w.Journal(), l, f, 0)
		w.must(err)
		for _, id := range ids {
			if _, ok := got[id]; !ok {
				w.Errorf("%q is not settled: %v", id.UIDL, got)
			}
		}
	})
}

// A staged batch whose messages got other names keeps what was settled; one that is not staged takes none.
func TestABatchIsStagedUnderOtherNames(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		ms := members(f, 1, 3)
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 1}
		other := fetch.Batch{Key: k, Members: slices.Clone(ms[:2])}
		other.Members[1].Placement.Spool, other.Members[1].Fingerprint.Digest = "imap.1.2.3.4.5", [32]byte{9}
		w.must(w.commit(l, fetch.Entry{Intend: &k}))
		if err := w.commit(l, fetch.Entry{Restage: &other}); err == nil {
			w.Error("a batch that was only intended has members")
		}
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: k, Members: ms}}))
		before := w.table("SELECT * FROM messages ORDER BY uid")
		w.must(w.commit(l, fetch.Entry{Restage: &other}))
		open, err := w.Journal().Open(w.Context(), l)
		w.must(err)
		if diff := cmp.Diff([]fetch.Batch{other}, open); diff != "" {
			w.Error(diff)
		}
		if diff := cmp.Diff(before, w.table("SELECT * FROM messages ORDER BY uid")); diff != "" {
			w.Error(diff)
		}
		stale := l
		stale.Epoch--
		w.want(w.commit(stale, fetch.Entry{Restage: &other}), fetch.ErrFenced)
	})
}

// Every way to lose a lease, and every write under one.
func TestTheFenceBites(t *testing.T) {
	losses := map[string]func(w *world, a account.Account){
		"the lease ended and another worker took it": func(w *world, _ account.Account) {
			w.clock.pass(2 * time.Minute)
			if ls := w.claim("p2/1"); len(ls) != 1 {
				w.Fatalf("%d leases", len(ls))
			}
		},
		"the owner changed the server": func(w *world, a account.Account) {
			a.Server.Port = 1993
			_, err := w.Accounts().Update(w.Context(), a, nil, true)
			w.must(err)
		},
		"the owner changed the password": func(w *world, a account.Account) {
			_, err := w.Accounts().Update(w.Context(), a, []byte("new"), true)
			w.must(err)
		},
		"the owner changed the folder": func(w *world, a account.Account) {
			a.Folder = "Elsewhere"
			_, err := w.Accounts().Update(w.Context(), a, nil, false)
			w.must(err)
		},
		"the owner changed the rules": func(w *world, a account.Account) {
			a.Folders.Exclude = nil
			_, err := w.Accounts().Update(w.Context(), a, nil, false)
			w.must(err)
		},
		"the owner switched the account off": func(w *world, a account.Account) {
			a.Enabled = false
			_, err := w.Accounts().Update(w.Context(), a, nil, false)
			w.must(err)
		},
		"the owner removed the account": func(w *world, a account.Account) {
			w.must(w.Accounts().Remove(w.Context(), a.Owner, a.ID, true, nil))
		},
		"the owner removed the account and added it again": func(w *world, a account.Account) {
			w.must(w.Accounts().Remove(w.Context(), a.Owner, a.ID, true, nil))
			_, err := w.Accounts().Add(w.Context(), draft(w, a.Owner.String(), 1), []byte("sealed"), 4)
			w.must(err)
		},
		"the visit was abandoned": func(w *world, a account.Account) {
			w.must(w.Queue().Abandon(w.Context(), fetch.Lease{Route: a.Route(), Worker: "p1/1", Epoch: 1}))
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				ctx := w.Context()
				a := w.add("anna@firma.test", 1)
				l, f := w.lease(a)
				k := fetch.BatchKey{Epoch: l.Epoch, Seq: 1}
				w.must(w.commit(l, fetch.Entry{Intend: &k}))
				lose(w, a)
				before := append(w.table("SELECT * FROM messages"), append(w.table("SELECT * FROM batches"),
					w.table("SELECT * FROM poll_schedule")...)...)
				for i, e := range []fetch.Entry{
					{},
					{Stage: &fetch.Batch{Key: k, Members: members(f, 1, 2)}},
					{Deliver: []fetch.BatchKey{k}},
					{Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: 2}},
					{Drop: []fetch.BatchKey{k}},
					{Folders: []fetch.Folder{f}},
					{Skip: []fetch.Skipped{{FolderID: f.ID}}},
					{Progress: route.Progress{MessagesDone: 9}},
				} {
					if err := w.commit(l, e); err == nil || !isAnswer(err) {
						w.Errorf("entry %d: %v", i, err)
					}
				}
				_, err := w.Journal().AddFolders(ctx, l, []fetch.Folder{{Wire: "X", Local: "X"}})
				w.want(err, fetch.ErrFenced)
				w.want(w.Queue().Extend(ctx, l, w.clock.now().Add(time.Hour)), fetch.ErrFenced)
				w.want(w.Queue().Finish(ctx, l, schedule.Settlement{State: account.OK}), fetch.ErrFenced)
				w.want(w.Queue().Abandon(ctx, l), fetch.ErrFenced)
				after := append(w.table("SELECT * FROM messages"), append(w.table("SELECT * FROM batches"),
					w.table("SELECT * FROM poll_schedule")...)...)
				if !cmp.Equal(before, after) {
					w.Error(cmp.Diff(before, after))
				}
			})
		})
	}
}

func TestALeaseThatEndedButWasNotTakenStillHolds(t *testing.T) {
	onBoth(t, func(w *world) {
		l, _ := w.lease(w.add("anna@firma.test", 1))
		w.clock.pass(time.Hour)
		w.must(w.commit(l, fetch.Entry{}))
		if ls := w.claim("p2/1"); len(ls) != 0 {
			w.Error("the commit did not extend the lease")
		}
	})
}

// A worker that lost its lease while its transaction waits must not slip
// through: this is what the row lock of the fence is for.
func TestAStaleWorkerAndANewOneNeverBothCommit(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		old, _ := w.lease(a)
		w.clock.pass(2 * time.Minute)
		other := w.another()
		type result struct{ old, new error }
		done := make(chan result)
		for round := range 10 {
			k := fetch.BatchKey{Epoch: old.Epoch, Seq: round}
			go func() {
				ctx := context.WithoutCancel(w.Context())
				done <- result{old: w.Journal().Commit(ctx, old, fetch.Entry{Intend: &k})}
			}()
			var next fetch.Lease
			go func() {
				var err error
				next, err = leaseOf(other.Queue().ClaimOne(context.WithoutCancel(w.Context()), a.Owner, a.ID,
					schedule.Claim{Worker: "p2/1", Now: w.clock.now().Add(time.Hour), Lease: time.Minute}))
				done <- result{new: err}
			}()
			r1, r2 := <-done, <-done
			oldErr, newErr := r1.old, r1.new
			if oldErr == nil {
				oldErr = r2.old
			}
			if newErr == nil {
				newErr = r2.new
			}
			w.must(newErr)
			bs, err := w.Journal().Open(w.Context(), next)
			w.must(err)
			has := false
			for _, b := range bs {
				has = has || b.Key == k
			}
			if has != (oldErr == nil) {
				w.Fatalf("round %d: the old worker got %v, its batch is there: %v", round, oldErr, has)
			}
			w.want(w.commit(old, fetch.Entry{}), fetch.ErrFenced)
			old = next
			w.clock.pass(2 * time.Hour)
		}
	})
}

func TestWhatTheProtocolForbidsIsRefusedWhole(t *testing.T) {
	onBoth(t, func(w *world) {
		l, f := w.lease(w.add("anna@firma.test", 1))
		_, foreign := w.lease(w.add("jan@firma.test", 2))
		w.deliver(l, 1, members(f, 1, 5))
		k := fetch.BatchKey{Epoch: l.Epoch, Seq: 2}
		w.must(w.commit(l, fetch.Entry{Intend: &k}))
		intend := &fetch.BatchKey{Epoch: l.Epoch, Seq: 50}
		twice := members(f, 10, 1)
		for name, e := range map[string]fetch.Entry{
			"a settled message again":    {Intend: intend, Stage: &fetch.Batch{Key: k, Members: members(f, 5, 1)}},
			"a message twice in a batch": {Intend: intend, Stage: &fetch.Batch{Key: k, Members: append(twice, twice...)}},
			"another account's folder":   {Intend: intend, Stage: &fetch.Batch{Key: k, Members: members(foreign, 1, 1)}},
			"skip in another's folder":   {Intend: intend, Skip: []fetch.Skipped{{FolderID: foreign.ID}}},
			"unskip in another's folder": {Intend: intend, Unskip: []fetch.Skipped{{FolderID: foreign.ID}}},
			"another's folder's cursor":  {Intend: intend, Folders: []fetch.Folder{foreign}},
			"staging what is no intent": {Intend: intend, Stage: &fetch.Batch{
				Key:     fetch.BatchKey{Epoch: l.Epoch, Seq: 9},
				Members: members(f, 20, 1),
			}},
			"delivering a mere intent":   {Intend: intend, Deliver: []fetch.BatchKey{k}},
			"delivering what is unknown": {Intend: intend, Deliver: []fetch.BatchKey{{Epoch: 9, Seq: 9}}},
			"intending one batch twice":  {Intend: &k},
		} {
			if err := w.commit(l, e); err == nil {
				w.Errorf("%s was taken", name)
			}
		}
		err := w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: fetch.BatchKey{Epoch: l.Epoch, Seq: 9}}})
		w.want(err, fetch.ErrFenced)
		if got := w.table("SELECT seq, state FROM batches"); !cmp.Equal(got, []string{"2|1|"}) {
			w.Errorf("batches: %v", got)
		}
		if got := w.table("SELECT count(*) FROM messages"); got[0] != "5|" {
			w.Errorf("messages: %v", got)
		}
		if got := w.of(l).Status.Totals.Messages; got != 5 {
			w.Errorf("counted: %d", got)
		}
	})
}

func TestTheLimitIsWhatTheAdministratorSet(t *testing.T) {
	onBoth(t, func(w *world) {
		o := anOwner(w, "anna@firma.test")
		got, err := w.Journal().Limit(w.Context(), o)
		w.must(err)
		if got.Bytes != nil || got.Messages != nil {
			w.Errorf("unlimited is %+v", got)
		}
		n, zero := int64(5000), int64(0)
		w.must(w.SetLimits(w.Context(), o, owner.Limit{Bytes: &n, Messages: &zero}, nil))
		got, err = w.Journal().Limit(w.Context(), o)
		w.must(err)
		if got.Bytes == nil || *got.Bytes != n || got.Messages == nil || *got.Messages != 0 {
			w.Errorf("limited is %+v", got)
		}
	})
}

func TestProgressIsSeenWhileTheVisitLasts(t *testing.T) {
	onBoth(t, func(w *world) {
		l, _ := w.lease(w.add("anna@firma.test", 1))
		p := route.Progress{Folder: "INBOX", MessagesDone: 3, MessagesTotal: 9, BytesDone: 4000}
		w.must(w.commit(l, fetch.Entry{Progress: p}))
		if st := w.of(l).Status; st.State != account.Fetching || st.Progress != p || !st.NextPollAt.IsZero() {
			w.Errorf("while fetching: %+v", st)
		}
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
			State: account.OK, Success: true,
			DueAt: w.clock.now().Add(time.Minute),
		}))
		if st := w.of(l).Status; st.State != account.OK || st.Progress != (route.Progress{}) {
			w.Errorf("afterwards: %+v", st)
		}
	})
}

// settledOf returns what the journal says is settled, by name.
func settledOf(ctx context.Context, j Journal, l fetch.Lease, f fetch.Folder, from uint32) (map[mail.ID]int64, error) {
	out := map[mail.ID]int64{}
	err := j.Settled(ctx, l, f, from, func(id mail.ID, size int64) error {
		out[id] = size
		return nil
	})
	return out, err
}

func rememberedOf(ctx context.Context, j Journal, l fetch.Lease) (out []fetch.Known, err error) {
	err = j.Remembered(ctx, l, func(k fetch.Known) error {
		out = append(out, k)
		return nil
	})
	return out, err
}

func passedOf(ctx context.Context, j Journal, l fetch.Lease, f fetch.Folder) (map[mail.ID]bool, error) {
	out := map[mail.ID]bool{}
	err := j.BeforeStart(ctx, l, f, func(id mail.ID) error {
		out[id] = true
		return nil
	})
	return out, err
}

// eachOf is the names that are true.
func eachOf(ids map[mail.ID]bool) func(func(mail.ID) error) error {
	return func(yield func(mail.ID) error) error {
		for id, yes := range ids {
			if !yes {
				continue
			}
			if err := yield(id); err != nil {
				return err
			}
		}
		return nil
	}
}
