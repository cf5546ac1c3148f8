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
