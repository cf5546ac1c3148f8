package account_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// measured is what a user's mailbox and row say, and what was done to them.
type measured struct {
	row     owner.Quota
	size    account.Size
	own     owner.Limit
	missing bool // There is no mailbox,
	seen    bool // and there was one.
	done    []string
}

func (m *measured) Quota(context.Context, owner.Owner) (owner.Quota, error) { return m.row, nil }

func (m *measured) Limit(context.Context, owner.Owner) (owner.Limit, error) {
	return m.row.Set, nil
}

func (m *measured) SetLimits(_ context.Context, _ owner.Owner, l owner.Limit, _ account.Match) error {
	m.row.Set = l
	return nil
}

func (m *measured) ClearLimits(context.Context, owner.Owner, account.Match) error {
	return account.ErrPrecondition
}

func (m *measured) SaveUsage(_ context.Context, _ owner.Owner, bytes, messages int64, own owner.Limit,
	shares []owner.AccountUsage,
) error {
	m.row.UsedBytes, m.row.UsedMessages, m.row.Own, m.row.Stopped = bytes, messages, own, false
	m.done = append(m.done, "saved")
	if shares != nil {
		m.row.Accounts = slices.Clone(shares)
	}
	return nil
}

func (m *measured) MailboxSeen(context.Context, owner.Owner) (bool, error) { return m.seen, nil }

func (m *measured) Usage(context.Context, owner.Owner) (account.Size, error) {
	if m.missing {
		return account.Size{}, account.ErrNoMailbox
	}
	return m.size, nil
}

func (m *measured) Shares(ctx context.Context, o owner.Owner, folders []string) (account.Size, []account.Size,
	error,
) {
	all, err := m.Usage(ctx, o)
	of := make([]account.Size, len(folders))
	for i := range of {
		of[i] = all
	}
	return all, of, err
}

func (m *measured) OwnLimit(context.Context, owner.Owner, owner.Limit) (owner.Limit, error) {
	return m.own, nil
}

func (m *measured) Nudge() { m.done = append(m.done, "nudged") }

func TestAMeasureIsSavedWhenItIsAnotherOne(t *testing.T) {
	anna, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		m    measured
		want []string
		gone bool
	}{
		{"more than before", measured{size: account.Size{Bytes: 5, Messages: 1}}, []string{"saved"}, false},
		{
			"as before",
			measured{size: account.Size{Bytes: 5, Messages: 1}, row: owner.Quota{UsedBytes: 5, UsedMessages: 1}},
			nil, false,
		},
		{"another limit of the mail server's", measured{own: owner.Limit{Bytes: ptr(int64(9))}}, []string{"saved"}, false},
		{
			"room again", measured{row: owner.Quota{UsedBytes: 9, Stopped: true}}, []string{"saved", "nudged"}, false,
		},
		{"no mailbox yet", measured{missing: true}, nil, false},
		{"no mailbox any more", measured{missing: true, seen: true, row: owner.Quota{UsedBytes: 9}}, nil, true},
	} {
		m := tc.m
		m.row.Accounts = []owner.AccountUsage{{Folder: "Gmail", Bytes: m.row.UsedBytes, Messages: m.row.UsedMessages}}
		q := account.Quotas{Rows: &m, Mailboxes: &m, Nudger: &m, Log: slog.New(slog.DiscardHandler)}
		got, err := q.Quota(t.Context(), anna)
		if err != nil || !slices.Equal(m.done, tc.want) || got.Gone != tc.gone {
			t.Errorf("%s: %v, %v, %+v", tc.name, err, m.done, got)
		}
		if tc.gone && got.UsedBytes != 9 {
			t.Errorf("%s: what was measured last is not told: %+v", tc.name, got)
		}
	}
}

func TestLimitsThatChangeWakeThePollers(t *testing.T) {
	var m measured
	q := account.Quotas{Rows: &m, Mailboxes: &m, Nudger: &m, Log: slog.New(slog.DiscardHandler)}
	got, err := q.SetLimit(t.Context(), owner.Owner{}, owner.Limit{Bytes: ptr(int64(7))}, nil)
	if err != nil || got.Set.Bytes == nil || *got.Set.Bytes != 7 || !slices.Contains(m.done, "nudged") {
		t.Errorf("%+v, %v, %v", got, err, m.done)
	}
	m.done = nil
	if _, err := q.ClearLimit(t.Context(), owner.Owner{}, nil); !errors.Is(err, account.ErrPrecondition) ||
		len(m.done) > 0 { // The control.
		t.Errorf("%v, %v", err, m.done)
	}
	if err := q.Measure(t.Context(), owner.Owner{}); err != nil || !slices.Equal(m.done, []string{"saved"}) {
		t.Errorf("%v, %v", err, m.done)
	}
	m.missing, m.done = true, nil
	if err := q.Measure(t.Context(), owner.Owner{}); err != nil || len(m.done) > 0 {
		t.Errorf("without a mailbox: %v, %v", err, m.done)
	}
}
