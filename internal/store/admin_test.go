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

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/schedule"
)

func ptr(n int64) *int64 { return &n }

// quotaPages walks through all pages and returns the users in their order.
func (w *world) quotaPages(f QuotaFilter) (users []string) {
	w.Helper()
	for range 100 {
		page, next, err := w.AdminQuotas(w.Context(), f)
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
			o := owner(w, u.name+"@firma.test")
			w.must(w.SaveUsage(ctx, o, u.used, u.messages))
			w.must(w.SetLimits(ctx, o, u.limit, u.limitMessages))
		}
		w.add("zoe@firma.test", 1) // An account, no limit, never measured.
		o := owner(w, "gone@firma.test")
		w.must(w.SetLimits(ctx, o, ptr(1), nil))
		w.must(w.SetLimits(ctx, o, nil, nil)) // Nothing is left to tell of it.
		cases := []struct {
			f    QuotaFilter
			want string
		}{
			{QuotaFilter{}, "a b c d e f g h_% zoe"},
			{QuotaFilter{Sort: "-user"}, "zoe h_% g f e d c b a"},
			{QuotaFilter{Sort: "used_bytes"}, "g zoe f h_% a b c d e"},
			{QuotaFilter{Sort: "-used_bytes"}, "e d c b a h_% f zoe g"},
			{QuotaFilter{Sort: "used_messages"}, "g zoe a c d e f h_% b"},
			{QuotaFilter{Sort: "limit_bytes"}, "g b c d e a f h_% zoe"},
			{QuotaFilter{Sort: "-usage"}, "g f e d c b zoe h_% a"},
			{QuotaFilter{State: "over"}, "e f g"},
			{QuotaFilter{State: "near"}, "d"},
			{QuotaFilter{State: "ok", Sort: "-used_bytes"}, "c b a h_% zoe"},
			{QuotaFilter{Query: "H_%"}, "h_%"},
			{QuotaFilter{Query: "_"}, "h_%"},
			{QuotaFilter{Query: `\`}, ""},
			{QuotaFilter{Query: "' OR 1=1 --"}, ""},
			{QuotaFilter{Query: "\x00\xff"}, ""},
			{QuotaFilter{Query: "@FIRMA", State: "over", Sort: "-user"}, "g f e"},
		}
		for _, c := range cases {
			for _, size := range []int{1, 2, 100} {
				c.f.Limit = size
				if got := strings.Join(w.quotaPages(c.f), " "); got != c.want {
					w.Errorf("%+v: %s, not %s", c.f, got, c.want)
				}
			}
		}
		for _, f := range []QuotaFilter{{Sort: "password"}, {Sort: "owner; DROP TABLE owners"}, {Sort: "-"}, {State: "x"}, {Cursor: "x"}, {Cursor: cursor{Owner: "a", Order: "user"}.String()}} {
			_, _, err := w.AdminQuotas(ctx, f)
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
		w.must(w.SaveUsage(ctx, a.Owner, 5000, 7))
		w.must(w.SetLimits(ctx, a.Owner, ptr(1<<53-1), nil))
		got, err := w.Quota(ctx, a.Owner)
		w.must(err)
		want := account.Quota{
			Owner: a.Owner, UsedBytes: 5000, UsedMessages: 7, LimitBytes: ptr(1<<53 - 1),
			Accounts: []account.AccountUsage{{ID: a.ID, Name: a.Name, Bytes: 2003, Messages: 2}},
		}
		if !cmp.Equal(got, want, sameOwner) {
			w.Error(cmp.Diff(got, want, sameOwner))
		}
		page, _, err := w.AdminQuotas(ctx, QuotaFilter{})
		w.must(err)
		if !cmp.Equal(page, []account.Quota{want}, sameOwner) {
			w.Error(cmp.Diff(page, want, sameOwner))
		}
		stranger, err := w.Quota(ctx, owner(w, "never@firma.test"))
		w.must(err)
		if stranger.UsedBytes != 0 || stranger.LimitBytes != nil || stranger.Accounts != nil {
			w.Errorf("a stranger has %+v", stranger)
		}
	})
}

func TestShareOfALimitIsExact(t *testing.T) {
	for _, c := range []struct{ used, limit, want int64 }{
		{0, never, 0},
		{1, never, 0},
		{0, 0, 10000},
		{0, 10, 0},
		{9, 10, 9000},
		{8999, 10000, 8999},
		{10, 10, 10000},
		{11, 10, 11000},
		{1<<53 - 1, 1 << 53, 9999},
		{never, 1, never},
		{never, never - 1, 10000},
		{-5, 10, 0},
	} {
		if got := share(c.used, c.limit); got != c.want {
			t.Errorf("share(%d, %d) = %d, not %d", c.used, c.limit, got, c.want)
		}
	}
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
		for _, f := range []AccountFilter{
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
				if (f.Owner.IsZero() || a.Owner == f.Owner) && (f.Host == "" || a.Server.Host == strings.ToLower(f.Host)) && (f.State == "" || a.Status.State == f.State) {
					want = append(want, a.Owner.String()+" "+a.Name)
				}
			}
			slices.Sort(want)
			var got []string
			for f.Limit, f.Cursor = 2, ""; ; {
				page, next, err := w.AdminAccounts(ctx, f)
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
		for _, f := range []AccountFilter{{State: "odd"}, {Cursor: "?"}, {Cursor: cursor{Owner: "a", Account: "1"}.String()}} {
			_, _, err := w.AdminAccounts(ctx, f)
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
			st := schedule.Settlement{State: account.OK, Success: true, DueAt: w.clock.now().Add(time.Hour), Run: account.Run{OK: true, Messages: messages, Bytes: 100 * messages}}
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
		got, err := w.AdminStats(ctx)
		w.must(err)
		want := Stats{
			Accounts: map[account.State]int64{account.Pending: 0, account.Fetching: 0, account.OK: 2, account.Retrying: 1, account.NeedsAttention: 0, account.OverQuota: 0, account.Paused: 1},
			LastHour: Activity{Polls: 2, Failed: 1, Messages: 4, Bytes: 400, Failures: map[fault.Code]int64{fault.ConnectTimeout: 1}},
			LastDay:  Activity{Polls: 3, Failed: 1, Messages: 7, Bytes: 700, Failures: map[fault.Code]int64{fault.ConnectTimeout: 1}},
			Due:      2, Lag: 2*time.Hour + time.Minute,
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
