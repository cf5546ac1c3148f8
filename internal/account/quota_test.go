package account_test

import (
	"math"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
)

// Over at the limit, near from 90 %, and no overflow; and over, whatever is
// left, as soon as an account has stopped for want of room (newcomer 11).
func TestOneFunctionSaysHowFullAMailboxIs(t *testing.T) {
	for _, tc := range []struct {
		used  int64
		limit *int64
		fill  int64
		want  account.QuotaState
	}{
		{0, nil, 0, account.QuotaOK},
		{1 << 62, nil, 0, account.QuotaOK},
		{0, ptr[int64](0), 10_000, account.QuotaOver},
		{0, ptr[int64](1), 0, account.QuotaOK},
		{-5, ptr[int64](10), 0, account.QuotaOK},
		{89, ptr[int64](100), 8_900, account.QuotaOK},
		{8_999, ptr[int64](10_000), 8_999, account.QuotaOK},
		{90, ptr[int64](100), 9_000, account.QuotaNear},
		{99, ptr[int64](100), 9_900, account.QuotaNear},
		{1<<53 - 1, ptr[int64](1 << 53), 9_999, account.QuotaNear},
		{math.MaxInt64 - 1, ptr[int64](math.MaxInt64), 9_999, account.QuotaNear},
		{100, ptr[int64](100), 10_000, account.QuotaOver},
		{11, ptr[int64](10), 11_000, account.QuotaOver},
		{math.MaxInt64, ptr[int64](1), math.MaxInt64, account.QuotaOver},
		{math.MaxInt64, ptr[int64](math.MaxInt64 - 1), 10_000, account.QuotaOver},
	} {
		for name, q := range map[string]account.Quota{
			"bytes":    {UsedBytes: tc.used, LimitBytes: tc.limit},
			"messages": {UsedMessages: tc.used, LimitMessages: tc.limit, LimitBytes: ptr[int64](1 << 40)},
		} {
			if fill, state := q.Fill(), q.State(); fill != tc.fill || state != tc.want {
				t.Errorf("%s %d: %d, %s, want %d, %s", name, tc.used, fill, state, tc.fill, tc.want)
			}
			q.Stopped = true
			if fill, state := q.Fill(), q.State(); fill != max(tc.fill, account.FullMark) || state != account.QuotaOver {
				t.Errorf("%s %d with an account that stopped: %d, %s", name, tc.used, fill, state)
			}
		}
	}
}

// Whose a limit is that was set here: the user's, the domain's or everybody's; the
// mail server's where that is tighter.
func TestALimitSaysWhoSetIt(t *testing.T) {
	ten, twenty := account.Limit{Bytes: ptr[int64](10)}, account.Limit{Bytes: ptr[int64](20)}
	for _, by := range []account.LimitSource{
		account.LimitByMailbrook, account.LimitByDomain, account.LimitByInstallation,
	} {
		for _, tc := range []struct {
			set, own account.Limit
			want     account.LimitSource
		}{
			{ten, account.Limit{}, by},
			{ten, twenty, by},
			{ten, ten, by},
			{twenty, ten, account.LimitByMailbox},
			{account.Limit{}, ten, account.LimitByMailbox},
			{account.Limit{}, account.Limit{}, ""},
		} {
			if got := (account.Quota{UsedBytes: 5, Set: tc.set, SetBy: by, Own: tc.own}).Source(); got != tc.want {
				t.Errorf("set by %s %+v, own %+v: %q, want %q", by, tc.set, tc.own, got, tc.want)
			}
			q := account.Quota{UsedBytes: 5, Set: tc.set, SetBy: by, Own: tc.own}
			if got := q.SourceIn(account.InBytes); got != tc.want || q.SourceIn(account.InMessages) != "" {
				t.Errorf("set by %s %+v, own %+v: in bytes %q, want %q", by, tc.set, tc.own, got, tc.want)
			}
		}
	}
}

func TestAChangeOfLimitsKeepsWhatItDoesNotName(t *testing.T) {
	old := account.Limit{Bytes: ptr[int64](1), Messages: ptr[int64](2)}
	five := account.Limit{Bytes: ptr[int64](5)}
	for _, tc := range []struct {
		change account.LimitChange
		want   string
	}{
		{account.LimitChange{Limit: five, KeepMessages: true}, "5-2"},
		{account.LimitChange{Limit: five}, "5-none"},
		{account.LimitChange{KeepBytes: true}, "1-none"},
		{account.LimitChange{KeepBytes: true, KeepMessages: true}, "1-2"},
	} {
		if got := tc.change.Of(old).Version(); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.change, got, tc.want)
		}
	}
}

func TestADomainIsWhatFollowsTheAt(t *testing.T) {
	for in, want := range map[string]string{
		"firma.test": "firma.test", "FIRMA.Test": "firma.test", "xn--bcher-kva.test": "xn--bcher-kva.test", "": "",
		"*": "", "*.test": "", "a@b.test": "", "a b": "", "bücher.test": "",
	} {
		if got, err := account.ParseDomain(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// Newcomer N10: whose each limit is, and which of them is near.
func TestEachLimitTellsWhoseItIsAndTheNearestIsNamed(t *testing.T) {
	const ours, theirs = account.LimitByMailbrook, account.LimitByMailbox
	for name, tc := range map[string]struct {
		set, own        account.Limit
		bytes, messages account.LimitSource
		first           account.LimitSource
		by              account.Dimension
		percent         int64
	}{
		"none": {},
		"theirs in bytes, ours in messages": {
			account.Limit{Messages: ptr[int64](3)},
			account.Limit{Bytes: ptr[int64](2000)},
			theirs, ours, ours,
			account.InMessages, 66,
		},
		"the other way round": {
			account.Limit{Bytes: ptr[int64](2000)},
			account.Limit{Messages: ptr[int64](100)},
			ours, theirs, ours,
			account.InBytes, 50,
		},
		"both in bytes": {
			account.Limit{Bytes: ptr[int64](2000)},
			account.Limit{Bytes: ptr[int64](1000)},
			theirs, "", theirs,
			account.InBytes, 100,
		},
		"alike": {
			account.Limit{Messages: ptr[int64](1)},
			account.Limit{Messages: ptr[int64](1)},
			"", ours, ours,
			account.InMessages, 200,
		},
	} {
		q := account.Quota{UsedBytes: 1000, UsedMessages: 2, Set: tc.set, Own: tc.own}.Limited()
		by, percent := q.Nearest()
		if q.SourceIn(account.InBytes) != tc.bytes || q.SourceIn(account.InMessages) != tc.messages ||
			q.Source() != tc.first || by != tc.by || percent != tc.percent {
			t.Errorf("%s: %q, %q, first %q, %d %% in %q", name, q.SourceIn(account.InBytes), q.SourceIn(account.InMessages),
				q.Source(), percent, by)
		}
	}
}
