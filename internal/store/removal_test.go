package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// traces returns the tables in which something of a user is left.
func (w *world) traces(o owner.Owner) (found []string) {
	w.Helper()
	for _, table := range []string{
		"accounts", "poll_schedule", "journals", "links", "sessions", "known_browsers", "oauth_pending",
		"failed_logins", "repeatable",
		"owners", "removals", "ending_visits", "user_ids", "mailbox_logins",
	} {
		n, only := 0, map[string]string{"removals": " AND finished_ms = 0", "user_ids": " AND left_ms = 0"}[table]
		w.must(w.on(w.r).row(w.Context(), "SELECT count(*) FROM "+table+" WHERE owner = ?"+only, o.String()).Scan(&n))
		if n > 0 {
			found = append(found, fmt.Sprintf("%s %d", table, n))
		}
	}
	return found
}

// settle fills all that is kept of a user.
func (w *world) settle(user string) account.Account {
	w.Helper()
	o, ctx := anOwner(w, user), w.Context()
	b := w.add(user, 2)
	w.must(w.Accounts().Remove(ctx, o, b.ID, true, nil)) // Its journal is kept.
	a := w.add(user, 1)
	w.lease(a)
	w.must(w.SetLimits(ctx, o, owner.Limit{Bytes: ptr(1000)}, nil))
	w.begin(user, "session of "+user)
	w.must(w.Browsers().Remember(ctx, "browser of "+user, o, w.clock.now().Add(time.Hour)))
	w.must(w.Links().Save(ctx, "link of "+user, Link{Owner: o, ReturnTo: "/", Expires: w.clock.now().Add(time.Hour)}))
	w.must(w.Pending().SavePending(ctx, "pending of "+user, o, []byte("x"), w.clock.now().Add(time.Hour)))
	_, err := w.Repeatable().Begin(ctx, o, user, "1", nil, w.clock.now().Add(time.Hour))
	w.must(err)
	_, err = w.Recognise(ctx, o, owner.TextID("id of "+user))
	w.must(err)
	w.must(w.NoteMailbox(ctx, o))
	return a
}

// end claims the rest of a removal and finishes it.
func (w *world) end(o owner.Owner) {
	w.Helper()
	if ok, _, err := w.ClaimRemoval(w.Context(), o, "worker", w.clock.now().Add(time.Minute)); !ok {
		w.Fatalf("the removal is somebody else's, %v", err)
	}
	r, err := w.Removal(w.Context(), o)
	w.must(err)
	if ended, err := w.EndRemoval(w.Context(), r, "worker"); !ended {
		w.Fatalf("the removal is not ended, %v", err)
	}
}

// TestD2_NothingOfARemovedUserIsLeft, on both databases; the control is another
// user, of whom all stays.
func TestD2_NothingOfARemovedUserIsLeft(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, bob := w.Context(), anOwner(w, "bob@firma.test")
		a := w.settle("bob@firma.test")
		w.settle("anna@firma.test")
		before := w.traces(anOwner(w, "anna@firma.test"))
		if all := w.traces(bob); len(all) < 9 {
			w.Fatalf("too little was there to be removed: %v", all)
		}
		_, err := w.BeginRemoval(ctx, bob, false)
		w.must(err)
		// A call that was broken off continues in another process, and asks for more.
		r, err := w.another().BeginRemoval(ctx, bob, true)
		w.must(err)
		if !slices.Equal(r.Folders, []string{a.Folder}) || !slices.Equal(r.Accounts, []account.ID{a.ID}) || !r.DeleteMail {
			w.Errorf("what is left to do: %+v", r)
		}
		_, err = w.Accounts().Add(ctx, draft(w, "bob@firma.test", 9), nil, 4)
		w.want(err, account.ErrRemoving)
		if ended, err := w.EndRemoval(ctx, r, "a process that lost its claim"); ended || err != nil {
			w.Errorf("who lost the claim ended it, %v", err)
		}
		less := r // As the first call asked for.
		less.DeleteMail = false
		if ok, _, err := w.ClaimRemoval(ctx, bob, "worker", w.clock.now().Add(time.Minute)); !ok {
			w.Fatalf("the removal is somebody else's, %v", err)
		}
		if ended, err := w.EndRemoval(ctx, less, "worker"); ended || err != nil {
			w.Errorf("it ended though more was asked for, %v", err)
		}
		if left := w.traces(bob); !slices.Contains(left, "removals 1") {
			w.Errorf("left to do are %v", left)
		}
		w.end(bob)
		if left := w.traces(bob); len(left) > 0 {
			w.Errorf("left are %v", left)
		}
		if after := w.traces(anOwner(w, "anna@firma.test")); !slices.Equal(before, after) {
			w.Errorf("of another user there was %v, and is %v", before, after)
		}
		// What the former user asked for before, and comes late, is not the next one's.
		_, err = w.Accounts().Add(ctx, draft(w, "bob@firma.test", 9), nil, 4)
		w.want(err, account.ErrRemoving)
		n := w.add("bob@firma.test", 1, func(n *account.Account) { n.CreatedAt = w.clock.pass(time.Second) })
		if n.Journal == a.Journal {
			w.Error("the next owner continues the journal of the one before")
		}
		// Nor is what was left to do for the former one done to the next.
		if r, err := w.BeginRemoval(ctx, bob, false); err != nil || r.DeleteMail || len(r.Accounts) != 1 {
			w.Errorf("of the next one's removal: %+v, %v", r, err)
		}
		w.end(bob)
		w.clock.pass(removalKept + time.Second)
		w.must(w.Prune(ctx, w.clock.now().Add(-journalKept)))
		if rows := w.table("SELECT count(*) FROM removals"); rows[0] != "0|" {
			w.Errorf("an hour later %v are remembered", rows)
		}
	})
}

// TestD2_VisitsOfARemovedUserEnd: they are waited for until they say that they are
// over, or their lease is.
func TestD2_VisitsOfARemovedUserEnd(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		for user, over := range map[string]func(l fetch.Lease) error{
			"abandoned@firma.test": func(l fetch.Lease) error { return w.Queue().Abandon(ctx, l) },
			"cut-short@firma.test": func(l fetch.Lease) error { return w.Queue().GiveWay(ctx, l) },
			"ran-out@firma.test": func(fetch.Lease) error {
				w.clock.pass(2 * time.Minute)
				return fetch.ErrFenced
			},
		} {
			a := w.add(user, 1)
			l, _ := w.lease(a)
			_, err := w.BeginRemoval(ctx, a.Owner, false)
			w.must(err)
			w.want(w.Queue().Extend(ctx, l, w.clock.now().Add(time.Hour)), fetch.ErrFenced)
			if n, err := w.VisitsEnding(ctx, a.Owner); len(n) != 1 || err != nil {
				w.Errorf("%s: %v are ending, %v", user, n, err)
			}
			w.want(over(l), fetch.ErrFenced)
			if n, err := w.VisitsEnding(ctx, a.Owner); len(n) != 0 || err != nil {
				w.Errorf("%s: %v are ending still, %v", user, n, err)
			}
		}
	})
}

// TestD3_AnotherIdUnderAnAddressFindsNothing, and the former one is refused from
// then on; the control is the same id once more.
func TestD3_AnotherIdUnderAnAddressFindsNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, bob := w.Context(), anOwner(w, "bob@firma.test")
		w.add("bob@firma.test", 1)
		for _, step := range []struct {
			id       string
			accounts int // After it.
			err      error
		}{{"1", 1, nil}, {"1", 1, nil}, {"2", 0, nil}, {"1", 0, ErrFormerUser}, {"3", 0, nil}, {"2", 0, ErrFormerUser}} {
			if _, err := w.another().Recognise(ctx, bob, owner.TextID(step.id)); step.err != nil {
				w.want(err, step.err)
			} else {
				w.must(err)
			}
			if as, err := w.Accounts().Accounts(ctx, bob); len(as) != step.accounts || err != nil {
				w.Errorf("%s has %d accounts, %v", step.id, len(as), err)
			}
		}
	})
}

// TestANumberIsTheSameUserHoweverItIsSpelt, also where an earlier version kept it as
// it was spelt then; the control is a number that a float64 could not distinguish.
func TestANumberIsTheSameUserHoweverItIsSpelt(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, bob := w.Context(), anOwner(w, "bob@firma.test")
		w.add("bob@firma.test", 1)
		_, err := w.Recognise(ctx, bob, owner.TextID("9007199254740993.0")) // As an earlier version.
		w.must(err)
		for _, spelt := range []string{"9007199254740993", "9007199254740993.0", "9.007199254740993e15"} {
			id, ok := owner.NumberID(spelt)
			removed, err := w.Recognise(ctx, bob, id)
			if !ok || removed != nil || err != nil {
				w.Errorf("%s: %t, removed %v, %v", spelt, ok, removed, err)
			}
		}
		next, _ := owner.NumberID("9007199254740992")
		if removed, err := w.Recognise(ctx, bob, next); removed == nil || err != nil {
			w.Errorf("another number: removed %v, %v", removed, err)
		}
		former, _ := owner.NumberID("9007199254740993")
		_, err = w.Recognise(ctx, bob, former)
		w.want(err, ErrFormerUser)
	})
}

// TestD3_ARemovedUsersTokenThrowsOutNobody: it is refused once the address is somebody
// else's. The control is a user who is removed and comes again before anybody else.
func TestD3_ARemovedUsersTokenThrowsOutNobody(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, bob := w.Context(), anOwner(w, "bob@firma.test")
		recognise := func(id string) error {
			_, err := w.Recognise(ctx, bob, owner.TextID(id))
			return err
		}
		w.must(recognise("1"))
		_, err := w.BeginRemoval(ctx, bob, false)
		w.must(err)
		w.end(bob)
		w.must(recognise("1")) // Nobody else was there meanwhile.
		_, err = w.BeginRemoval(ctx, bob, false)
		w.must(err)
		w.end(bob)
		w.must(recognise("2"))
		w.clock.pass(time.Second)
		w.add("bob@firma.test", 1, func(a *account.Account) { a.CreatedAt = w.clock.now() })
		w.want(recognise("1"), ErrFormerUser)
		w.must(recognise("2"))
		if as, err := w.Accounts().Accounts(ctx, bob); len(as) != 1 || err != nil {
			w.Errorf("the next user has %d accounts, %v", len(as), err)
		}
	})
}

// TestD5_WhatIsRepeatableIsKeptForADay, and taken over from the dead alone.
func TestD5_WhatIsRepeatableIsKeptForADay(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, bob, r := w.Context(), anOwner(w, "bob@firma.test"), w.Repeatable()
		soon := func() time.Time { return w.clock.now().Add(time.Minute) }
		begin := func(name, attempt string) *Repeated {
			w.Helper()
			earlier, err := r.Begin(ctx, bob, name, attempt, []byte("asked"), soon())
			w.must(err)
			return earlier
		}
		if begin("1", "a") != nil {
			w.Fatal("a new name is taken")
		}
		if e := begin("1", "b"); e == nil || e.Done || !e.Live {
			w.Errorf("while it is under way: %+v", e)
		}
		if ok, err := r.TakeOver(ctx, "1", "b", soon()); ok || err != nil {
			w.Errorf("taken over from the living: %v", err)
		}
		w.clock.pass(2 * time.Minute)
		if ok, err := r.TakeOver(ctx, "1", "b", soon()); !ok || err != nil {
			w.Errorf("not taken over from the dead: %v", err)
		}
		w.must(r.Finish(ctx, "1", "a", []byte("too late")))
		w.must(r.Finish(ctx, "1", "b", []byte("answered")))
		if e := begin("1", "c"); e == nil || !e.Done || string(e.Sealed) != "answered" {
			w.Errorf("once it is answered: %+v", e)
		}
		w.clock.pass(repeatableKept + time.Second)
		if begin("1", "d") != nil {
			w.Error("a day later the name is taken")
		}
	})
}
