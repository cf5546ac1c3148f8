package store

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

func ptr(n int64) *int64 { return &n }

// quotaPages walks through all pages and returns the users in their order.
func (w *world) quotaPages(f insight.QuotaFilter) (users []string) {
	w.Helper()
	for range 100 {
		page, next, err := w.Admin().Quotas(w.Context(), f)
		w.must(err)
		if len(page) > f.Limit {
			w.Fatalf("%d on a page of %d", len(page), f.Limit)
		}
		for _, q := range page {
			user, _, _ := strings.Cut(q.Owner.String(), "@")
			users = append(users, user)
		}
		if next == "" {
			return users
		}
		f.Cursor = next
	}
	w.Fatal("the pages do not end")
	return nil
}

func TestQuotasAreListedInEveryOrderPageByPage(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		for _, u := range []struct {
			name                 string
			used, messages       int64
			limit, limitMessages *int64
		}{
			{"a", 100, 1, nil, nil},
			{"b", 100, 9, ptr(1000), nil},
			{"c", 899, 2, ptr(1000), nil},
			{"d", 900, 3, ptr(1000), nil},
			{"e", 1000, 4, ptr(1000), nil},
			{"f", 1, 5, nil, ptr(5)},
			{"g", 0, 0, ptr(0), nil},
			{"h_%", 5, 5, nil, nil},
		} {
			o := anOwner(w, u.name+"@firma.test")
			w.must(w.SaveUsage(ctx, o, u.used, u.messages, owner.Limit{}, nil))
			w.must(w.SetLimits(ctx, o, owner.Limit{Bytes: u.limit, Messages: u.limitMessages}, nil))
		}
		w.add("zoe@firma.test", 1) // An account, no limit, never measured.
		o := anOwner(w, "gone@firma.test")
		w.must(w.SetLimits(ctx, o, owner.Limit{Bytes: ptr(1), Messages: nil}, nil))
		w.must(w.ClearLimits(ctx, o, nil)) // Nothing is left to report of it.
		cases := []struct {
			f    insight.QuotaFilter
			want string
		}{
			{insight.QuotaFilter{}, "a b c d e f g h_% zoe"},
			{insight.QuotaFilter{Sort: "-user"}, "zoe h_% g f e d c b a"},
			{insight.QuotaFilter{Sort: "used_bytes"}, "g zoe f h_% a b c d e"},
			{insight.QuotaFilter{Sort: "-used_bytes"}, "e d c b a h_% f zoe g"},
			{insight.QuotaFilter{Sort: "used_messages"}, "g zoe a c d e f h_% b"},
			{insight.QuotaFilter{Sort: "limit_bytes"}, "g b c d e a f h_% zoe"},
			{insight.QuotaFilter{Sort: "-usage"}, "g f e d c b zoe h_% a"},
			{insight.QuotaFilter{State: "over"}, "e f g"},
			{insight.QuotaFilter{State: "near"}, "d"},
			{insight.QuotaFilter{State: "ok", Sort: "-used_bytes"}, "c b a h_% zoe"},
			{insight.QuotaFilter{Match: "H_%"}, "h_%"},
			{insight.QuotaFilter{Match: "_"}, "h_%"},
			{insight.QuotaFilter{Match: `\`}, ""},
			{insight.QuotaFilter{Match: "' OR 1=1 --"}, ""},
			{insight.QuotaFilter{Match: "\x00\xff"}, ""},
			{insight.QuotaFilter{Match: "@FIRMA", State: "over", Sort: "-user"}, "g f e"},
		}
		for _, c := range cases {
			for _, size := range []int{1, 2, 100} {
				c.f.Limit = size
				if got := strings.Join(w.quotaPages(c.f), " "); got != c.want {
					w.Errorf("%+v: %s, not %s", c.f, got, c.want)
				}
			}
		}
		for _, f := range []insight.QuotaFilter{
			{Sort: "password"},
			{Sort: "owner; DROP TABLE owners"},
			{Sort: "-"},
			{State: "x"},
			{Cursor: "x"},
			{Cursor: cursor{Owner: "a", Order: "user"}.String()},
		} {
			_, _, err := w.Admin().Quotas(ctx, f)
			var bad *account.InvalidError
			if !errors.As(err, &bad) {
				w.Errorf("%+v: %v", f, err)
			}
		}
	})
}

func TestAQuotaTellsLimitsUseAndEachAccountsShare(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 2))
		shares := []owner.AccountUsage{
			{ID: string(a.ID), Bytes: 2003, Messages: 2},
			{ID: uuid.NewString(), Bytes: 1}, // Gone.
		}
		w.must(w.SaveUsage(ctx, a.Owner, 5000, 7, owner.Limit{}, shares))
		w.must(w.SaveUsage(ctx, a.Owner, 5000, 7, owner.Limit{}, nil)) // Keeps them.
		w.must(w.SetLimits(ctx, a.Owner, owner.Limit{Bytes: ptr(1<<53 - 1), Messages: nil}, nil))
		got, err := w.Quota(ctx, a.Owner)
		w.must(err)
		want := owner.Quota{
			Owner: a.Owner, UsedBytes: 5000, UsedMessages: 7, LimitBytes: ptr(1<<53 - 1),
			Set: owner.Limit{Bytes: ptr(1<<53 - 1)}, SetBy: owner.LimitByMailbrook,
			Accounts: []owner.AccountUsage{{ID: string(a.ID), Name: a.Name, Folder: a.Folder, Bytes: 2003, Messages: 2}},
		}
		if !cmp.Equal(got, want, sameOwner) {
			w.Error(cmp.Diff(got, want, sameOwner))
		}
		page, _, err := w.Admin().Quotas(ctx, insight.QuotaFilter{})
		w.must(err)
		if !cmp.Equal(page, []owner.Quota{want}, sameOwner) {
			w.Error(cmp.Diff(page, want, sameOwner))
		}
		stranger, err := w.Quota(ctx, anOwner(w, "never@firma.test"))
		w.must(err)
		if stranger.UsedBytes != 0 || stranger.LimitBytes != nil || stranger.Accounts != nil {
			w.Errorf("a stranger has %+v", stranger)
		}
	})
}

// Newcomer 11: an account that stopped because the next message does not fit
// makes its user over in every list and count, though the limit is not reached;
// nobody else is.
func TestFullMeansTheSameForUsersAndAccounts(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		stop := func(a account.Account, s account.State) {
			w.Helper()
			l, err := leaseOf(w.Queue().ClaimOne(ctx, a.Owner, a.ID, schedule.Claim{
				Worker: "p1/1", Now: w.clock.now(),
				Lease: time.Minute,
			}))
			w.must(err)
			w.must(w.Queue().Finish(ctx, l, schedule.Settlement{State: s, At: w.clock.now(), DueAt: w.clock.now().Add(
				time.Hour)}))
		}
		check := func(when, over, near, ok string, bands insight.QuotaSummary) {
			w.Helper()
			for state, want := range map[owner.QuotaState]string{
				owner.QuotaOver: over, owner.QuotaNear: near,
				owner.QuotaOK: ok,
			} {
				if got := strings.Join(w.quotaPages(insight.QuotaFilter{State: state, Limit: 2}), " "); got != want {
					w.Errorf("%s: %s are %q, want %q", when, state, got, want)
				}
				for _, u := range strings.Fields(want) {
					q, err := w.Quota(ctx, anOwner(w, u+"@firma.test"))
					w.must(err)
					if got := q.State(); got != state {
						w.Errorf("%s: %s is %s by itself and %s in the list", when, u, got, state)
					}
				}
			}
			got, err := w.Admin().QuotaSummary(ctx)
			w.must(err)
			if got != bands {
				w.Errorf("%s: %+v, want %+v", when, got, bands)
			}
		}
		accounts := map[string]account.Account{}
		for i, u := range []string{"half", "near", "well", "unlimited"} {
			accounts[u] = w.add(u+"@firma.test", i)
			o := accounts[u].Owner
			used := map[string]int64{"half": 500, "near": 950, "well": 100, "unlimited": 5000}[u]
			w.must(w.SaveUsage(ctx, o, used, 1, owner.Limit{}, nil))
			if u != "unlimited" {
				w.must(w.SetLimits(ctx, o, owner.Limit{Bytes: ptr(1000), Messages: nil}, nil))
			}
		}
		check("before", "", "near", "half unlimited well",
			insight.QuotaSummary{Unlimited: 1, Bands: [insight.QuotaBands]int64{
				1: 1, 5: 1,
				9: 1,
			}})
		for _, u := range []string{"half", "near", "unlimited"} {
			stop(accounts[u], account.OverQuota)
		}
		stop(accounts["well"], account.NeedsAttention) // The control: another state, in the same index.
		check("stopped", "half near unlimited", "", "well",
			insight.QuotaSummary{Bands: [insight.QuotaBands]int64{1: 1, 10: 3}})
		page, _, err := w.Admin().Accounts(ctx, insight.AccountFilter{State: account.OverQuota})
		w.must(err)
		if len(page) != 3 {
			w.Errorf("%d accounts are over_quota, want 3", len(page))
		}
		stop(accounts["half"], account.OK)
		a := w.load(accounts["near"])
		a.Enabled = false
		_, err = w.Accounts().Update(ctx, a, nil, false)
		w.must(err)
		w.must(w.Accounts().Remove(ctx, accounts["unlimited"].Owner, accounts["unlimited"].ID, false, nil))
		check("over", "", "near", "half unlimited well", insight.QuotaSummary{Unlimited: 1, Bands: [insight.QuotaBands]int64{
			1: 1, 5: 1,
			9: 1,
		}})
	})
}

// Issue 10, newcomer: "over" stayed after a limit was lifted until the next visit.
func TestAccountsThatWereStoppedAreDueAtOnceWhenThereIsRoom(t *testing.T) {
	own := func(n int64) owner.Limit { return owner.Limit{Messages: &n} }
	for name, c := range map[string]struct {
		own     owner.Limit
		change  func(w *world, o owner.Owner) error
		resumes bool
	}{
		"lifted": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SetLimits(w.Context(), o, owner.Limit{}, nil)
		}, true},
		"raised": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SetLimits(w.Context(), o, owner.Limit{Messages: ptr(100)}, nil)
		}, true},
		"raised by too little": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SetLimits(w.Context(), o, owner.Limit{Messages: ptr(20)}, nil)
		}, false},
		"lowered": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SetLimits(w.Context(), o, owner.Limit{Messages: ptr(2)}, nil)
		}, false},
		"lifted, and the mailbox's own stays": {own(27), func(w *world, o owner.Owner) error {
			return w.SetLimits(w.Context(), o, owner.Limit{}, nil)
		}, false},
		"mail is deleted": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SaveUsage(w.Context(), o, 100, 2, owner.Limit{}, nil)
		}, true},
		"the mailbox's own is raised": {own(3), func(w *world, o owner.Owner) error {
			return errors.Join(w.SetLimits(w.Context(), o, owner.Limit{}, nil),
				w.SaveUsage(w.Context(), o, 100, 27, own(100), nil))
		}, true},
		"the default is raised": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return errors.Join(w.Admin().SetDefaultLimit(w.Context(), owner.EveryDomain, &owner.Limit{Messages: ptr(3)}),
				w.ClearLimits(w.Context(), o, nil),
				w.Admin().SetDefaultLimit(w.Context(), owner.EveryDomain, &owner.Limit{Messages: ptr(100)}),
				w.SpreadLimits(w.Context()))
		}, true},
		"those of many are raised": {owner.Limit{}, func(w *world, o owner.Owner) error {
			_, err := w.Admin().ChangeLimits(w.Context(), insight.QuotaFilter{Match: o.String()}, owner.LimitChange{
				Limit: owner.Limit{Messages: ptr(100)},
			}, "")
			return err
		}, true},
		"measured again": {owner.Limit{}, func(w *world, o owner.Owner) error {
			return w.SaveUsage(w.Context(), o, 100, 27, owner.Limit{}, nil)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				a, well, off := w.add("anna@firma.test", 1), w.add("anna@firma.test", 2), w.add("anna@firma.test", 3)
				other := w.add("jan@firma.test", 4)
				o := a.Owner
				w.must(w.SaveUsage(w.Context(), o, 100, 27, c.own, nil))
				w.must(w.SetLimits(w.Context(), o, owner.Limit{Messages: ptr(3)}, nil))
				w.settled(a, account.OverQuota, fault.LocalOverQuota, time.Hour)
				w.settled(well, account.OK, "", time.Hour)
				w.settled(off, account.OverQuota, fault.LocalOverQuota, time.Hour)
				w.settled(other, account.OverQuota, fault.LocalOverQuota, time.Hour)
				off = w.load(off)
				off.Enabled = false
				_, err := w.Accounts().Update(w.Context(), off, nil, false)
				w.must(err)
				w.must(c.change(w, o))
				q, err := w.Quota(w.Context(), o)
				w.must(err)
				want, state := []string{"Box 1"}, owner.QuotaOK
				if !c.resumes {
					want, state = nil, owner.QuotaOver
				}
				if q.State() != state || q.Stopped == c.resumes {
					w.Errorf("the quota is %s, stopped %t", q.State(), q.Stopped)
				}
				if st := w.load(a).Status; (st.State == account.OK && st.Diagnosis == nil && st.Failures == 0) != c.resumes {
					w.Errorf("the account is %+v", st)
				}
				if got := names(w.claim("p1/1")); !slices.Equal(got, want) {
					w.Errorf("due at once are %q, want %q", got, want)
				}
				if st := w.load(other).Status.State; st != account.OverQuota {
					w.Errorf("the account of another user is %s", st)
				}
			})
		})
	}
}

func TestAVisitThatUsesAnOldLimitIsFollowedByAnother(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		w.must(w.SaveUsage(w.Context(), a.Owner, 100, 27, owner.Limit{}, nil))
		w.must(w.SetLimits(w.Context(), a.Owner, owner.Limit{Messages: ptr(3)}, nil))
		w.settled(a, account.OverQuota, fault.LocalOverQuota, time.Hour)
		l := w.lease1(a)
		w.must(w.SetLimits(w.Context(), a.Owner, owner.Limit{}, nil))
		if got := names(w.claim("p1/2")); got != nil {
			w.Fatalf("%q are visited twice at a time", got)
		}
		w.must(w.Queue().Finish(w.Context(), l, schedule.Settlement{
			State: account.OverQuota, DueAt: w.clock.now().Add(time.Hour),
			Diagnosis: &account.Diagnosis{Code: fault.LocalOverQuota},
		}))
		if got := names(w.claim("p1/1")); !slices.Equal(got, []string{"Box 1"}) {
			w.Errorf("due after the visit are %q", got)
		}
	})
}

func TestAccountsOfAllUsersAreFilteredPageByPage(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		var all []account.Account
		for i := range 7 {
			all = append(all, w.add(fmt.Sprintf("u%d@firma.test", i%3), i, func(a *account.Account) {
				a.Enabled = i != 6
				a.Server.Host = fmt.Sprintf("h%d.example.org", i%2)
			}))
		}
		for i, l := range w.claim("p1/1", func(c *schedule.Claim) { c.Limit = 4 }) {
			st := []account.State{account.OK, account.Retrying, account.NeedsAttention}
			if i < len(st) {
				w.must(w.Queue().Finish(ctx, l, schedule.Settlement{State: st[i], DueAt: w.clock.now().Add(time.Hour)}))
			}
		}
		for _, f := range []insight.AccountFilter{
			{},
			{Owner: all[0].Owner},
			{Host: "H1.example.org"},
			{Host: "%"},
			{Owner: all[0].Owner, Host: "h0.example.org", State: account.Paused},
			{State: account.Pending},
			{State: account.Fetching},
			{State: account.OK},
			{State: account.Retrying},
			{State: account.NeedsAttention},
			{State: account.OverQuota},
			{State: account.Paused},
		} {
			var want []string
			for _, a := range all {
				a = w.load(a)
				if (f.Owner.IsZero() || a.Owner == f.Owner) && (f.Host == "" || a.Server.Host == strings.ToLower(f.Host)) &&
					(f.State == "" || a.Status.State == f.State) {
					want = append(want, a.Owner.String()+" "+a.Name)
				}
			}
			slices.Sort(want)
			var got []string
			for f.Limit, f.Cursor = 2, ""; ; {
				page, next, err := w.Admin().Accounts(ctx, f)
				w.must(err)
				for _, a := range page {
					got = append(got, a.Owner.String()+" "+a.Name)
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
			if !cmp.Equal(got, want) {
				w.Errorf("%+v: %s", f, cmp.Diff(got, want))
			}
		}
		for _, f := range []insight.AccountFilter{
			{State: "odd"},
			{Cursor: "?"},
			{Cursor: cursor{Owner: "a", Account: "1"}.String()},
		} {
			_, _, err := w.Admin().Accounts(ctx, f)
			var bad *account.InvalidError
			if !errors.As(err, &bad) {
				w.Errorf("%+v: %v", f, err)
			}
		}
	})
}

func TestStatsCountAccountsVisitsAndLag(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		other := w.another()
		for i := range 5 {
			w.add(fmt.Sprintf("u%d@firma.test", i), i, func(a *account.Account) { a.Enabled = i != 4 })
		}
		finish := func(s *Store, messages int64, code fault.Code) {
			l := w.claim("p1/1", func(c *schedule.Claim) { c.Limit = 1 })[0]
			st := schedule.Settlement{State: account.OK, Success: true, DueAt: w.clock.now().Add(time.Hour), Run: account.Run{
				OK: true, Messages: messages, Bytes: 100 * messages,
			}}
			if code != "" {
				st.State, st.Success, st.Failures = account.Retrying, false, 1
				st.Diagnosis = &account.Diagnosis{Code: code, Since: w.clock.now()}
				st.Run.OK, st.Run.Diagnosis = false, st.Diagnosis
			}
			w.must(s.Queue().Finish(ctx, l, st))
		}
		finish(w.Store, 3, "")
		w.clock.pass(2 * time.Hour)
		finish(w.Store, 4, "")
		finish(other, 0, fault.ConnectTimeout)
		w.must(other.FlushCounts(ctx))
		w.must(other.FlushCounts(ctx)) // Nothing twice.
		w.clock.pass(time.Minute)
		got, err := w.Admin().Stats(ctx)
		w.must(err)
		want := insight.Stats{
			Accounts: map[account.State]int64{
				account.Pending: 0, account.Fetching: 0, account.OK: 2, account.Retrying: 1,
				account.NeedsAttention: 0, account.OverQuota: 0, account.Paused: 1,
			},
			LastHour: insight.Activity{Polls: 2, Failed: 1, Messages: 4, Bytes: 400, Failures: map[fault.Code]int64{
				fault.ConnectTimeout: 1,
			}},
			LastDay: insight.Activity{Polls: 3, Failed: 1, Messages: 7, Bytes: 700, Failures: map[fault.Code]int64{
				fault.ConnectTimeout: 1,
			}},
			Due: 2, Lag: 2*time.Hour + time.Minute,
			Failing: map[fault.Code]int64{fault.ConnectTimeout: 1},
		}
		want.Accounts[account.Pending] = 1
		if !cmp.Equal(got, want) {
			w.Error(cmp.Diff(got, want))
		}
	})
}

func FuzzCursorsAreReadOrRefused(f *testing.F) {
	f.Add(cursor{Order: "-usage", Number: 5, Owner: "anna@firma.test", Account: "x"}.String())
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"u":"a","x":1}`)))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"u":"a"}{"u":"b"}`)))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("{\"u\":\"\\u0000\"}")))
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseCursor(s)
		if !ok {
			return
		}
		if again, ok := parseCursor(c.String()); !ok || again != c {
			t.Errorf("%+v became %+v", c, again)
		}
	})
}

// overdue walks through all pages of accounts that are overdue.
func (w *world) overdue(f insight.AccountFilter) (names []string) {
	w.Helper()
	f.Overdue = true
	for range 100 {
		page, next, err := w.Admin().Accounts(w.Context(), f)
		w.must(err)
		if len(page) > f.Limit {
			w.Fatalf("%d on a page of %d", len(page), f.Limit)
		}
		for _, a := range page {
			user, _, _ := strings.Cut(a.Owner.String(), "@")
			names = append(names, fmt.Sprintf("%s %v", user, w.clock.now().Sub(a.Status.NextPollAt)))
		}
		if next == "" {
			return names
		}
		f.Cursor = next
	}
	w.Fatal("the pages do not end")
	return nil
}

func TestTheMostOverdueAreListedFirstPageByPage(t *testing.T) {
	onBoth(t, func(w *world) {
		at := func(user string, n int, host string) account.Account {
			return w.add(user+"@firma.test", n, func(a *account.Account) { a.Server.Host = host })
		}
		later, sooner, same := at("later", 1, "h.test"), at("sooner", 2, "h.test"), at("same", 3, "other.test")
		busy, off, notYet, part := at("busy", 4, "h.test"), at("off", 5, "h.test"), at("notyet", 6, "h.test"),
			at("part", 7, "h.test")
		w.settled(later, account.OK, "", 20*time.Minute)
		w.settled(sooner, account.Retrying, fault.ConnectTimeout, 10*time.Minute)
		w.settled(same, account.OK, "", 10*time.Minute)
		w.settled(busy, account.OK, "", time.Minute)
		w.settled(notYet, account.OK, "", 2*time.Hour)
		w.settled(part, account.Fetching, "", 30*time.Minute)
		off = w.load(off)
		off.Enabled = false
		_, err := w.Accounts().Update(w.Context(), off, nil, false)
		w.must(err)
		w.clock.pass(15 * time.Minute)
		asked := at("asked", 8, "h.test") // Due at once, and that means 0.
		w.clock.pass(45 * time.Minute)
		at("askedlater", 9, "other.test")
		_, err = w.Queue().ClaimOne(w.Context(), busy.Owner, busy.ID, schedule.Claim{
			Worker: "p1/1", Now: w.clock.now(),
			Lease: time.Minute,
		})
		w.must(err)

		want := []string{"same 50m0s", "sooner 50m0s", "asked 45m0s", "later 40m0s", "part 30m0s", "askedlater 0s"}
		if sooner.ID < same.ID {
			want[0], want[1] = want[1], want[0]
		}
		for _, limit := range []int{1, 2, 50} {
			if got := w.overdue(insight.AccountFilter{Limit: limit}); !slices.Equal(got, want) {
				w.Errorf("pages of %d: %q, want %q", limit, got, want)
			}
		}
		if got := w.overdue(insight.AccountFilter{Limit: 1, Host: "other.test"}); !slices.Equal(got, []string{
			"same 50m0s",
			"askedlater 0s",
		}) {
			w.Errorf("at one host: %q", got)
		}
		if got := w.overdue(insight.AccountFilter{Limit: 1, State: account.Retrying}); !slices.Equal(got,
			[]string{"sooner 50m0s"}) {
			w.Errorf("in one state: %q", got)
		}
		if got := w.overdue(insight.AccountFilter{Limit: 1, Owner: asked.Owner}); !slices.Equal(got,
			[]string{"asked 45m0s"}) {
			w.Errorf("of one user: %q", got)
		}

		// A cursor of one order is none of the other.
		_, next, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Limit: 1})
		w.must(err)
		var bad *account.InvalidError
		if _, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Overdue: true, Cursor: next}); !errors.As(err,
			&bad) {
			w.Errorf("a cursor of another order: %v", err)
		}
	})
}

func TestUsersAreCountedByHowFullTheyAre(t *testing.T) {
	onBoth(t, func(w *world) {
		for i, u := range []struct {
			used, messages       int64
			limit, limitMessages *int64
		}{
			{5, 5, nil, nil},
			{0, 0, ptr(1000), nil},
			{99, 0, ptr(1000), nil},
			{100, 0, ptr(1000), nil},
			{500, 9, ptr(1000), ptr(10)}, // The fuller counts.
			{999, 0, ptr(1000), nil},
			{1000, 0, ptr(1000), nil},
			{1, 50, nil, ptr(5)},
			{0, 0, ptr(0), nil},
			{3000, 0, nil, ptr(7)},
		} {
			o := anOwner(w, fmt.Sprintf("u%d@firma.test", i))
			w.must(w.SaveUsage(w.Context(), o, u.used, u.messages, owner.Limit{}, nil))
			w.must(w.SetLimits(w.Context(), o, owner.Limit{Bytes: u.limit, Messages: u.limitMessages}, nil))
		}
		w.add("zoe@firma.test", 1) // An account, no limit, never measured.
		got, err := w.Admin().QuotaSummary(w.Context())
		w.must(err)
		if want := (insight.QuotaSummary{Unlimited: 2, Bands: [insight.QuotaBands]int64{
			0: 3, 1: 1, 9: 2,
			10: 3,
		}}); got != want {
			w.Errorf("%+v, want %+v", got, want)
		}
	})
}

// plan returns how the database goes about a query.
func (w *world) plan(c sqlConn, query string, args ...any) (string, error) {
	explain := "EXPLAIN QUERY PLAN "
	if w.postgres {
		explain = "EXPLAIN "
	}
	var plan strings.Builder
	err := c.each(w.Context(), func(r rowScanner) error {
		var line string
		var skip any
		dest := []any{&line}
		if !w.postgres {
			dest = []any{&skip, &skip, &skip, &line}
		}
		err := r.Scan(dest...)
		plan.WriteString(line + "\n")
		return err
	}, explain+query, args...)
	return plan.String(), err
}

// An administrator's look at a million rows must not read them all: the plans
// name the indexes, and no table is read from end to end.
func TestWhatAdministratorsLookAtIsIndexed(t *testing.T) {
	onBoth(t, func(w *world) {
		query, args := w.overdueQuery([]string{"1 = 1"}, nil, nil, 50)
		var summary, overdue, domain string
		where, values, err := chosenBy(insight.QuotaFilter{Domain: "firma.test"}, w.postgres)
		w.must(err)
		w.must(w.write(w.Context(), "asking for plans", func(tx *gorm.DB) (err error) {
			if w.postgres {
				// With next to no rows it would read the tables, rightly. It is asked how it would go about many.
				for _, off := range []string{"enable_seqscan", "enable_sort", "enable_bitmapscan"} {
					if _, err := w.on(tx).exec(w.Context(), "SET LOCAL "+off+" = off"); err != nil {
						return err
					}
				}
			}
			if summary, err = w.plan(w.on(tx), quotaBands+" GROUP BY band", quotaBandArgs...); err != nil {
				return err
			}
			domain, err = w.plan(w.on(tx), "SELECT count(*) FROM owners WHERE "+strings.Join(where, " AND "), values...)
			if err != nil {
				return err
			}
			overdue, err = w.plan(w.on(tx), accountColumns+outOfOrderColumn+accountTables+query, append([]any{int64(0)},
				args...)...)
			return err
		}))
		for _, tc := range []struct {
			plan  string
			names []string
		}{
			{summary, []string{"owners_by_fill"}},
			{overdue, []string{"poll_schedule_due", "poll_schedule_hurried"}},
			{domain, []string{"owners_by_domain"}},
		} {
			for _, name := range tc.names {
				if !strings.Contains(tc.plan, name) {
					w.Errorf("%s is not used:\n%s", name, tc.plan)
				}
			}
			for _, whole := range []string{
				"Seq Scan on poll_schedule", "Seq Scan on accounts", "Seq Scan on owners",
				"SCAN poll_schedule\n", "SCAN p\n", "SCAN a\n", "SCAN owners\n",
			} {
				if strings.Contains(tc.plan, whole) {
					w.Errorf("all rows are read:\n%s", tc.plan)
				}
			}
		}
		if !strings.Contains(summary, "COVERING INDEX") && !strings.Contains(summary, "Index Only Scan") {
			w.Errorf("rows are read besides the index:\n%s", summary)
		}
	})
}
