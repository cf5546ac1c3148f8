package owner_test

import (
	"math"
	"testing"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Over at the limit, near from 90 %, and no overflow; and over, whatever is
// left, as soon as an account has stopped for want of room (newcomer 11).
func TestOneFunctionSaysHowFullAMailboxIs(t *testing.T) {
	for _, tc := range []struct {
		used  int64
		limit *int64
		fill  int64
		want  owner.QuotaState
	}{
		{0, nil, 0, owner.QuotaOK},
		{1 << 62, nil, 0, owner.QuotaOK},
		{0, ptr[int64](0), 10_000, owner.QuotaOver},
		{0, ptr[int64](1), 0, owner.QuotaOK},
		{-5, ptr[int64](10), 0, owner.QuotaOK},
		{89, ptr[int64](100), 8_900, owner.QuotaOK},
		{8_999, ptr[int64](10_000), 8_999, owner.QuotaOK},
		{90, ptr[int64](100), 9_000, owner.QuotaNear},
		{99, ptr[int64](100), 9_900, owner.QuotaNear},
		{1<<53 - 1, ptr[int64](1 << 53), 9_999, owner.QuotaNear},
		{math.MaxInt64 - 1, ptr[int64](math.MaxInt64), 9_999, owner.QuotaNear},
		{100, ptr[int64](100), 10_000, owner.QuotaOver},
		{11, ptr[int64](10), 11_000, owner.QuotaOver},
		{math.MaxInt64, ptr[int64](1), math.MaxInt64, owner.QuotaOver},
		{math.MaxInt64, ptr[int64](math.MaxInt64 - 1), 10_000, owner.QuotaOver},
	} {
		for name, q := range map[string]owner.Quota{
			"bytes":    {UsedBytes: tc.used, LimitBytes: tc.limit},
			"messages": {UsedMessages: tc.used, LimitMessages: tc.limit, LimitBytes: ptr[int64](1 << 40)},
		} {
			if fill, state := q.Fill(), q.State(); fill != tc.fill || state != tc.want {
				t.Errorf("%s %d: %d, %s, want %d, %s", name, tc.used, fill, state, tc.fill, tc.want)
			}
			q.Stopped = true
			if fill, state := q.Fill(), q.State(); fill != max(tc.fill, owner.FullMark) || state != owner.QuotaOver {
				t.Errorf("%s %d with an account that stopped: %d, %s", name, tc.used, fill, state)
			}
		}
	}
}

// Whose a limit is that was set here: the user's, the domain's or everybody's; the
// mail server's where that is tighter.
func TestALimitSaysWhoSetIt(t *testing.T) {
	ten, twenty := owner.Limit{Bytes: ptr[int64](10)}, owner.Limit{Bytes: ptr[int64](20)}
	for _, by := range []owner.LimitSource{
		owner.LimitByMailbrook, owner.LimitByDomain, owner.LimitByInstallation,
	} {
		for _, tc := range []struct {
			set, own owner.Limit
			want     owner.LimitSource
		}{
			{ten, owner.Limit{}, by},
			{ten, twenty, by},
			{ten, ten, by},
			{twenty, ten, owner.LimitByMailbox},
			{owner.Limit{}, ten, owner.LimitByMailbox},
			{owner.Limit{}, owner.Limit{}, ""},
		} {
			if got := (owner.Quota{UsedBytes: 5, Set: tc.set, SetBy: by, Own: tc.own}).Source(); got != tc.want {
				t.Errorf("set by %s %+v, own %+v: %q, want %q", by, tc.set, tc.own, got, tc.want)
			}
			q := owner.Quota{UsedBytes: 5, Set: tc.set, SetBy: by, Own: tc.own}
			if got := q.SourceIn(owner.InBytes); got != tc.want || q.SourceIn(owner.InMessages) != "" {
				t.Errorf("set by %s %+v, own %+v: in bytes %q, want %q", by, tc.set, tc.own, got, tc.want)
			}
		}
	}
}

func TestAChangeOfLimitsKeepsWhatItDoesNotName(t *testing.T) {
	old := owner.Limit{Bytes: ptr[int64](1), Messages: ptr[int64](2)}
	five := owner.Limit{Bytes: ptr[int64](5)}
	for _, tc := range []struct {
		change owner.LimitChange
		want   string
	}{
		{owner.LimitChange{Limit: five, KeepMessages: true}, "5-2"},
		{owner.LimitChange{Limit: five}, "5-none"},
		{owner.LimitChange{KeepBytes: true}, "1-none"},
		{owner.LimitChange{KeepBytes: true, KeepMessages: true}, "1-2"},
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
		if got, err := owner.ParseDomain(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// Newcomer N10: whose each limit is, and which of them is near.
func TestEachLimitTellsWhoseItIsAndTheNearestIsNamed(t *testing.T) {
	const ours, theirs = owner.LimitByMailbrook, owner.LimitByMailbox
	for name, tc := range map[string]struct {
		set, own        owner.Limit
		bytes, messages owner.LimitSource
		first           owner.LimitSource
		by              owner.Dimension
		percent         int64
	}{
		"none": {},
		"theirs in bytes, ours in messages": {
			owner.Limit{Messages: ptr[int64](3)},
			owner.Limit{Bytes: ptr[int64](2000)},
			theirs, ours, ours,
			owner.InMessages, 66,
		},
		"the other way round": {
			owner.Limit{Bytes: ptr[int64](2000)},
			owner.Limit{Messages: ptr[int64](100)},
			ours, theirs, ours,
			owner.InBytes, 50,
		},
		"both in bytes": {
			owner.Limit{Bytes: ptr[int64](2000)},
			owner.Limit{Bytes: ptr[int64](1000)},
			theirs, "", theirs,
			owner.InBytes, 100,
		},
		"alike": {
			owner.Limit{Messages: ptr[int64](1)},
			owner.Limit{Messages: ptr[int64](1)},
			"", ours, ours,
			owner.InMessages, 200,
		},
	} {
		q := owner.Quota{UsedBytes: 1000, UsedMessages: 2, Set: tc.set, Own: tc.own}.Limited()
		by, percent := q.Nearest()
		if q.SourceIn(owner.InBytes) != tc.bytes || q.SourceIn(owner.InMessages) != tc.messages ||
			q.Source() != tc.first || by != tc.by || percent != tc.percent {
			t.Errorf("%s: %q, %q, first %q, %d %% in %q", name, q.SourceIn(owner.InBytes), q.SourceIn(owner.InMessages),
				q.Source(), percent, by)
		}
	}
}

func ptr[T any](v T) *T { return &v }
